//! What those who watch a coordinator want to know: how many groups there are, and what happens to them.

use std::collections::BTreeMap;

use crate::group::Group;
use crate::records::Record;
use crate::shard::Shard;
use crate::tally::Tally;

/// What a shard holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Classic groups by the names of their states.
    pub classic: BTreeMap<&'static str, usize>,
    /// Consumer groups by the names of theirs.
    pub consumer: BTreeMap<&'static str, usize>,
    /// Share groups by the names of theirs.
    pub share: BTreeMap<&'static str, usize>,
    /// Streams groups by the names of theirs.
    pub streams: BTreeMap<&'static str, usize>,
    /// Committed offsets.
    pub offsets: usize,
}

impl Census {
    /// The groups of the other shard as well.
    pub fn add(&mut self, other: &Self) {
        let kinds = [
            (&mut self.classic, &other.classic),
            (&mut self.consumer, &other.consumer),
            (&mut self.share, &other.share),
            (&mut self.streams, &other.streams),
        ];
        for (mine, others) in kinds {
            for (state, count) in others {
                *mine.entry(state).or_default() += count;
            }
        }
        self.offsets += other.offsets;
    }
}

impl Shard {
    /// What happened since it was loaded.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.outbox.tally
    }

    /// Counts what it holds: as many steps as there are groups, and topics with offsets in them.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census { offsets: self.offsets.len(), ..Census::default() };
        for group in self.groups.values() {
            match group {
                Group::Classic(group) => *census.classic.entry(group.state().name()).or_default() += 1,
                Group::Consumer(group) => *census.consumer.entry(group.state_name()).or_default() += 1,
                Group::Share(group) => *census.share.entry(group.state_name()).or_default() += 1,
                Group::Streams(group) => *census.streams.entry(group.state_name()).or_default() += 1,
            }
        }
        census
    }
}

/// How many of these take back an offset.
pub(crate) fn offsets_taken_back(records: &[Record]) -> u64 {
    let offsets = records.iter().filter(|record| matches!(record, Record::OffsetCommit { value: None, .. }));
    offsets.count() as u64
}
