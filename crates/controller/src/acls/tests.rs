use super::*;
use crate::tests::cluster::Cluster;

fn asked(name: &str) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: name.into(),
        resource_pattern_type: 3,
        principal: "User:a".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
    }
}

/// The messages of the results; what is possible is done.
fn create(cluster: &mut Cluster, creations: Vec<AclCreation>) -> Vec<String> {
    let mut next = 0;
    let mut random = || {
        next += 1;
        next
    };
    let request = CreateAclsRequest { creations };
    let outcome = cluster.controller.create_acls(&cluster.image, &mut random, &request).expect("few");
    cluster.replay(&outcome.records);
    let message = |result: AclCreationResult| result.error_message.unwrap_or_default().to_string();
    outcome.response.results.into_iter().map(message).collect()
}

fn any() -> DeleteAclsFilter {
    DeleteAclsFilter {
        resource_type_filter: 1,
        resource_name_filter: None,
        pattern_type_filter: 1,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
    }
}

/// The names of the ACLs that each filter matched, or its message; they are deleted.
fn delete(cluster: &mut Cluster, filters: Vec<DeleteAclsFilter>) -> Vec<Result<Vec<String>, String>> {
    let request = DeleteAclsRequest { filters };
    let outcome = cluster.controller.delete_acls(&cluster.image, &request).expect("few");
    cluster.replay(&outcome.records);
    let result = |result: DeleteAclsFilterResult| match result.error_message {
        Some(message) => Err(message.to_string()),
        None => {
            let mut names: Vec<String> = result.matching_acls.iter().map(|acl| acl.resource_name.to_string()).collect();
            names.sort();
            Ok(names)
        }
    };
    outcome.response.filter_results.into_iter().map(result).collect()
}

#[test]
fn an_acl_is_created_once() {
    let mut cluster = Cluster::of(1);
    assert_eq!(create(&mut cluster, vec![asked("t"), asked("t"), asked("u")]), ["", "", ""]);
    assert_eq!(cluster.image.acls().len(), 2);
    assert_eq!(create(&mut cluster, vec![asked("t")]), [""]);
    assert_eq!(cluster.image.acls().len(), 2);
}

#[test]
fn what_no_acl_can_say_is_refused() {
    let mut cluster = Cluster::of(1);
    let messages = create(
        &mut cluster,
        vec![
            AclCreation { resource_type: 4, ..asked("t") },
            asked(""),
            AclCreation { resource_type: 1, ..asked("t") },
            AclCreation { resource_pattern_type: 2, ..asked("t") },
            AclCreation { operation: 99, ..asked("t") },
            AclCreation { permission_type: 1, ..asked("t") },
            AclCreation { principal: "a".into(), ..asked("t") },
        ],
    );
    let expected = [
        "The only valid name for the CLUSTER resource is kafka-cluster",
        "Invalid empty resource name",
        "Invalid resourceType ANY",
        "Invalid patternType MATCH",
        "Invalid operation UNKNOWN",
        "Invalid permissionType ANY",
        "Could not parse principal from `a` (no colon is present separating the principal type from the principal name)",
    ];
    assert_eq!(messages, expected);
    assert!(cluster.image.acls().is_empty());
}

#[test]
fn filters_match_as_kafkas() {
    let mut cluster = Cluster::of(1);
    let prefixed = |name: &str| AclCreation { resource_pattern_type: 4, ..asked(name) };
    create(&mut cluster, vec![asked("t1"), prefixed("t"), asked("*"), asked("other")]);
    let by_match = DeleteAclsFilter { resource_name_filter: Some("t1".into()), pattern_type_filter: 2, ..any() };
    let literal = DeleteAclsFilter { resource_name_filter: Some("t".into()), pattern_type_filter: 3, ..any() };
    let unknown = DeleteAclsFilter { operation: 99, ..any() };
    let results = delete(&mut cluster, vec![literal, by_match, unknown]);
    let names = |list: &[&str]| Ok(list.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(results, [names(&[]), names(&["*", "t", "t1"]), Err("Unknown entryFilter.".to_owned())]);
    assert_eq!(delete(&mut cluster, vec![any()]), [names(&["other"])]);
    assert!(cluster.image.acls().is_empty());
}
