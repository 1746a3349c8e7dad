//! Kafka's `StandardAuthorizer`: may this principal do that, by the ACLs of the metadata log?

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thalweg_metadata::image::acls::{LITERAL, PREFIXED, WILDCARD};
use thalweg_metadata::image::{Acl, AclsImage};

use crate::Principal;
use crate::acl::{Operation, PatternType, Permission, Resource, ResourceType};
use crate::principal::ParsePrincipalError;

/// The principal of ACLs for everybody.
const EVERYBODY: &str = "User:*";

/// How a node decides, apart from the ACLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorizer {
    /// `super.users`: they may do everything.
    super_users: BTreeSet<String>,
    /// `allow.everyone.if.no.acl.found`: what counts for a resource without any ACL.
    default: Decision,
}

/// What is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may not.
    #[default]
    Denied,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The principal as ACLs write it.
    principal: String,
    /// The address as ACLs write it.
    host: String,
}

impl Asker {
    /// A principal at an address, which is written as Java's `getHostAddress` writes it.
    pub fn new(principal: &Principal, host: impl Into<String>) -> Self {
        Self { principal: principal.to_string(), host: host.into() }
    }
}

/// A decision and what it is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    SuperUser,
    MatchingAcl(Arc<Acl>),
    Default,
}

impl Verdict {
    /// Whether it may.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allowed
    }

    /// The line of the audit log, as Kafka writes it. `references` is how often the request names the resource.
    #[must_use]
    pub fn audit_line(
        &self,
        asker: &Asker,
        operation: Operation,
        resource: Resource<'_>,
        request: &str,
        references: usize,
    ) -> String {
        let decision = if self.is_allowed() { "Allowed" } else { "Denied" };
        format!(
            "Principal = {} is {decision} operation = {} from host = {} on resource = {}:{}:{} for request = {request} \
             with resourceRefCount = {references} based on rule {self}",
            asker.principal,
            operation.name(),
            asker.host,
            resource.kind.audit_name(),
            PatternType::Literal.name(),
            resource.name,
        )
    }
}

impl fmt::Display for Verdict {
    /// Writes the rule as the audit log shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rule, self.decision) {
            (Rule::SuperUser, _) => f.write_str("SuperUser"),
            (Rule::Default, Decision::Allowed) => f.write_str("DefaultAllow"),
            (Rule::Default, Decision::Denied) => f.write_str("DefaultDeny"),
            (Rule::MatchingAcl(acl), _) => {
                let name = |found: Option<&'static str>| found.unwrap_or("UNKNOWN");
                write!(
                    f,
                    "MatchingAcl(acl=StandardAcl[resourceType={}, resourceName={}, patternType={}, principal={}, \
                     host={}, operation={}, permissionType={}])",
                    name(ResourceType::from_number(acl.resource_type).map(ResourceType::name)),
                    acl.resource_name,
                    name(PatternType::from_number(acl.pattern_type).map(PatternType::name)),
                    acl.principal,
                    acl.host,
                    name(Operation::from_number(acl.operation).map(Operation::name)),
                    name(Permission::from_number(acl.permission_type).map(Permission::name)),
                )
            }
        }
    }
}

impl Authorizer {
    /// Reads `super.users` (separated by semicolons) and `allow.everyone.if.no.acl.found`.
    ///
    /// # Errors
    /// If a super user is not `TYPE:NAME`.
    pub fn from_texts(super_users: &str, allow_everyone: &str) -> Result<Self, ParsePrincipalError> {
        let users = super_users.split(';').map(str::trim).filter(|user| !user.is_empty());
        let super_users =
            users.map(|user| user.parse().map(|_: Principal| user.to_owned())).collect::<Result<_, _>>()?;
        let default = match allow_everyone.trim().eq_ignore_ascii_case("true") {
            true => Decision::Allowed,
            false => Decision::Denied,
        };
        Ok(Self { super_users, default })
    }

