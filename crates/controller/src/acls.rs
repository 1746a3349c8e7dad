//! CreateAcls and DeleteAcls, and the filters by which ACLs are found.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use thalweg_base::Uuid;
use thalweg_metadata::acl::{CLUSTER_NAME, Operation, PatternType, Permission, ResourceType};
use thalweg_metadata::image::Acl;
use thalweg_metadata::image::acls::WILDCARD;
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_acls_request::AclCreation;
use thalweg_wire::messages::create_acls_response::AclCreationResult;
use thalweg_wire::messages::delete_acls_request::DeleteAclsFilter;
use thalweg_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use thalweg_wire::messages::{
    AccessControlEntryRecord, CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, RemoveAccessControlEntryRecord,
};

use crate::random::uuid;
use crate::refusal::parts;
use crate::{Controller, Outcome, Random, Refusal};

/// So many ACLs are created or deleted by one request, as in Kafka: a decision is one batch of the metadata log.
const RECORDS_MAX: usize = 10_000;

/// Which ACLs a request means, in the numbers of Kafka's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclFilter<'a> {
    resource_type: i8,
    /// `None` matches every name.
    resource_name: Option<&'a str>,
    pattern_type: i8,
    principal: Option<&'a str>,
    host: Option<&'a str>,
    operation: i8,
    permission_type: i8,
}

impl<'a> From<&'a DeleteAclsFilter> for AclFilter<'a> {
    fn from(filter: &'a DeleteAclsFilter) -> Self {
        Self {
            resource_type: filter.resource_type_filter,
            resource_name: filter.resource_name_filter.as_deref(),
            pattern_type: filter.pattern_type_filter,
            principal: filter.principal_filter.as_deref(),
            host: filter.host_filter.as_deref(),
            operation: filter.operation,
            permission_type: filter.permission_type,
        }
    }
}

impl<'a> From<&'a DescribeAclsRequest> for AclFilter<'a> {
    fn from(request: &'a DescribeAclsRequest) -> Self {
        Self {
            resource_type: request.resource_type_filter,
            resource_name: request.resource_name_filter.as_deref(),
            pattern_type: request.pattern_type_filter,
            principal: request.principal_filter.as_deref(),
            host: request.host_filter.as_deref(),
            operation: request.operation,
            permission_type: request.permission_type,
        }
    }
}

impl AclFilter<'_> {
    /// Whether it means this ACL. A number that nobody knows matches nothing.
    #[must_use]
    pub fn matches(&self, acl: &Acl) -> bool {
        let number = |wanted: i8, any: i8, own: i8| wanted == any || wanted == own;
        let text = |wanted: Option<&str>, own: &str| wanted.is_none_or(|wanted| wanted == own);
        number(self.resource_type, ResourceType::Any.number(), acl.resource_type)
            && self.matches_pattern(acl)
            && text(self.principal, &acl.principal)
            && text(self.host, &acl.host)
            && number(self.operation, Operation::Any.number(), acl.operation)
            && number(self.permission_type, Permission::Any.number(), acl.permission_type)
    }

    fn matches_pattern(&self, acl: &Acl) -> bool {
        let by_match = self.pattern_type == PatternType::Match.number();
        if !by_match && self.pattern_type != PatternType::Any.number() && self.pattern_type != acl.pattern_type {
            return false;
        }
        let Some(name) = self.resource_name else { return true };
        let own = &*acl.resource_name;
        match by_match {
            false => own == name,
            true if acl.pattern_type == PatternType::Prefixed.number() => name.starts_with(own),
            true => own == name || own == WILDCARD,
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let invalid = |text: &str| Err(Refusal::because(ErrorCode::InvalidRequest, text));
        let pattern = ResourceType::from_number(self.resource_type).zip(PatternType::from_number(self.pattern_type));
        let entry = Operation::from_number(self.operation).zip(Permission::from_number(self.permission_type));
        match (pattern, entry) {
            (None, _) => invalid("Unknown patternFilter."),
            (_, None) => invalid("Unknown entryFilter."),
            _ => Ok(()),
        }
    }
}

impl Controller {
    /// Creates ACLs; those that there are already stay as they are.
    ///
    /// # Errors
    /// If there are too many of them.
    pub fn create_acls(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        request: &CreateAclsRequest,
    ) -> Result<Outcome<CreateAclsResponse>, Refusal> {
        let mut created: BTreeSet<Acl> = BTreeSet::new();
        let mut results = Vec::with_capacity(request.creations.len());
        for asked in &request.creations {
            results.push(match check(asked) {
                Ok(()) => {
                    let acl = acl(asked);
                    if !image.acls().contains(&acl) {
                        created.insert(acl);
                    }
                    AclCreationResult::default()
                }
                Err(refusal) => AclCreationResult { error_code: refusal.code.code(), error_message: refusal.text() },
            });
        }
        if created.len() > RECORDS_MAX {
            let text = "Unable to perform excessively large batch operation.";
            return Err(Refusal::because(ErrorCode::PolicyViolation, text));
        }
        let records = created.into_iter().map(|acl| record(&acl, new_id(image, random))).collect();
        Ok(Outcome { records, response: CreateAclsResponse { results, ..CreateAclsResponse::default() } })
    }

