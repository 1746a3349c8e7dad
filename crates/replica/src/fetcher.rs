//! What a broker asks one other broker for: records of all partitions that it follows there, in one session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_base::{Moment, NodeId, Uuid};

use crate::follower::FetchFrom;
use crate::sessions::{SessionEpoch, SessionError, SessionId};

#[cfg(test)]
mod tests;

/// How long nothing is asked for after a first failure; twice as long after each further one, up to
/// `replica.fetch.backoff.ms`. A follower often hears of a new leader a moment before that one does, and everybody who
/// waits for replicas in sync waits for its next question.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A partition that is followed, by its topic's id and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Followed {
    /// The topic's id.
    pub topic: Uuid,
    /// The partition's index.
    pub partition: i32,
}

impl Followed {
    /// Which of a broker's `num.replica.fetchers` fetchers follows it, from 0 on: always the same one, so that a
    /// partition is never asked for twice at once.
    #[must_use]
    pub fn fetcher(&self, fetchers: usize) -> usize {
        assert!(fetchers > 0, "there is a fetcher");
        // FNV-1a over the id, as the ids of a cluster's topics are random but for a few.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in self.topic.0 {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // Neighbours go to different fetchers: a topic with many partitions is spread evenly.
        let index = hash.wrapping_add(u64::from(self.partition.cast_unsigned()));
        usize::try_from(index % fetchers as u64).unwrap_or(0)
    }
}

/// One fetch request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRound {
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// The session's epoch; [`SessionEpoch::INITIAL`] asks for everything in a new one.
    pub session_epoch: SessionEpoch,
    /// What is asked for: everything in a new session, else what is new or goes on from elsewhere.
    pub listed: Vec<(Followed, FetchFrom)>,
    /// What the session is to forget.
    pub forgotten: Vec<Followed>,
}

/// One partition that is followed.
#[derive(Clone, Debug)]
struct Entry {
    from: FetchFrom,
    /// Nothing is asked for before.
    not_before: Option<Moment>,
    /// How often it could not be read since it was last.
    failures: u32,
}

impl Entry {
    fn new(from: FetchFrom) -> Self {
        Self { from, not_before: None, failures: 0 }
    }

    fn is_ready(&self, now: Moment) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

/// The client's side of the incremental fetch sessions of KIP-227, for a broker that follows partitions of one leader.
///
/// The order of one round: [`Fetcher::next_round`], then [`Fetcher::answered`] or [`Fetcher::failed`], then for each
/// partition of the answer [`Fetcher::advanced`], [`Fetcher::delayed`] or [`Fetcher::stopped`]. There is one round at a
/// time.
///
/// Invariants:
/// - What the leader's session has is what `sent` says, or the next request begins a new session.
/// - A partition is listed whenever its position is not the one in `sent`.
#[derive(Clone, Debug)]
pub struct Fetcher {
    leader: NodeId,
    /// `replica.fetch.backoff.ms`: how long nothing is asked for after failures, at most.
    backoff: Duration,
    session_id: SessionId,
    session_epoch: SessionEpoch,
    /// The positions in the leader's session.
    sent: BTreeMap<Followed, FetchFrom>,
    partitions: BTreeMap<Followed, Entry>,
    in_flight: bool,
    not_before: Option<Moment>,
    /// How many requests have failed since the leader answered last.
    failures: u32,
}

impl Fetcher {
    /// A fetcher that follows nothing yet.
    #[must_use]
    pub fn new(leader: NodeId, backoff: Duration) -> Self {
        Self {
            leader,
            backoff,
            session_id: SessionId::NONE,
            session_epoch: SessionEpoch::INITIAL,
            sent: BTreeMap::new(),
            partitions: BTreeMap::new(),
            in_flight: false,
            not_before: None,
            failures: 0,
        }
    }

    /// A partition is followed from here on, or from another position or in another epoch than before.
    pub fn follow(&mut self, partition: Followed, from: FetchFrom) {
        assert!(from.leader == self.leader, "a fetcher asks one leader");
        self.partitions.insert(partition, Entry::new(from));
    }

    /// A partition is not followed any more.
    pub fn unfollow(&mut self, partition: Followed) {
        self.partitions.remove(&partition);
    }

    /// How many partitions are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether nothing is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The next request; `None` while one is on its way, and while there is nothing to ask for: see
    /// [`Fetcher::next_look`].
    pub fn next_round(&mut self, now: Moment) -> Option<FetchRound> {
        if self.in_flight || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let ready = || self.partitions.iter().filter(|(_, entry)| entry.is_ready(now));
        ready().next()?;
        let is_new = self.session_epoch == SessionEpoch::INITIAL;
        if is_new {
            self.sent.clear();
        }
        let listed: Vec<(Followed, FetchFrom)> = ready()
            .filter(|(partition, entry)| self.sent.get(partition) != Some(&entry.from))
            .map(|(partition, entry)| (*partition, entry.from))
            .collect();
        let is_wanted = |partition: &Followed| self.partitions.get(partition).is_some_and(|entry| entry.is_ready(now));
        let forgotten: Vec<Followed> = self.sent.keys().filter(|partition| !is_wanted(partition)).copied().collect();
        for partition in &forgotten {
            self.sent.remove(partition);
        }
        self.sent.extend(listed.iter().copied());
        self.in_flight = true;
        let (session_id, session_epoch) = (self.session_id, self.session_epoch);
        self.check();
        Some(FetchRound { session_id, session_epoch, listed, forgotten })
    }

