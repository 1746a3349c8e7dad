//! When each broker was last heard of, by the monotonic clock: setting the wall clock fences nobody.
//!
//! This is the only state of the controller that is not in the metadata log: a new controller gives every broker a full
//! session to report to it.
//!
//! A broker that was killed leaves a connection that has ended. Brokers that promise to report at once when that happens get
//! a grace instead of the rest of their session.

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
    /// When the connection by which it reported has ended, if nothing was heard since.
    lost_at: Option<Moment>,
    /// When this controller became active, if it has not heard of the broker since.
    unheard_since: Option<Moment>,
}

/// For so long a new controller takes it that a broker which it has not heard of yet may be alive, and lets no other run of it
/// register: Apache Kafka's brokers report every two seconds.
const UNHEARD_MAX: Duration = Duration::from_millis(2500);

/// How long brokers may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimes {
    /// `broker.session.timeout.ms`
    pub timeout: Duration,
    /// How long a broker has to report after its connection has ended; `None` leaves it the rest of its session.
    pub grace: Option<Duration>,
}

/// The sessions of all brokers with the active controller.
#[derive(Clone, Debug)]
pub struct Sessions {
    times: SessionTimes,
    brokers: BTreeMap<NodeId, Session>,
}

impl Sessions {
    /// The sessions of a controller that becomes active: every broker that is not fenced has just been heard of.
    #[must_use]
    pub fn begin(times: SessionTimes, image: &MetadataImage, now: Moment) -> Self {
        let mut sessions = Self { times, brokers: BTreeMap::new() };
        for broker in image.cluster().brokers().filter(|broker| !broker.fenced) {
            sessions.contacted(broker.id, broker.epoch, Offset(-1), now);
        }
        sessions.brokers.values_mut().for_each(|session| session.unheard_since = Some(now));
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
        let session =
            Session { epoch, contacted_at: now, metadata_offset, shutdown_offset, lost_at: None, unheard_since: None };
        self.brokers.insert(broker, session);
    }

    /// Notes that the connection has ended by which a broker reported that reports at once when that happens.
    pub fn connection_lost(&mut self, broker: NodeId, now: Moment) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.lost_at = session.lost_at.or(Some(now));
        }
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

    /// The brokers whose time to report is over, the longest silent first. Each is to be fenced.
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

    /// Whether that run of a broker may be alive, so that no other one may register.
    pub(crate) fn is_valid(&self, broker: NodeId, epoch: BrokerEpoch, now: Moment) -> bool {
        self.of(broker, epoch).is_some_and(|session| {
            let unheard = session.unheard_since.filter(|_| self.times.grace.is_some());
            now < self.deadline(session) && unheard.is_none_or(|since| now < since.after(UNHEARD_MAX))
        })
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
        let full = session.contacted_at.after(self.times.timeout);
        let lost = session.lost_at.zip(self.times.grace).map(|(at, grace)| at.after(grace));
        lost.map_or(full, |lost| full.min(lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: SessionTimes = SessionTimes { timeout: Duration::from_secs(9), grace: Some(Duration::from_secs(1)) };

    fn sessions(times: SessionTimes) -> Sessions {
        let mut sessions = Sessions::begin(times, &MetadataImage::default(), Moment(0));
        sessions.contacted(NodeId(1), BrokerEpoch(5), Offset(0), Moment(0));
        sessions
    }

    #[test]
    fn a_broker_whose_connection_has_ended_has_a_grace_to_report() {
        let mut sessions = sessions(TIMES);
        assert_eq!(sessions.next_deadline(), Some(Moment(9000)));
        sessions.connection_lost(NodeId(1), Moment(2000));
        sessions.connection_lost(NodeId(1), Moment(2900));
        assert!(sessions.is_valid(NodeId(1), BrokerEpoch(5), Moment(2999)));
        assert_eq!(sessions.expired(Moment(3000)), [NodeId(1)]);
    }

    #[test]
    fn a_broker_that_reports_again_has_a_full_session() {
        let mut sessions = sessions(TIMES);
        sessions.connection_lost(NodeId(1), Moment(2000));
        sessions.contacted(NodeId(1), BrokerEpoch(5), Offset(0), Moment(2500));
        assert_eq!(sessions.next_deadline(), Some(Moment(11_500)));
    }

    #[test]
    fn a_run_that_a_new_controller_has_not_heard_of_gives_way_to_another() {
        let mut sessions = sessions(TIMES);
        sessions.brokers.values_mut().for_each(|session| session.unheard_since = Some(Moment(0)));
        assert!(sessions.is_valid(NodeId(1), BrokerEpoch(5), Moment(2499)));
        assert!(!sessions.is_valid(NodeId(1), BrokerEpoch(5), Moment(2500)));
        assert!(sessions.expired(Moment(2500)).is_empty(), "it is not fenced for that");
        sessions.contacted(NodeId(1), BrokerEpoch(5), Offset(0), Moment(2600));
        assert!(sessions.is_valid(NodeId(1), BrokerEpoch(5), Moment(11_000)));
    }

    #[test]
    fn a_grace_never_prolongs_a_session_and_without_one_nothing_is_shortened() {
        let mut late = sessions(TIMES);
        late.connection_lost(NodeId(1), Moment(8900));
        assert_eq!(late.next_deadline(), Some(Moment(9000)));
        let mut without = sessions(SessionTimes { grace: None, ..TIMES });
        without.connection_lost(NodeId(1), Moment(10));
        assert_eq!(without.next_deadline(), Some(Moment(9000)));
    }
}