    /// Deletes the ACLs that filters match.
    ///
    /// # Errors
    /// If they match too many.
    pub fn delete_acls(
        &self,
        image: &MetadataImage,
        request: &DeleteAclsRequest,
    ) -> Result<Outcome<DeleteAclsResponse>, Refusal> {
        let mut deleted: BTreeSet<Uuid> = BTreeSet::new();
        let mut filter_results = Vec::with_capacity(request.filters.len());
        for asked in &request.filters {
            let filter = AclFilter::from(asked);
            let mut matching_acls = Vec::new();
            let checked = filter.check();
            if checked.is_ok() {
                for (id, acl) in image.acls().iter().filter(|(_, acl)| filter.matches(acl)) {
                    deleted.insert(*id);
                    matching_acls.push(matching(acl));
                }
            }
            if deleted.len() > RECORDS_MAX {
                let text = format!("Cannot remove more than {RECORDS_MAX} acls in a single delete operation.");
                return Err(Refusal::because(ErrorCode::InvalidRequest, text));
            }
            let (error_code, error_message) = parts(&checked);
            filter_results.push(DeleteAclsFilterResult { error_code, error_message, matching_acls });
        }
        let records =
            deleted.into_iter().map(|id| MetadataRecord::from(RemoveAccessControlEntryRecord { id })).collect();
        Ok(Outcome { records, response: DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() } })
    }
}

/// Refuses what no ACL can say.
fn check(asked: &AclCreation) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidRequest, text));
    let cluster = ResourceType::Cluster.number();
    if asked.resource_type == cluster && &*asked.resource_name != CLUSTER_NAME {
        return invalid(format!("The only valid name for the CLUSTER resource is {CLUSTER_NAME}"));
    }
    if asked.resource_name.is_empty() {
        return invalid("Invalid empty resource name".to_owned());
    }
    let resource_type = ResourceType::from_number(asked.resource_type);
    if matches!(resource_type, None | Some(ResourceType::Any)) {
        return invalid(format!("Invalid resourceType {}", resource_type.map_or("UNKNOWN", ResourceType::name)));
    }
    let pattern_type = PatternType::from_number(asked.resource_pattern_type);
    if !matches!(pattern_type, Some(PatternType::Literal | PatternType::Prefixed)) {
        return invalid(format!("Invalid patternType {}", pattern_type.map_or("UNKNOWN", PatternType::name)));
    }
    let operation = Operation::from_number(asked.operation);
    if matches!(operation, None | Some(Operation::Any)) {
        return invalid(format!("Invalid operation {}", operation.map_or("UNKNOWN", Operation::name)));
    }
    let permission = Permission::from_number(asked.permission_type);
    if !matches!(permission, Some(Permission::Deny | Permission::Allow)) {
        return invalid(format!("Invalid permissionType {}", permission.map_or("UNKNOWN", Permission::name)));
    }
    if !asked.principal.contains(':') {
        return invalid(format!(
            "Could not parse principal from `{}` (no colon is present separating the principal type from the principal \
             name)",
            asked.principal
        ));
    }
    Ok(())
}

fn acl(asked: &AclCreation) -> Acl {
    Acl {
        resource_type: asked.resource_type,
        resource_name: (&*asked.resource_name).into(),
        pattern_type: asked.resource_pattern_type,
        principal: (&*asked.principal).into(),
        host: (&*asked.host).into(),
        operation: asked.operation,
        permission_type: asked.permission_type,
    }
}

fn record(acl: &Acl, id: Uuid) -> MetadataRecord {
    MetadataRecord::from(AccessControlEntryRecord {
        id,
        resource_type: acl.resource_type,
        resource_name: (&*acl.resource_name).into(),
        pattern_type: acl.pattern_type,
        principal: (&*acl.principal).into(),
        host: (&*acl.host).into(),
        operation: acl.operation,
        permission_type: acl.permission_type,
    })
}

fn new_id(image: &MetadataImage, random: Random<'_>) -> Uuid {
    loop {
        let id = uuid(random);
        if image.acls().get(id).is_none() {
            return id;
        }
    }
}

fn matching(acl: &Acl) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl {
        resource_type: acl.resource_type,
        resource_name: (&*acl.resource_name).into(),
        pattern_type: acl.pattern_type,
        principal: (&*acl.principal).into(),
        host: (&*acl.host).into(),
        operation: acl.operation,
        permission_type: acl.permission_type,
        error_message: None,
        ..DeleteAclsMatchingAcl::default()
    }
}
