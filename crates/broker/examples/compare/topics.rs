//! Making, growing and deleting topics.

use m::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use m::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use m::delete_topics_request::DeleteTopicState;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use crate::pair::Pair;

fn topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..CreatableTopic::default()
    }
}

fn with_configs(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: (*name).into(),
        value: value.map(Into::into),
    };
    CreatableTopic { configs: configs.iter().map(config).collect(), ..topic(name, 1, 1) }
}

fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *index,
        broker_ids: brokers.to_vec(),
    };
    CreatableTopic { assignments: partitions.iter().map(assignment).collect(), ..topic(name, -1, -1) }
}

fn create(topics: Vec<CreatableTopic>, validate_only: bool) -> m::CreateTopicsRequest {
    m::CreateTopicsRequest { topics, validate_only, ..m::CreateTopicsRequest::default() }
}

pub(crate) fn play(pair: &mut Pair) {
    for validate_only in [true, false] {
        pair.all("nothing", |_| create(vec![], validate_only));
    }
    bad_names(pair);
    bad_numbers(pair);
    bad_configs(pair);
    assignments(pair);
    created(pair);
    partitions(pair);
    deleted(pair);
}

fn bad_names(pair: &mut Pair) {
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "ä", "a/b", "__cluster_metadata", &long, "a\u{0}b"] {
        pair.all(&format!("name {name:.20}"), |_| create(vec![topic(name, 1, 1)], true));
    }
    pair.all("twice", |_| create(vec![topic("a", 1, 1), topic("a", 2, 1)], true));
    pair.all("twice and another", |_| create(vec![topic("a", 1, 1), topic("b", 2, 1), topic("a", 2, 1)], true));
    pair.all("internal", |_| create(vec![topic("__consumer_offsets", 1, 1)], true));
    pair.all("collide in request", |_| create(vec![topic("a.b", 1, 1), topic("a_b", 1, 1)], true));
}

fn bad_numbers(pair: &mut Pair) {
    for (partitions, factor) in
        [(0, 1), (-2, 1), (1, 0), (1, -2), (1, 2), (1, 3), (-1, -1), (-1, 1), (1, -1), (0, 0), (10_001, 1), (10_000, 2)]
    {
        pair.all(&format!("{partitions} of {factor}"), |_| create(vec![topic("numbers", partitions, factor)], true));
    }
    pair.all("too many together", |_| create(vec![topic("a", 6000, 1), topic("b", 6000, 1)], true));
    pair.all("two, one bad", |_| create(vec![topic("a", 1, 1), topic("b", 1, 5), topic("c/", 1, 1)], true));
}

fn bad_configs(pair: &mut Pair) {
    let sets: &[&[(&str, Option<&str>)]] = &[
        &[("retention.ms", Some("1000"))],
        &[("retention.ms", None)],
        &[("retention.ms", None), ("cleanup.policy", None)],
        &[("retention.ms", Some("x"))],
        &[("retention.ms", Some("-2"))],
        &[("retention.ms", Some(""))],
        &[("no.such", Some("x"))],
        &[("no.such", None)],
        &[("cleanup.policy", Some("compact,delete"))],
        &[("cleanup.policy", Some("compact, delete"))],
        &[("cleanup.policy", Some("wrong"))],
        &[("cleanup.policy", Some(""))],
        &[("compression.type", Some("brotli"))],
        &[("compression.gzip.level", Some("77"))],
        &[("min.insync.replicas", Some("0"))],
        &[("segment.bytes", Some("13"))],
        &[("segment.bytes", Some("99999999999"))],
        &[("max.message.bytes", Some("-1"))],
        &[("message.timestamp.type", Some("Never"))],
        &[("min.cleanable.dirty.ratio", Some("1.5"))],
        &[("unclean.leader.election.enable", Some("yes"))],
        &[("remote.storage.enable", Some("true"))],
        &[("local.retention.ms", Some("100")), ("retention.ms", Some("50"))],
        &[("local.retention.bytes", Some("100")), ("retention.bytes", Some("50"))],
        &[("min.compaction.lag.ms", Some("100")), ("max.compaction.lag.ms", Some("50"))],
        &[("retention.ms", Some("5")), ("retention.ms", Some("6"))],
        &[("leader.replication.throttled.replicas", Some("1:1"))],
        &[("leader.replication.throttled.replicas", Some("nonsense"))],
        &[("follower.replication.throttled.replicas", Some("*"))],
        &[("message.format.version", Some("3.0"))],
        &[("message.downconversion.enable", Some("true"))],
        &[("remote.log.delete.on.disable", Some("true"))],
        &[("remote.log.copy.disable", Some("true"))],
        &[("message.timestamp.before.max.ms", Some("-1"))],
        &[("flush.messages", Some("0"))],
        &[("preallocate", Some("TRUE"))],
        &[("index.interval.bytes", Some(" 12 "))],
        &[("segment.ms", Some("0"))],
        &[("delete.retention.ms", Some("1.5"))],
        &[("internal.segment.bytes", Some("1000"))],
        &[("errors.deadletterqueue.topic.enable", Some("true"))],
    ];
    for configs in sets {
        pair.at(&format!("{configs:?}"), 6..=7, |_| create(vec![with_configs("configured", configs)], true));
    }
}

