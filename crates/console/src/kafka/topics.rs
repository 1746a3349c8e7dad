//! Topics: where their partitions begin and end.

use thalweg_base::TopicPartition;
use thalweg_client::{Isolation, ListedOffset, OffsetSpec};
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;

use super::{Kafka, Topic};
use crate::trouble::Trouble;

/// A partition whose leader does not answer in this time is shown without its offsets.
const OFFSETS_TIME_MAX: Duration = Duration::from_secs(5);

/// The offsets of a partition's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The offset of the first record.
    pub(crate) first: i64,
    /// The offset behind the last record that readers of committed transactions may read.
    pub(crate) end: i64,
}

impl Range {
    /// How many offsets there are: as many as records, unless some were compacted or are markers of transactions.
    pub(crate) fn len(self) -> i64 {
        (self.end - self.first).max(0)
    }

    /// How many offsets a reader at `offset` has before it: those that are gone do not count.
    pub(crate) fn lag_of(self, offset: i64) -> i64 {
        self.end - offset.max(self.first)
    }
}

impl Kafka {
    /// The offsets of these partitions, in their order; `None` where nobody says.
    pub(crate) async fn ranges(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Range>>, Trouble> {
        let deadline = now() + OFFSETS_TIME_MAX;
        let of = |spec: OffsetSpec| -> Vec<(TopicPartition, OffsetSpec)> {
            partitions.iter().map(|partition| (partition.clone(), spec)).collect()
        };
        let (first, end) = (of(OffsetSpec::Earliest), of(OffsetSpec::Latest));
        let (first, end) = tokio::join!(
            self.client.list_offsets(&first, Isolation::ReadUncommitted, deadline),
            self.client.list_offsets(&end, Isolation::ReadCommitted, deadline),
        );
        let pairs = first?.into_iter().zip(end?);
        Ok(pairs.map(|(first, end)| Some(Range { first: first.ok()?.offset?.0, end: end.ok()?.offset?.0 })).collect())
    }

    /// The offsets of a topic's partitions, in their order; `None` where nobody leads, or nobody says.
    pub(crate) async fn topic_ranges(&self, name: &str, topic: &Topic) -> Result<Vec<Option<Range>>, Trouble> {
        let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
        let asked: Vec<TopicPartition> = led.map(|partition| TopicPartition::new(name, partition.id)).collect();
        let mut answers = self.ranges(&asked).await?.into_iter();
        let of = |partition: &super::Partition| partition.leader.and_then(|_| answers.next().flatten());
        Ok(topic.partitions.iter().map(of).collect())
    }

    /// An offset of each partition, in their order; `None` where no record is like that.
    ///
    /// # Errors
    /// When the leader of one of them does not answer.
    pub(crate) async fn look_up(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<Vec<Option<i64>>, Trouble> {
        let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        let found = self.client.list_offsets(&wanted, Isolation::ReadUncommitted, Self::deadline()).await?;
        let offset = |(listed, partition): (Result<ListedOffset, ErrorCode>, &TopicPartition)| {
            let listed = listed.map_err(|code| Trouble::of_code(format!("an offset of {partition}"), code, None))?;
            Ok(listed.offset.map(|offset| offset.0))
        };
        found.into_iter().zip(partitions).map(offset).collect()
    }
}
