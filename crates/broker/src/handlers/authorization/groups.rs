//! APIs of groups and of their offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::described::{describe, described, refuses_member};
use super::{Attempt, Gate, Guarded, Restricted, split};
use crate::handlers::groups::serves_consumer_protocol;

const FAILED: i16 = ErrorCode::GroupAuthorizationFailed.code();
const TOPIC_FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();

/// Requests of members, which need READ and are refused by an error code of the whole answer.
macro_rules! members {
    ($($request:ident => $response:ident { $($field:ident: $value:expr),* };)*) => {
        $(impl Guarded for m::$request {
            fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
                match gate.may(Operation::Read, Resource::group(&self.group_id)) {
                    true => Restricted::Allowed,
                    false => Restricted::Refused(m::$response {
                        error_code: FAILED, $($field: $value,)* ..Default::default()
                    }),
                }
            }
        })*
    };
}

members! {
    HeartbeatRequest => HeartbeatResponse {};
    LeaveGroupRequest => LeaveGroupResponse {};
}

/// From this version on there is null where no protocol was chosen.
const NULL_PROTOCOL: i16 = 7;

impl Guarded for m::JoinGroupRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if gate.may(Operation::Read, Resource::group(&self.group_id)) {
            return Restricted::Allowed;
        }
        let protocol_name = if gate.call.version >= NULL_PROTOCOL { None } else { Some("".into()) };
        Restricted::Refused(m::JoinGroupResponse { error_code: FAILED, protocol_name, ..Default::default() })
    }
}

/// From this version on members say which protocol they were given; the handler refuses those that do not first.
const NAMES_PROTOCOL: i16 = 5;

impl Guarded for m::SyncGroupRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let is_anonymous = self.protocol_type.is_none() || self.protocol_name.is_none();
        let is_refused_anyway = gate.call.version >= NAMES_PROTOCOL && is_anonymous;
        match is_refused_anyway || gate.may(Operation::Read, Resource::group(&self.group_id)) {
            true => Restricted::Allowed,
            false => Restricted::Refused(m::SyncGroupResponse { error_code: FAILED, ..Default::default() }),
        }
    }
}

impl Guarded for m::ConsumerGroupHeartbeatRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if !serves_consumer_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        match refuses_member(gate, &self.group_id, self.subscribed_topic_names.iter().flatten()) {
            None => Restricted::Allowed,
            Some(error) => Restricted::Refused(m::ConsumerGroupHeartbeatResponse {
                error_code: error.code(),
                ..Default::default()
            }),
        }
    }
}

impl Guarded for m::DescribeGroupsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let groups = std::mem::take(&mut self.groups);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| gate.may(Operation::Describe, Resource::group(group)));
        self.groups = allowed;
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::DescribeGroupsResponse| {
            for group in response.groups.iter_mut().filter(|group| group.authorized_operations != i32::MIN) {
                group.authorized_operations = gate.operations(Resource::group(&group.group_id));
            }
            response.groups.extend(refused.iter().map(|group| m::describe_groups_response::DescribedGroup {
                error_code: FAILED,
                group_id: group.clone(),
                ..Default::default()
            }));
        })
    }
}

impl Guarded for m::ConsumerGroupDescribeRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if !serves_consumer_protocol(&gate.call) {
            return Restricted::Allowed;
        }
        describe(gate, &mut self.group_ids, |response: &mut m::ConsumerGroupDescribeResponse| &mut response.groups)
    }
}

described!(
    m::consumer_group_describe_response::DescribedGroup,
    "The group has described topic(s) that the client is not authorized to describe.",
    |group| {
        let assignments = group.members.iter().flat_map(|member| [&member.assignment, &member.target_assignment]);
        let topics = assignments.flat_map(|assignment| &assignment.topic_partitions);
        let names: BTreeSet<&ByteString> = topics.map(|topic| &topic.topic_name).collect();
        names.into_iter().cloned().collect()
    }
);

