//! The share partitions of this node, and the clock of their locks.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_base::{Offset, Timestamp, Uuid};
use thalweg_groups::{ResetStrategy, ShareSettings, allows_renewal, reset_strategy};
use thalweg_metadata::MetadataImage;
use thalweg_replica::TopicRef;
use thalweg_share::state::Key;
use thalweg_share::{Limits, SessionKey, Sessions};
use thalweg_sys::closing::Closing;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, wall_clock_ms};
use thalweg_sys::watch;
use thalweg_wire::ErrorCode;
use tokio::sync::Notify;

use super::clock::Clock;
use super::coordinators::ShareCoordinators;
use super::partition::ShareState;
use crate::drivers::partition::Partition;
use crate::drivers::partition::reading::{Answering, Isolation, OffsetQuery, Position};
use crate::drivers::partitions::Partitions;

/// Every share partition of this node, by group and partition, and the sessions of the members that fetch from them.
#[derive(Debug)]
pub(crate) struct SharePartitions {
    partitions: Arc<Partitions>,
    coordinators: Arc<ShareCoordinators>,
    settings: ShareSettings,
    clock: Arc<Clock>,
    states: Mutex<BTreeMap<(ByteString, Uuid, i32), Arc<ShareState>>>,
    pub(crate) sessions: Mutex<Sessions>,
    /// A session has ended: another may begin.
    pub(crate) session_ended: Notify,
}

impl SharePartitions {
    pub(crate) fn new(
        partitions: Arc<Partitions>,
        coordinators: Arc<ShareCoordinators>,
        settings: ShareSettings,
        started: Instant,
    ) -> Arc<Self> {
        let sessions = Mutex::new(Sessions::new(settings.sessions_max));
        let clock = Clock::new(started);
        let session_ended = Notify::new();
        Arc::new(Self { partitions, coordinators, settings, clock, states: Mutex::default(), sessions, session_ended })
    }

    /// The coordinators that keep the states.
    pub(crate) fn coordinators(&self) -> &Arc<ShareCoordinators> {
        &self.coordinators
    }

    /// The configuration of share groups.
    pub(crate) fn settings(&self) -> &ShareSettings {
        &self.settings
    }

    /// The limits of a group.
    pub(crate) fn limits(&self, image: &MetadataImage, group: &str) -> Limits {
        let lock = self.settings.record_lock_duration_ms(image, group);
        Limits {
            delivery_count_max: i16::try_from(self.settings.delivery_count_limit(image, group)).unwrap_or(i16::MAX),
            in_flight_max: i64::from(self.settings.partition_max_record_locks(image, group)),
            lock_duration: Duration::from_millis(u64::try_from(lock).unwrap_or(0)),
            renew: allows_renewal(image, group),
        }
    }

    /// The share partition of a group, loaded if it is new.
    pub(crate) fn get(
        &self,
        image: &MetadataImage,
        group: &ByteString,
        topic: Uuid,
        partition: i32,
    ) -> Result<Arc<ShareState>, ErrorCode> {
        let place = self.partitions.find(TopicRef::Id(topic), partition)?;
        let registration = image.topics().by_id(topic).and_then(|topic| topic.partition(partition));
        let epoch = registration.ok_or(ErrorCode::UnknownTopicOrPartition)?.leader_epoch;
        let mut states = self.states.lock();
        let at = (group.clone(), topic, partition);
        if let Some(state) = states.get(&at) {
            if state.ended().is_none() && state.is_of(&place, epoch) {
                return Ok(Arc::clone(state));
            }
            state.end(ErrorCode::NotLeaderOrFollower);
        }
        // A name that does not keep the request's bytes.
        let group = ByteString::from(&**group);
        let strategy = reset_strategy(image, &group);
        let key = Key { group: group.clone(), topic, partition };
        let (coordinators, clock) = (Arc::clone(&self.coordinators), Arc::clone(&self.clock));
        let state = ShareState::begin(key, place, epoch, coordinators, clock, move |place| begins_at(place, strategy));
        states.insert((group, topic, partition), Arc::clone(&state));
        Ok(state)
    }

    /// The share partition of a group, if somebody has fetched from it.
    pub(crate) fn known(&self, group: &ByteString, topic: Uuid, partition: i32) -> Option<Arc<ShareState>> {
        self.states.lock().get(&(group.clone(), topic, partition)).cloned()
    }

