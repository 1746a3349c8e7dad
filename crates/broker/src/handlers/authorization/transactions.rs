//! APIs of transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource, ResourceType};
use thalweg_metadata::topic_name;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Gate, Guarded, Restricted, split};

const ID_FAILED: i16 = ErrorCode::TransactionalIdAuthorizationFailed.code();
const GROUP_FAILED: i16 = ErrorCode::GroupAuthorizationFailed.code();
/// From this version on only brokers add partitions for several transactions.
const BATCHED_ADDS: i16 = 4;

fn may_write(gate: &Gate, transactional_id: &str) -> bool {
    gate.may(Operation::Write, Resource::transactional_id(transactional_id))
}

impl Guarded for m::InitProducerIdRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let error = match &self.transactional_id {
            Some(id) => {
                let two_phase = || gate.may(Operation::TwoPhaseCommit, Resource::transactional_id(id));
                let allowed = may_write(gate, id) && (!self.enable2_pc || two_phase());
                (!allowed).then_some(ID_FAILED)
            }
            None => {
                let allowed = gate.may_silently(Operation::IdempotentWrite, Resource::CLUSTER)
                    || gate.may_with_some(Operation::Write, ResourceType::Topic);
                (!allowed).then_some(ErrorCode::ClusterAuthorizationFailed.code())
            }
        };
        match error {
            None => Restricted::Allowed,
            Some(error_code) => Restricted::Refused(m::InitProducerIdResponse {
                error_code,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            }),
        }
    }
}

impl Guarded for m::EndTxnRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        match may_write(gate, &self.transactional_id) {
            true => Restricted::Allowed,
            false => Restricted::Refused(m::EndTxnResponse { error_code: ID_FAILED, ..Default::default() }),
        }
    }
}

impl Guarded for m::AddOffsetsToTxnRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let error_code = match may_write(gate, &self.transactional_id) {
            false => ID_FAILED,
            true if !gate.may(Operation::Read, Resource::group(&self.group_id)) => GROUP_FAILED,
            true => return Restricted::Allowed,
        };
        Restricted::Refused(m::AddOffsetsToTxnResponse { error_code, ..Default::default() })
    }
}

impl Guarded for m::AddPartitionsToTxnRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if gate.call.version >= BATCHED_ADDS {
            if gate.may(Operation::ClusterAction, Resource::CLUSTER) {
                return Restricted::Allowed;
            }
            let error_code = ErrorCode::ClusterAuthorizationFailed.code();
            return Restricted::Refused(m::AddPartitionsToTxnResponse { error_code, ..Default::default() });
        }
        let allowed = may_write(gate, &self.v3_and_below_transactional_id);
        let mut refused: BTreeMap<&ByteString, bool> = BTreeMap::new();
        for topic in self.v3_and_below_topics.iter().filter(|_| allowed) {
            // The handler refuses these itself.
            let is_internal = topic_name::is_internal(&topic.name);
            let refuses = || !is_internal && !gate.may(Operation::Write, Resource::topic(&topic.name));
            refused.entry(&topic.name).or_insert_with(refuses);
        }
        if allowed && !refused.values().any(|refused| *refused) {
            return Restricted::Allowed;
        }
        // All or nothing: one refused topic keeps all the others out.
        let error = |topic: &ByteString, index: i32| match refused.get(topic) {
            None => ErrorCode::TransactionalIdAuthorizationFailed,
            Some(true) => ErrorCode::TopicAuthorizationFailed,
            Some(false) if topic_name::is_internal(topic) => ErrorCode::TopicAuthorizationFailed,
            Some(false) if gate.image.topics().by_name(topic).is_none_or(|t| t.partition(index).is_none()) => {
                ErrorCode::UnknownTopicOrPartition
            }
            Some(false) => ErrorCode::OperationNotAttempted,
        };
        use m::add_partitions_to_txn_response::{AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult};
        let topics = self.v3_and_below_topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: topic
                .partitions
                .iter()
                .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                    partition_index,
                    partition_error_code: error(&topic.name, partition_index).code(),
                })
                .collect(),
        });
        Restricted::Refused(m::AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: topics.collect(),
            ..Default::default()
        })
    }
}

impl Guarded for m::TxnOffsetCommitRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
        let refused = |topics: &[m::txn_offset_commit_request::TxnOffsetCommitRequestTopic], error_code| {
            let topic = |topic: &m::txn_offset_commit_request::TxnOffsetCommitRequestTopic| {
                let partition = |partition_index| TxnOffsetCommitResponsePartition { partition_index, error_code };
                TxnOffsetCommitResponseTopic {
                    name: topic.name.clone(),
                    partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
                }
            };
            topics.iter().map(topic).collect::<Vec<_>>()
        };
        let error_code = match may_write(gate, &self.transactional_id) {
            false => Some(ID_FAILED),
            true if !gate.may(Operation::Read, Resource::group(&self.group_id)) => Some(GROUP_FAILED),
            true => None,
        };
        if let Some(error_code) = error_code {
            let topics = refused(&self.topics, error_code);
            return Restricted::Refused(m::TxnOffsetCommitResponse { topics, ..Default::default() });
        }
        let topics = std::mem::take(&mut self.topics);
        let (allowed, others) = split(gate, Operation::Read, topics, |topic| Resource::topic(&topic.name));
        self.topics = allowed;
        let others = refused(&others, ErrorCode::TopicAuthorizationFailed.code());
        Restricted::amended(!others.is_empty(), move |response: &mut m::TxnOffsetCommitResponse| {
            response.topics.extend(others.iter().cloned());
        })
    }
}

impl Guarded for m::WriteTxnMarkersRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::write_txn_markers_response as r;
        let allowed = gate.may_silently(Operation::Alter, Resource::CLUSTER)
            || gate.may(Operation::ClusterAction, Resource::CLUSTER);
        if allowed {
            return Restricted::Allowed;
        }
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        let partition = |&partition_index: &i32| r::WritableTxnMarkerPartitionResult { partition_index, error_code };
        let markers = self.markers.iter().map(|marker| r::WritableTxnMarkerResult {
            producer_id: marker.producer_id,
            topics: marker
                .topics
                .iter()
                .map(|topic| r::WritableTxnMarkerTopicResult {
                    name: topic.name.clone(),
                    partitions: topic.partition_indexes.iter().map(partition).collect(),
                })
                .collect(),
        });
        Restricted::Refused(m::WriteTxnMarkersResponse { markers: markers.collect() })
    }
}

impl Guarded for m::DescribeTransactionsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let ids = std::mem::take(&mut self.transactional_ids);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| gate.may(Operation::Describe, Resource::transactional_id(id)));
        self.transactional_ids = allowed;
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::DescribeTransactionsResponse| {
            for state in &mut response.transaction_states {
                state.topics.retain(|topic| gate.may(Operation::Describe, Resource::topic(&topic.topic)));
            }
            let refused = refused.iter().map(|id| m::describe_transactions_response::TransactionState {
                error_code: ID_FAILED,
                transactional_id: id.clone(),
                ..Default::default()
            });
            response.transaction_states.extend(refused);
        })
    }
}

impl Guarded for m::ListTransactionsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::ListTransactionsResponse| {
            let may_see = |id: &ByteString| gate.may(Operation::Describe, Resource::transactional_id(id));
            response.transaction_states.retain(|state| may_see(&state.transactional_id));
        })
    }
}