impl Guarded for m::ListGroupsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        // This right shows every group.
        if gate.may_silently(Operation::Describe, Resource::CLUSTER) {
            return Restricted::Allowed;
        }
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::ListGroupsResponse| {
            response.groups.retain(|group| gate.may_silently(Operation::Describe, Resource::group(&group.group_id)));
        })
    }
}

impl Guarded for m::DeleteGroupsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let groups: BTreeSet<ByteString> = std::mem::take(&mut self.groups_names).into_iter().collect();
        let (allowed, refused): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| gate.may(Operation::Delete, Resource::group(group)));
        self.groups_names = allowed;
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DeleteGroupsResponse| {
            response.results.extend(refused.iter().map(|group| m::delete_groups_response::DeletableGroupResult {
                group_id: group.clone(),
                error_code: FAILED,
            }));
        })
    }
}

impl Guarded for m::OffsetCommitRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
        let refused = |topic: &m::offset_commit_request::OffsetCommitRequestTopic, error_code| {
            let partition = |partition_index| OffsetCommitResponsePartition { partition_index, error_code };
            OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
            }
        };
        if !gate.may(Operation::Read, Resource::group(&self.group_id)) {
            let topics = self.topics.iter().map(|topic| refused(topic, FAILED)).collect();
            return Restricted::Refused(m::OffsetCommitResponse { topics, ..Default::default() });
        }
        let (named, unknown): (Vec<_>, Vec<_>) = std::mem::take(&mut self.topics)
            .into_iter()
            .map(|topic| (name_of(gate, topic.topic_id, &topic.name), topic))
            .partition(|(name, _)| name.is_some());
        let (mut allowed, others) = split(gate, Operation::Read, named, |(name, _)| topic_or_none(name.as_ref()));
        allowed.extend(unknown);
        self.topics = allowed.into_iter().map(|(_, topic)| topic).collect();
        let others: Vec<_> = others.iter().map(|(_, topic)| refused(topic, TOPIC_FAILED)).collect();
        Restricted::amended(!others.is_empty(), move |response: &mut m::OffsetCommitResponse| {
            response.topics.extend(others.iter().cloned());
        })
    }
}

/// The name of a topic that a request gives by id or by name; none for an id without a topic.
fn name_of(gate: &Gate, id: thalweg_base::Uuid, name: &ByteString) -> Option<ByteString> {
    match id.is_zero() {
        true => Some(name.clone()),
        false => gate.image.topics().by_id(id).map(|topic| (&*topic.name).into()),
    }
}

fn topic_or_none(name: Option<&ByteString>) -> Resource<'_> {
    Resource::topic(name.map_or("", |name| name))
}

impl Guarded for m::OffsetDeleteRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
        if !gate.may(Operation::Delete, Resource::group(&self.group_id)) {
            return Restricted::Refused(m::OffsetDeleteResponse { error_code: FAILED, ..Default::default() });
        }
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Read, topics, |topic| Resource::topic(&topic.name));
        self.topics = allowed;
        let partition = |partition_index| OffsetDeleteResponsePartition { partition_index, error_code: TOPIC_FAILED };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| OffsetDeleteResponseTopic {
                partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
                name: topic.name,
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::OffsetDeleteResponse| {
            if response.error_code == 0 {
                response.topics.extend(refused.iter().cloned());
            }
        })
    }
}

/// From this version on several groups are asked for at once.
const BATCHED_FETCH: i16 = 8;
/// From this version on an error can be that of the whole group.
const GROUP_ERROR: i16 = 2;

impl Guarded for m::OffsetFetchRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        match gate.call.version {
            BATCHED_FETCH.. => self.restrict_groups(gate),
            _ => self.restrict_group(gate),
        }
    }
}

/// The guards of both shapes that OffsetFetch has.
trait OffsetFetchGuard {
    fn restrict_groups(&mut self, gate: &Arc<Gate>) -> Restricted<m::OffsetFetchResponse>;
    fn restrict_group(&mut self, gate: &Arc<Gate>) -> Restricted<m::OffsetFetchResponse>;
}

