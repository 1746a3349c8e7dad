//! Whatever the log holds, a shard loads it, answers, and comes to rest.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_coordinator::{LogRecord, Origin};
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_current_member_assignment_value::TopicPartitions;
use thalweg_wire::messages::consumer_group_target_assignment_member_value::TopicPartition;
use thalweg_wire::messages::group_metadata_value::MemberMetadata;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;

use super::simulation::Random;
use super::testbed::{Entry, Testbed};
use crate::records::Record;
use crate::request::{Answer, Request};
use crate::settings::Settings;

/// One of a few names, so that records meet.
fn name(random: &mut Random, kind: char) -> ByteString {
    format!("{kind}{}", random.below(3)).into()
}

fn number(random: &mut Random) -> i32 {
    [0, 1, 2, 7, 6_000, -1, i32::MAX, i32::MIN][random.below(8)]
}

fn maybe<T>(random: &mut Random, value: T) -> Option<T> {
    random.percent(60).then_some(value)
}

fn bytes(random: &mut Random) -> Bytes {
    [&b""[..], b"\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff", b"\xff\xff\xff", b"\x00\x03\x7f\xff\xff\xff"]
        [random.below(4)]
    .to_vec()
    .into()
}

fn member(random: &mut Random) -> MemberMetadata {
    let instance_id = name(random, 'i');
    MemberMetadata {
        member_id: name(random, 'm'),
        group_instance_id: maybe(random, instance_id),
        client_id: name(random, 'c'),
        client_host: "/h".into(),
        rebalance_timeout: number(random),
        session_timeout: number(random),
        subscription: bytes(random),
        assignment: bytes(random),
    }
}

fn classic(random: &mut Random, group: ByteString) -> Record {
    let (protocol, leader) = (name(random, 'p'), name(random, 'm'));
    let value = m::GroupMetadataValue {
        protocol_type: ["consumer", "", "connect"][random.below(3)].into(),
        generation: number(random),
        protocol: maybe(random, protocol),
        leader: maybe(random, leader),
        current_state_timestamp: number(random).into(),
        members: (0..random.below(4)).map(|_| member(random)).collect(),
    };
    (m::GroupMetadataKey { group }, value).into()
}

fn commit(random: &mut Random, group: ByteString) -> Record {
    let key = m::OffsetCommitKey { group, topic: name(random, 't'), partition: number(random) };
    let value = m::OffsetCommitValue {
        offset: number(random).into(),
        metadata: name(random, 'n'),
        commit_timestamp: number(random).into(),
        expire_timestamp: number(random).into(),
        ..Default::default()
    };
    (key, value).into()
}

fn consumer(random: &mut Random, group_id: ByteString) -> Record {
    let member_id = name(random, 'm');
    let (instance_id, text) = (name(random, 'i'), name(random, 't'));
    let partitions = (0..random.below(3)).map(|_| number(random)).collect::<Vec<_>>();
    let topic_id = Uuid([7; 16]);
    match random.below(6) {
        0 => {
            let value = m::ConsumerGroupMemberMetadataValue {
                instance_id: maybe(random, instance_id),
                subscribed_topic_names: vec![text.clone()],
                subscribed_topic_regex: maybe(random, text),
                rebalance_timeout_ms: number(random),
                ..Default::default()
            };
            (m::ConsumerGroupMemberMetadataKey { group_id, member_id }, value).into()
        }
        1 => {
            let value = m::ConsumerGroupMetadataValue { epoch: number(random), metadata_hash: number(random).into() };
            (m::ConsumerGroupMetadataKey { group_id }, value).into()
        }
        2 => {
            let value = m::ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: number(random),
                assignment_timestamp: number(random).into(),
            };
            (m::ConsumerGroupTargetAssignmentMetadataKey { group_id }, value).into()
        }
        3 => {
            let topic_partitions = vec![TopicPartition { topic_id, partitions }];
            let value = m::ConsumerGroupTargetAssignmentMemberValue { topic_partitions };
            (m::ConsumerGroupTargetAssignmentMemberKey { group_id, member_id }, value).into()
        }
        4 => {
            let value = m::ConsumerGroupRegularExpressionValue { topics: vec![text.clone()], ..Default::default() };
            (m::ConsumerGroupRegularExpressionKey { group_id, regular_expression: text }, value).into()
        }
        _ => {
            let topic = || TopicPartitions { topic_id, partitions: partitions.clone(), assignment_epochs: None };
            let value = m::ConsumerGroupCurrentMemberAssignmentValue {
                member_epoch: number(random),
                previous_member_epoch: number(random),
                state: [0, 1, 2, 3, -1, 127][random.below(6)],
                assigned_partitions: vec![topic()],
                partitions_pending_revocation: vec![topic(), topic()],
            };
            (m::ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id }, value).into()
        }
    }
}

