//! The incremental fetch sessions of a broker (KIP-227).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_base::Moment;

use crate::session::{FetchParams, Session, Shown, TopicRef};

#[cfg(test)]
mod tests;

/// A session's id. 0: no session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i32);

impl SessionId {
    /// What a client without a session sends, and gets if it is not given one.
    pub const NONE: Self = Self(0);
}

/// Counts a session's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionEpoch(pub i32);

impl SessionEpoch {
    /// A full fetch that asks for a new session.
    pub const INITIAL: Self = Self(0);
    /// A full fetch that wants no session.
    pub const FINAL: Self = Self(-1);

    fn is_full(self) -> bool {
        self == Self::INITIAL || self == Self::FINAL
    }

    /// After the largest one comes 1, as 0 means something else.
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(1))
    }
}

/// Why an incremental fetch is refused, as the protocol names it. The client falls back to a full fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// `FETCH_SESSION_ID_NOT_FOUND`.
    IdNotFound,
    /// `INVALID_FETCH_SESSION_EPOCH`.
    InvalidEpoch,
    /// `FETCH_SESSION_TOPIC_ID_ERROR`: the session names topics by id and the request by name, or the other way round.
    TopicIdError,
}

/// The head of a fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// Its session id.
    pub id: SessionId,
    /// Its session epoch.
    pub epoch: SessionEpoch,
    /// Whether its version names topics by id (13 and later).
    pub uses_topic_ids: bool,
}

/// What a fetch request is to read, and how it is to be answered.
#[derive(Debug)]
pub enum Begun {
    /// Read what the request lists, answer with all of it and session id 0.
    Sessionless,
    /// Read what the request lists, then [`Sessions::create`], and answer with all of it and the new id.
    Full,
    /// Read [`Session::partitions`], mention those for which [`Session::answered`] says so, and give the session back by
    /// [`Sessions::finish`], also if the client has gone. The answer has the request's session id.
    Incremental(Box<Session>),
    /// Answer with this error, session id 0 and no partitions.
    Refused(SessionError),
}

/// How many sessions there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// `max.incremental.fetch.session.cache.slots`.
    pub slots: usize,
    /// `min.incremental.fetch.session.eviction.ms`: how long a session is safe from being replaced by a larger one, and
    /// how long it may be idle.
    pub eviction: Duration,
}

impl Default for SessionLimits {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { slots: 1000, eviction: Duration::from_secs(120) }
    }
}

/// How many partitions all sessions together may have, about 150 bytes each. Kafka has no such limit; a client that is not
/// given a session sends full fetches, which always works.
const PARTITIONS_MAX: usize = 2_000_000;

/// What a session is worth: of two, the lesser may be replaced by the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    privileged: bool,
    size: usize,
    id: SessionId,
}

/// A session in the cache.
#[derive(Debug)]
struct Entry {
    serial: u64,
    /// `None` while a request is being served.
    session: Option<Box<Session>>,
    /// The epoch that the next request must have.
    epoch: SessionEpoch,
    uses_topic_ids: bool,
    /// It belongs to a follower, not to a consumer.
    privileged: bool,
    created: Moment,
    used: Moment,
    size: usize,
}

impl Entry {
    fn worth(&self, id: SessionId) -> Worth {
        Worth { privileged: self.privileged, size: self.size, id }
    }
}

/// The incremental fetch sessions of a broker (KIP-227).
///
/// A session is lent out while one of its requests is served, so that the driver needs no lock around its partitions.
/// When the cache is full, a new session replaces one that was idle for `eviction`, else one that is older than that and
/// worth less (followers before consumers, then the larger one), else, for a follower, any consumer's; else it is refused.
///
/// Invariant: each session is in `by_use` once, and in `evictable_by_all` only if it is in `evictable_by_followers`.
#[derive(Debug)]
pub struct Sessions {
    limits: SessionLimits,
    entries: BTreeMap<SessionId, Entry>,
    by_use: BTreeSet<(Moment, SessionId)>,
    evictable_by_followers: BTreeSet<Worth>,
    evictable_by_all: BTreeSet<Worth>,
    partitions: usize,
    evictions: u64,
    /// How many sessions were ever made.
    created: u64,
}