impl OffsetFetchGuard for m::OffsetFetchRequest {
    fn restrict_groups(&mut self, gate: &Arc<Gate>) -> Restricted<m::OffsetFetchResponse> {
        use m::offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
        };
        let groups = std::mem::take(&mut self.groups);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| gate.may(Operation::Describe, Resource::group(&group.group_id)));
        self.groups = allowed;
        let partition = |&partition_index: &i32| OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: -1,
            metadata: Some("".into()),
            error_code: TOPIC_FAILED,
            ..Default::default()
        };
        let mut hidden: BTreeMap<ByteString, Vec<OffsetFetchResponseTopics>> = BTreeMap::new();
        for group in &mut self.groups {
            let Some(topics) = &mut group.topics else { continue };
            let (named, unknown): (Vec<_>, Vec<_>) = std::mem::take(topics)
                .into_iter()
                .map(|topic| (name_of(gate, topic.topic_id, &topic.name), topic))
                .partition(|(name, _)| name.is_some());
            let (mut allowed, others) =
                split(gate, Operation::Describe, named, |(name, _)| topic_or_none(name.as_ref()));
            allowed.extend(unknown);
            *topics = allowed.into_iter().map(|(_, topic)| topic).collect();
            let others = others.into_iter().map(|(_, topic)| OffsetFetchResponseTopics {
                partitions: topic.partition_indexes.iter().map(partition).collect(),
                name: topic.name,
                topic_id: topic.topic_id,
            });
            hidden.entry(group.group_id.clone()).or_default().extend(others);
        }
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::OffsetFetchResponse| {
            for group in response.groups.iter_mut().filter(|group| group.error_code == 0) {
                match hidden.get(&group.group_id) {
                    Some(topics) => group.topics.extend(topics.iter().cloned()),
                    // All topics were asked for.
                    None => retain_described(&gate, &mut group.topics, |topic| &topic.name),
                }
            }
            response.groups.extend(refused.iter().map(|group| OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                error_code: FAILED,
                ..Default::default()
            }));
        })
    }

    fn restrict_group(&mut self, gate: &Arc<Gate>) -> Restricted<m::OffsetFetchResponse> {
        use m::offset_fetch_request::OffsetFetchRequestTopic as Asked;
        use m::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
        let failed = |topics: Vec<Asked>, error_code: i16| -> Vec<OffsetFetchResponseTopic> {
            let partition = |&partition_index: &i32| OffsetFetchResponsePartition {
                partition_index,
                committed_offset: -1,
                metadata: Some("".into()),
                error_code,
                ..Default::default()
            };
            let topic = |topic: Asked| OffsetFetchResponseTopic {
                partitions: topic.partition_indexes.iter().map(partition).collect(),
                name: topic.name,
            };
            topics.into_iter().map(topic).collect()
        };
        if !gate.may(Operation::Describe, Resource::group(&self.group_id)) {
            return Restricted::Refused(match gate.call.version {
                GROUP_ERROR.. => m::OffsetFetchResponse { error_code: FAILED, ..Default::default() },
                _ => {
                    let topics = failed(self.topics.take().unwrap_or_default(), FAILED);
                    m::OffsetFetchResponse { topics, ..Default::default() }
                }
            });
        }
        let Some(topics) = &mut self.topics else {
            let gate = Arc::clone(gate);
            return Restricted::filtered(move |response: &mut m::OffsetFetchResponse| {
                retain_described(&gate, &mut response.topics, |topic| &topic.name);
            });
        };
        let all = std::mem::take(topics);
        let (allowed, hidden) = split(gate, Operation::Describe, all, |topic| Resource::topic(&topic.name));
        *topics = allowed;
        let hidden = failed(hidden, TOPIC_FAILED);
        Restricted::amended(!hidden.is_empty(), move |response: &mut m::OffsetFetchResponse| {
            if response.error_code == 0 {
                response.topics.extend(hidden.iter().cloned());
            }
        })
    }
}

/// Takes out the topics that the client may not see.
fn retain_described<T>(gate: &Gate, topics: &mut Vec<T>, name: impl Fn(&T) -> &ByteString) {
    topics.retain(|topic| gate.decides(Operation::Describe, Resource::topic(name(topic)), Attempt::Explicit, 1));
}