fn record(random: &mut Random) -> LogRecord {
    let group = name(random, 'g');
    let record = match random.below(3) {
        0 => classic(random, group),
        1 => commit(random, group),
        _ => consumer(random, group),
    };
    let mut record = record.encode().expect("every field fits");
    match random.below(10) {
        0 => record.value = None,
        1 => record.key = record.key.slice(..random.below(record.key.len())),
        2 => record.value = record.value.map(|value| value.slice(..random.below(value.len()))),
        3 => {
            let mut bytes = record.value.unwrap_or_default().to_vec();
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
            record.value = Some(bytes.into());
        }
        _ => {}
    }
    record
}

fn request(random: &mut Random) -> Request {
    let (group_id, member_id, generation_id) = (name(random, 'g'), name(random, 'm'), number(random));
    match random.below(7) {
        0 => Request::Heartbeat(m::HeartbeatRequest { group_id, generation_id, member_id, ..Default::default() }),
        1 => Request::SyncGroup(m::SyncGroupRequest { group_id, generation_id, member_id, ..Default::default() }),
        2 => {
            let protocols = vec![JoinGroupRequestProtocol { name: name(random, 'p'), metadata: bytes(random) }];
            let instance_id = name(random, 'i');
            Request::JoinGroup(m::JoinGroupRequest {
                group_id,
                member_id: maybe(random, member_id).unwrap_or_default(),
                group_instance_id: maybe(random, instance_id),
                session_timeout_ms: 6_000,
                rebalance_timeout_ms: number(random),
                protocol_type: "consumer".into(),
                protocols,
                ..Default::default()
            })
        }
        3 => {
            let members = vec![m::leave_group_request::MemberIdentity { member_id, ..Default::default() }];
            Request::LeaveGroup(m::LeaveGroupRequest { group_id, members, ..Default::default() })
        }
        4 => Request::DeleteGroup(group_id),
        5 => Request::DescribeGroup(group_id),
        _ => Request::ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatRequest {
            group_id,
            member_id,
            member_epoch: number(random),
            rebalance_timeout_ms: [-1, 5_000][random.below(2)],
            subscribed_topic_names: random.percent(70).then(|| vec!["t0".into()]),
            topic_partitions: random.percent(70).then(Vec::new),
            ..Default::default()
        }),
    }
}

#[test]
fn a_log_of_anything_is_loaded_and_served() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut bed = Testbed::new(Settings::default());
        for offset in 0..random.below(60) as i64 {
            let producer = random.percent(10).then(|| (ProducerId(random.below(3) as i64), ProducerEpoch(0)));
            let origin = Origin { offset: Offset(offset), timestamp: Timestamp(1), producer };
            bed.log.push(Entry::Record(origin, record(&mut random)));
            if random.percent(5) {
                bed.log.push(Entry::EndOfTransaction(ProducerId(random.below(3) as i64), random.percent(50)));
            }
        }
        bed.fail_over();
        for _ in 0..40 {
            bed.ask([0, 1, 3, 5, 9][random.below(5)], request(&mut random));
            bed.pass(random.below(3_000) as i64);
        }
        bed.pass(3_600_000);
        let Answer::ListGroups(groups) = bed.call(5, Request::ListGroups(m::ListGroupsRequest::default())) else {
            panic!("it is the answer to the request of its name")
        };
        assert!(groups.len() <= 3, "seed {seed}: {groups:?}");
    }
}
