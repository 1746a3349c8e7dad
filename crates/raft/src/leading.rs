//! What a leader knows of the other replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_base::{Moment, NodeId, Offset};

use crate::log_view::LogView;
use crate::voters::{ReplicaKey, Voter, Voters};

/// How far a replica was when it last fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where its log ends. All before it is durable if the replica is a voter.
    pub log_end: Offset,
    /// When it last fetched.
    pub last_fetch: Moment,
    /// When it last had all that the leader had.
    pub last_caught_up: Option<Moment>,
    /// Where the leader's log ended at its last fetch.
    leader_end: Offset,
}

/// How long an observer is remembered that does not fetch.
const OBSERVER_SESSION: Duration = Duration::from_secs(300);
/// How many replicas are remembered. Only DescribeQuorum misses those beyond; voters always find a place.
const REPLICAS_MAX: usize = 4096;
/// A new voter must have caught up, and have fetched within this time.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3600);

/// What a leader remembers.
#[derive(Clone, Debug)]
pub(crate) struct Leading {
    /// Where the log ended at the election. Nothing is committed before a record of this epoch is.
    pub(crate) epoch_start: Offset,
    /// `None` until something of this epoch is committed.
    pub(crate) high_watermark: Option<Offset>,
    /// When to tell the voters that do not fetch that this node leads.
    pub(crate) begin_at: Moment,
    /// Without fetches from a majority until then, the leader steps down (KIP-853: others may have elected another).
    pub(crate) check_quorum_at: Moment,
    /// With `kraft.version` 0: what the voters say of themselves. It is what an upgrade to 1 writes.
    pub(crate) told_voters: Voters,
    fetched: BTreeSet<NodeId>,
    replicas: BTreeMap<ReplicaKey, Progress>,
}

impl Leading {
    pub(crate) fn new(epoch_start: Offset, check_quorum_at: Moment, told_voters: Voters, now: Moment) -> Self {
        Self {
            epoch_start,
            high_watermark: None,
            begin_at: now,
            check_quorum_at,
            told_voters,
            fetched: BTreeSet::new(),
            replicas: BTreeMap::new(),
        }
    }

    /// A replica has fetched, and its log ends at `log_end`.
    pub(crate) fn fetched(&mut self, key: &ReplicaKey, log_end: Offset, log: &LogView, now: Moment) {
        let key = canonical(key, log.voters());
        self.forget_observers(log.voters(), now);
        if !self.replicas.contains_key(&key) && self.replicas.len() >= REPLICAS_MAX && !log.voters().contains(&key) {
            return;
        }
        let unknown = Progress { log_end, last_fetch: now, last_caught_up: None, leader_end: Offset::MAX };
        let progress = self.replicas.entry(key).or_insert(unknown);
        if log_end >= log.end {
            progress.last_caught_up = progress.last_caught_up.max(Some(now));
        } else if log_end >= progress.leader_end {
            progress.last_caught_up = progress.last_caught_up.max(Some(progress.last_fetch));
        }
        progress.log_end = log_end;
        progress.leader_end = log.end;
        progress.last_fetch = progress.last_fetch.max(now);
    }

    /// A replica was heard of. Returns whether a majority was, so that the clock of the check starts anew.
    pub(crate) fn heard_of(&mut self, key: &ReplicaKey, voters: &Voters, local: &ReplicaKey) -> bool {
        if voters.contains(key) && key.id != local.id {
            self.fetched.insert(key.id);
        }
        let others = voters.majority() - usize::from(voters.contains(local));
        let majority = self.fetched.len() >= others;
        if majority {
            self.fetched.clear();
        }
        majority
    }

    /// What a majority of the voters has, `None` if too little is known. The leader itself has what is durable.
    pub(crate) fn majority_end(&self, log: &LogView, local: &ReplicaKey) -> Option<Offset> {
        let voters = log.voters();
        let end_of = |voter: &Voter| {
            if voter.is(local) { Some(log.flushed) } else { self.progress(&voter.key, voters).map(|p| p.log_end) }
        };
        let mut ends: Vec<Option<Offset>> = voters.iter().map(end_of).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.get(voters.len() / 2).copied().flatten()
    }

    pub(crate) fn progress(&self, key: &ReplicaKey, voters: &Voters) -> Option<&Progress> {
        // Right after an upgrade a voter is still known by its id alone.
        let by_id = ReplicaKey { id: key.id, directory: None };
        self.replicas.get(&canonical(key, voters)).or_else(|| self.replicas.get(&by_id))
    }

    pub(crate) fn replicas(&self) -> impl Iterator<Item = (&ReplicaKey, &Progress)> {
        self.replicas.iter()
    }

    /// Whether adding it as a voter would not stop the high watermark.
    pub(crate) fn is_caught_up(&self, key: &ReplicaKey, now: Moment) -> bool {
        let recent = |p: &&Progress| p.last_caught_up.is_some() && now.since(p.last_fetch) < CAUGHT_UP_WITHIN;
        self.replicas.get(key).as_ref().is_some_and(recent)
    }

    fn forget_observers(&mut self, voters: &Voters, now: Moment) {
        self.replicas.retain(|key, p| voters.contains(key) || now.since(p.last_fetch) < OBSERVER_SESSION);
    }
}

/// The key under which a replica is remembered: a voter whose directory is not known has none.
fn canonical(key: &ReplicaKey, voters: &Voters) -> ReplicaKey {
    voters.get(key.id).filter(|voter| voter.is(key)).map_or(*key, |voter| voter.key)
}
