//! ACLs.

use thalweg_client::Destination;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeAclsRequest;

use super::Kafka;
use crate::trouble::Trouble;

/// What stands for every kind in a filter.
const ANY: i8 = 1;
/// Kafka's number of topics among resources.
const TOPIC: i8 = 2;
/// What stands, in a filter, for the patterns that fit a name.
const MATCH: i8 = 2;

/// An ACL, with Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) resource_type: &'static str,
    pub(crate) name: String,
    pub(crate) pattern_type: &'static str,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) operation: &'static str,
    pub(crate) permission_type: &'static str,
}

impl Kafka {
    /// All ACLs, by the names of their resources; `None` where the cluster has no authorizer.
    pub(crate) async fn acls(&self) -> Result<Option<Vec<Acl>>, Trouble> {
        self.describe_acls(DescribeAclsRequest {
            resource_type_filter: ANY,
            pattern_type_filter: ANY,
            operation: ANY,
            permission_type: ANY,
            ..DescribeAclsRequest::default()
        })
        .await
    }

    /// The ACLs that concern a topic, those with a prefix or a `*` as well; `None` where the cluster has no authorizer.
    pub(crate) async fn acls_of_topic(&self, name: &str) -> Result<Option<Vec<Acl>>, Trouble> {
        self.describe_acls(DescribeAclsRequest {
            resource_type_filter: TOPIC,
            resource_name_filter: Some(name.into()),
            pattern_type_filter: MATCH,
            operation: ANY,
            permission_type: ANY,
            ..DescribeAclsRequest::default()
        })
        .await
    }

    async fn describe_acls(&self, request: DescribeAclsRequest) -> Result<Option<Vec<Acl>>, Trouble> {
        let response = self.ask(Destination::Any, &request).await?;
        if ErrorCode::from(response.error_code) == ErrorCode::SecurityDisabled {
            return Ok(None);
        }
        Trouble::check("ACLs", response.error_code, response.error_message.as_deref())?;
        let mut acls = Vec::new();
        for resource in &response.resources {
            acls.extend(resource.acls.iter().map(|acl| Acl {
                resource_type: word(&RESOURCES, resource.resource_type),
                name: resource.resource_name.to_string(),
                pattern_type: word(&PATTERNS, resource.pattern_type),
                principal: acl.principal.to_string(),
                host: acl.host.to_string(),
                operation: word(&OPERATIONS, acl.operation),
                permission_type: word(&PERMISSIONS, acl.permission_type),
            }));
        }
        acls.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(acls))
    }
}

/// Kafka's words by their numbers.
const RESOURCES: [&str; 8] =
    ["UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"];
const PATTERNS: [&str; 5] = ["UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED"];
const PERMISSIONS: [&str; 4] = ["UNKNOWN", "ANY", "DENY", "ALLOW"];
const OPERATIONS: [&str; 16] = [
    "UNKNOWN",
    "ANY",
    "ALL",
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "CLUSTER_ACTION",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE",
    "CREATE_TOKENS",
    "DESCRIBE_TOKENS",
    "TWO_PHASE_COMMIT",
];

fn word(words: &[&'static str], number: i8) -> &'static str {
    usize::try_from(number).ok().and_then(|number| words.get(number)).copied().unwrap_or("UNKNOWN")
}
