//! What a shard is asked and what it answers: Kafka's messages, those about several groups taken apart by group.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::describable::Describable;
use crate::share::{Initialize, Partitions};

/// Who asks, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The version of the request, which decides some rules.
    pub version: i16,
    /// The header's client id; empty if it has none.
    pub client_id: ByteString,
    /// The client's address as groups show it: `/127.0.0.1`.
    pub client_host: ByteString,
    /// The name of the listener that it came in through, which decides the names of racks and nothing else here.
    pub listener: ByteString,
    /// The topics that the client may describe.
    pub describable: Describable,
}

/// A request to the groups of one shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Classic protocol. The answer's protocol name may be null in any version.
    JoinGroup(m::JoinGroupRequest),
    /// Classic protocol.
    SyncGroup(m::SyncGroupRequest),
    /// Classic protocol.
    Heartbeat(m::HeartbeatRequest),
    /// Classic protocol. The answer has one member in the versions that do not name members.
    LeaveGroup(m::LeaveGroupRequest),
    /// KIP-848.
    ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatRequest),
    /// KIP-848, of one group.
    ConsumerGroupDescribe(ByteString),
    /// KIP-932.
    ShareGroupHeartbeat(m::ShareGroupHeartbeatRequest),
    /// KIP-932, of one group.
    ShareGroupDescribe(ByteString),
    /// KIP-1071.
    StreamsGroupHeartbeat(m::StreamsGroupHeartbeatRequest),
    /// KIP-1071, of one group.
    StreamsGroupDescribe(ByteString),
    /// The share coordinator remembers partitions of the group, or has refused to.
    ShareStateInitialized {
        /// The group.
        group: ByteString,
        /// Which partitions.
        partitions: Partitions,
        /// What came of it.
        result: Result<(), ErrorCode>,
    },
    /// Which partitions does the share coordinator know for the group?
    SharePartitions(ByteString),
    /// A share group without members is to begin elsewhere.
    AlterShareOffsets {
        /// The group.
        group: ByteString,
        /// Where, by topic and partition.
        starts: BTreeMap<(Uuid, i32), i64>,
    },
    /// A share group without members is to forget topics.
    DeleteShareOffsets {
        /// The group.
        group: ByteString,
        /// Which topics.
        topics: Vec<Uuid>,
    },
    /// Of one group.
    DescribeGroup(ByteString),
    /// Of every group here; the filters of states and types are the request's.
    ListGroups(m::ListGroupsRequest),
    /// Of one group.
    DeleteGroup(ByteString),
    /// Topics are named by name or id as the version says; the driver has filled in both where the metadata knows them.
    OffsetCommit(m::OffsetCommitRequest),
    /// A transaction's offsets, which count once its marker is written.
    TxnOffsetCommit(m::TxnOffsetCommitRequest),
    /// Of one group; `topics: None` asks for all.
    OffsetFetch {
        /// The group with the topics.
        group: m::offset_fetch_request::OffsetFetchRequestGroup,
        /// Refuse while a transaction's offsets are not decided (KIP-447).
        require_stable: bool,
    },
    /// Of one group.
    OffsetDelete(m::OffsetDeleteRequest),
}

/// What a shard answers; each variant belongs to the request of its name.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the answer to the request of its name")]
pub enum Answer {
    JoinGroup(m::JoinGroupResponse),
    SyncGroup(m::SyncGroupResponse),
    Heartbeat(m::HeartbeatResponse),
    LeaveGroup(m::LeaveGroupResponse),
    ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatResponse),
    ConsumerGroupDescribe(m::consumer_group_describe_response::DescribedGroup),
    /// With what the share coordinator is to remember before members can fetch.
    ShareGroupHeartbeat(m::ShareGroupHeartbeatResponse, Option<Initialize>),
    ShareGroupDescribe(m::share_group_describe_response::DescribedGroup),
    /// With the internal topics that are missing.
    StreamsGroupHeartbeat(m::StreamsGroupHeartbeatResponse, Vec<m::create_topics_request::CreatableTopic>),
    StreamsGroupDescribe(m::streams_group_describe_response::DescribedGroup),
    ShareStateNoted,
    SharePartitions(Result<Partitions, ErrorCode>),
    /// What the share coordinator is to remember.
    ShareInitialize(Result<Initialize, ErrorCode>),
    DescribeGroup(m::describe_groups_response::DescribedGroup),
    ListGroups(Vec<m::list_groups_response::ListedGroup>),
    DeleteGroup(m::delete_groups_response::DeletableGroupResult),
    OffsetCommit(m::OffsetCommitResponse),
    TxnOffsetCommit(m::TxnOffsetCommitResponse),
    OffsetFetch(m::offset_fetch_response::OffsetFetchResponseGroup),
    OffsetDelete(m::OffsetDeleteResponse),
}

