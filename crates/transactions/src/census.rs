//! What a monitoring system wants to know of a coordinator: how many transactions there are, and how they end.

use std::collections::BTreeMap;

use thalweg_base::Timestamp;

use crate::shard::Shard;
use crate::tally::Tally;
use crate::transaction::State;

/// The transactional ids in one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InState {
    /// How many there are.
    pub count: usize,
    /// How long one of them has been there at most, in milliseconds: an open transaction since its first partition, any
    /// other since its last change.
    pub age_ms_max: i64,
}

/// The transactional ids that a shard holds, by the names of their states. Every state is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census(pub BTreeMap<&'static str, InState>);

impl Default for Census {
    fn default() -> Self {
        Self(State::ALL.iter().map(|state| (state.name(), InState::default())).collect())
    }
}

impl Census {
    /// Adds the transactional ids of another shard.
    pub fn add(&mut self, other: &Self) {
        for (state, others) in &other.0 {
            let mine = self.0.entry(state).or_default();
            mine.count += others.count;
            mine.age_ms_max = mine.age_ms_max.max(others.age_ms_max);
        }
    }
}

impl Shard {
    /// What happened since it was loaded.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Counts the transactional ids: as many steps as there are.
    #[must_use]
    pub fn census(&self, now: Timestamp) -> Census {
        let mut census = Census::default();
        for entry in self.ids.values() {
            let transaction = &entry.transaction;
            let since = if transaction.state == State::Ongoing { transaction.started } else { transaction.updated };
            let found = census.0.entry(transaction.state.name()).or_default();
            found.count += 1;
            found.age_ms_max = found.age_ms_max.max(now.0.saturating_sub(since.0));
        }
        census
    }
}
