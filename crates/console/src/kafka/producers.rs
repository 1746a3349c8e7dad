//! The producers that a partition's leader knows.

use std::collections::BTreeMap;

use thalweg_base::NodeId;
use thalweg_client::Destination;
use thalweg_wire::messages::DescribeProducersRequest;
use thalweg_wire::messages::describe_producers_request::TopicRequest;

use super::{Kafka, Topic, of_each, served};
use crate::trouble::Trouble;

/// An idempotent or transactional producer that has written to a partition not long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActiveProducer {
    pub(crate) partition: i32,
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) last_sequence: i32,
    /// When it wrote last, in milliseconds since 1970.
    pub(crate) last_ms: i64,
    /// Where its transaction begins, if one is open.
    pub(crate) open_since: Option<i64>,
    /// The epoch of the coordinator that wrote the last marker; -1 if none did.
    pub(crate) coordinator_epoch: i32,
}

impl Kafka {
    /// The producers of a topic's partitions, those that wrote last first; and what kept leaders from telling theirs. Brokers
    /// before Kafka 2.8 do not tell.
    pub(crate) async fn producers(&self, name: &str, topic: &Topic) -> (Vec<ActiveProducer>, Vec<Trouble>) {
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &topic.partitions {
            if let Some(leader) = partition.leader {
                led.entry(leader).or_default().push(partition.id);
            }
        }
        let answers = of_each(led.keys().copied(), |leader| {
            let partition_indexes = led.get(&leader.0).cloned().unwrap_or_default();
            let topics = vec![TopicRequest { name: name.into(), partition_indexes }];
            let (client, deadline) = (self.client.clone(), Self::deadline());
            async move {
                let request = DescribeProducersRequest { topics };
                client.send_by(&Destination::Node(NodeId(leader.0)), &request, deadline).await
            }
        });
        let (mut producers, mut troubles) = (Vec::new(), Vec::new());
        for (_, answer) in answers.await {
            let Some(response) = served(answer, &mut troubles) else { continue };
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let what = format!("producers of {name}-{}", partition.partition_index);
                let checked = Trouble::check(what, partition.error_code, partition.error_message.as_deref());
                troubles.extend(checked.err());
                producers.extend(partition.active_producers.iter().map(|producer| ActiveProducer {
                    partition: partition.partition_index,
                    id: producer.producer_id,
                    epoch: producer.producer_epoch,
                    last_sequence: producer.last_sequence,
                    last_ms: producer.last_timestamp,
                    open_since: (producer.current_txn_start_offset >= 0).then_some(producer.current_txn_start_offset),
                    coordinator_epoch: producer.coordinator_epoch,
                }));
            }
        }
        producers.sort_by_key(|producer| (std::cmp::Reverse(producer.last_ms), producer.partition, producer.id));
        (producers, troubles)
    }
}
