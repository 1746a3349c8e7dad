//! Requests that are wrong: each is refused at once, and changes nothing.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_wire::messages as m;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};

use super::world::{GROUP, TOPIC, World};
use crate::request::{Answer, Request};

/// Sends one of them.
pub(super) fn strike(world: &mut World) {
    let before = state(world);
    let request = request(world);
    let Some(request) = request else { return };
    let answer = world.look(request.clone());
    assert_ne!(error(&answer), 0, "{request:?} is wrong and was answered with {answer:?}");
    assert_eq!(state(world), before, "{request:?} is wrong and has changed something");
}

fn state(world: &World) -> String {
    format!("{} {:?} {:?}", world.log_len(), world.shard.groups, world.shard.offsets)
}

/// A wrong request; `None` if what was drawn would be right as things stand.
fn request(world: &mut World) -> Option<Request> {
    let stranger = || ByteString::from(["", "nobody", "c-00000000-0000-4000-8000-000000000000", "i0", "\u{1f980}"][1]);
    let group_id = ByteString::from(GROUP);
    let generation_id = [-2, 99_999, i32::MAX, i32::MIN][world.random.below(4)];
    Some(match world.random.below(9) {
        0 => Request::Heartbeat(m::HeartbeatRequest {
            group_id,
            generation_id,
            member_id: stranger(),
            ..Default::default()
        }),
        1 => Request::Heartbeat(m::HeartbeatRequest { generation_id: 1, ..Default::default() }),
        2 => {
            let assignments = vec![m::sync_group_request::SyncGroupRequestAssignment {
                member_id: stranger(),
                assignment: Bytes::from_static(&[0xff; 9]),
            }];
            let member_id = any_member(world).unwrap_or_else(stranger);
            Request::SyncGroup(m::SyncGroupRequest {
                group_id,
                generation_id,
                member_id,
                assignments,
                ..Default::default()
            })
        }
        3 => Request::JoinGroup(join(group_id, stranger(), "consumer", b"\xff")),
        4 => {
            // Of another kind: refused by a group that has members, or has told somebody its id to join.
            let member_id = any_member(world)?;
            Request::JoinGroup(join(group_id, member_id, "connect", b""))
        }
        5 => {
            let members = vec![m::leave_group_request::MemberIdentity { member_id: stranger(), ..Default::default() }];
            Request::LeaveGroup(m::LeaveGroupRequest { group_id, members, ..Default::default() })
        }
        6 => {
            let partitions = vec![OffsetCommitRequestPartition { committed_offset: 0, ..Default::default() }];
            let topics = vec![OffsetCommitRequestTopic { name: TOPIC.0.into(), partitions, ..Default::default() }];
            let member_id = any_member(world)?;
            let generation_id_or_member_epoch = generation_id;
            Request::OffsetCommit(m::OffsetCommitRequest {
                group_id,
                generation_id_or_member_epoch,
                member_id,
                topics,
                ..Default::default()
            })
        }
        7 => {
            any_member(world)?;
            Request::DeleteGroup(group_id)
        }
        _ => {
            let member_epoch = 7;
            let member_id = stranger();
            Request::ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatRequest {
                group_id,
                member_id,
                member_epoch,
                rebalance_timeout_ms: 1,
                ..Default::default()
            })
        }
    })
}

fn join(
    group_id: ByteString,
    member_id: ByteString,
    protocol_type: &str,
    metadata: &'static [u8],
) -> m::JoinGroupRequest {
    let protocols = vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(metadata) }];
    m::JoinGroupRequest {
        group_id,
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 8_000,
        member_id,
        protocol_type: protocol_type.into(),
        protocols,
        ..Default::default()
    }
}

/// Some member of the group.
fn any_member(world: &mut World) -> Option<ByteString> {
    let Answer::DescribeGroup(group) = world.look(Request::DescribeGroup(GROUP.into())) else { return None };
    group.members.first().map(|member| member.member_id.clone())
}

fn error(answer: &Answer) -> i16 {
    match answer {
        Answer::JoinGroup(response) => response.error_code,
        Answer::SyncGroup(response) => response.error_code,
        Answer::Heartbeat(response) => response.error_code,
        Answer::LeaveGroup(response) => response.members.first().map_or(response.error_code, |m| m.error_code),
        Answer::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        Answer::DeleteGroup(result) => result.error_code,
        Answer::ConsumerGroupHeartbeat(response) => response.error_code,
        other => panic!("{other:?} is the answer to no wrong request"),
    }
}
