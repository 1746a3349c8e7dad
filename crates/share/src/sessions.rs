//! Share sessions: which partitions a member fetches, so that it need not name them every time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_base::Uuid;

/// The epoch with which a session begins.
const FIRST: i32 = 0;
/// The epoch with which a session ends.
const FINAL: i32 = -1;

/// Whose session it is: a group and a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// The group.
    pub group: Arc<str>,
    /// The member.
    pub member: Arc<str>,
}

/// Why a request does not fit its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// There is no such session.
    NotFound,
    /// The session is in another epoch.
    InvalidEpoch,
    /// There are too many.
    LimitReached,
    /// A request that opens a session acknowledges records.
    AcknowledgesAtFirst,
}

/// A partition by its topic's id.
type Partition = (Uuid, i32);

#[derive(Debug)]
struct Session {
    epoch: i32,
    connection: u64,
    /// In the order in which they were named.
    partitions: Vec<Partition>,
    known: BTreeSet<Partition>,
}

/// Every share session of a node; at most `max`.
///
/// Invariants:
/// - A session's partitions are known once each.
/// - `by_connection` has every session once, with the connection that began it.
#[derive(Debug)]
pub struct Sessions {
    max: usize,
    sessions: BTreeMap<SessionKey, Session>,
    by_connection: BTreeSet<(u64, SessionKey)>,
}

impl Sessions {
    /// No session yet, and never more than `max`.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, sessions: BTreeMap::new(), by_connection: BTreeSet::new() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A fetch has come through a connection: the partitions that it is about. One in the final epoch is about none; its session goes on until
    /// [`Sessions::remove`].
    ///
    /// # Errors
    /// If it does not fit its session.
    pub fn fetch(
        &mut self,
        key: &SessionKey,
        connection: u64,
        epoch: i32,
        added: impl Iterator<Item = Partition>,
        forgotten: impl Iterator<Item = Partition>,
        acknowledges: bool,
    ) -> Result<Vec<Partition>, SessionError> {
        match epoch {
            FINAL => self.sessions.get(key).map(|_| Vec::new()).ok_or(SessionError::NotFound),
            FIRST if acknowledges => Err(SessionError::AcknowledgesAtFirst),
            FIRST => {
                self.remove(key);
                if self.sessions.len() >= self.max {
                    return Err(SessionError::LimitReached);
                }
                let (partitions, known) = (Vec::new(), BTreeSet::new());
                let mut session = Session { epoch: next(FIRST), connection, partitions, known };
                session.update(added, forgotten);
                let partitions = session.partitions.clone();
                self.sessions.insert(key.clone(), session);
                self.by_connection.insert((connection, key.clone()));
                Ok(partitions)
            }
            _ => {
                let session = self.advance(key, epoch)?;
                session.update(added, forgotten);
                Ok(session.partitions.clone())
            }
        }
    }

    /// An acknowledgement without a fetch has come.
    ///
    /// # Errors
    /// If it does not fit its session.
    pub fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<(), SessionError> {
        match epoch {
            FIRST => Err(SessionError::InvalidEpoch),
            FINAL => self.sessions.get(key).map(|_| ()).ok_or(SessionError::NotFound),
            _ => self.advance(key, epoch).map(|_| ()),
        }
    }

    /// A session ends: the partitions that its member fetched.
    pub fn remove(&mut self, key: &SessionKey) -> Option<Vec<(Uuid, i32)>> {
        let session = self.sessions.remove(key)?;
        let was_there = self.by_connection.remove(&(session.connection, key.clone()));
        assert!(was_there, "a session has its connection");
        Some(session.partitions)
    }

    /// The sessions that were begun through a connection.
    #[must_use]
    pub fn of_connection(&self, connection: u64) -> Vec<SessionKey> {
        let first = SessionKey { group: "".into(), member: "".into() };
        let from = self.by_connection.range((connection, first)..);
        from.take_while(|(own, _)| *own == connection).map(|(_, key)| key.clone()).collect()
    }

