//! The share partitions of this node, and the clock of their locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_base::{Moment, Offset, Timestamp, Uuid};
use thalweg_groups::{ResetStrategy, ShareSettings, allows_renewal, reset_strategy};
use thalweg_metadata::MetadataImage;
use thalweg_replica::TopicRef;
use thalweg_share::state::Key;
use thalweg_share::{Limits, Sessions};
use thalweg_sys::closing::Closing;
use thalweg_sys::time::{Duration, Instant, now, wall_clock_ms};
use thalweg_wire::ErrorCode;

use super::coordinators::ShareCoordinators;
use super::partition::ShareState;
use crate::drivers::parked::Parked;
use crate::drivers::partition::{Isolation, OffsetQuery, Partition, Position};
use crate::drivers::partitions::Partitions;

/// How long the task sleeps when no lock is held. It is woken when that changes.
const FAR: Duration = Duration::from_secs(3600);

/// When locks end, and what the time is.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    task: Arc<Parked>,
    /// When the task looks next, by itself.
    armed: AtomicI64,
}

impl Clock {
    pub(super) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// A lock ends then.
    pub(super) fn look_before(&self, due: Option<Moment>) {
        if let Some(due) = due
            && due.0 < self.armed.fetch_min(due.0, Ordering::AcqRel)
        {
            self.task.wake();
        }
    }
}

/// Every share partition of this node, by group and partition, and the sessions of the members that fetch from them.
#[derive(Debug)]
pub(crate) struct SharePartitions {
    partitions: Arc<Partitions>,
    coordinators: Arc<ShareCoordinators>,
    settings: ShareSettings,
    clock: Arc<Clock>,
    states: Mutex<BTreeMap<(ByteString, Uuid, i32), Arc<ShareState>>>,
    pub(crate) sessions: Mutex<Sessions>,
}

impl SharePartitions {
    pub(crate) fn new(
        partitions: Arc<Partitions>,
        coordinators: Arc<ShareCoordinators>,
        settings: ShareSettings,
        started: Instant,
    ) -> Arc<Self> {
        let clock = Arc::new(Clock { started, task: Parked::new(), armed: AtomicI64::new(i64::MAX) });
        let sessions = Mutex::new(Sessions::new(settings.sessions_max));
        Arc::new(Self { partitions, coordinators, settings, clock, states: Mutex::default(), sessions })
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

    /// The state of these partitions is replaced or forgotten: whoever fetches next begins with what the coordinator knows.
    pub(crate) fn forget(&self, group: &ByteString, partitions: impl Iterator<Item = (Uuid, i32)>) {
        let mut states = self.states.lock();
        for (topic, partition) in partitions {
            if let Some(state) = states.remove(&(group.clone(), topic, partition)) {
                state.end(ErrorCode::UnknownTopicOrPartition);
            }
        }
    }

    /// Ends locks when their time is over, until the node goes down.
    pub(crate) async fn run(self: Arc<Self>, image: impl Fn() -> Arc<MetadataImage>, mut closing: Closing) {
        loop {
            self.clock.armed.store(i64::MAX, Ordering::Release);
            let moment = self.clock.moment();
            let image = image();
            let states: Vec<Arc<ShareState>> = self.states.lock().values().cloned().collect();
            for state in states {
                let next = state.tick(moment, self.limits(&image, &state.key.group));
                if let Some(next) = next {
                    self.clock.armed.fetch_min(next.0, Ordering::AcqRel);
                }
            }
            let until = Moment(self.clock.armed.load(Ordering::Acquire));
            let wait = if until.0 == i64::MAX { FAR } else { until.since(self.clock.moment()) };
            tokio::select! {
                biased;
                () = closing.begun() => return,
                _ = self.clock.task.woken_before(now() + wait) => {}
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
    let find = |query| match place.position(query, Isolation::ReadUncommitted, None)? {
        Position::Known(known) => Ok(known),
        Position::Search(search) => place.search(&search),
    };
    let found = match find(query)? {
        Some(found) => Some(found),
        None => find(OffsetQuery::Latest)?,
    };
    found.map(|found| found.offset).ok_or(ErrorCode::UnknownServerError)
}
