//! When each broker was last heard of, by the monotonic clock: setting the wall clock fences nobody.
//!
//! This is the only state of the controller that is not in the metadata log: a new controller gives every broker a full
//! session to report to it.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::{BrokerEpoch, Moment, NodeId, Offset};
use thalweg_metadata::MetadataImage;

use crate::request::{Contact, SessionChange};

/// What is known of one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    epoch: BrokerEpoch,
    contacted_at: Moment,
    /// How far the broker has read the metadata log.
    metadata_offset: Offset,
    /// The last record by which the broker handed over leaderships in order to stop.
    shutdown_offset: Option<Offset>,
}

/// The sessions of all brokers with the active controller.
#[derive(Clone, Debug)]
pub struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<NodeId, Session>,
}

impl Sessions {
    /// The sessions of a controller that becomes active: every broker that is not fenced has just been heard of.
    /// `timeout` is `broker.session.timeout.ms`.
    #[must_use]
    pub fn begin(timeout: Duration, image: &MetadataImage, now: Moment) -> Self {
        let mut sessions = Self { timeout, brokers: BTreeMap::new() };
        for broker in image.cluster().brokers().filter(|broker| !broker.fenced) {
            sessions.contacted(broker.id, broker.epoch, Offset(-1), now);
        }
        sessions
    }

    /// Notes what a heartbeat was decided to mean for its broker's session.
    pub fn note(&mut self, contact: Contact, now: Moment) {
        let Contact { broker, epoch, metadata_offset, session } = contact;
        self.contacted(broker, epoch, metadata_offset, now);
        match session {
            SessionChange::Renewed => {}
            SessionChange::ShuttingDown(last) => self.shutting_down(broker, last),
            SessionChange::Ended => self.end(broker),
        }
    }

    /// Notes a heartbeat of a broker, and how far it has read the metadata log.
    pub fn contacted(&mut self, broker: NodeId, epoch: BrokerEpoch, metadata_offset: Offset, now: Moment) {
        let shutdown_offset = self.of(broker, epoch).and_then(|session| session.shutdown_offset);
        self.brokers.insert(broker, Session { epoch, contacted_at: now, metadata_offset, shutdown_offset });
    }

    /// Notes the last record of the metadata log by which a broker in controlled shutdown handed over leaderships: it may
    /// stop when all active brokers have read that.
    pub fn shutting_down(&mut self, broker: NodeId, last: Offset) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_offset = session.shutdown_offset.max(Some(last));
        }
    }

    /// Forgets a broker: it was fenced, or it left.
    pub fn end(&mut self, broker: NodeId) {
        self.brokers.remove(&broker);
    }

    /// The brokers that have not been heard of for the whole time-out, the longest silent first. Each is to be fenced.
    #[must_use]
    pub fn expired(&self, now: Moment) -> Vec<NodeId> {
        let mut expired: Vec<(Moment, NodeId)> = self
            .brokers
            .iter()
            .filter(|(_, session)| self.deadline(session) <= now)
            .map(|(id, session)| (session.contacted_at, *id))
            .collect();
        expired.sort_unstable();
        expired.into_iter().map(|(_, id)| id).collect()
    }

    /// When the next session ends unless its broker is heard of.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.brokers.values().map(|session| self.deadline(session)).min()
    }

    pub(crate) fn is_valid(&self, broker: NodeId, epoch: BrokerEpoch, now: Moment) -> bool {
        self.of(broker, epoch).is_some_and(|session| now < self.deadline(session))
    }

    /// Whether every active broker has read that the broker leads nothing any more.
    pub(crate) fn may_stop(&self, broker: NodeId, image: &MetadataImage) -> bool {
        let Some(until) = self.brokers.get(&broker).and_then(|session| session.shutdown_offset) else { return true };
        let active = image.cluster().brokers().filter(|other| other.is_active());
        active.filter_map(|other| self.brokers.get(&other.id)).all(|other| other.metadata_offset >= until)
    }

    fn of(&self, broker: NodeId, epoch: BrokerEpoch) -> Option<&Session> {
        self.brokers.get(&broker).filter(|session| session.epoch == epoch)
    }

    fn deadline(&self, session: &Session) -> Moment {
        session.contacted_at.after(self.timeout)
    }
}
