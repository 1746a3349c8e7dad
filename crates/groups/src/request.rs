//! What a shard is asked and what it answers: Kafka's messages, those about several groups taken apart by group.

use bytestring::ByteString;
use thalweg_wire::messages as m;

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
}

/// A request to the groups of one shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Classic protocol.
    JoinGroup(m::JoinGroupRequest),
    /// Classic protocol.
    SyncGroup(m::SyncGroupRequest),
    /// Classic protocol.
    Heartbeat(m::HeartbeatRequest),
    /// Classic protocol.
    LeaveGroup(m::LeaveGroupRequest),
    /// KIP-848.
    ConsumerGroupHeartbeat(m::ConsumerGroupHeartbeatRequest),
    /// KIP-848, of one group.
    ConsumerGroupDescribe(ByteString),
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
    DescribeGroup(m::describe_groups_response::DescribedGroup),
    ListGroups(Vec<m::list_groups_response::ListedGroup>),
    DeleteGroup(m::delete_groups_response::DeletableGroupResult),
    OffsetCommit(m::OffsetCommitResponse),
    TxnOffsetCommit(m::TxnOffsetCommitResponse),
    OffsetFetch(m::offset_fetch_response::OffsetFetchResponseGroup),
    OffsetDelete(m::OffsetDeleteResponse),
}
