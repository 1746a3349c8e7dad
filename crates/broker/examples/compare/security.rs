//! Quotas, passwords, ACLs and delegation tokens.

use bytes::Bytes;
use m::alter_client_quotas_request as quotas;
use m::alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
use m::describe_client_quotas_request::ComponentData;
use m::describe_user_scram_credentials_request::UserName;
use thalweg_wire::messages as m;

use crate::pair::Pair;

pub(crate) fn play(pair: &mut Pair) {
    altered_quotas(pair);
    described_quotas(pair);
    passwords(pair);
    acls(pair);
    tokens(pair);
}

type Parts<'a> = &'a [(&'a str, Option<&'a str>)];
type Ops<'a> = &'a [(&'a str, Option<f64>)];

fn quota(entries: &[(Parts<'_>, Ops<'_>)], validate_only: bool) -> m::AlterClientQuotasRequest {
    let part = |(kind, name): &(&str, Option<&str>)| quotas::EntityData {
        entity_type: (*kind).into(),
        entity_name: name.map(Into::into),
    };
    let op = |(key, value): &(&str, Option<f64>)| quotas::OpData {
        key: (*key).into(),
        value: value.unwrap_or(0.0),
        remove: value.is_none(),
    };
    let entry = |(parts, ops): &(Parts<'_>, Ops<'_>)| quotas::EntryData {
        entity: parts.iter().map(part).collect(),
        ops: ops.iter().map(op).collect(),
    };
    m::AlterClientQuotasRequest { entries: entries.iter().map(entry).collect(), validate_only }
}

fn altered_quotas(pair: &mut Pair) {
    let entities: &[Parts<'_>] = &[
        &[],
        &[("user", Some("a"))],
        &[("user", None)],
        &[("user", Some(""))],
        &[("user", Some("a")), ("user", Some("b"))],
        &[("client-id", Some("c"))],
        &[("user", Some("a")), ("client-id", Some("c"))],
        &[("user", Some("a")), ("client-id", None)],
        &[("ip", Some("10.0.0.1"))],
        &[("ip", Some("localhost"))],
        &[("ip", Some("no.such.host.invalid"))],
        &[("ip", None)],
        &[("ip", Some("10.0.0.1")), ("user", Some("a"))],
        &[("group", Some("g"))],
        &[("group", Some("g")), ("user", Some("a")), ("client-id", Some("x"))],
        &[("", Some("g"))],
    ];
    let ops: &[Ops<'_>] = &[
        &[],
        &[("producer_byte_rate", Some(1000.0))],
        &[("producer_byte_rate", Some(1000.5))],
        &[("producer_byte_rate", Some(0.0))],
        &[("producer_byte_rate", Some(-1.0))],
        &[("producer_byte_rate", Some(1e300))],
        &[("producer_byte_rate", None)],
        &[
            ("consumer_byte_rate", Some(5.0)),
            ("request_percentage", Some(1.5)),
            ("controller_mutation_rate", Some(0.1)),
        ],
        &[("connection_creation_rate", Some(5.0))],
        &[("connection_creation_rate", Some(3e9))],
        &[("nonsense", Some(5.0))],
        &[("nonsense", None)],
        &[("producer_byte_rate", Some(1.0)), ("producer_byte_rate", Some(2.0))],
    ];
    for entity in entities {
        for ops in ops {
            pair.all(&format!("{entity:?} {ops:?}"), |_| quota(&[(entity, ops)], true));
        }
    }
    pair.all("none", |_| quota(&[], false));
    let rate: Ops<'_> = &[("producer_byte_rate", Some(1000.0))];
    pair.all("twice", |_| quota(&[(entities[1], rate), (entities[1], rate)], true));
    pair.all("good and bad", |_| quota(&[(entities[1], rate), (entities[13], rate), (entities[5], rate)], true));
    // Not the default of all users: then the reference would throttle this tool.
    for entity in [1, 5, 6, 7] {
        pair.last("for good", |_| quota(&[(entities[entity], ops[7])], false));
    }
    pair.last("for good, an address", |_| quota(&[(entities[8], ops[8])], false));
    pair.last("for good, any address", |_| quota(&[(entities[11], ops[8])], false));
    pair.last("removed", |_| quota(&[(entities[1], &[("request_percentage", None)])], false));
}

fn described_quotas(pair: &mut Pair) {
    type Component<'a> = (&'a str, i8, Option<&'a str>);
    let filters: &[&[Component<'_>]] = &[
        &[],
        &[("user", 0, Some("a"))],
        &[("user", 0, Some("none"))],
        &[("user", 0, None)],
        &[("user", 1, None)],
        &[("user", 1, Some("a"))],
        &[("user", 2, None)],
        &[("user", 2, Some("a"))],
        &[("user", 3, None)],
        &[("user", 2, None), ("client-id", 2, None)],
        &[("user", 0, Some("a")), ("client-id", 1, None)],
        &[("user", 2, None), ("user", 2, None)],
        &[("client-id", 2, None)],
        &[("ip", 2, None)],
        &[("ip", 0, Some("10.0.0.1"))],
        &[("ip", 1, None)],
        &[("ip", 2, None), ("user", 2, None)],
        &[("", 2, None)],
        &[("group", 2, None)],
    ];
    for strict in [false, true] {
        for filter in filters {
            let component = |(kind, match_type, name): &Component<'_>| ComponentData {
                entity_type: (*kind).into(),
                match_type: *match_type,
                match_: name.map(Into::into),
            };
            pair.all(&format!("{filter:?} {strict}"), |_| m::DescribeClientQuotasRequest {
                components: filter.iter().map(component).collect(),
                strict,
            });
        }
    }
}

fn passwords(pair: &mut Pair) {
    let set = |name: &str, mechanism, iterations, salted: &'static str| ScramCredentialUpsertion {
        name: name.into(),
        mechanism,
        iterations,
        salt: Bytes::from_static(b"salt"),
        salted_password: Bytes::from_static(salted.as_bytes()),
    };
    let delete = |name: &str, mechanism| ScramCredentialDeletion { name: name.into(), mechanism };
    let alter = |deletions, upsertions| m::AlterUserScramCredentialsRequest { deletions, upsertions };
    pair.all("nothing", |_| alter(vec![], vec![]));
    for (name, mechanism, iterations, salted) in [
        ("", 1, 4096, "x"),
        ("a", 0, 4096, "x"),
        ("a", 3, 4096, "x"),
        ("a", 1, 4095, "x"),
        ("a", 1, 16385, "x"),
        ("a", 2, 4095, "x"),
        ("a", 2, -1, "x"),
        ("a", 1, 4096, ""),
        ("alice", 1, 4096, "x"),
        ("alice", 2, 8192, "x"),
        ("bob", 2, 16384, "x"),
    ] {
        pair.all(&format!("{name} {mechanism} {iterations}"), |_| {
            alter(vec![], vec![set(name, mechanism, iterations, salted)])
        });
    }
    for (name, mechanism) in [("none", 1), ("bob", 1), ("", 1), ("bob", 9)] {
        pair.all(&format!("delete {name} {mechanism}"), |_| alter(vec![delete(name, mechanism)], vec![]));
    }
    pair.all("twice", |_| alter(vec![], vec![set("c", 1, 4096, "x"), set("c", 2, 4096, "x"), set("d", 1, 1, "x")]));
    pair.all("thrice", |_| alter(vec![], vec![set("c", 1, 4096, "x"); 3]));
    pair.all("deleted and set", |_| alter(vec![delete("bob", 2)], vec![set("bob", 1, 4096, "x")]));
    pair.all("deleted twice", |_| alter(vec![delete("bob", 2), delete("bob", 2)], vec![]));
    let describe = |users: Option<&[&str]>| m::DescribeUserScramCredentialsRequest {
        users: users.map(|users| users.iter().map(|name| UserName { name: (*name).into() }).collect()),
    };
    let asked: [Option<&[&str]>; 7] = [
        None,
        Some(&[]),
        Some(&["alice"]),
        Some(&["none"]),
        Some(&["alice", "bob", "alice"]),
        Some(&["none", "none"]),
        Some(&[""]),
    ];
    for users in asked {
        pair.all(&format!("{users:?}"), |_| describe(users));
    }
    pair.all("delete", |_| alter(vec![delete("bob", 2), delete("alice", 1)], vec![]));
    pair.all("all", |_| describe(None));
}

fn acls(pair: &mut Pair) {
    for (kind, pattern, operation, permission) in [
        (2, 3, 3, 3),
        (1, 1, 1, 1),
        (7, 4, 14, 2),
        (7, 4, 15, 3),
        (0, 3, 3, 3),
        (2, 0, 3, 3),
        (2, 3, 0, 3),
        (2, 3, 3, 0),
        (9, 3, 3, 3),
        (2, 9, 3, 3),
        (2, 3, 99, 3),
        (2, 3, 3, 9),
    ] {
        let what = format!("{kind} {pattern} {operation} {permission}");
        pair.all(&what, |_| m::DescribeAclsRequest {
            resource_type_filter: kind,
            resource_name_filter: Some("t".into()),
            pattern_type_filter: pattern,
            principal_filter: None,
            host_filter: None,
            operation,
            permission_type: permission,
        });
        pair.all(&what, |_| m::CreateAclsRequest {
            creations: vec![m::create_acls_request::AclCreation {
                resource_type: kind,
                resource_name: "t".into(),
                resource_pattern_type: pattern,
                principal: "User:a".into(),
                host: "*".into(),
                operation,
                permission_type: permission,
            }],
        });
        pair.all(&what, |_| m::DeleteAclsRequest {
            filters: vec![m::delete_acls_request::DeleteAclsFilter {
                resource_type_filter: kind,
                resource_name_filter: None,
                pattern_type_filter: pattern,
                principal_filter: None,
                host_filter: None,
                operation,
                permission_type: permission,
            }],
        });
    }
    pair.all("none", |_| m::CreateAclsRequest { creations: vec![] });
    pair.all("none", |_| m::DeleteAclsRequest { filters: vec![] });
}

fn tokens(pair: &mut Pair) {
    pair.all("plain", |_| m::CreateDelegationTokenRequest::default());
    pair.all("of another", |_| m::CreateDelegationTokenRequest {
        owner_principal_type: Some("User".into()),
        owner_principal_name: Some("a".into()),
        ..Default::default()
    });
    pair.all("plain", |_| m::RenewDelegationTokenRequest::default());
    pair.all("plain", |_| m::ExpireDelegationTokenRequest::default());
    pair.all("plain", |_| m::DescribeDelegationTokenRequest::default());
    pair.all("none", |_| m::DescribeDelegationTokenRequest { owners: Some(vec![]) });
}
