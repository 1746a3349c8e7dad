use thalweg_wire::messages::alter_client_quotas_request::EntityData as AskedPart;

use super::*;
use crate::tests::cluster::Cluster;

fn entry(parts: &[(&str, Option<&str>)], ops: &[(&str, Option<f64>)]) -> EntryData {
    let part = |(kind, name): &(&str, Option<&str>)| AskedPart {
        entity_type: (*kind).into(),
        entity_name: name.map(Into::into),
    };
    let op = |(key, value): &(&str, Option<f64>)| OpData {
        key: (*key).into(),
        value: value.unwrap_or(0.0),
        remove: value.is_none(),
    };
    EntryData { entity: parts.iter().map(part).collect(), ops: ops.iter().map(op).collect() }
}

/// The messages, in the order of the entities, empty where nothing is refused; what is possible is done.
fn alter(cluster: &mut Cluster, entries: Vec<EntryData>) -> Vec<String> {
    let request = AlterClientQuotasRequest { entries, validate_only: false };
    let unknown = BTreeSet::from(["no.such.host".into()]);
    let outcome = cluster.controller.alter_client_quotas(&cluster.image, &request, &unknown);
    cluster.replay(&outcome.records);
    outcome.response.entries.into_iter().map(|e| e.error_message.unwrap_or_default().to_string()).collect()
}

fn quotas(cluster: &Cluster) -> Vec<(String, f64)> {
    let all = cluster.image.client_quotas().iter();
    all.flat_map(|(entity, quotas)| quotas.iter().map(|(key, value)| (format!("{} {key}", shown(entity)), *value)))
        .collect()
}

#[test]
fn quotas_are_set_and_removed_by_entity() {
    let mut cluster = Cluster::of(1);
    let alice = [("client-id", None), ("user", Some("alice"))];
    let set = entry(&alice, &[("producer_byte_rate", Some(1000.0)), ("request_percentage", Some(1.5))]);
    assert_eq!(alter(&mut cluster, vec![set]), [""]);
    let name = "ClientQuotaEntity(entries={client-id=null, user=alice})";
    let expected = [(format!("{name} producer_byte_rate"), 1000.0), (format!("{name} request_percentage"), 1.5)];
    assert_eq!(quotas(&cluster), expected);
    let removed = entry(&alice, &[("producer_byte_rate", None), ("request_percentage", None)]);
    assert_eq!(alter(&mut cluster, vec![removed]), [""]);
    assert_eq!(quotas(&cluster), []);
}

#[test]
fn what_is_wrong_with_a_quota_is_said_in_kafkas_words() {
    let mut cluster = Cluster::of(1);
    let rate = |value| [("producer_byte_rate", Some(value))];
    let user = [("user", Some("a"))];
    let ip = |name| [("ip", Some(name))];
    let connections = [("connection_creation_rate", Some(5.0))];
    let cases = [
        (entry(&[], &rate(1.0)), "Invalid empty client quota entity"),
        (entry(&[("group", None)], &rate(1.0)), "Unhandled client quota entity type: group"),
        (entry(&[("user", Some(""))], &rate(1.0)), "Empty user not supported"),
        (entry(&user, &rate(0.0)), "Quota producer_byte_rate must be greater than 0"),
        (entry(&user, &rate(1.5)), "producer_byte_rate cannot be a fractional value."),
        (entry(&user, &rate(1e19)), "Proposed value for producer_byte_rate is too large for a LONG."),
        (entry(&user, &connections), "Invalid configuration key connection_creation_rate"),
        (entry(&ip("no.such.host"), &connections), "no.such.host is not a valid IP or resolvable host."),
        (entry(&ip("10.0.0.1"), &connections), ""),
        (
            entry(&[user[0], ip("10.0.0.1")[0]], &connections),
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ),
    ];
    for (entry, message) in cases {
        assert_eq!(alter(&mut cluster, vec![entry]), [message]);
    }
}

#[test]
fn an_entity_that_stands_twice_keeps_its_first_change() {
    let mut cluster = Cluster::of(1);
    let user = |value| entry(&[("user", Some("a"))], &[("producer_byte_rate", Some(value))]);
    let text = "Ignoring duplicate entity ClientQuotaEntity(entries={user=a})";
    assert_eq!(alter(&mut cluster, vec![user(1.0), user(2.0)]), [text]);
    assert_eq!(quotas(&cluster).iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.0]);
    let twice = [("producer_byte_rate", Some(3.0)), ("producer_byte_rate", Some(4.0))];
    assert_eq!(alter(&mut cluster, vec![entry(&[("user", Some("a"))], &twice)]), [text]);
}
