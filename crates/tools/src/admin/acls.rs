//! ACLs as tools see them.

use std::fmt;

use thalweg_metadata::acl::{Operation, PatternType, Permission, ResourceType};
use thalweg_wire::messages::create_acls_request::AclCreation;
use thalweg_wire::messages::delete_acls_request::DeleteAclsFilter;
use thalweg_wire::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use thalweg_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use super::{Admin, check};
use crate::thrown::Thrown;

/// The resources that an ACL is about, or a filter of such.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourcePattern {
    /// Their type.
    pub kind: ResourceType,
    /// Their name, or what it begins with; `None` in a filter for all names.
    pub name: Option<String>,
    /// How the name is meant.
    pub pattern: PatternType,
}

impl ResourcePattern {
    /// The filter that every pattern passes.
    pub const ANY: Self = Self { kind: ResourceType::Any, name: None, pattern: PatternType::Any };
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, pattern) = (self.kind.name(), self.pattern.name());
        let name = self.name.as_deref().unwrap_or("<any>");
        write!(f, "ResourcePattern(resourceType={kind}, name={name}, patternType={pattern})")
    }
}

/// Who may do what, or may not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessControl {
    /// Who.
    pub principal: String,
    /// From which host; `*` is every one.
    pub host: String,
    /// What.
    pub operation: Operation,
    /// Whether it is allowed.
    pub permission: Permission,
}

impl fmt::Display for AccessControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operation, permission) = (self.operation.name(), self.permission.name());
        let (principal, host) = (&self.principal, &self.host);
        write!(f, "(principal={principal}, host={host}, operation={operation}, permissionType={permission})")
    }
}

impl Admin {
    /// The ACLs of the resources that pass a filter, by resource.
    ///
    /// # Errors
    /// When no node answers, or the question is refused.
    pub async fn describe_acls(
        &self,
        filter: &ResourcePattern,
    ) -> Result<Vec<(ResourcePattern, Vec<AccessControl>)>, Thrown> {
        let request = DescribeAclsRequest {
            resource_type_filter: filter.kind.number(),
            resource_name_filter: filter.name.as_deref().map(Into::into),
            pattern_type_filter: filter.pattern.number(),
            principal_filter: None,
            host_filter: None,
            operation: Operation::Any.number(),
            permission_type: Permission::Any.number(),
        };
        let response = self.broker_or_active_controller("describeAcls", &request).await?;
        check(response.error_code, response.error_message.as_deref())?;
        Ok(response.resources.iter().filter_map(resource).collect())
    }

    /// Creates ACLs of a resource.
    ///
    /// # Errors
    /// When no node answers, or one of them is refused.
    pub async fn create_acls(&self, resource: &ResourcePattern, acls: &[AccessControl]) -> Result<(), Thrown> {
        let creation = |acl: &AccessControl| AclCreation {
            resource_type: resource.kind.number(),
            resource_name: resource.name.as_deref().unwrap_or_default().into(),
            resource_pattern_type: resource.pattern.number(),
            principal: acl.principal.as_str().into(),
            host: acl.host.as_str().into(),
            operation: acl.operation.number(),
            permission_type: acl.permission.number(),
        };
        let request = CreateAclsRequest { creations: acls.iter().map(creation).collect() };
        let response = self.broker_or_active_controller("createAcls", &request).await?;
        response.results.iter().try_for_each(|result| check(result.error_code, result.error_message.as_deref()))
    }

    /// Deletes these ACLs of the resources that pass a filter; without any, all ACLs of theirs.
    ///
    /// # Errors
    /// When no node answers, or it is refused.
    pub async fn delete_acls(&self, filter: &ResourcePattern, acls: &[AccessControl]) -> Result<(), Thrown> {
        let all = DeleteAclsFilter {
            resource_type_filter: filter.kind.number(),
            resource_name_filter: filter.name.as_deref().map(Into::into),
            pattern_type_filter: filter.pattern.number(),
            principal_filter: None,
            host_filter: None,
            operation: Operation::Any.number(),
            permission_type: Permission::Any.number(),
        };
        let one = |acl: &AccessControl| DeleteAclsFilter {
            principal_filter: Some(acl.principal.as_str().into()),
            host_filter: Some(acl.host.as_str().into()),
            operation: acl.operation.number(),
            permission_type: acl.permission.number(),
            ..all.clone()
        };
        let filters = if acls.is_empty() { vec![all.clone()] } else { acls.iter().map(one).collect() };
        let response = self.broker_or_active_controller("deleteAcls", &DeleteAclsRequest { filters }).await?;
        for result in &response.filter_results {
            check(result.error_code, result.error_message.as_deref())?;
            result.matching_acls.iter().try_for_each(|acl| check(acl.error_code, acl.error_message.as_deref()))?;
        }
        Ok(())
    }
}

/// A resource of an answer; `None` for one of a type that this version does not know.
fn resource(resource: &DescribeAclsResource) -> Option<(ResourcePattern, Vec<AccessControl>)> {
    let pattern = ResourcePattern {
        kind: ResourceType::from_number(resource.resource_type)?,
        name: Some(resource.resource_name.to_string()),
        pattern: PatternType::from_number(resource.pattern_type)?,
    };
    let acl = |acl: &AclDescription| {
        Some(AccessControl {
            principal: acl.principal.to_string(),
            host: acl.host.to_string(),
            operation: Operation::from_number(acl.operation)?,
            permission: Permission::from_number(acl.permission_type)?,
        })
    };
    Some((pattern, resource.acls.iter().filter_map(acl).collect()))
}
