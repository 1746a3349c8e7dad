//! What a transaction needs of other nodes: markers in partitions that they lead, and answers of the coordinators there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name::TRANSACTION_STATE;
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::Duration;
use thalweg_transactions::{Answer, Partitions, Producer, Request, Written};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use thalweg_wire::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use thalweg_wire::messages::{AddPartitionsToTxnResponse, WriteTxnMarkersResponse};
use tokio::sync::oneshot;

use super::{Asked, Outcome};
use crate::drivers::coordination::leader;
use crate::drivers::marker::Marker;
use crate::drivers::metadata::MetadataHandle;
use crate::drivers::peers::Peers;
use crate::security::Outgoing;

/// How long another node has for an answer: Kafka's `request.timeout.ms` of brokers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The way to other nodes. A node that leads no more is not waited for.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// Kafka, too, keeps the two apart: a producer that begins does not wait behind transactions that end.
    marker_senders: Peers,
    verifiers: Peers,
    metadata: MetadataHandle,
}

/// What the coordinator on another node is asked.
pub(super) struct Question {
    transactional_id: ByteString,
    producer: Producer,
    partitions: Partitions,
    intent: Intent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Add,
    Verify,
}

impl Question {
    /// `None` for what only the coordinator's own clients ask.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let (transactional_id, producer, partitions, intent) = match request {
            Request::AddPartitions { transactional_id, producer, partitions, .. } => {
                (transactional_id, producer, partitions, Intent::Add)
            }
            Request::VerifyPartitions { transactional_id, producer, partitions } => {
                (transactional_id, producer, partitions, Intent::Verify)
            }
            _ => return None,
        };
        let (transactional_id, producer, partitions) = (transactional_id.clone(), *producer, partitions.clone());
        Some(Self { transactional_id, producer, partitions, intent })
    }

    fn request(&self) -> AddPartitionsToTxnRequest {
        let topics = self.partitions.iter().map(|(name, indexes)| AddPartitionsToTxnTopic {
            name: (&**name).into(),
            partitions: indexes.iter().copied().collect(),
        });
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.producer.id.0,
            producer_epoch: self.producer.epoch.0,
            verify_only: self.intent == Intent::Verify,
            topics: topics.collect(),
        };
        AddPartitionsToTxnRequest { transactions: vec![transaction], ..AddPartitionsToTxnRequest::default() }
    }

    /// What the coordinator's answer means here.
    fn outcome(&self, response: AddPartitionsToTxnResponse) -> Outcome {
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {}
            // The coordinator does not take this broker's word: clients cannot help that.
            ErrorCode::ClusterAuthorizationFailed => return Err(ErrorCode::InvalidTxnState),
            error => return Err(error),
        }
        let results = response.results_by_transaction.into_iter();
        let own = results.filter(|result| result.transactional_id == self.transactional_id);
        let mut unnamed = self.partitions.clone();
        let mut missing = Partitions::new();
        let mut refusal = None;
        for topic in own.flat_map(|result| result.topic_results) {
            for result in topic.results_by_partition {
                if let Some(indexes) = unnamed.get_mut(&*topic.name) {
                    indexes.remove(&result.partition_index);
                }
                match ErrorCode::from(result.partition_error_code) {
                    ErrorCode::None => {}
                    ErrorCode::TransactionAbortable if self.intent == Intent::Verify => {
                        missing.entry(Box::from(&*topic.name)).or_default().insert(result.partition_index);
                    }
                    // Another partition is the reason.
                    ErrorCode::OperationNotAttempted => refusal = refusal.or(Some(ErrorCode::OperationNotAttempted)),
                    error => {
                        refusal = refusal.filter(|known| *known != ErrorCode::OperationNotAttempted).or(Some(error));
                    }
                }
            }
        }
        if unnamed.values().any(|indexes| !indexes.is_empty()) {
            return Err(ErrorCode::UnknownServerError);
        }
        Ok(match self.intent {
            Intent::Add => Answer::Added(refusal.map_or(Ok(()), Err)),
            Intent::Verify => Answer::Verified(refusal.map_or(Ok(missing), Err)),
        })
    }

    /// What is to be done when the coordinator could not be asked.
    fn without_answer(&self, error: ErrorCode) -> Outcome {
        match error {
            ErrorCode::BrokerNotAvailable => Err(ErrorCode::CoordinatorNotAvailable),
            // A broker from before KIP-890 verifies nothing: neither did Kafka's brokers beside it.
            ErrorCode::UnsupportedVersion => Ok(match self.intent {
                Intent::Add => Answer::Added(Ok(())),
                Intent::Verify => Answer::Verified(Ok(Partitions::new())),
            }),
            error => Err(error),
        }
    }
}

impl Elsewhere {
    pub(super) fn new(node: NodeId, security: &Arc<Outgoing>, metadata: MetadataHandle) -> Self {
        let peers = |purpose| Peers::new(node, Arc::clone(security), purpose);
        let (marker_senders, verifiers) = (peers("txn-marker-sender"), peers("add-partitions-to-txn-manager"));
        Self { marker_senders, verifiers, metadata }
    }

    /// Asks the coordinator of a partition of `__transaction_state`, which is on that node.
    pub(super) fn ask(self: &Arc<Self>, node: NodeId, index: i32, question: Question) -> Asked {
        let this = Arc::clone(self);
        let (sender, receiver) = oneshot::channel();
        task::spawn(async move {
            let request = question.request();
            let coordinates = |image: &MetadataImage| leader(image, TRANSACTION_STATE, index) == Some(node);
            let answered = this.send(&this.verifiers, node, &request, coordinates).await;
            let outcome = match answered {
                Ok(response) => question.outcome(response),
                Err(error) => question.without_answer(error),
            };
            // The producer may have left.
            let _ = sender.send(outcome);
        });
        Asked::Later(receiver)
    }

