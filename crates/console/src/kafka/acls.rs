//! ACLs: those that there are, and changing them.

use thalweg_client::Destination;
use thalweg_metadata::acl::{Operation, PatternType, Permission, ResourceType};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_acls_request::AclCreation;
use thalweg_wire::messages::delete_acls_request::DeleteAclsFilter;
use thalweg_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use super::Kafka;
use crate::trouble::Trouble;

/// An ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) resource_type: ResourceType,
    pub(crate) name: String,
    pub(crate) pattern_type: PatternType,
    pub(crate) principal: String,
    /// `*` for every host.
    pub(crate) host: String,
    pub(crate) operation: Operation,
    pub(crate) permission: Permission,
}

impl Kafka {
    /// All ACLs, by the names of their resources; `None` where the cluster has no authorizer.
    pub(crate) async fn acls(&self) -> Result<Option<Vec<Acl>>, Trouble> {
        self.describe_acls(ResourceType::Any, None, PatternType::Any).await
    }

    /// The ACLs that concern a topic, those with a prefix or a `*` as well; `None` where the cluster has no authorizer.
    pub(crate) async fn acls_of_topic(&self, name: &str) -> Result<Option<Vec<Acl>>, Trouble> {
        self.describe_acls(ResourceType::Topic, Some(name), PatternType::Match).await
    }

    async fn describe_acls(
        &self,
        kind: ResourceType,
        name: Option<&str>,
        pattern: PatternType,
    ) -> Result<Option<Vec<Acl>>, Trouble> {
        let request = DescribeAclsRequest {
            resource_type_filter: kind.number(),
            resource_name_filter: name.map(Into::into),
            pattern_type_filter: pattern.number(),
            // An empty text would be a principal without a name; what is null fits all.
            principal_filter: None,
            host_filter: None,
            operation: Operation::Any.number(),
            permission_type: Permission::Any.number(),
        };
        let response = self.ask(Destination::Any, &request).await?;
        if ErrorCode::from(response.error_code) == ErrorCode::SecurityDisabled {
            return Ok(None);
        }
        Trouble::check("ACLs", response.error_code, response.error_message.as_deref())?;
        let mut acls = Vec::new();
        for resource in &response.resources {
            // What this version has no word for is left out, as Kafka's tools leave it out.
            let Some(resource_type) = ResourceType::from_number(resource.resource_type) else { continue };
            let Some(pattern_type) = PatternType::from_number(resource.pattern_type) else { continue };
            acls.extend(resource.acls.iter().filter_map(|acl| {
                Some(Acl {
                    resource_type,
                    name: resource.resource_name.to_string(),
                    pattern_type,
                    principal: acl.principal.to_string(),
                    host: acl.host.to_string(),
                    operation: Operation::from_number(acl.operation)?,
                    permission: Permission::from_number(acl.permission_type)?,
                })
            }));
        }
        acls.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(acls))
    }

    /// Creates an ACL.
    pub(crate) async fn create_acl(&self, acl: &Acl) -> Result<(), Trouble> {
        let creation = AclCreation {
            resource_type: acl.resource_type.number(),
            resource_name: acl.name.as_str().into(),
            resource_pattern_type: acl.pattern_type.number(),
            principal: acl.principal.as_str().into(),
            host: acl.host.as_str().into(),
            operation: acl.operation.number(),
            permission_type: acl.permission.number(),
        };
        let response = self.ask(Destination::Controller, &CreateAclsRequest { creations: vec![creation] }).await?;
        let mut results = response.results.iter();
        results.try_for_each(|result| {
            Trouble::check("creating the ACL", result.error_code, result.error_message.as_deref())
        })
    }

    /// Deletes an ACL.
    pub(crate) async fn delete_acl(&self, acl: &Acl) -> Result<(), Trouble> {
        let filter = DeleteAclsFilter {
            resource_type_filter: acl.resource_type.number(),
            resource_name_filter: Some(acl.name.as_str().into()),
            pattern_type_filter: acl.pattern_type.number(),
            principal_filter: Some(acl.principal.as_str().into()),
            host_filter: Some(acl.host.as_str().into()),
            operation: acl.operation.number(),
            permission_type: acl.permission.number(),
        };
        let response = self.ask(Destination::Controller, &DeleteAclsRequest { filters: vec![filter] }).await?;
        for result in &response.filter_results {
            Trouble::check("deleting the ACL", result.error_code, result.error_message.as_deref())?;
            for acl in &result.matching_acls {
                Trouble::check("deleting the ACL", acl.error_code, acl.error_message.as_deref())?;
            }
            if result.matching_acls.is_empty() {
                return Err(Trouble::NotFound("there is no such ACL any more".to_owned()));
            }
        }
        Ok(())
    }
}