impl Request {
    /// The group that it is about; `None` if it is about all.
    fn group_id(&self) -> Option<&ByteString> {
        match self {
            Self::JoinGroup(request) => Some(&request.group_id),
            Self::SyncGroup(request) => Some(&request.group_id),
            Self::Heartbeat(request) => Some(&request.group_id),
            Self::LeaveGroup(request) => Some(&request.group_id),
            Self::ConsumerGroupHeartbeat(request) => Some(&request.group_id),
            Self::ShareGroupHeartbeat(request) => Some(&request.group_id),
            Self::StreamsGroupHeartbeat(request) => Some(&request.group_id),
            Self::ShareStateInitialized { group, .. }
            | Self::AlterShareOffsets { group, .. }
            | Self::DeleteShareOffsets { group, .. }
            | Self::SharePartitions(group)
            | Self::ShareGroupDescribe(group)
            | Self::StreamsGroupDescribe(group)
            | Self::ConsumerGroupDescribe(group)
            | Self::DescribeGroup(group)
            | Self::DeleteGroup(group) => Some(group),
            Self::ListGroups(_) => None,
            Self::OffsetCommit(request) => Some(&request.group_id),
            Self::TxnOffsetCommit(request) => Some(&request.group_id),
            Self::OffsetFetch { group, .. } => Some(&group.group_id),
            Self::OffsetDelete(request) => Some(&request.group_id),
        }
    }

    /// Whether the group's id is empty in a request that does not take that. Offsets of a group without a name may be
    /// committed, fetched and deleted with it: very old clients did.
    pub(crate) fn has_forbidden_group_id(&self) -> bool {
        let takes_empty = matches!(
            self,
            Self::OffsetCommit(_)
                | Self::OffsetFetch { .. }
                | Self::DeleteGroup(_)
                | Self::DescribeGroup(_)
                | Self::ConsumerGroupDescribe(_)
                | Self::ConsumerGroupHeartbeat(_)
                | Self::ShareGroupHeartbeat(_)
                | Self::ShareGroupDescribe(_)
                | Self::StreamsGroupHeartbeat(_)
                | Self::StreamsGroupDescribe(_)
        );
        !takes_empty && self.group_id().is_some_and(|id| id.is_empty())
    }

    /// The answer that refuses the request as a whole with `error`.
    #[must_use]
    pub(crate) fn refuse(&self, error: ErrorCode) -> Answer {
        let error_code = error.code();
        match self {
            Self::JoinGroup(request) => {
                Answer::JoinGroup(m::JoinGroupResponse { member_id: request.member_id.clone(), ..refused_join(error) })
            }
            Self::SyncGroup(_) => Answer::SyncGroup(m::SyncGroupResponse { error_code, ..Default::default() }),
            Self::Heartbeat(_) => Answer::Heartbeat(m::HeartbeatResponse { error_code, ..Default::default() }),
            Self::LeaveGroup(_) => Answer::LeaveGroup(m::LeaveGroupResponse { error_code, ..Default::default() }),
            Self::ConsumerGroupHeartbeat(_) => {
                Answer::ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatResponse { error_code, ..Default::default() })
            }
            Self::ConsumerGroupDescribe(group) => {
                Answer::ConsumerGroupDescribe(m::consumer_group_describe_response::DescribedGroup {
                    error_code,
                    group_id: group.clone(),
                    ..Default::default()
                })
            }
            Self::ShareGroupHeartbeat(_) => {
                Answer::ShareGroupHeartbeat(m::ShareGroupHeartbeatResponse { error_code, ..Default::default() }, None)
            }
            Self::ShareGroupDescribe(group) => {
                Answer::ShareGroupDescribe(m::share_group_describe_response::DescribedGroup {
                    error_code,
                    group_id: group.clone(),
                    ..Default::default()
                })
            }
            Self::StreamsGroupHeartbeat(_) => {
                let response = m::StreamsGroupHeartbeatResponse { error_code, ..Default::default() };
                Answer::StreamsGroupHeartbeat(response, Vec::new())
            }
            Self::StreamsGroupDescribe(group) => {
                Answer::StreamsGroupDescribe(m::streams_group_describe_response::DescribedGroup {
                    error_code,
                    group_id: group.clone(),
                    ..Default::default()
                })
            }
            Self::ShareStateInitialized { .. } => Answer::ShareStateNoted,
            Self::SharePartitions(_) | Self::DeleteShareOffsets { .. } => Answer::SharePartitions(Err(error)),
            Self::AlterShareOffsets { .. } => Answer::ShareInitialize(Err(error)),
            Self::DescribeGroup(group) => Answer::DescribeGroup(m::describe_groups_response::DescribedGroup {
                error_code,
                group_id: group.clone(),
                ..Default::default()
            }),
            Self::ListGroups(_) => Answer::ListGroups(Vec::new()),
            Self::DeleteGroup(group) => Answer::DeleteGroup(m::delete_groups_response::DeletableGroupResult {
                error_code,
                group_id: group.clone(),
            }),
            Self::OffsetCommit(request) => Answer::OffsetCommit(refused_commit(request, error)),
            Self::TxnOffsetCommit(request) => Answer::TxnOffsetCommit(refused_txn_commit(request, error)),
            Self::OffsetFetch { group, .. } => {
                Answer::OffsetFetch(m::offset_fetch_response::OffsetFetchResponseGroup {
                    error_code,
                    group_id: group.group_id.clone(),
                    ..Default::default()
                })
            }
            Self::OffsetDelete(_) => Answer::OffsetDelete(m::OffsetDeleteResponse { error_code, ..Default::default() }),
        }
    }
}

