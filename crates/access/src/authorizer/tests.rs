use thalweg_base::{Offset, Uuid};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::messages::AccessControlEntryRecord;

use super::*;

/// An ACL about topics, written `PATTERN:NAME PRINCIPAL HOST OPERATION PERMISSION`.
fn image(lines: &[&str]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (id, line) in (1..).zip(lines) {
        let words: Vec<&str> = line.split(' ').collect();
        let &[pattern, principal, host, operation, permission] = words.as_slice() else { panic!("five words") };
        let (pattern_type, name) = pattern.split_once(':').expect("a pattern");
        let number = |name: &str| Operation::ALL.iter().find(|o| o.name() == name).expect("an operation").number();
        let record = MetadataRecord::from(AccessControlEntryRecord {
            id: Uuid([id; 16]),
            resource_type: ResourceType::Topic.number(),
            resource_name: name.into(),
            pattern_type: if pattern_type == "PREFIXED" { 4 } else { 3 },
            principal: principal.into(),
            host: host.into(),
            operation: number(operation),
            permission_type: if permission == "DENY" { 2 } else { 3 },
        });
        image.replay(&record, Offset::ZERO);
    }
    image
}

fn alice() -> Asker {
    Asker::new(&Principal::user("alice"), "10.0.0.1")
}

fn authorizer(allow_everyone: &str) -> Authorizer {
    Authorizer::from_texts("User:root; User:admin ;", allow_everyone).expect("valid")
}

fn may(lines: &[&str], operation: Operation, topic: &str) -> bool {
    authorizer("false").authorize(image(lines).acls(), &alice(), operation, Resource::topic(topic)).is_allowed()
}

#[test]
fn names_prefixes_and_wildcards_allow() {
    let read = |lines: &[&str]| may(lines, Operation::Read, "orders-eu");
    assert!(read(&["LITERAL:orders-eu User:alice * READ ALLOW"]));
    assert!(read(&["PREFIXED:orders- User:alice * READ ALLOW"]));
    assert!(read(&["LITERAL:* User:alice * READ ALLOW"]));
    assert!(read(&["LITERAL:* User:* 10.0.0.1 ALL ALLOW"]));
    assert!(!read(&["LITERAL:orders User:alice * READ ALLOW"]));
    assert!(!read(&["PREFIXED:orders-eu-1 User:alice * READ ALLOW"]));
    assert!(!read(&["PREFIXED:* User:alice * READ ALLOW"]));
    assert!(!read(&["LITERAL:orders-eu User:bob * READ ALLOW"]));
    assert!(!read(&["LITERAL:orders-eu User:alice 10.0.0.2 READ ALLOW"]));
    assert!(!read(&["LITERAL:orders-eu User:alice * WRITE ALLOW"]));
    assert!(!read(&[]));
}

#[test]
fn denying_wins() {
    for deny in [
        "LITERAL:orders User:alice * READ DENY",
        "PREFIXED:o User:* 10.0.0.1 ALL DENY",
        "LITERAL:* User:alice * READ DENY",
    ] {
        assert!(!may(&["LITERAL:orders User:alice * ALL ALLOW", deny], Operation::Read, "orders"), "{deny}");
        let other_host = deny.replace(" * ", " 10.0.0.9 ").replace("10.0.0.1", "10.0.0.9");
        assert!(may(&["LITERAL:orders User:alice * ALL ALLOW", &other_host], Operation::Read, "orders"), "{deny}");
    }
}

#[test]
fn allowing_implies_describe_and_denying_does_not() {
    for operation in ["READ", "WRITE", "DELETE", "ALTER", "DESCRIBE", "ALL"] {
        assert!(may(&[&format!("LITERAL:t User:alice * {operation} ALLOW")], Operation::Describe, "t"), "{operation}");
    }
    for operation in ["CREATE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"] {
        assert!(!may(&[&format!("LITERAL:t User:alice * {operation} ALLOW")], Operation::Describe, "t"), "{operation}");
    }
    assert!(may(&["LITERAL:t User:alice * ALTER_CONFIGS ALLOW"], Operation::DescribeConfigs, "t"));
    let lines = ["LITERAL:t User:alice * DESCRIBE ALLOW", "LITERAL:t User:alice * READ DENY"];
    assert!(may(&lines, Operation::Describe, "t") && !may(&lines, Operation::Read, "t"));
}

#[test]
fn super_users_may_do_everything_and_a_default_counts_only_without_acls() {
    let image = image(&["LITERAL:t User:* * ALL DENY", "PREFIXED:x User:bob * READ ALLOW"]);
    let verdict = |allow_everyone: &str, who: &str, topic: &str| {
        let asker = Asker::new(&Principal::user(who), "10.0.0.1");
        authorizer(allow_everyone).authorize(image.acls(), &asker, Operation::Read, Resource::topic(topic)).to_string()
    };
    assert_eq!(verdict("false", "admin", "t"), "SuperUser");
    assert_eq!(verdict("TRUE", "alice", "other"), "DefaultAllow");
    assert_eq!(verdict("false", "alice", "other"), "DefaultDeny");
    assert_eq!(verdict("true", "alice", "xyz"), "DefaultDeny");
    assert!(Authorizer::from_texts("alice", "false").is_err());
}

#[test]
fn the_audit_log_reads_as_kafkas() {
    let image = image(&["PREFIXED:ord User:alice * WRITE DENY"]);
    let resource = Resource::topic("orders");
    let verdict = authorizer("false").authorize(image.acls(), &alice(), Operation::Write, resource);
    assert_eq!(
        verdict.audit_line(&alice(), Operation::Write, resource, "Produce", 2),
        "Principal = User:alice is Denied operation = WRITE from host = 10.0.0.1 on resource = Topic:LITERAL:orders for \
         request = Produce with resourceRefCount = 2 based on rule MatchingAcl(acl=StandardAcl[resourceType=TOPIC, \
         resourceName=ord, patternType=PREFIXED, principal=User:alice, host=*, operation=WRITE, permissionType=DENY])"
    );
}

#[test]
fn a_type_is_allowed_if_a_resource_of_it_could_be() {
    let may = |lines: &[&str]| {
        let image = image(lines);
        authorizer("false").authorize_by_type(image.acls(), &alice(), Operation::Write, ResourceType::Topic)
            == Decision::Allowed
    };
    assert!(!may(&[]));
    assert!(may(&["LITERAL:t User:alice * WRITE ALLOW"]));
    assert!(may(&["PREFIXED:t User:* * ALL ALLOW"]));
    assert!(!may(&["LITERAL:t User:alice * READ ALLOW"]));
    assert!(!may(&["LITERAL:t User:alice * WRITE ALLOW", "PREFIXED:t User:alice * WRITE DENY"]));
    assert!(!may(&["PREFIXED:tu User:alice * WRITE ALLOW", "PREFIXED:t User:alice * WRITE DENY"]));
    assert!(may(&["PREFIXED:t User:alice * WRITE ALLOW", "PREFIXED:tu User:alice * WRITE DENY"]));
    assert!(!may(&["LITERAL:* User:alice * WRITE DENY", "PREFIXED:t User:alice * WRITE ALLOW"]));
    assert!(may(&["LITERAL:* User:alice * WRITE ALLOW", "PREFIXED:t User:alice * WRITE DENY"]));
}