fn assignments(pair: &mut Pair) {
    let sets: &[&[(i32, &[i32])]] = &[
        &[(0, &[1])],
        &[(0, &[1]), (1, &[1])],
        &[(1, &[1])],
        &[(0, &[1]), (2, &[1])],
        &[(0, &[])],
        &[(0, &[1, 1])],
        &[(0, &[9])],
        &[(0, &[1]), (0, &[1])],
        &[(0, &[1]), (1, &[])],
        &[(0, &[-1])],
        &[(-1, &[1])],
    ];
    for partitions in sets {
        pair.all(&format!("assigned {partitions:?}"), |_| create(vec![assigned("assigned", partitions)], true));
    }
    for (partitions, factor) in [(1, -1), (-1, 1), (1, 1)] {
        pair.last("assigned and counted", |_| {
            let counted = assigned("assigned", &[(0, &[1])]);
            create(vec![CreatableTopic { num_partitions: partitions, replication_factor: factor, ..counted }], true)
        });
    }
}

fn created(pair: &mut Pair) {
    pair.at("for good", 7..=7, |_| {
        create(
            vec![
                topic("one", 1, 1),
                topic("three", 3, 1),
                with_configs("compacted", &[("cleanup.policy", Some("compact"))]),
                with_configs("small", &[("max.message.bytes", Some("300"))]),
                with_configs("appended", &[("message.timestamp.type", Some("LogAppendTime"))]),
                with_configs(
                    "timely",
                    &[
                        ("message.timestamp.before.max.ms", Some("60000")),
                        ("message.timestamp.after.max.ms", Some("60000")),
                    ],
                ),
                with_configs("both", &[("cleanup.policy", Some("compact,delete")), ("compression.type", Some("gzip"))]),
                with_configs("strict", &[("min.insync.replicas", Some("2"))]),
                topic("dotted.name", 1, -1),
            ],
            false,
        )
    });
    for name in ["one", "three", "compacted", "small", "appended", "timely", "both", "strict", "dotted.name"] {
        pair.learn(name);
    }
    pair.all("again", |_| create(vec![topic("one", 1, 1), topic("three", -5, 1)], false));
    pair.all("again, badly configured", |_| create(vec![with_configs("one", &[("x", None)])], false));
    pair.all("collides", |_| create(vec![topic("dotted_name", 1, 1)], false));
}

/// A topic, how many partitions it is to have, and on which brokers.
type Growth<'a> = (&'a str, i32, Option<&'a [&'a [i32]]>);

