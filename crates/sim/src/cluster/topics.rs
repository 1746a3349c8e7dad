//! The topics of a story.

use thalweg_client::Isolation;

/// A topic of the story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    /// Its name.
    pub(super) name: &'static str,
    /// Its first partition, as the history counts those of all topics.
    first_key: i32,
    /// How it is read.
    pub(super) isolation: Isolation,
}

/// So many partitions has each topic.
pub(super) const PARTITIONS: i32 = 3;
/// Idempotent producers write to it.
pub(super) const PLAIN: Topic = Topic { name: "plain", first_key: 0, isolation: Isolation::ReadUncommitted };
/// Transactions are written to it.
pub(super) const TRANSACTIONAL: Topic =
    Topic { name: "transactional", first_key: 10, isolation: Isolation::ReadCommitted };

/// All of them.
pub(super) const TOPICS: [Topic; 2] = [PLAIN, TRANSACTIONAL];

impl Topic {
    /// Its partitions.
    pub(super) fn partitions(self) -> impl Iterator<Item = i32> {
        0..PARTITIONS
    }

    /// How the history names a partition.
    pub(super) fn key(self, partition: i32) -> i32 {
        self.first_key + partition
    }
}
