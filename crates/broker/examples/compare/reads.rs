//! Fetch, ListOffsets and FindCoordinator.

use m::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use crate::pair::{Pair, versions};
use crate::records::TIME;
use crate::side::Side;

pub(crate) fn play(pair: &mut Pair) {
    for name in ["one", "three", "compacted", "small", "appended", "timely", "both", "strict"] {
        pair.learn(name);
    }
    fetches(pair);
    limits(pair);
    sessions(pair);
}

/// A topic, and of its partitions the index, the leader epoch and the timestamp.
type Asked<'a> = (&'a str, &'a [(i32, i32, i64)]);

pub(crate) fn offsets(pair: &mut Pair) {
    let ask = |topics: &[Asked<'_>], isolation, replica| m::ListOffsetsRequest {
        replica_id: replica,
        isolation_level: isolation,
        topics: topics
            .iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name: (*name).into(),
                partitions: partitions
                    .iter()
                    .map(|(index, epoch, timestamp)| ListOffsetsPartition {
                        partition_index: *index,
                        current_leader_epoch: *epoch,
                        timestamp: *timestamp,
                    })
                    .collect(),
            })
            .collect(),
        timeout_ms: 3000,
    };
    pair.all("nothing", |_| ask(&[], 0, -1));
    for isolation in [0, 1, 2, -1] {
        for replica in [-1, -2, -3, 1, 5] {
            for topic in ["one", "three", "compacted", "strict", "both"] {
                for timestamp in
                    [-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, TIME, TIME + 1, TIME + 1000, TIME + 1001, i64::MAX]
                {
                    if isolation > 1 && timestamp < 0 || replica < -1 && timestamp > 0 {
                        continue;
                    }
                    pair.all(&format!("{topic} at {timestamp} isolation {isolation} replica {replica}"), |_| {
                        ask(&[(topic, &[(0, -1, timestamp)])], isolation, replica)
                    });
                }
            }
        }
    }
    for epoch in [-2, -1, 0, 1, 5] {
        for timestamp in [-1, -2, -3, TIME] {
            pair.all(&format!("epoch {epoch} at {timestamp}"), |_| ask(&[("one", &[(0, epoch, timestamp)])], 0, -1));
        }
    }
    for partition in [9, -1] {
        for timestamp in [-1, -9, TIME] {
            pair.all("unknown partition", |_| ask(&[("one", &[(partition, -1, timestamp)])], 0, -1));
        }
    }
    pair.all("unknown topic", |_| ask(&[("none", &[(0, -1, -1), (1, -1, -9)]), ("one", &[(0, -1, -1)])], 0, -1));
    pair.all("bad topic", |_| ask(&[("a b", &[(0, -1, -1)]), ("", &[(0, -1, -1)])], 0, -1));
    pair.all("twice", |_| ask(&[("one", &[(0, -1, -1), (0, -1, -2)])], 0, -1));
    pair.all("twice in two lists", |_| ask(&[("one", &[(0, -1, -1)]), ("one", &[(0, -1, -2)])], 0, -1));
    pair.all("a topic in two lists", |_| ask(&[("three", &[(0, -1, -1)]), ("three", &[(1, -1, -2)])], 0, -1));
    pair.all("mixed", |_| ask(&[("three", &[(2, -1, -1), (0, -1, -2), (7, -1, -2)]), ("none", &[(0, -1, -9)])], 0, -1));
    pair.all("no partitions", |_| ask(&[("three", &[])], 0, -1));
}

#[derive(Clone, Copy)]
struct Part {
    partition: i32,
    offset: i64,
    epoch: i32,
    last_epoch: i32,
    bytes: i32,
}

const PART: Part = Part { partition: 0, offset: 0, epoch: -1, last_epoch: -1, bytes: 100_000 };

fn fetch(side: &Side, topics: &[(&str, &[Part])]) -> m::FetchRequest {
    let part = |part: &Part| FetchPartition {
        partition: part.partition,
        current_leader_epoch: part.epoch,
        fetch_offset: part.offset,
        last_fetched_epoch: part.last_epoch,
        partition_max_bytes: part.bytes,
        ..FetchPartition::default()
    };
    m::FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        topics: topics
            .iter()
            .map(|(name, parts)| FetchTopic {
                topic: (*name).into(),
                topic_id: if *name == "unknown" { Uuid([7; 16]) } else { side.id(name) },
                partitions: parts.iter().map(part).collect(),
            })
            .collect(),
        ..m::FetchRequest::default()
    }
}