    /// Whether some member of a group has a session.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        let first = SessionKey { group: group.into(), member: "".into() };
        self.sessions.range(first..).next().is_some_and(|(key, _)| &*key.group == group)
    }

    fn advance(&mut self, key: &SessionKey, epoch: i32) -> Result<&mut Session, SessionError> {
        let session = self.sessions.get_mut(key).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        session.epoch = next(epoch);
        Ok(session)
    }
}

impl Session {
    fn update(&mut self, added: impl Iterator<Item = Partition>, forgotten: impl Iterator<Item = Partition>) {
        for partition in added {
            if self.known.insert(partition) {
                self.partitions.push(partition);
            }
        }
        for partition in forgotten {
            if self.known.remove(&partition) {
                self.partitions.retain(|known| *known != partition);
            }
        }
    }
}

/// The epoch after this one; after the largest comes 1.
fn next(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(member: &str) -> SessionKey {
        SessionKey { group: "g".into(), member: member.into() }
    }

    const A: Partition = (Uuid([1; 16]), 0);
    const B: Partition = (Uuid([1; 16]), 1);

    #[test]
    fn a_session_remembers_its_partitions_and_counts_its_requests() {
        let mut sessions = Sessions::new(2);
        let none = || std::iter::empty();
        assert_eq!(sessions.fetch(&key("m"), 7, 0, [A, A].into_iter(), none(), false), Ok(vec![A]));
        assert_eq!(sessions.fetch(&key("m"), 7, 1, [B].into_iter(), none(), true), Ok(vec![A, B]));
        assert_eq!(sessions.fetch(&key("m"), 7, 1, none(), none(), false), Err(SessionError::InvalidEpoch));
        assert_eq!(sessions.acknowledge(&key("m"), 2), Ok(()));
        assert_eq!(sessions.fetch(&key("m"), 7, 3, none(), [A].into_iter(), false), Ok(vec![B]));
        assert_eq!(sessions.fetch(&key("m"), 7, -1, none(), none(), true), Ok(vec![]));
        assert_eq!(sessions.remove(&key("m")), Some(vec![B]));
        assert_eq!(sessions.acknowledge(&key("m"), 4), Err(SessionError::NotFound));
    }

    #[test]
    fn what_does_not_fit_a_session_is_refused() {
        let mut sessions = Sessions::new(1);
        let fetch = |sessions: &mut Sessions, member, epoch, acknowledges| {
            sessions.fetch(&key(member), 7, epoch, std::iter::empty(), std::iter::empty(), acknowledges)
        };
        assert_eq!(fetch(&mut sessions, "m", 0, true), Err(SessionError::AcknowledgesAtFirst));
        assert_eq!(fetch(&mut sessions, "m", 1, false), Err(SessionError::NotFound));
        assert_eq!(fetch(&mut sessions, "m", -1, false), Err(SessionError::NotFound));
        assert_eq!(fetch(&mut sessions, "m", 0, false), Ok(vec![]));
        assert_eq!(fetch(&mut sessions, "n", 0, false), Err(SessionError::LimitReached));
        assert_eq!(fetch(&mut sessions, "m", 0, false), Ok(vec![]), "a member may begin anew");
        assert_eq!(sessions.acknowledge(&key("m"), 0), Err(SessionError::InvalidEpoch));
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_connection_that_is_lost_knows_its_sessions() {
        let none = || std::iter::empty();
        let mut sessions = Sessions::new(10);
        for (member, connection) in [("a", 1), ("b", 2), ("c", 1)] {
            assert!(sessions.fetch(&key(member), connection, 0, none(), none(), false).is_ok());
        }
        assert!(sessions.fetch(&key("c"), 2, 0, none(), none(), false).is_ok(), "it has moved");
        assert_eq!(sessions.of_connection(1), [key("a")]);
        assert_eq!(sessions.of_connection(2), [key("b"), key("c")]);
        for member in ["a", "b"] {
            assert_eq!(sessions.remove(&key(member)), Some(vec![]));
        }
        assert!(sessions.has_group("g") && !sessions.has_group("f"));
        assert_eq!(sessions.remove(&key("c")), Some(vec![]));
        assert!(!sessions.has_group("g") && sessions.of_connection(2).is_empty());
    }
}