    /// Decides about one operation on one resource.
    ///
    /// An ACL that denies wins over all that allow. Allowing READ, WRITE, DELETE or ALTER allows DESCRIBE, and
    /// ALTER_CONFIGS allows DESCRIBE_CONFIGS; denying them does not deny it. Where no ACL is about the resource at all,
    /// the configured default counts; where some are and none of them matches, it is denied.
    #[must_use]
    pub fn authorize(&self, acls: &AclsImage, asker: &Asker, operation: Operation, resource: Resource<'_>) -> Verdict {
        if self.super_users.contains(&asker.principal) {
            return Verdict { decision: Decision::Allowed, rule: Rule::SuperUser };
        }
        let mut any = false;
        let mut allowing: Option<&Arc<Acl>> = None;
        for pattern in acls.matching(resource.kind.number(), resource.name) {
            any = true;
            let principals = [EVERYBODY, &*asker.principal];
            for acl in principals.into_iter().filter_map(|principal| pattern.get(principal)).flatten() {
                match decided_by(acl, asker, operation) {
                    Some(Decision::Denied) => {
                        return Verdict { decision: Decision::Denied, rule: Rule::MatchingAcl(Arc::clone(acl)) };
                    }
                    Some(Decision::Allowed) => allowing = Some(acl),
                    None => {}
                }
            }
        }
        match allowing {
            Some(acl) => Verdict { decision: Decision::Allowed, rule: Rule::MatchingAcl(Arc::clone(acl)) },
            None if any => Verdict { decision: Decision::Denied, rule: Rule::Default },
            None => Verdict { decision: self.default, rule: Rule::Default },
        }
    }

    /// Whether there can be a resource of a type with which the operation is allowed: what an idempotent producer needs.
    #[must_use]
    pub fn authorize_by_type(
        &self,
        acls: &AclsImage,
        asker: &Asker,
        operation: Operation,
        kind: ResourceType,
    ) -> Decision {
        // Any name: it allows super users, and everybody by default.
        if self.authorize(acls, asker, operation, Resource { kind, name: "hardcode" }).is_allowed() {
            return Decision::Allowed;
        }
        let mut denied: BTreeSet<(i8, &str)> = BTreeSet::new();
        let mut allowed: BTreeSet<(i8, &str)> = BTreeSet::new();
        for (pattern_type, name, pattern) in acls.of_type(kind.number()) {
            for acl in [EVERYBODY, &*asker.principal].into_iter().filter_map(|who| pattern.get(who)).flatten() {
                let operations = [operation.number(), Operation::All.number()];
                if !host_matches(acl, asker) || !operations.contains(&acl.operation) {
                    continue;
                }
                let denies = acl.permission_type == Permission::Deny.number();
                if denies { &mut denied } else { &mut allowed }.insert((pattern_type, name));
            }
        }
        if denied.contains(&(LITERAL, WILDCARD)) {
            return Decision::Denied;
        }
        let has_denied_prefix = |name: &str| {
            let prefixes = name.char_indices().map(|(at, char)| &name[..at + char.len_utf8()]);
            prefixes.into_iter().any(|prefix| denied.contains(&(PREFIXED, prefix)))
        };
        let stands = |&(pattern_type, name): &(i8, &str)| match (pattern_type, name) {
            (PREFIXED, _) => !has_denied_prefix(name),
            (_, WILDCARD) => true,
            _ => !denied.contains(&(LITERAL, name)) && !has_denied_prefix(name),
        };
        if allowed.iter().any(stands) { Decision::Allowed } else { Decision::Denied }
    }
}

fn host_matches(acl: &Acl, asker: &Asker) -> bool {
    &*acl.host == WILDCARD || *acl.host == *asker.host
}

/// What an ACL whose resource and principal match says about an operation.
fn decided_by(acl: &Acl, asker: &Asker, operation: Operation) -> Option<Decision> {
    use Operation as O;
    host_matches(acl, asker).then_some(())?;
    let decision = match acl.permission_type == Permission::Allow.number() {
        true => Decision::Allowed,
        false => Decision::Denied,
    };
    let implying: &[Operation] = match (decision, operation) {
        (Decision::Allowed, O::Describe) => &[O::Describe, O::Read, O::Write, O::Delete, O::Alter],
        (Decision::Allowed, O::DescribeConfigs) => &[O::DescribeConfigs, O::AlterConfigs],
        _ => &[],
    };
    let matches = acl.operation == O::All.number()
        || acl.operation == operation.number()
        || implying.iter().any(|implying| implying.number() == acl.operation);
    matches.then_some(decision)
}
