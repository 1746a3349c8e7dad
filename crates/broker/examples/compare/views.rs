//! What the cluster looks like: Metadata, DescribeCluster, DescribeTopicPartitions, ApiVersions.

use m::describe_topic_partitions_request::{Cursor, TopicRequest};
use m::metadata_request::MetadataRequestTopic;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, Request};

use crate::pair::{Pair, versions};
use crate::side::Side;

pub(crate) fn play(pair: &mut Pair) {
    for name in ["one", "three", "compacted"] {
        pair.learn(name);
    }
    metadata(pair);
    cluster(pair);
    pages(pair);
    api_versions(pair);
    unsupported(pair);
}

fn metadata(pair: &mut Pair) {
    let by_name = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() };
    let by_id = |topic_id| MetadataRequestTopic { name: None, topic_id };
    let ask = |topics, operations, create| m::MetadataRequest {
        topics,
        allow_auto_topic_creation: create,
        include_topic_authorized_operations: operations,
        ..m::MetadataRequest::default()
    };
    pair.all("all", |_| ask(None, false, true));
    pair.all("all, no creation", |_| ask(None, false, false));
    pair.all("all with operations", |_| ask(None, true, true));
    pair.all("none", |_| ask(Some(vec![]), false, true));
    for operations in [false, true] {
        for create in [false, true] {
            let names: &[&[&str]] = &[
                &["one"],
                &["three", "one"],
                &["one", "one"],
                &["a b"],
                &[""],
                &["."],
                &["one", "a/b"],
                &["__cluster_metadata"],
            ];
            for names in names {
                let topics = || names.iter().map(|name| by_name(name)).collect();
                pair.all(&format!("{names:?} {operations} {create}"), |_| ask(Some(topics()), operations, create));
            }
        }
        pair.all("unknown", |_| ask(Some(vec![by_name("one"), by_name("none")]), operations, false));
        pair.all("unknown internal", |_| ask(Some(vec![by_name("__transaction_state")]), operations, false));
        pair.all("id", |side| ask(Some(vec![by_id(side.id("one"))]), operations, true));
        pair.all("two ids", |side| ask(Some(vec![by_id(side.id("one")), by_id(side.id("three"))]), operations, true));
        pair.all("id twice", |side| ask(Some(vec![by_id(side.id("one")), by_id(side.id("one"))]), operations, true));
        pair.all("unknown id", |_| ask(Some(vec![by_id(Uuid([7; 16]))]), operations, true));
        pair.all("unknown id and a known one", |side| {
            ask(Some(vec![by_id(Uuid([7; 16])), by_id(side.id("one"))]), operations, true)
        });
        pair.all("zero id", |_| ask(Some(vec![by_id(Uuid::ZERO)]), operations, true));
        pair.all("id and name of one", |side| {
            let both = MetadataRequestTopic { name: Some("one".into()), topic_id: side.id("one") };
            ask(Some(vec![both]), operations, true)
        });
        pair.all("id and a wrong name", |side| {
            let both = MetadataRequestTopic { name: Some("none".into()), topic_id: side.id("one") };
            ask(Some(vec![both]), operations, false)
        });
        pair.all("an id, then a name", |side| {
            ask(Some(vec![by_id(side.id("one")), by_name("three"), by_name("none")]), operations, false)
        });
    }
    pair.all("cluster operations", |_| m::MetadataRequest {
        topics: Some(vec![]),
        include_cluster_authorized_operations: true,
        ..m::MetadataRequest::default()
    });
}

fn cluster(pair: &mut Pair) {
    for operations in [false, true] {
        for endpoint_type in [0, 1, 2, 3, -1] {
            for fenced in [false, true] {
                pair.all(&format!("{operations} {endpoint_type} {fenced}"), |_| m::DescribeClusterRequest {
                    include_cluster_authorized_operations: operations,
                    endpoint_type,
                    include_fenced_brokers: fenced,
                });
            }
        }
    }
}

fn pages(pair: &mut Pair) {
    let name_sets: &[&[&str]] = &[
        &["one"],
        &["three"],
        &["three", "one"],
        &["one", "one"],
        &["none"],
        &["a b"],
        &["", "one"],
        &["compacted", "none", "three"],
        &["__cluster_metadata"],
        &["__consumer_offsets"],
    ];
    let cursors: &[Option<(&str, i32)>] = &[
        None,
        Some(("one", 0)),
        Some(("one", 1)),
        Some(("three", 0)),
        Some(("three", 2)),
        Some(("three", 9)),
        Some(("three", -1)),
        Some(("none", 0)),
        Some(("none", 1)),
        Some(("", 0)),
        Some(("zzz", 0)),
    ];
    let ask = |names: &[&str], limit, cursor: &Option<(&str, i32)>| m::DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).into() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(topic_name, partition_index)| Cursor { topic_name: topic_name.into(), partition_index }),
    };
    for limit in [2000, 1, 2, 3, 0, -1, i32::MAX] {
        for cursor in cursors {
            for names in name_sets {
                pair.last(&format!("{names:?} limit {limit} cursor {cursor:?}"), |_| ask(names, limit, cursor));
            }
            // Group coordinators make topics of their own: only a page that ends before them is the same.
            pair.last(&format!("all, limit {limit} cursor {cursor:?}"), |_| ask(&[], limit, cursor));
        }
    }
}

fn api_versions(pair: &mut Pair) {
    let names = ["", "x", "apache-kafka-java", "-x", "x-", "a b", ".", "a.b", "ä", "a_b", "x\n"];
    for name in names {
        for version in ["1", "", "4.3.1", " "] {
            pair.at(&format!("{name:?} {version:?}"), 3..=4, |_| m::ApiVersionsRequest {
                client_software_name: name.into(),
                client_software_version: version.into(),
            });
        }
    }
    pair.at("old", 0..=2, |_| m::ApiVersionsRequest::default());
}

/// Versions that there are not, and APIs that there are not.
fn unsupported(pair: &mut Pair) {
    fn one<Q: Request>(pair: &mut Pair) {
        let range = versions::<Q>();
        let shown = [-1, range.start() - 1, range.end() + 1, i16::MAX];
        for (version, shown) in [*range.start(), *range.end()].into_iter().flat_map(|v| shown.map(|s| (v, s))) {
            let Some(frame) = Side::frame(&Q::default(), version, shown) else { continue };
            pair.raw(&format!("{} as version {shown} (really {version})", Q::API.name()), &frame);
        }
    }
    one::<m::ApiVersionsRequest>(pair);
    one::<m::MetadataRequest>(pair);
    one::<m::ProduceRequest>(pair);
    one::<m::FetchRequest>(pair);
    one::<m::ListOffsetsRequest>(pair);
    one::<m::CreateTopicsRequest>(pair);
    one::<m::InitProducerIdRequest>(pair);
    for api in [-1i16, 4, 5, 6, 7, 52, 500] {
        let known = ApiKey::from_i16(api).is_some();
        let mut frame = Side::frame(&m::ApiVersionsRequest::default(), 0, 0).unwrap_or_default();
        frame[..2].copy_from_slice(&api.to_be_bytes());
        pair.raw(&format!("API {api}, known {known}"), &frame);
    }
    for short in [&b""[..], b"\0", b"\0\x12", b"\0\x12\0", b"\0\x12\0\0", b"\0\x12\0\0\0\0\0\x07"] {
        pair.raw(&format!("{} bytes", short.len()), short);
    }
}