impl Answer {
    /// The same answer with `error` in place of success, for a write that failed after it was decided.
    #[must_use]
    pub(crate) fn refused(self, error: ErrorCode) -> Self {
        let error_code = error.code();
        match self {
            Self::JoinGroup(_) => Self::JoinGroup(refused_join(error)),
            Self::SyncGroup(_) => Self::SyncGroup(m::SyncGroupResponse { error_code, ..Default::default() }),
            Self::Heartbeat(_) => Self::Heartbeat(m::HeartbeatResponse { error_code, ..Default::default() }),
            Self::LeaveGroup(_) => Self::LeaveGroup(m::LeaveGroupResponse { error_code, ..Default::default() }),
            Self::ConsumerGroupHeartbeat(_) => {
                Self::ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatResponse { error_code, ..Default::default() })
            }
            Self::ShareGroupHeartbeat(..) => {
                let response = m::ShareGroupHeartbeatResponse { error_code, ..Default::default() };
                Self::ShareGroupHeartbeat(response, None)
            }
            Self::StreamsGroupHeartbeat(..) => {
                let response = m::StreamsGroupHeartbeatResponse { error_code, ..Default::default() };
                Self::StreamsGroupHeartbeat(response, Vec::new())
            }
            Self::ShareStateNoted => Self::ShareStateNoted,
            Self::SharePartitions(_) => Self::SharePartitions(Err(error)),
            Self::ShareInitialize(_) => Self::ShareInitialize(Err(error)),
            Self::DeleteGroup(result) => {
                Self::DeleteGroup(m::delete_groups_response::DeletableGroupResult { error_code, ..result })
            }
            Self::OffsetCommit(mut response) => {
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = error_code;
                }
                Self::OffsetCommit(response)
            }
            Self::TxnOffsetCommit(mut response) => {
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = error_code;
                }
                Self::TxnOffsetCommit(response)
            }
            Self::OffsetDelete(_) => Self::OffsetDelete(m::OffsetDeleteResponse { error_code, ..Default::default() }),
            // These read only: no write goes before their answers.
            reading @ (Self::ConsumerGroupDescribe(_)
            | Self::ShareGroupDescribe(_)
            | Self::StreamsGroupDescribe(_)
            | Self::DescribeGroup(_)
            | Self::ListGroups(_)
            | Self::OffsetFetch(_)) => reading,
        }
    }
}

/// A refused JoinGroup, of a member without an id.
pub(crate) fn refused_join(error: ErrorCode) -> m::JoinGroupResponse {
    m::JoinGroupResponse { error_code: error.code(), protocol_name: None, ..Default::default() }
}

fn refused_commit(request: &m::OffsetCommitRequest, error: ErrorCode) -> m::OffsetCommitResponse {
    use m::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|p| OffsetCommitResponsePartition { partition_index: p.partition_index, error_code: error.code() })
            .collect(),
    });
    m::OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

fn refused_txn_commit(request: &m::TxnOffsetCommitRequest, error: ErrorCode) -> m::TxnOffsetCommitResponse {
    use m::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|p| TxnOffsetCommitResponsePartition { partition_index: p.partition_index, error_code: error.code() })
            .collect(),
    });
    m::TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
