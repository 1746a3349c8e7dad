//! What an application is told of rebalances.

use std::collections::BTreeMap;
use std::fmt;

use thalweg_base::{LeaderEpoch, Offset, TopicPartition};

/// Is told, during polls and when the consumer is closed, which partitions a group gives and takes. All methods do nothing
/// unless they are written.
pub trait RebalanceListener: Send {
    /// Partitions have come. They begin at their committed offsets, if nothing else is sought before the next poll.
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }

    /// Partitions go to other members. The offsets that are returned are committed before: each is that of the next record
    /// to read. With `enable.auto.commit` the consumer's positions are committed too.
    fn revoked(&mut self, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, (Offset, LeaderEpoch)> {
        let _ = partitions;
        BTreeMap::new()
    }

    /// Partitions have gone to other members already, since this one was not heard of for too long. Nothing can be
    /// committed any more.
    fn lost(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
    }
}

impl fmt::Debug for dyn RebalanceListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RebalanceListener")
    }
}