fn fetches(pair: &mut Pair) {
    pair.all("nothing", |side| fetch(side, &[]));
    for offset in [0, 1, 2, 3, 4, 1000, -1, -2, i64::MAX] {
        for isolation_level in [0, 1, 2, -1] {
            pair.all(&format!("from {offset} isolation {isolation_level}"), |side| m::FetchRequest {
                isolation_level,
                ..fetch(side, &[("one", &[Part { offset, ..PART }])])
            });
        }
    }
    for topic in ["three", "compacted", "small", "both", "strict", "timely"] {
        pair.all(topic, |side| fetch(side, &[(topic, &[PART])]));
    }
    for epoch in [-2, 0, 1, 9] {
        for last_epoch in [-1, 0, 1, 9] {
            for offset in [0, 4, 100_000] {
                pair.all(&format!("epoch {epoch} last {last_epoch} from {offset}"), |side| {
                    fetch(side, &[("one", &[Part { epoch, last_epoch, offset, ..PART }])])
                });
            }
        }
    }
    for partition in [9, -1] {
        pair.all("unknown partition", |side| fetch(side, &[("one", &[Part { partition, ..PART }])]));
    }
    pair.all("unknown topic", |side| fetch(side, &[("unknown", &[PART]), ("one", &[PART])]));
    pair.all("zero id or bad name", |side| fetch(side, &[("a b", &[PART])]));
    pair.all("twice", |side| fetch(side, &[("one", &[PART, Part { offset: 4, ..PART }])]));
    pair.all("in two lists", |side| fetch(side, &[("one", &[PART]), ("three", &[PART]), ("one", &[PART])]));
    pair.all("no partitions", |side| fetch(side, &[("one", &[])]));
    pair.all("partitions", |side| {
        let parts: Vec<Part> = [2, 1, 0, 3].map(|partition| Part { partition, ..PART }).into();
        fetch(side, &[("three", &parts), ("one", &[PART])])
    });
    for replica in [1, 5, -2] {
        pair.at(&format!("replica {replica}"), 4..=14, |side| m::FetchRequest {
            replica_id: replica,
            ..fetch(side, &[("one", &[PART])])
        });
        pair.at(&format!("replica {replica}"), 15..=18, |side| {
            let mut request = fetch(side, &[("one", &[PART])]);
            request.replica_state.replica_id = replica;
            request
        });
    }
}

fn limits(pair: &mut Pair) {
    for max_bytes in [0, 1, 200, 500, 5000, -1, i32::MAX] {
        for bytes in [0, 1, 200, 500, 1000, -1, i32::MAX] {
            pair.at(&format!("max {max_bytes}, of a partition {bytes}"), 16..=16, |side| m::FetchRequest {
                max_bytes,
                ..fetch(side, &[("one", &[Part { bytes, ..PART }]), ("both", &[Part { bytes, ..PART }])])
            });
        }
    }
    for min_bytes in [0, -1, 1, 1000, i32::MAX] {
        for max_wait_ms in [0, -1, 50] {
            pair.at(&format!("min {min_bytes} within {max_wait_ms}"), 16..=16, |side| m::FetchRequest {
                min_bytes,
                max_wait_ms,
                ..fetch(side, &[("strict", &[PART]), ("compacted", &[PART])])
            });
        }
    }
}

fn sessions(pair: &mut Pair) {
    for version in 7..=*versions::<m::FetchRequest>().end() {
        for (session_id, session_epoch) in [(0, -1), (5, -1), (0, 1), (5, 1), (5, 0), (-1, 0), (0, 5), (5, -2)] {
            pair.at(&format!("session {session_id} epoch {session_epoch}"), version..=version, |side| {
                m::FetchRequest { session_id, session_epoch, ..fetch(side, &[("one", &[PART])]) }
            });
        }
        session(pair, version);
    }
    for key_type in [-1, 3, 9] {
        pair.all(&format!("key type {key_type}"), |_| m::FindCoordinatorRequest {
            key: "k".into(),
            key_type,
            coordinator_keys: vec![],
        });
        pair.all(&format!("key type {key_type}, two keys"), |_| m::FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec!["a".into(), "b".into()],
            ..m::FindCoordinatorRequest::default()
        });
    }
    pair.all("no keys", |_| m::FindCoordinatorRequest::default());
}

/// The life of one session.
fn session(pair: &mut Pair, version: i16) {
    let at = |side: &Side, epoch| m::FetchRequest {
        session_id: side.number("session") as i32,
        session_epoch: epoch,
        ..fetch(side, &[])
    };
    let end = Part { offset: 4, ..PART };
    pair.one(
        "makes a session",
        version,
        |side| m::FetchRequest {
            session_epoch: 0,
            ..fetch(side, &[("one", &[PART]), ("three", &[end]), ("strict", &[Part { partition: 7, ..PART }])])
        },
        |side, response: &m::FetchResponse| {
            side.numbers.insert("session", i64::from(response.session_id));
        },
    );
    let mut step = |what: &str, build: &dyn Fn(&Side) -> m::FetchRequest| {
        pair.one(what, version, build, |_, _: &m::FetchResponse| {});
    };
    step("goes on", &|side| at(side, 1));
    step("wrong epoch", &|side| at(side, 1));
    step("wrong epoch, larger", &|side| at(side, 5));
    step("goes on from elsewhere", &|side| m::FetchRequest {
        topics: fetch(side, &[("one", &[Part { offset: 1000, ..PART }])]).topics,
        ..at(side, 2)
    });
    step("forgets", &|side| m::FetchRequest {
        forgotten_topics_data: vec![ForgottenTopic {
            topic: "one".into(),
            topic_id: side.id("one"),
            partitions: vec![0, 5],
        }],
        ..at(side, 3)
    });
    step("adds", &|side| m::FetchRequest {
        topics: fetch(side, &[("compacted", &[PART, Part { partition: 5, ..PART }])]).topics,
        ..at(side, 4)
    });
    step("unknown added", &|side| m::FetchRequest {
        topics: fetch(side, &[("unknown", &[PART])]).topics,
        ..at(side, 5)
    });
    let other = if version >= 13 { 12 } else { 13 };
    pair.one("other naming", other, |side| at(side, 6), |_, _: &m::FetchResponse| {});
    let mut step = |what: &str, build: &dyn Fn(&Side) -> m::FetchRequest| {
        pair.one(what, version, build, |_, _: &m::FetchResponse| {});
    };
    step("closes", &|side| at(side, -1));
    step("after the end", &|side| at(side, 6));
}
