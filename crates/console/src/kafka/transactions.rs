//! Transactions: those that coordinators know, and those that partitions wait for.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_client::Destination;
use thalweg_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use thalweg_wire::messages::{DescribeTransactionsRequest, ListTransactionsRequest, WriteTxnMarkersRequest};

use super::{Kafka, Snapshot, of_each, served};
use crate::trouble::Trouble;

/// A transactional id, as its coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) producer_id: i64,
    pub(crate) coordinator: i32,
}

impl Transaction {
    /// Whether partitions wait for its end.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "Ongoing" | "PrepareCommit" | "PrepareAbort" | "PrepareEpochFence")
    }
}

/// A transaction, as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionDetail {
    pub(crate) timeout_ms: i32,
    /// In milliseconds since 1970; -1 outside of a transaction.
    pub(crate) started_ms: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// A transaction that is open in a partition and that its coordinator does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hanging {
    pub(crate) partition: TopicPartition,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) coordinator_epoch: i32,
}

impl Kafka {
    /// The transactional ids of all coordinators, open ones first; brokers that do not answer are named beside them. Brokers
    /// before Kafka 3.0 list none.
    pub(crate) async fn transactions(&self, snapshot: &Snapshot) -> (Vec<Transaction>, Vec<Trouble>) {
        let client = self.client.clone();
        let answers = of_each(snapshot.brokers.iter().map(|broker| broker.id), |node| {
            let (client, deadline) = (client.clone(), Self::deadline());
            async move { client.send_by(&Destination::Node(node), &ListTransactionsRequest::default(), deadline).await }
        });
        let (mut transactions, mut troubles) = (Vec::new(), Vec::new());
        for (coordinator, answer) in answers.await {
            let Some(response) = served(answer, &mut troubles) else { continue };
            let what = format!("transactions of broker {coordinator}");
            troubles.extend(Trouble::check(what, response.error_code, None).err());
            transactions.extend(response.transaction_states.into_iter().map(|found| Transaction {
                id: found.transactional_id.to_string(),
                state: found.transaction_state.to_string(),
                producer_id: found.producer_id,
                coordinator,
            }));
        }
        transactions.sort_by(|one, other| (!one.is_open(), &one.id).cmp(&(!other.is_open(), &other.id)));
        (transactions, troubles)
    }

    /// What coordinators say of these transactional ids, by id; those that they do not know are left out.
    pub(crate) async fn describe_transactions(
        &self,
        transactions: &[&Transaction],
    ) -> Result<BTreeMap<String, TransactionDetail>, Trouble> {
        let mut ids: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
        for transaction in transactions {
            ids.entry(transaction.coordinator).or_default().push(&transaction.id);
        }
        let mut found = BTreeMap::new();
        for (coordinator, ids) in ids {
            let transactional_ids = ids.into_iter().map(Into::into).collect();
            let request = DescribeTransactionsRequest { transactional_ids };
            let to = Destination::Node(thalweg_base::NodeId(coordinator));
            for state in self.ask(to, &request).await?.transaction_states {
                if state.error_code != 0 {
                    continue;
                }
                let partitions = state.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|partition| TopicPartition::new(&*topic.topic, *partition))
                });
                let detail = TransactionDetail {
                    timeout_ms: state.transaction_timeout_ms,
                    started_ms: state.transaction_start_time_ms,
                    producer_epoch: state.producer_epoch,
                    partitions: partitions.collect(),
                };
                found.insert(state.transactional_id.to_string(), detail);
            }
        }
        Ok(found)
    }

    /// Ends a transaction in one partition by the marker of an abort, as its coordinator would.
    pub(crate) async fn abort_transaction(&self, hanging: &Hanging) -> Result<(), Trouble> {
        let partition = &hanging.partition;
        let topics = vec![WritableTxnMarkerTopic {
            name: (&*partition.topic).into(),
            partition_indexes: vec![partition.partition],
        }];
        let marker = WritableTxnMarker {
            producer_id: hanging.producer_id,
            producer_epoch: hanging.producer_epoch,
            transaction_result: false,
            topics,
            // A partition without a marker of this producer has -1, which is no epoch of a coordinator.
            coordinator_epoch: hanging.coordinator_epoch.max(0),
            ..WritableTxnMarker::default()
        };
        let request = WriteTxnMarkersRequest { markers: vec![marker] };
        let response = self.ask(Destination::Leader(partition.clone()), &request).await?;
        for result in response.markers.iter().flat_map(|marker| &marker.topics).flat_map(|topic| &topic.partitions) {
            Trouble::check(format!("aborting a transaction in {partition}"), result.error_code, None)?;
        }
        Ok(())
    }
}
