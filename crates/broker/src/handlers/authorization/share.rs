//! APIs of share groups. What a member may read is looked at by the handlers, with every fetch: its session outlives ACLs.

use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::described::{describe, described, refuses_member};
use super::{Gate, Guarded, Restricted, split};

const FAILED: i16 = ErrorCode::GroupAuthorizationFailed.code();
const TOPIC_FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();

/// Requests of members, which need READ; those without a group are refused by their handlers.
macro_rules! members {
    ($($request:ident => $response:ident;)*) => {
        $(impl Guarded for m::$request {
            fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
                match self.group_id.as_ref().is_none_or(|group| gate.may(Operation::Read, Resource::group(group))) {
                    true => Restricted::Allowed,
                    false => Restricted::Refused(m::$response { error_code: FAILED, ..Default::default() }),
                }
            }
        })*
    };
}

members! {
    ShareFetchRequest => ShareFetchResponse;
    ShareAcknowledgeRequest => ShareAcknowledgeResponse;
}

impl Guarded for m::ShareGroupHeartbeatRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        match refuses_member(gate, &self.group_id, self.subscribed_topic_names.iter().flatten()) {
            None => Restricted::Allowed,
            Some(error) => {
                Restricted::Refused(m::ShareGroupHeartbeatResponse { error_code: error.code(), ..Default::default() })
            }
        }
    }
}

impl Guarded for m::ShareGroupDescribeRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        describe(gate, &mut self.group_ids, |response: &mut m::ShareGroupDescribeResponse| &mut response.groups)
    }
}

described!(
    m::share_group_describe_response::DescribedGroup,
    "The group has described topic(s) that the client is not authorized to describe.",
    |group| {
        let topics = group.members.iter().flat_map(|member| &member.assignment.topic_partitions);
        topics.map(|topic| topic.topic_name.clone()).collect()
    }
);

/// What brokers ask the share coordinator needs CLUSTER_ACTION.
macro_rules! of_brokers {
    ($($request:ident => $response:ident, $module:ident, $topic:ident;)*) => {
        $(impl Guarded for m::$request {
            fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
                if gate.may(Operation::ClusterAction, Resource::CLUSTER) {
                    return Restricted::Allowed;
                }
                let error = ErrorCode::ClusterAuthorizationFailed;
                let results = self.topics.iter().map(|topic| m::$module::$topic {
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|asked| {
                            let mut refused = m::$module::PartitionResult::default();
                            (refused.partition, refused.error_code) = (asked.partition, error.code());
                            refused.error_message = Some(error.message().into());
                            refused
                        })
                        .collect(),
                });
                Restricted::Refused(m::$response { results: results.collect() })
            }
        })*
    };
}

of_brokers! {
    InitializeShareGroupStateRequest =>
        InitializeShareGroupStateResponse, initialize_share_group_state_response, InitializeStateResult;
    ReadShareGroupStateRequest => ReadShareGroupStateResponse, read_share_group_state_response, ReadStateResult;
    WriteShareGroupStateRequest => WriteShareGroupStateResponse, write_share_group_state_response, WriteStateResult;
    DeleteShareGroupStateRequest => DeleteShareGroupStateResponse, delete_share_group_state_response, DeleteStateResult;
    ReadShareGroupStateSummaryRequest =>
        ReadShareGroupStateSummaryResponse, read_share_group_state_summary_response, ReadStateSummaryResult;
}

/// A topic whose offsets the client may not see.
fn refused_offsets(
    topic: m::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic,
) -> m::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseTopic {
    use m::describe_share_group_offsets_response as r;
    let partition = |partition_index| r::DescribeShareGroupOffsetsResponsePartition {
        partition_index,
        start_offset: -1,
        lag: -1,
        error_code: TOPIC_FAILED,
        error_message: Some(ErrorCode::TopicAuthorizationFailed.message().into()),
        ..Default::default()
    };
    r::DescribeShareGroupOffsetsResponseTopic {
        topic_name: topic.topic_name,
        topic_id: thalweg_base::Uuid::ZERO,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

impl Guarded for m::DescribeShareGroupOffsetsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::describe_share_group_offsets_response as r;
        let groups = std::mem::take(&mut self.groups);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| gate.may(Operation::Describe, Resource::group(&group.group_id)));
        self.groups = allowed;
        let refused: Vec<ByteString> = refused.into_iter().map(|group| group.group_id).collect();
        // Topics that the client names are refused one by one; of those that the group has, it is shown what it may see.
        let mut refused_topics = Vec::new();
        for group in &mut self.groups {
            let topics = group.topics.as_mut().map(std::mem::take);
            let parts = topics
                .map(|topics| split(gate, Operation::Describe, topics, |topic| Resource::topic(&topic.topic_name)));
            let (allowed, refused) = parts.unzip();
            group.topics = allowed;
            refused_topics.push(refused.map(|topics| topics.into_iter().map(refused_offsets).collect::<Vec<_>>()));
        }
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::DescribeShareGroupOffsetsResponse| {
            for (group, refused) in response.groups.iter_mut().zip(&refused_topics) {
                match refused {
                    Some(refused) if group.error_code == 0 => group.topics.extend(refused.iter().cloned()),
                    Some(_) => {}
                    None => {
                        group.topics.retain(|topic| gate.may(Operation::Describe, Resource::topic(&topic.topic_name)));
                    }
                }
            }
            response.groups.extend(refused.iter().map(|group| r::DescribeShareGroupOffsetsResponseGroup {
                group_id: group.clone(),
                error_code: FAILED,
                ..Default::default()
            }));
        })
    }
}

impl Guarded for m::AlterShareGroupOffsetsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::alter_share_group_offsets_response as r;
        if !gate.may(Operation::Read, Resource::group(&self.group_id)) {
            return Restricted::Refused(m::AlterShareGroupOffsetsResponse { error_code: FAILED, ..Default::default() });
        }
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Read, topics, |topic| Resource::topic(&topic.topic_name));
        self.topics = allowed;
        let partition = |partition_index| r::AlterShareGroupOffsetsResponsePartition {
            partition_index,
            error_code: TOPIC_FAILED,
            error_message: Some(ErrorCode::TopicAuthorizationFailed.message().into()),
        };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| r::AlterShareGroupOffsetsResponseTopic {
                partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
                topic_name: topic.topic_name,
                ..Default::default()
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::AlterShareGroupOffsetsResponse| {
            if response.error_code == 0 {
                response.responses.extend(refused.iter().cloned());
            }
        })
    }
}

impl Guarded for m::DeleteShareGroupOffsetsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::delete_share_group_offsets_response as r;
        if !gate.may(Operation::Delete, Resource::group(&self.group_id)) {
            return Restricted::Refused(m::DeleteShareGroupOffsetsResponse {
                error_code: FAILED,
                ..Default::default()
            });
        }
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Read, topics, |topic| Resource::topic(&topic.topic_name));
        self.topics = allowed;
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| r::DeleteShareGroupOffsetsResponseTopic {
                topic_name: topic.topic_name,
                error_code: TOPIC_FAILED,
                error_message: Some(ErrorCode::TopicAuthorizationFailed.message().into()),
                ..Default::default()
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DeleteShareGroupOffsetsResponse| {
            if response.error_code == 0 {
                response.responses.extend(refused.iter().cloned());
            }
        })
    }
}