    /// Where a partition ends, wherever it is led; `None` if its leader does not say.
    pub(crate) async fn log_end(&self, image: &MetadataImage, topic: Uuid, partition: i32) -> Option<Offset> {
        // A follower does not say where its partition ends.
        if let Ok(place) = self.partitions.find(TopicRef::Id(topic), partition)
            && let Ok(Position::Known(end)) =
                place.position(OffsetQuery::Latest, Isolation::ReadUncommitted, None, Answering::Leader)
        {
            return end.map(|end| end.offset);
        }
        let found = image.topics().by_id(topic)?;
        self.coordinators.log_end(image, &found.name, partition, found.partition(partition)?.leader).await
    }

    /// The state of these partitions is replaced or forgotten: whoever fetches next begins with what the coordinator knows.
    pub(crate) fn forget(&self, group: &ByteString, partitions: impl Iterator<Item = (Uuid, i32)>) {
        let mut states = self.states.lock();
        for (topic, partition) in partitions {
            if let Some(state) = states.remove(&(group.clone(), topic, partition)) {
                state.end(ErrorCode::UnknownTopicOrPartition);
            }
        }
    }

    /// A member's session ends: what it holds is free. The states of a group without sessions are given back: whoever
    /// fetches next begins with what the coordinator knows.
    pub(crate) async fn end_session(&self, image: &MetadataImage, key: &SessionKey) {
        let partitions = self.sessions.lock().remove(key).unwrap_or_default();
        self.session_ended.notify_waiters();
        let group = ByteString::from(&*key.group);
        let limits = self.limits(image, &group);
        for (topic, partition) in partitions {
            if let Some(state) = self.known(&group, topic, partition) {
                state.release(&key.member, limits).await;
            }
        }
        let sessions = self.sessions.lock();
        if !sessions.has_group(&group) {
            let is_of = |at: &(ByteString, Uuid, i32)| at.0 == group;
            self.give_back(ErrorCode::NotLeaderOrFollower, |at, _| is_of(at));
        }
    }

    /// A connection is lost: the sessions that were begun through it end.
    pub(crate) fn disconnected(self: &Arc<Self>, image: impl FnOnce() -> Arc<MetadataImage>, connection: u64) {
        let lost = self.sessions.lock().of_connection(connection);
        if lost.is_empty() {
            return;
        }
        let (this, image) = (Arc::clone(self), image());
        task::spawn(async move {
            for key in lost {
                this.end_session(&image, &key).await;
            }
        });
    }

    /// The states of topics that are gone, and of partitions that are led elsewhere or anew, are given back.
    fn follow(&self, image: &MetadataImage) {
        self.give_back(ErrorCode::NotLeaderOrFollower, |(_, topic, partition), state| {
            let registration = image.topics().by_id(*topic).and_then(|topic| topic.partition(*partition));
            registration.is_none_or(|registration| !state.is_in(registration.leader_epoch))
        });
    }

    fn give_back(&self, error: ErrorCode, is_over: impl Fn(&(ByteString, Uuid, i32), &ShareState) -> bool) {
        self.states.lock().retain(|at, state| {
            let over = is_over(at, state);
            if over {
                state.end(error);
            }
            !over
        });
    }

    /// Ends locks when their time is over and follows the cluster, until the node goes down. `changes` says that `image`
    /// gives another one.
    pub(crate) async fn run(
        self: Arc<Self>,
        image: impl Fn() -> Arc<MetadataImage>,
        mut changes: watch::Receiver<()>,
        mut closing: Closing,
    ) {
        loop {
            self.clock.begin_look();
            let moment = self.clock.moment();
            let known = image();
            let states: Vec<Arc<ShareState>> = self.states.lock().values().cloned().collect();
            for state in states {
                self.clock.found(state.tick(moment, self.limits(&known, &state.key.group)));
            }
            tokio::select! {
                biased;
                () = closing.begun() => return,
                changed = changes.changed() => match changed {
                    Ok(()) => self.follow(&image()),
                    Err(_) => return,
                },
                () = self.clock.due() => {}
            }
        }
    }
}

/// Where a group begins in a partition whose start is left to its configuration.
fn begins_at(place: &Partition, strategy: ResetStrategy) -> Result<Offset, ErrorCode> {
    let query = match strategy {
        ResetStrategy::Earliest => OffsetQuery::Earliest,
        ResetStrategy::Latest => OffsetQuery::Latest,
        ResetStrategy::ByDuration(ms) => OffsetQuery::At(Timestamp(wall_clock_ms().saturating_sub(ms))),
    };
    let find = |query| match place.position(query, Isolation::ReadUncommitted, None, Answering::Leader)? {
        Position::Known(known) => Ok(known),
        Position::Search(search) => place.search(&search),
    };
    let found = match find(query)? {
        Some(found) => Some(found),
        None => find(OffsetQuery::Latest)?,
    };
    found.map(|found| found.offset).ok_or(ErrorCode::UnknownServerError)
}
