//! Ids, positions and epochs as newtypes.

use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A position in a partition's log, counted in records. The first record of a new log has offset 0.
    Offset(i64)
}
number! {
    /// How often a partition (or the metadata quorum) has had a new leader. -1 means "not known".
    LeaderEpoch(i32)
}
number! {
    /// A node's id (`node.id`, `broker.id`). -1 means "none".
    NodeId(i32)
}
number! {
    /// The offset of a broker's registration record: a new one each time it registers (KIP-631).
    BrokerEpoch(i64)
}
number! {
    /// The id that an idempotent or transactional producer was given. -1 means "none" (KIP-98).
    ProducerId(i64)
}
number! {
    /// Fences older instances of one producer id. -1 means "none" (KIP-98).
    ProducerEpoch(i16)
}
number! {
    /// Milliseconds since 1970-01-01 UTC. -1 means "no timestamp".
    Timestamp(i64)
}

impl Offset {
    /// The first offset of a new log.
    pub const ZERO: Self = Self(0);
    /// The largest offset there is.
    pub const MAX: Self = Self(i64::MAX);

    /// The offset `records` further on; saturates instead of wrapping.
    #[must_use]
    pub const fn plus(self, records: i64) -> Self {
        Self(self.0.saturating_add(records))
    }

    /// The offset after this one; saturates at [`Offset::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl LeaderEpoch {
    /// "Not known": what clients send that do not check epochs (KIP-320).
    pub const NONE: Self = Self(-1);
}

impl NodeId {
    /// "No node", as in a partition without a leader.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// What a batch carries whose producer is not idempotent.
    pub const NONE: Self = Self(-1);
}

impl Timestamp {
    /// What a batch carries whose records have no timestamp.
    pub const NONE: Self = Self(-1);
}

/// A partition of a topic, by the topic's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_saturate() {
        assert_eq!(Offset::MAX.next(), Offset::MAX);
        assert_eq!(Offset::ZERO.plus(5), Offset(5));
    }

    #[test]
    fn a_partition_is_written_as_its_directory_is_named() {
        assert_eq!(TopicPartition::new("a-b", 7).to_string(), "a-b-7");
    }
}