    /// When [`Fetcher::next_round`] may have something to ask for, if nothing else happens before.
    #[must_use]
    pub fn next_look(&self) -> Option<Moment> {
        if self.in_flight {
            return None;
        }
        let first = self.partitions.values().map(|entry| entry.not_before.unwrap_or(Moment(0))).min()?;
        Some(first.max(self.not_before.unwrap_or(Moment(0))))
    }

    /// The leader has answered about these partitions: gives each with the position that it was asked from, if it is
    /// still followed. An answer that does not fit the session says nothing; the next request begins a new one.
    pub fn answered(
        &mut self,
        session_id: SessionId,
        answered: impl IntoIterator<Item = Followed>,
        now: Moment,
    ) -> Vec<(Followed, FetchFrom)> {
        assert!(self.in_flight, "an answer follows a request");
        self.in_flight = false;
        self.not_before = None;
        self.failures = 0;
        let answered: BTreeSet<Followed> = answered.into_iter().collect();
        let is_new = self.session_epoch == SessionEpoch::INITIAL;
        let fits = match is_new {
            true => answered.len() == self.sent.len() && answered.iter().all(|one| self.sent.contains_key(one)),
            false => answered.iter().all(|one| self.sent.contains_key(one)),
        };
        if !fits {
            self.begin_anew(now);
            return Vec::new();
        }
        if session_id == SessionId::NONE || !is_new && session_id != self.session_id {
            // The leader has no room for a session, or has closed it: everything is listed each time.
            self.session_id = SessionId::NONE;
            self.session_epoch = SessionEpoch::INITIAL;
        } else {
            self.session_id = session_id;
            self.session_epoch = self.session_epoch.next();
        }
        let followed = answered.into_iter().filter(|partition| self.partitions.contains_key(partition));
        followed.map(|partition| (partition, self.sent[&partition])).collect()
    }

    /// The leader has refused the request for its session: the next one begins a new one, at once.
    pub fn refused(&mut self, refusal: SessionError) {
        self.in_flight = false;
        if refusal == SessionError::IdNotFound {
            self.session_id = SessionId::NONE;
        }
        self.session_epoch = SessionEpoch::INITIAL;
    }

    /// There is no answer, or one that refuses the whole request: the next one follows after a pause, in a new session.
    pub fn failed(&mut self, now: Moment) {
        self.in_flight = false;
        self.begin_anew(now);
    }

    /// The session that the leader may have is named once more, so that it is closed.
    fn begin_anew(&mut self, now: Moment) {
        self.session_epoch = SessionEpoch::INITIAL;
        self.not_before = Some(now.after(pause(self.failures, self.backoff)));
        self.failures += 1;
    }

    /// A partition goes on from here. Nothing changes if it is not followed any more.
    pub fn advanced(&mut self, partition: Followed, from: FetchFrom) {
        if let Some(entry) = self.partitions.get_mut(&partition)
            && entry.from.leader_epoch <= from.leader_epoch
        {
            *entry = Entry::new(from);
        }
    }

    /// A partition that was asked for from here has another leader or is gone: unless it was followed anew since.
    pub fn stopped(&mut self, partition: Followed, from: &FetchFrom) {
        if self.partitions.get(&partition).is_some_and(|entry| entry.from == *from) {
            self.partitions.remove(&partition);
        }
    }

    /// A partition could not be read just now: nothing of it is asked for during a pause.
    pub fn delayed(&mut self, partition: Followed, now: Moment) {
        if let Some(entry) = self.partitions.get_mut(&partition) {
            entry.not_before = Some(now.after(pause(entry.failures, self.backoff)));
            entry.failures += 1;
        }
    }

    /// A partition is throttled: nothing of it is asked for before `until`.
    pub fn paused(&mut self, partition: Followed, until: Moment) {
        if let Some(entry) = self.partitions.get_mut(&partition) {
            entry.not_before = Some(until);
        }
    }

    fn check(&self) {
        assert!(self.sent.keys().all(|sent| self.partitions.contains_key(sent)), "the session has what is followed");
        let is_new = self.session_epoch == SessionEpoch::INITIAL;
        assert!(is_new || self.session_id != SessionId::NONE, "only a session is continued");
    }
}

/// How long nothing is asked for after so many failures before this one.
fn pause(failures: u32, backoff: Duration) -> Duration {
    FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures)).min(backoff)
}