impl Sessions {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            by_use: BTreeSet::new(),
            evictable_by_followers: BTreeSet::new(),
            evictable_by_all: BTreeSet::new(),
            partitions: 0,
            evictions: 0,
            created: 0,
        }
    }

    /// A fetch request has come in: decides what it reads. `listed` and `forgotten` are used for incremental requests only.
    pub fn begin<'a>(
        &mut self,
        request: SessionRequest,
        listed: impl IntoIterator<Item = (TopicRef<'a>, i32, FetchParams)>,
        forgotten: impl IntoIterator<Item = (TopicRef<'a>, i32)>,
        now: Moment,
    ) -> Begun {
        if request.epoch.is_full() {
            // Whichever session a full request names is over.
            self.remove(request.id);
            return if request.epoch == SessionEpoch::FINAL { Begun::Sessionless } else { Begun::Full };
        }
        let partitions_free = PARTITIONS_MAX.saturating_sub(self.partitions);
        let Some(entry) = self.entries.get_mut(&request.id) else {
            return Begun::Refused(SessionError::IdNotFound);
        };
        if entry.epoch != request.epoch {
            return Begun::Refused(SessionError::InvalidEpoch);
        }
        if entry.uses_topic_ids != request.uses_topic_ids {
            return Begun::Refused(SessionError::TopicIdError);
        }
        // Still lent out: its client did not wait for the answer.
        let Some(mut session) = entry.session.take() else {
            return Begun::Refused(SessionError::InvalidEpoch);
        };
        let size_max = entry.size + partitions_free;
        for (topic, partition, params) in listed {
            session.put(topic, partition, params);
            if session.len() > size_max {
                self.remove(request.id);
                return Begun::Refused(SessionError::IdNotFound);
            }
        }
        for (topic, partition) in forgotten {
            session.forget(topic, partition);
        }
        if session.is_empty() {
            self.remove(request.id);
            return Begun::Sessionless;
        }
        entry.epoch = entry.epoch.next();
        self.touch(request.id, session.len(), now);
        Begun::Incremental(session)
    }

    /// Gives back a session that [`Sessions::begin`] lent out. If it was evicted in the meantime, it is dropped.
    pub fn finish(&mut self, id: SessionId, session: Box<Session>) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.session.is_none()
            && entry.serial == session.serial()
        {
            entry.session = Some(session);
        }
    }

    /// A full fetch was read and is about to be answered: makes a session of it, if there is room for one.
    /// `random` becomes its id; `answer` is what the answer says about each partition, in the request's order.
    pub fn create<'a>(
        &mut self,
        head: NewSession,
        answer: impl IntoIterator<Item = (TopicRef<'a>, i32, FetchParams, Shown)>,
        random: u32,
        now: Moment,
    ) -> SessionId {
        let size = head.size;
        let worth = Worth { privileged: head.privileged, size, id: SessionId::NONE };
        let has_room = self.entries.len() < self.limits.slots || self.evict_for(worth, now);
        if !has_room || size > PARTITIONS_MAX.saturating_sub(self.partitions) {
            return SessionId::NONE;
        }
        let mut session = Box::new(Session::new(self.created));
        for (topic, partition, params, shown) in answer.into_iter().take(size) {
            let slot = session.put(topic, partition, params);
            session.told(slot, &shown);
        }
        let id = self.free_id(random);
        let size = session.len();
        let entry = Entry {
            serial: self.created,
            session: Some(session),
            epoch: SessionEpoch::INITIAL.next(),
            uses_topic_ids: head.uses_topic_ids,
            privileged: head.privileged,
            created: now,
            used: now,
            size: 0,
        };
        self.created += 1;
        self.entries.insert(id, entry);
        self.touch(id, size, now);
        id
    }

    fn free_id(&self, random: u32) -> SessionId {
        let wrap = |n: u32| SessionId((n & 0x7fff_ffff).max(1).cast_signed());
        let mut n = random;
        while self.entries.contains_key(&wrap(n)) {
            n = n.wrapping_add(1);
        }
        wrap(n)
    }

    /// Makes room for a new session of this worth, or says that there is none.
    fn evict_for(&mut self, new: Worth, now: Moment) -> bool {
        let Some(&(used, oldest)) = self.by_use.first() else { return false };
        let victim = if now.since(used) > self.limits.eviction {
            Some(oldest)
        } else {
            let set = if new.privileged { &self.evictable_by_followers } else { &self.evictable_by_all };
            set.first().filter(|&&least| new > least).map(|least| least.id)
        };
        let Some(victim) = victim else { return false };
        self.remove(victim);
        self.evictions += 1;
        true
    }

    fn remove(&mut self, id: SessionId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.by_use.remove(&(entry.used, id));
        self.evictable_by_followers.remove(&entry.worth(id));
        self.evictable_by_all.remove(&entry.worth(id));
        self.partitions -= entry.size;
    }

    /// A session was used and has `size` partitions now.
    fn touch(&mut self, id: SessionId, size: usize, now: Moment) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.by_use.remove(&(entry.used, id));
        self.evictable_by_followers.remove(&entry.worth(id));
        self.evictable_by_all.remove(&entry.worth(id));
        self.partitions = self.partitions - entry.size + size;
        entry.used = now;
        entry.size = size;
        self.by_use.insert((now, id));
        let settled = now.since(entry.created) > self.limits.eviction;
        if settled || !entry.privileged {
            self.evictable_by_followers.insert(entry.worth(id));
        }
        if settled {
            self.evictable_by_all.insert(entry.worth(id));
        }
        assert!(self.entries.len() == self.by_use.len(), "every session is in the cache once");
    }

    /// How many sessions there are (`NumIncrementalFetchSessions`).
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many partitions all sessions have (`NumIncrementalFetchPartitionsCached`).
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// How many sessions were replaced by others so far (`IncrementalFetchSessionEvictionsPerSec`).
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// What a new session is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// It belongs to a follower, not to a consumer.
    pub privileged: bool,
    /// Its requests name topics by id.
    pub uses_topic_ids: bool,
    /// How many partitions it begins with.
    pub size: usize,
}
