//! APIs that need a right to the cluster, and to nothing else.

use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Gate, Guarded, Restricted};

const FAILED: i16 = ErrorCode::ClusterAuthorizationFailed.code();

/// The table: which right each API needs, and its answer without it. `message` is the sentence for answers that have one.
macro_rules! cluster {
    ($($request:ident needs $operation:ident, else |$asked:ident, $message:ident| $refused:expr;)*) => {
        $(impl Guarded for m::$request {
            fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
                if gate.may(Operation::$operation, Resource::CLUSTER) {
                    return Restricted::Allowed;
                }
                let $asked = &*self;
                let $message: Option<ByteString> = Some(gate.needs(Operation::$operation).into());
                Restricted::Refused($refused)
            }
        })*
    };
}

/// The sentence that belongs to the code.
fn usual() -> Option<ByteString> {
    Some(ErrorCode::ClusterAuthorizationFailed.message().into())
}

cluster! {
    DescribeAclsRequest needs Describe, else |_asked, message| m::DescribeAclsResponse {
        error_code: FAILED, error_message: message, ..Default::default()
    };
    CreateAclsRequest needs Alter, else |asked, message| {
        let result = || m::create_acls_response::AclCreationResult { error_code: FAILED, error_message: message.clone() };
        m::CreateAclsResponse { results: asked.creations.iter().map(|_| result()).collect(), ..Default::default() }
    };
    DeleteAclsRequest needs Alter, else |asked, message| {
        let result = || m::delete_acls_response::DeleteAclsFilterResult {
            error_code: FAILED, error_message: message.clone(), ..Default::default()
        };
        m::DeleteAclsResponse { filter_results: asked.filters.iter().map(|_| result()).collect(), ..Default::default() }
    };
    DescribeClientQuotasRequest needs DescribeConfigs, else |_asked, _message| m::DescribeClientQuotasResponse {
        error_code: FAILED, error_message: None, entries: None, ..Default::default()
    };
    AlterClientQuotasRequest needs AlterConfigs, else |asked, _message| {
        use m::alter_client_quotas_response::{EntityData, EntryData};
        let entry = |entry: &m::alter_client_quotas_request::EntryData| EntryData {
            error_code: FAILED,
            error_message: usual(),
            entity: entry.entity.iter().map(|part| EntityData {
                entity_type: part.entity_type.clone(), entity_name: part.entity_name.clone(),
            }).collect(),
        };
        m::AlterClientQuotasResponse { entries: asked.entries.iter().map(entry).collect(), ..Default::default() }
    };
    DescribeUserScramCredentialsRequest needs Describe, else |asked, _message| {
        use m::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
        // As in Kafka, the results do not name their users.
        let result = || DescribeUserScramCredentialsResult {
            error_code: FAILED, error_message: None, ..Default::default()
        };
        m::DescribeUserScramCredentialsResponse {
            error_code: FAILED,
            error_message: None,
            results: asked.users.iter().flatten().map(|_| result()).collect(),
            ..Default::default()
        }
    };
    AlterUserScramCredentialsRequest needs Alter, else |asked, message| {
        use m::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
        let deleted = asked.deletions.iter().map(|deletion| &deletion.name);
        let users: std::collections::BTreeSet<&ByteString> =
            deleted.chain(asked.upsertions.iter().map(|upsertion| &upsertion.name)).collect();
        let result = |user: &ByteString| AlterUserScramCredentialsResult {
            user: user.clone(), error_code: FAILED, error_message: message.clone(),
        };
        m::AlterUserScramCredentialsResponse { results: users.into_iter().map(result).collect(), ..Default::default() }
    };
    DescribeLogDirsRequest needs Describe, else |_asked, _message| m::DescribeLogDirsResponse {
        error_code: FAILED, ..Default::default()
    };
    AlterReplicaLogDirsRequest needs Alter, else |asked, _message| {
        use m::alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult};
        let partition =
            |&partition_index: &i32| AlterReplicaLogDirPartitionResult { partition_index, error_code: FAILED };
        let topic = |topic: &m::alter_replica_log_dirs_request::AlterReplicaLogDirTopic| AlterReplicaLogDirTopicResult {
            topic_name: topic.name.clone(),
            partitions: topic.partitions.iter().map(partition).collect(),
        };
        let topics = asked.dirs.iter().flat_map(|dir| &dir.topics);
        m::AlterReplicaLogDirsResponse { results: topics.map(topic).collect(), ..Default::default() }
    };
    AlterPartitionReassignmentsRequest needs Alter, else |asked, message| {
        use m::alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse};
        let partition = |partition_index| ReassignablePartitionResponse {
            partition_index, error_code: FAILED, error_message: message.clone(),
        };
        let topic = |topic: &m::alter_partition_reassignments_request::ReassignableTopic| ReassignableTopicResponse {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
        };
        m::AlterPartitionReassignmentsResponse {
            error_code: FAILED,
            error_message: message.clone(),
            responses: asked.topics.iter().map(topic).collect(),
            ..Default::default()
        }
    };
    ListPartitionReassignmentsRequest needs Describe, else |asked, message| {
        use m::list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment};
        let topic = |topic: &m::list_partition_reassignments_request::ListPartitionReassignmentsTopics| {
            let partition = |&partition_index: &i32| OngoingPartitionReassignment { partition_index, ..Default::default() };
            OngoingTopicReassignment {
                name: topic.name.clone(),
                partitions: topic.partition_indexes.iter().map(partition).collect(),
            }
        };
        m::ListPartitionReassignmentsResponse {
            error_code: FAILED,
            error_message: message,
            topics: asked.topics.iter().flatten().map(topic).collect(),
            ..Default::default()
        }
    };
    UnregisterBrokerRequest needs Alter, else |_asked, message| m::UnregisterBrokerResponse {
        error_code: FAILED, error_message: message, ..Default::default()
    };
    UpdateFeaturesRequest needs Alter, else |_asked, message| m::UpdateFeaturesResponse {
        error_code: FAILED, error_message: message, ..Default::default()
    };
    DescribeQuorumRequest needs Describe, else |_asked, _message| m::DescribeQuorumResponse {
        error_code: FAILED, error_message: usual(), ..Default::default()
    };
    ListConfigResourcesRequest needs DescribeConfigs, else |_asked, _message| m::ListConfigResourcesResponse {
        error_code: FAILED, ..Default::default()
    };
    AddRaftVoterRequest needs Alter, else |_asked, _message| m::AddRaftVoterResponse {
        error_code: FAILED, error_message: usual(), ..Default::default()
    };
    RemoveRaftVoterRequest needs Alter, else |_asked, _message| m::RemoveRaftVoterResponse {
        error_code: FAILED, error_message: usual(), ..Default::default()
    };
    UpdateRaftVoterRequest needs ClusterAction, else |_asked, _message| m::UpdateRaftVoterResponse {
        error_code: FAILED, ..Default::default()
    };
    AllocateProducerIdsRequest needs ClusterAction, else |_asked, _message| m::AllocateProducerIdsResponse {
        error_code: FAILED, ..Default::default()
    };
    BrokerRegistrationRequest needs ClusterAction, else |_asked, _message| m::BrokerRegistrationResponse {
        error_code: FAILED, ..Default::default()
    };
    BrokerHeartbeatRequest needs ClusterAction, else |_asked, _message| m::BrokerHeartbeatResponse {
        error_code: FAILED, ..Default::default()
    };
    AlterPartitionRequest needs ClusterAction, else |_asked, _message| m::AlterPartitionResponse {
        error_code: FAILED, ..Default::default()
    };
    AssignReplicasToDirsRequest needs ClusterAction, else |_asked, _message| m::AssignReplicasToDirsResponse {
        error_code: FAILED, ..Default::default()
    };
    ControllerRegistrationRequest needs ClusterAction, else |_asked, message| m::ControllerRegistrationResponse {
        error_code: FAILED, error_message: message, ..Default::default()
    };
    EnvelopeRequest needs ClusterAction, else |_asked, _message| m::EnvelopeResponse {
        error_code: FAILED, ..Default::default()
    };
    VoteRequest needs ClusterAction, else |_asked, _message| m::VoteResponse {
        error_code: FAILED, ..Default::default()
    };
    BeginQuorumEpochRequest needs ClusterAction, else |_asked, _message| m::BeginQuorumEpochResponse {
        error_code: FAILED, ..Default::default()
    };
    EndQuorumEpochRequest needs ClusterAction, else |_asked, _message| m::EndQuorumEpochResponse {
        error_code: FAILED, ..Default::default()
    };
    FetchSnapshotRequest needs ClusterAction, else |_asked, _message| m::FetchSnapshotResponse {
        error_code: FAILED, ..Default::default()
    };
}

/// ALTER; before version 1 there is no error of the whole answer.
impl Guarded for m::ElectLeadersRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
        if gate.may(Operation::Alter, Resource::CLUSTER) {
            return Restricted::Allowed;
        }
        let error_message: Option<ByteString> = Some(gate.needs(Operation::Alter).into());
        let partition = |&partition_id: &i32| PartitionResult {
            partition_id,
            error_code: FAILED,
            error_message: error_message.clone(),
        };
        let topic = |topic: &m::elect_leaders_request::TopicPartitions| ReplicaElectionResult {
            topic: topic.topic.clone(),
            partition_result: topic.partitions.iter().map(partition).collect(),
        };
        Restricted::Refused(m::ElectLeadersResponse {
            error_code: if gate.call.version >= 1 { FAILED } else { 0 },
            replica_election_results: self.topic_partitions.iter().flatten().map(topic).collect(),
            ..Default::default()
        })
    }
}
