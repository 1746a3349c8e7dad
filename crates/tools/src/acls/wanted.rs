//! The resources and ACLs that a command line of `kafka-acls.sh` names.

use std::collections::BTreeMap;

use thalweg_metadata::acl::{CLUSTER_NAME, Operation, PatternType, Permission, ResourceType};

use crate::admin::{AccessControl, ResourcePattern};
use crate::failure::Failure;
use crate::jopt::Line;
use crate::principal::Principal;
use crate::thrown::Thrown;

/// ACLs by resource.
type Wanted = BTreeMap<ResourcePattern, Vec<AccessControl>>;

fn pattern_type(line: &Line) -> Result<PatternType, Thrown> {
    let choices: Vec<(&str, PatternType)> = PatternType::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    let found = line.choice("resource-pattern-type", &choices, "ANY|MATCH|LITERAL|PREFIXED")?;
    Ok(found.unwrap_or(PatternType::Literal))
}

/// The resources that the line names.
pub(super) fn resources(line: &Line) -> Result<Vec<ResourcePattern>, Thrown> {
    let pattern = pattern_type(line)?;
    let mut found = Vec::new();
    let kinds = [
        ("topic", ResourceType::Topic),
        ("group", ResourceType::Group),
        ("transactional-id", ResourceType::TransactionalId),
        ("delegation-token", ResourceType::DelegationToken),
        ("user-principal", ResourceType::User),
    ];
    for (option, kind) in kinds {
        let named = |name: &String| ResourcePattern { kind, name: Some(name.trim().to_owned()), pattern };
        found.extend(line.values(option).iter().map(named));
    }
    if pattern == PatternType::Literal && line.has_any(&["cluster", "idempotent"]) {
        found.push(cluster());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn cluster() -> ResourcePattern {
    ResourcePattern { kind: ResourceType::Cluster, name: Some(CLUSTER_NAME.into()), pattern: PatternType::Literal }
}

/// What `--add` adds.
pub(super) fn to_add(line: &Line) -> Result<Wanted, Failure> {
    let pattern = pattern_type(line)?;
    if matches!(pattern, PatternType::Any | PatternType::Match) {
        let text = format!("A '--resource-pattern-type' value of '{}' is not valid when adding acls.", pattern.name());
        return Err(Failure::Usage(text));
    }
    let wanted = to_remove(line)?;
    if wanted.values().any(Vec::is_empty) {
        let text = "You must specify one of: --allow-principal, --deny-principal when trying to add ACLs.";
        return Err(Failure::Usage(text.into()));
    }
    Ok(wanted)
}

/// What `--remove` removes; a resource without ACLs loses all that it has.
pub(super) fn to_remove(line: &Line) -> Result<Wanted, Failure> {
    use Operation as O;
    let found = resources(line)?;
    if found.is_empty() {
        let text = "You must provide at least one resource: --topic <topic> or --cluster or --group <group> or \
                    --delegation-token <Delegation Token ID>";
        return Err(Failure::Usage(text.into()));
    }
    let mut wanted = Wanted::new();
    let mut want = |kind: Option<ResourceType>, operations: &[Option<Operation>]| -> Result<(), Thrown> {
        let chosen = found.iter().filter(|resource| kind.is_none_or(|kind| kind == resource.kind));
        for resource in chosen {
            let acls = acls(line, operations)?;
            let all = wanted.entry(resource.clone()).or_default();
            all.extend(acls);
            all.sort();
            all.dedup();
        }
        Ok(())
    };
    if line.has("producer") {
        want(Some(ResourceType::Topic), &[Some(O::Write), Some(O::Describe), Some(O::Create)])?;
        want(Some(ResourceType::TransactionalId), &[Some(O::Write), Some(O::Describe)])?;
        if line.has("idempotent") {
            want(Some(ResourceType::Cluster), &[Some(O::IdempotentWrite)])?;
        }
    }
    if line.has("consumer") {
        want(Some(ResourceType::Topic), &[Some(O::Read), Some(O::Describe)])?;
        want(Some(ResourceType::Group), &[Some(O::Read)])?;
    }
    if !line.has_any(&["producer", "consumer"]) {
        let operations = operations(line);
        for resource in &found {
            supported(resource.kind, &operations, line)?;
        }
        want(None, &operations)?;
    }
    Ok(wanted)
}

/// The operations that the line names; `None` for a name that is none.
fn operations(line: &Line) -> Vec<Option<Operation>> {
    if !line.has("operation") {
        return vec![Some(Operation::All)];
    }
    line.values("operation").iter().map(|name| operation(name.trim())).collect()
}

/// The operation of a name such as `DescribeConfigs`, in any case.
fn operation(name: &str) -> Option<Operation> {
    Operation::ALL.iter().copied().find(|operation| operation.name().replace('_', "").eq_ignore_ascii_case(name))
}

/// Refuses operations that make no sense for a type of resource, if somebody is named who may do them.
fn supported(kind: ResourceType, operations: &[Option<Operation>], line: &Line) -> Result<(), Failure> {
    let mut valid = kind.operations().to_vec();
    valid.push(Operation::All);
    let is_valid = |operation: &Option<Operation>| operation.is_some_and(|operation| valid.contains(&operation));
    if operations.iter().all(is_valid) || !line.has_any(&["allow-principal", "deny-principal"]) {
        return Ok(());
    }
    let names: Vec<&str> = valid.iter().map(|operation| operation.name()).collect();
    let text = format!("ResourceType {} only supports operations [{}]", kind.name(), names.join(", "));
    Err(Failure::Usage(text))
}

/// What the principals of the line may do to a resource, and what not.
fn acls(line: &Line, operations: &[Option<Operation>]) -> Result<Vec<AccessControl>, Thrown> {
    let mut acls = Vec::new();
    let sides =
        [("allow-principal", "allow-host", Permission::Allow), ("deny-principal", "deny-host", Permission::Deny)];
    for (principals, hosts, permission) in sides {
        let everywhere = ["*".to_owned()];
        let hosts = if line.has(hosts) { line.values(hosts) } else { &everywhere[..] };
        for principal in Principal::parse_all(line.values(principals))? {
            for operation in operations.iter().flatten() {
                acls.extend(hosts.iter().map(|host| AccessControl {
                    principal: principal.to_string(),
                    host: host.trim().to_owned(),
                    operation: *operation,
                    permission,
                }));
            }
        }
    }
    Ok(acls)
}