    /// Has a node write markers of one transaction into partitions that it leads.
    pub(super) fn write(self: &Arc<Self>, node: NodeId, markers: Vec<Marker>) -> JoinHandle<Vec<Written>> {
        let this = Arc::clone(self);
        task::spawn(async move {
            let request = write_request(&markers);
            let leads = |image: &MetadataImage| {
                markers.iter().any(|marker| leader(image, &marker.topic, marker.partition) == Some(node))
            };
            match this.send(&this.marker_senders, node, &request, leads).await {
                Ok(response) => written(response, &markers),
                Err(error) => markers.iter().map(|marker| marker.written(Err(error))).collect(),
            }
        })
    }

    /// Sends a request to a node, and waits for its answer while `is_right` says that this is the node to ask.
    async fn send<Q: thalweg_wire::Request>(
        &self,
        peers: &Peers,
        node: NodeId,
        request: &Q,
        is_right: impl Fn(&MetadataImage) -> bool,
    ) -> Result<Q::Response, ErrorCode> {
        let image = self.metadata.image();
        tokio::select! {
            biased;
            answered = peers.send(&image, node, request, ANSWER_TIMEOUT) => answered,
            _ = self.metadata.image_when(|image| !is_right(image)) => Err(ErrorCode::NetworkException),
        }
    }
}

/// The markers are of one transaction.
fn write_request(markers: &[Marker]) -> WriteTxnMarkersRequest {
    let Some(first) = markers.first() else { return WriteTxnMarkersRequest::default() };
    let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for marker in markers {
        topics.entry(&marker.topic).or_default().insert(marker.partition);
    }
    let topic = |(name, indexes): (&str, BTreeSet<i32>)| WritableTxnMarkerTopic {
        name: name.into(),
        partition_indexes: indexes.into_iter().collect(),
    };
    let marker = WritableTxnMarker {
        producer_id: first.producer.id.0,
        producer_epoch: first.producer.epoch.0,
        transaction_result: first.committed,
        topics: topics.into_iter().map(topic).collect(),
        coordinator_epoch: first.coordinator_epoch,
        transaction_version: i8::try_from(first.transaction_version).unwrap_or(0),
    };
    WriteTxnMarkersRequest { markers: vec![marker] }
}

/// What became of `markers`; what is not named is not said to be written.
fn written(response: WriteTxnMarkersResponse, markers: &[Marker]) -> Vec<Written> {
    let asked: BTreeMap<(&str, i32), &Marker> =
        markers.iter().map(|marker| ((&*marker.topic, marker.partition), marker)).collect();
    let mut results = Vec::with_capacity(markers.len());
    for topic in response.markers.into_iter().flat_map(|marker| marker.topics) {
        for partition in topic.partitions {
            let result = match ErrorCode::from(partition.error_code) {
                ErrorCode::None => Ok(()),
                error => Err(error),
            };
            let marker = asked.get(&(&*topic.name, partition.partition_index));
            results.extend(marker.map(|marker| marker.written(result)));
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use thalweg_base::{ProducerEpoch, ProducerId};
    use thalweg_wire::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    };

    use super::*;

    fn question(intent: Intent) -> Question {
        let partitions = Partitions::from([("t".into(), BTreeSet::from([0, 1]))]);
        let producer = Producer { id: ProducerId(7), epoch: ProducerEpoch(1) };
        Question { transactional_id: "id".into(), producer, partitions, intent }
    }

    fn response(errors: &[ErrorCode]) -> AddPartitionsToTxnResponse {
        let results = errors.iter().zip(0..).map(|(error, partition_index)| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: error.code(),
        });
        let topic = AddPartitionsToTxnTopicResult { name: "t".into(), results_by_partition: results.collect() };
        let transaction = AddPartitionsToTxnResult { transactional_id: "id".into(), topic_results: vec![topic] };
        AddPartitionsToTxnResponse { results_by_transaction: vec![transaction], ..Default::default() }
    }

    #[test]
    fn verification_names_the_partitions_that_the_transaction_lacks() {
        let answer = response(&[ErrorCode::None, ErrorCode::TransactionAbortable]);
        let lacking = Partitions::from([("t".into(), BTreeSet::from([1]))]);
        assert_eq!(question(Intent::Verify).outcome(answer), Ok(Answer::Verified(Ok(lacking))));
        let fenced = response(&[ErrorCode::ProducerFenced; 2]);
        let refused = Ok(Answer::Verified(Err(ErrorCode::ProducerFenced)));
        assert_eq!(question(Intent::Verify).outcome(fenced), refused);
    }

    #[test]
    fn a_refused_addition_has_the_reason_of_the_partition_at_fault() {
        let both = question(Intent::Add);
        assert_eq!(both.outcome(response(&[ErrorCode::None; 2])), Ok(Answer::Added(Ok(()))));
        let unknown = ErrorCode::UnknownTopicOrPartition;
        for errors in [[ErrorCode::OperationNotAttempted, unknown], [unknown, ErrorCode::OperationNotAttempted]] {
            assert_eq!(both.outcome(response(&errors)), Ok(Answer::Added(Err(unknown))));
        }
    }

    #[test]
    fn an_answer_that_leaves_a_partition_out_vouches_for_nothing() {
        let half = response(&[ErrorCode::None]);
        assert_eq!(question(Intent::Verify).outcome(half), Err(ErrorCode::UnknownServerError));
    }
}
