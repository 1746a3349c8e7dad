//! Reading records as they are written.

use thalweg_base::TopicPartition;
use thalweg_client::{ConsumerRecord, Start};
use thalweg_sys::time::Instant;

use super::{Kafka, Reader, Topic, Turn};
use crate::trouble::Trouble;

/// What one fetch brings.
const FETCH_BYTES_MAX: i32 = 4 << 20;
/// So many records come at once.
const RECORDS_MAX: usize = 5000;
/// Whoever is so many offsets behind in a partition leaps to its end.
const BEHIND_MAX: i64 = 100_000;

/// Reads partitions from their ends on.
#[derive(Debug)]
pub(crate) struct Tail {
    consumer: Reader,
    partitions: Vec<TopicPartition>,
    _turn: Turn,
}

impl Kafka {
    /// Reads a topic, or one partition of it, from its end on.
    pub(crate) async fn tail(&self, name: &str, topic: &Topic, only: Option<i32>) -> Result<Tail, Trouble> {
        let ids =
            topic.partitions.iter().map(|partition| partition.id).filter(|id| only.is_none_or(|only| only == *id));
        let partitions: Vec<TopicPartition> = ids.map(|id| TopicPartition::new(name, id)).collect();
        if partitions.is_empty() {
            return Err(Trouble::no_partition(name, only.unwrap_or_default()));
        }
        let turn = self.long_turn().await?;
        let mut consumer = self.consumer(RECORDS_MAX, FETCH_BYTES_MAX)?;
        consumer.assign(partitions.iter().map(|partition| (partition.clone(), Start::End)));
        Ok(Tail { consumer, partitions, _turn: turn })
    }
}

impl Tail {
    /// The records that have come; none if none do by `deadline`.
    pub(crate) async fn poll(&mut self, deadline: Instant) -> Result<Vec<ConsumerRecord>, Trouble> {
        let records = self.consumer.poll(deadline).await?;
        self.consumer.take_passed_over();
        Ok(records)
    }

    /// Leaps to the ends of partitions in which it is far behind; gives how many offsets were left out.
    pub(crate) fn leap(&mut self) -> i64 {
        let mut skipped = 0;
        for partition in &self.partitions {
            let (at, end) = (self.consumer.position(partition), self.consumer.high_watermark(partition));
            let (Some(at), Some(end)) = (at, end) else { continue };
            if end.0 - at.0 > BEHIND_MAX {
                skipped += end.0 - at.0;
                self.consumer.seek(partition, Start::At(end));
            }
        }
        skipped
    }
}