fn partitions(pair: &mut Pair) {
    let grow = |topics: &[Growth<'_>], validate_only| m::CreatePartitionsRequest {
        topics: topics
            .iter()
            .map(|(name, count, assignments)| CreatePartitionsTopic {
                name: (*name).into(),
                count: *count,
                assignments: assignments
                    .map(|all| all.iter().map(|ids| CreatePartitionsAssignment { broker_ids: ids.to_vec() }).collect()),
            })
            .collect(),
        validate_only,
        timeout_ms: 10_000,
    };
    let sets: &[&[Growth<'_>]] = &[
        &[],
        &[("none", 2, None)],
        &[("", 2, None)],
        &[("a b", 2, None)],
        &[("three", 3, None)],
        &[("three", 2, None)],
        &[("three", 0, None)],
        &[("three", -1, None)],
        &[("three", 4, None)],
        &[("three", 4, Some(&[]))],
        &[("three", 4, Some(&[&[1]]))],
        &[("three", 5, Some(&[&[1]]))],
        &[("three", 4, Some(&[&[1], &[1]]))],
        &[("three", 4, Some(&[&[]]))],
        &[("three", 4, Some(&[&[9]]))],
        &[("three", 4, Some(&[&[1, 1]]))],
        &[("three", 5, Some(&[&[1], &[]]))],
        &[("three", 4, None), ("three", 5, None)],
        &[("three", 4, None), ("three", 5, None), ("one", 2, None)],
        &[("three", 4, None), ("none", 5, None)],
        &[("three", 10_004, None)],
        &[("__consumer_offsets", 60, None)],
        &[("__cluster_metadata", 2, None)],
    ];
    for topics in sets {
        pair.all(&format!("{topics:?}"), |_| grow(topics, true));
    }
    pair.last("for good", |_| grow(&[("three", 4, None)], false));
}

fn deleted(pair: &mut Pair) {
    let by_name = |names: &[&str]| m::DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        timeout_ms: 10_000,
        ..m::DeleteTopicsRequest::default()
    };
    for names in [&[][..], &["none"], &["a b"], &[""], &["none", "none"], &["__cluster_metadata"], &["none", "other"]] {
        pair.at(&format!("names {names:?}"), 1..=5, |_| by_name(names));
    }
    let state = |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(Into::into), topic_id };
    let delete = |topics| m::DeleteTopicsRequest { topics, timeout_ms: 10_000, ..m::DeleteTopicsRequest::default() };
    let unknown = Uuid([7; 16]);
    pair.last("nothing", |_| delete(vec![]));
    pair.last("unknown name", |_| delete(vec![state(Some("none"), Uuid::ZERO)]));
    pair.last("unknown id", |_| delete(vec![state(None, unknown)]));
    pair.last("neither", |_| delete(vec![state(None, Uuid::ZERO)]));
    pair.last("neither, twice", |_| delete(vec![state(None, Uuid::ZERO), state(None, Uuid::ZERO)]));
    pair.last("both", |_| delete(vec![state(Some("none"), unknown)]));
    pair.last("both, of a topic", |side| delete(vec![state(Some("strict"), side.id("strict"))]));
    pair.last("reserved id", |_| delete(vec![state(None, Uuid::ONE)]));
    pair.last("unknown name twice", |_| delete(vec![state(Some("none"), Uuid::ZERO), state(Some("none"), Uuid::ZERO)]));
    pair.last("unknown id twice", |_| delete(vec![state(None, unknown), state(None, unknown)]));
    pair.last("name and id of the same", |side| {
        delete(vec![state(Some("strict"), Uuid::ZERO), state(None, side.id("strict"))])
    });
    pair.last("a topic twice by name, one unknown", |_| {
        delete(vec![state(Some("strict"), Uuid::ZERO), state(Some("strict"), Uuid::ZERO), state(None, unknown)])
    });
    for version in 1..=6 {
        let name = format!("doomed-{version}");
        pair.one("a doomed one", 7, |_| create(vec![topic(&name, 1, 1)], false), |_, _| {});
        pair.learn(&name);
        pair.at("a topic", version..=version, |_| by_name(&[&name]));
        pair.at("a topic by name", version..=version, |_| delete(vec![state(Some(&name), Uuid::ZERO)]));
    }
    pair.last("another doomed one", |_| create(vec![topic("doomed", 1, 1)], false));
    pair.learn("doomed");
    pair.last("a topic by id", |side| delete(vec![state(None, side.id("doomed"))]));
    pair.last("a topic by id, again", |side| delete(vec![state(None, side.id("doomed"))]));
}
