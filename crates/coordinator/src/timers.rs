//! Deadlines by name: what a shard waits for, without a clock.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::Moment;

/// Deadlines, at most one for each key.
///
/// Setting and cancelling cost `O(log n)`; ten thousand members that heartbeat move ten thousand deadlines.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_key: BTreeMap<K, Moment>,
    by_time: BTreeSet<(Moment, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the deadline of `key`, instead of the one that it had.
    pub fn set(&mut self, key: K, due: Moment) {
        if let Some(before) = self.by_key.insert(key.clone(), due) {
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_time.insert((due, key));
    }

    /// Forgets the deadline of `key`, if it has one.
    pub fn cancel(&mut self, key: &K) {
        if let Some(before) = self.by_key.remove(key) {
            self.by_time.remove(&(before, key.clone()));
        }
    }

    /// The deadline of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Moment> {
        self.by_key.get(key).copied()
    }

    /// When the next deadline is.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Takes one deadline that is due; the earliest first, those of the same moment by key.
    pub fn pop_due(&mut self, now: Moment) -> Option<K> {
        let (due, _) = self.by_time.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moved_is_due_once_and_later() {
        let mut timers = Timers::default();
        timers.set("a", Moment(5));
        timers.set("b", Moment(6));
        timers.set("a", Moment(7));
        timers.set("c", Moment(1));
        timers.cancel(&"c");
        assert_eq!(timers.next(), Some(Moment(6)));
        assert_eq!(timers.get(&"a"), Some(Moment(7)));
        assert_eq!(timers.pop_due(Moment(5)), None);
        assert_eq!(timers.pop_due(Moment(9)), Some("b"));
        assert_eq!(timers.pop_due(Moment(9)), Some("a"));
        assert_eq!((timers.pop_due(Moment(9)), timers.next()), (None, None));
    }
}
