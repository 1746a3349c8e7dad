//! One partition on this node: its log, its leader's state machine, and who waits for it.
//!
//! The lock is held for the decisions and the one write of an append, never while records are read or synced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard, RwLock};
#[cfg(sim)]
use thalweg_base::planted::{self, Bug};
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition, Uuid};
use thalweg_metadata::image::{ClusterImage, PartitionRegistration};
use thalweg_records::PreparedBatch;
use thalweg_replica::{
    Ack, Acks, Assignment, BrokerState, Effects, Follower, IsrProposal, IsrRefusal, Leader, PartitionEpoch,
};
use thalweg_storage::{AppendError, AppendOutcome, Fault, Flush, FlushPlan, Log, Origin, Producer};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::ErrorCode;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::guard::{Guard, Watch};
use super::log_dirs::Health;
use super::parked::{Parked, Waiters};
use super::settings::Settings;
use super::throttles::Throttles;
use crate::drivers::clock::timestamp;
use crate::metrics::{Replicated, Traffic};

mod appended;
mod followed;
mod following;
pub(crate) mod reading;
mod role;
#[cfg(all(test, not(sim)))]
mod tests;
mod view;

pub(crate) use self::appended::{AppendRefused, Appended};
use self::appended::{append_refused, error_of};
pub(crate) use self::followed::{BeforeNext, Fetched, FollowedUp};
use self::role::Role;
pub(crate) use self::view::{LogView, View};

/// This node, as its partitions see it.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) id: NodeId,
    /// When the node started: moments are counted from there.
    pub(crate) started: Instant,
    /// Where leaders put the in-sync replicas that the controller is to be asked for. Each partition has at most one
    /// proposal that is not answered, so that there are never more than partitions.
    pub(crate) proposals: mpsc::UnboundedSender<Proposed>,
    /// How fast throttled replicas are copied.
    pub(crate) throttles: Arc<Throttles>,
    /// What is copied, and how the replicas in sync change.
    pub(crate) replicated: Arc<Replicated>,
}

/// A partition's proposal to the controller.
#[derive(Debug)]
pub(crate) struct Proposed {
    pub(crate) place: Arc<Partition>,
    pub(crate) proposal: IsrProposal,
}

impl Local {
    pub(crate) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// The in-sync replicas as the controller has committed them.
#[derive(Clone, Debug)]
pub(crate) struct IsrCommitted {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) isr: Vec<NodeId>,
}

/// A partition on this node; the module says what is done under its lock.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Itself, for the task that syncs it.
    this: Weak<Self>,
    local: Local,
    pub(crate) id: TopicPartition,
    pub(crate) topic_id: Uuid,
    pub(crate) traffic: Traffic,
    settings: RwLock<Arc<Settings>>,
    state: Mutex<State>,
    cleaning: Cleaning,
}

/// What the cleaner has to do with a partition.
#[derive(Debug, Default)]
struct Cleaning {
    /// It is at work: segments are not deleted meanwhile.
    runs: AtomicBool,
    /// It found damage and leaves the log alone.
    gave_up: AtomicBool,
}

/// Invariant: a partition with a leader or follower has a log.
#[derive(Debug)]
struct State {
    /// `None` once the log was closed, or its disk has failed.
    log: Option<Log>,
    role: Role,
    /// Those who wait for the high watermark.
    waiting: Waiters,
    /// Followers that wait for the end of the log.
    followers_waiting: Waiters,
    /// Bytes that were appended and not yet announced to those who wait.
    unannounced_bytes: i64,
    /// The transactions here.
    watch: Watch,
    /// The directory that the log is in; `None` when that is not known, because a directory could not be read.
    dir: Option<Arc<Health>>,
    failed: bool,
    /// Its topic was deleted.
    removed: bool,
    /// A task syncs the log for those who wait for that.
    syncing: bool,
}

impl State {
    /// Nobody is served any more. Whoever waits learns of it.
    fn go_offline(&mut self) {
        self.failed = true;
        self.role.stand_by();
        self.log = None;
        self.wake_all();
    }

    /// Whether the log is as usable as before: there was no file descriptor for something that can be done later.
    fn survives(&self, fault: &Fault) -> bool {
        matches!(fault, Fault::Descriptors { .. }) && self.log.as_ref().is_none_or(|log| !log.is_offline())
    }

    /// What serving clients needs: the log and its leader.
    fn serving(&self) -> Result<(&Log, &Leader), ErrorCode> {
        match (&self.log, self.role.leader()) {
            (Some(log), Some(leader)) => Ok((log, leader)),
            _ => Err(self.absent()),
        }
    }

    /// Why nobody is served. Also a request that named the topic by its id and waited here while it was deleted gets
    /// Kafka's UNKNOWN_TOPIC_OR_PARTITION.
    fn absent(&self) -> ErrorCode {
        match (self.removed, self.failed) {
            (true, _) => ErrorCode::UnknownTopicOrPartition,
            (false, true) => ErrorCode::KafkaStorageError,
            (false, false) => ErrorCode::NotLeaderOrFollower,
        }
    }

    fn touch(&self) {
        if let Some(dir) = &self.dir {
            dir.touch();
        }
    }

    /// Everybody who waits here is to look again.
    fn wake_all(&mut self) {
        self.waiting.wake_all();
        self.followers_waiting.wake_all();
    }
}

impl Partition {
    /// A partition whose log was opened and that nobody leads yet. `high_watermark` is the one that was last written to disk.
    pub(crate) fn new(
        id: TopicPartition,
        topic_id: Uuid,
        (log, dir): (Log, &Arc<Health>),
        high_watermark: Offset,
        settings: Arc<Settings>,
        local: Local,
    ) -> Arc<Self> {
        let high_watermark = high_watermark.clamp(log.log_start(), log.log_end());
        Self::with(id, topic_id, Some((log, Arc::clone(dir))), high_watermark, settings, local)
    }

    /// A partition whose log is, or may be, in a directory that cannot be used.
    pub(crate) fn offline(id: TopicPartition, topic_id: Uuid, settings: Arc<Settings>, local: Local) -> Arc<Self> {
        Self::with(id, topic_id, None, Offset::ZERO, settings, local)
    }

    fn with(
        id: TopicPartition,
        topic_id: Uuid,
        log: Option<(Log, Arc<Health>)>,
        high_watermark: Offset,
        settings: Arc<Settings>,
        local: Local,
    ) -> Arc<Self> {
        let failed = log.is_none();
        let (log, dir) = log.unzip();
        let state = State {
            log,
            role: Role::Idle { high_watermark },
            waiting: Waiters::default(),
            followers_waiting: Waiters::default(),
            unannounced_bytes: 0,
            watch: Watch::default(),
            dir,
            failed,
            removed: false,
            syncing: false,
        };
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            local,
            id,
            topic_id,
            traffic: Traffic::default(),
            settings: RwLock::new(settings),
            state: Mutex::new(state),
            cleaning: Cleaning::default(),
        })
    }

    /// The state. When the directory has failed meanwhile, nothing of it is used any more.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if !state.failed && state.dir.as_ref().is_some_and(|dir| dir.is_failed()) {
            state.go_offline();
        }
        state
    }

    /// Whether its log cannot be used.
    pub(crate) fn is_offline(&self) -> bool {
        self.lock().failed
    }

    /// Takes the right to clean the log, unless it is taken or the cleaner has given it up.
    pub(crate) fn begin_cleaning(&self) -> bool {
        !self.cleaning.gave_up.load(Ordering::Relaxed) && !self.cleaning.runs.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end_cleaning(&self) {
        self.cleaning.runs.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_being_cleaned(&self) -> bool {
        self.cleaning.runs.load(Ordering::Relaxed)
    }

    pub(crate) fn has_given_up_cleaning(&self) -> bool {
        self.cleaning.gave_up.load(Ordering::Relaxed)
    }

    /// Puts another log into the place of this one, while nobody appends: `make` is given the old one. The new one gets the
    /// configuration of now, which may have changed since it was opened. Gives the old one; `None` when there is none.
    pub(crate) fn replace_log<E>(
        &self,
        dir: &Arc<Health>,
        make: impl FnOnce(&mut Log) -> Result<Log, E>,
    ) -> Option<Result<Log, E>> {
        let mut state = self.lock();
        let log = state.log.as_mut()?;
        let mut new = match make(log) {
            Ok(new) => new,
            Err(e) => return Some(Err(e)),
        };
        new.set_config(self.settings().log.clone());
        let old = std::mem::replace(log, new);
        state.dir = Some(Arc::clone(dir));
        Some(Ok(old))
    }

    /// The cleaner found damage.
    pub(crate) fn give_up_cleaning(&self) {
        self.cleaning.gave_up.store(true, Ordering::Relaxed);
    }

    /// The topic's configuration as it counts here.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// The topic's configuration has changed.
    pub(crate) fn set_settings(&self, settings: Arc<Settings>, now: Moment) {
        let mut state = self.lock();
        if let Some(log) = &mut state.log {
            log.set_config(settings.log.clone());
        }
        if let Some(leader) = state.role.leader_mut() {
            let effects = leader.limits_changed(settings.limits, now);
            self.take_effects(&mut state, effects);
        }
        *self.settings.write() = settings;
    }

    /// Takes the part that the metadata gives to this node; says what to ask the leader for, if it is another broker.
    pub(crate) fn assign(&self, registration: &PartitionRegistration, cluster: &ClusterImage) -> FollowedUp {
        let mut state = self.lock();
        match registration.leader {
            NodeId::NONE => {
                state.role.stand_by();
                state.wake_all();
                FollowedUp::Stop
            }
            leader if leader == self.local.id => {
                self.lead(&mut state, registration, cluster);
                FollowedUp::Stop
            }
            #[cfg(sim)]
            _ if planted::has(Bug::FencedLeaderAppends) && state.role.leader().is_some() => {
                let alone = vec![self.local.id];
                let misread = PartitionRegistration { replicas: alone.clone(), isr: alone, ..registration.clone() };
                self.lead(&mut state, &misread, cluster);
                FollowedUp::Stop
            }
            leader => match state.follow(leader, registration.leader_epoch) {
                Ok(next) => next,
                Err(fault) => {
                    self.fail(&mut state, &fault);
                    FollowedUp::Stop
                }
            },
        }
    }

    /// This node leads.
    fn lead(&self, state: &mut State, registration: &PartitionRegistration, cluster: &ClusterImage) {
        let assignment = Assignment {
            leader_epoch: registration.leader_epoch,
            partition_epoch: PartitionEpoch(registration.partition_epoch.0),
            replicas: registration.replicas.clone(),
            isr: registration.isr.clone(),
        };
        let (limits, now) = (self.settings().limits, self.local.moment());
        let State { log: Some(log), role, .. } = &mut *state else { return };
        let (effects, is_new) = match role {
            // The image may show what this leader has proposed before the controller's answer does.
            Role::Leader(leader) if leader.is_proposing() => {
                (self.counting_isr(leader, |leader| leader.assigned(&assignment, now)), false)
            }
            Role::Leader(leader) => (leader.assigned(&assignment, now), false),
            Role::Follower(_) | Role::Idle { .. } => {
                let ends = role.ends(log.log_start(), log.log_end());
                let (leader, effects) = Leader::start(self.local.id, &assignment, ends, limits, now);
                *role = Role::Leader(leader);
                (effects, true)
            }
        };
        log.assign_epoch(assignment.leader_epoch, log.log_end());
        self.take_effects(state, effects);
        if is_new {
            // Clients that read from this follower ask the leader now, which is the same node.
            state.wake_all();
        }
        self.note_brokers(state, cluster);
    }

    /// Tells a leader something that may change its replicas in sync, and counts that.
    fn counting_isr(&self, leader: &mut Leader, tell: impl FnOnce(&mut Leader) -> Effects) -> Effects {
        let before = leader.isr().to_vec();
        let effects = tell(leader);
        self.local.replicated.isr_changed(&before, leader.isr());
        effects
    }

    /// Brokers have registered, were fenced or unfenced, or begin to shut down.
    pub(crate) fn brokers_changed(&self, cluster: &ClusterImage) {
        self.note_brokers(&mut self.lock(), cluster);
    }

    fn note_brokers(&self, state: &mut State, cluster: &ClusterImage) {
        let Some(leader) = state.role.leader() else { return };
        let followers: Vec<NodeId> = leader.followers().collect();
        for follower in followers {
            let Some(leader) = state.role.leader_mut() else { return };
            let effects = leader.broker_changed(follower, broker_state(cluster, follower), self.local.moment());
            self.take_effects(state, effects);
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        let Some(leader) = state.role.leader_mut() else { return };
        if leader.followers().next().is_none() {
            return;
        }
        let effects = leader.tick(self.local.moment());
        self.take_effects(&mut state, effects);
    }

    /// The controller has answered the proposal that was based on `partition_epoch`.
    pub(crate) fn isr_answered(&self, partition_epoch: PartitionEpoch, answer: Result<IsrCommitted, IsrRefusal>) {
        let now = self.local.moment();
        let mut state = self.lock();
        let Some(leader) = state.role.leader_mut() else { return };
        let effects = match answer {
            Ok(committed) => self.counting_isr(leader, |leader| {
                leader.isr_committed(committed.leader_epoch, &committed.isr, committed.partition_epoch, now)
            }),
            Err(refusal) => {
                self.local.replicated.failed_isr_updates.increment();
                leader.isr_refused(partition_epoch, refusal, now)
            }
        };
        self.take_effects(&mut state, effects);
        // Appends may wait for fewer replicas now.
        state.waiting.wake_all();
    }

    /// Does what the leader's machine wants done.
    fn take_effects(&self, state: &mut State, effects: Effects) {
        if let Some(high_watermark) = effects.high_watermark {
            let has_ended = state.log.as_mut().is_some_and(|log| log.replicated(high_watermark));
            state.touch();
            let bytes = std::mem::take(&mut state.unannounced_bytes);
            match has_ended {
                // Readers of committed records have counted nothing of a transaction until now.
                true => state.waiting.wake_all(),
                false => state.waiting.arrived(bytes.max(1)),
            }
        }
        if effects.low_watermark.is_some() {
            state.waiting.wake_all();
        }
        if let (Some(proposal), Some(place)) = (effects.propose_isr, self.this.upgrade()) {
            // Nobody listens any more when the node closes.
            let _ = self.local.proposals.send(Proposed { place, proposal });
        }
    }

    /// Appends a producer's batches, or a coordinator's.
    pub(crate) fn append(
        &self,
        batches: &mut [PreparedBatch],
        origin: Origin,
        acks: Acks,
        now: Timestamp,
        moment: Moment,
    ) -> Result<Appended, AppendRefused> {
        self.append_to(&mut self.lock(), batches, origin, acks, now, moment)
    }

    /// Appends a batch of a transaction by its producer, if the transaction is open here, or was found open by the
    /// coordinator and has not ended since `guard` was given.
    pub(crate) fn append_in_transaction(
        &self,
        batches: &mut [PreparedBatch],
        guard: &Guard,
        acks: Acks,
        now: Timestamp,
        moment: Moment,
    ) -> Result<Appended, AppendRefused> {
        let mut state = self.lock();
        if let (Some(log), Some(batch)) = (&state.log, batches.first()) {
            guard
                .check(log, &batch.header(), &state.watch)
                .map_err(|(error, why)| AppendRefused::Sequence(error, why.to_owned()))?;
        }
        self.append_to(&mut state, batches, Origin::Client, acks, now, moment)
    }

    fn append_to(
        &self,
        state: &mut State,
        batches: &mut [PreparedBatch],
        origin: Origin,
        acks: Acks,
        now: Timestamp,
        moment: Moment,
    ) -> Result<Appended, AppendRefused> {
        let absent = state.absent();
        let State { log: Some(log), role: Role::Leader(leader), unannounced_bytes, watch, .. } = state else {
            return Err(AppendRefused::Error(absent));
        };
        leader.may_append(acks).map_err(|refusal| AppendRefused::Error(error_of(refusal)))?;
        let outcome = match log.append(batches, leader.leader_epoch(), origin, now) {
            Ok(outcome) => outcome,
            Err(AppendError::Refused(refusal)) => return Err(append_refused(&refusal)),
            Err(AppendError::Fault(fault)) => {
                self.fail(state, &fault);
                self.traffic.append_failed();
                return Err(AppendRefused::Error(ErrorCode::KafkaStorageError));
            }
        };
        let log_start = log.log_start();
        match outcome {
            AppendOutcome::Duplicate(duplicate) => {
                let end = duplicate.last_offset.next();
                let base = duplicate.first_offset;
                // Kafka tells the timestamp of the first copy, whoever set it.
                let log_append_time = Some(duplicate.timestamp);
                let (epoch, ack) = (leader.leader_epoch(), leader.ack(end, acks));
                Ok(Appended { base, end, log_append_time, log_start, epoch, ack, rolled: false })
            }
            AppendOutcome::Appended(appended) => {
                let end = appended.last_offset.next();
                let bytes = batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
                *unannounced_bytes += bytes.cast_signed();
                watch.note(batches, origin);
                self.traffic.appended((end.0 - appended.first_offset.0).unsigned_abs(), bytes);
                let must_sync = log.is_flush_due(now);
                let effects = match must_sync {
                    true => leader.appended_unsynced(end, moment),
                    false => leader.appended(end, moment),
                };
                let (epoch, ack) = (leader.leader_epoch(), leader.ack(end, acks));
                self.take_effects(state, effects);
                state.followers_waiting.arrived(bytes.cast_signed());
                if must_sync {
                    self.begin_sync(state);
                }
                let (base, log_append_time) = (appended.first_offset, appended.log_append_time);
                let rolled = appended.rolled;
                Ok(Appended { base, end, log_append_time, log_start, epoch, ack, rolled })
            }
        }
    }

    /// Starts the task that syncs the log for those who wait for that, unless it is at work: one sync at a time serves all
    /// that was appended before it began.
    fn begin_sync(&self, state: &mut State) {
        if state.syncing {
            return;
        }
        state.syncing = true;
        let this = Weak::clone(&self.this);
        task::spawn(async move {
            // Interrupted when the node goes down.
            let _ = task::blocking(move || this.upgrade().map(|this| this.sync_while_needed())).await;
        });
    }

    fn sync_while_needed(&self) {
        loop {
            self.flush(Flush::All);
            let mut state = self.lock();
            if !state.role.leader().is_some_and(Leader::waits_for_sync) {
                state.syncing = false;
                return;
            }
        }
    }

    /// Whether a producer may go on with its transaction here, with this sequence number if it matters: `None` if it is open,
    /// else what to append with once the coordinator has said that it is.
    pub(crate) fn begin_verification(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        sequence: Option<i32>,
    ) -> Result<Option<Guard>, ErrorCode> {
        let mut state = self.lock();
        let (log, _) = state.serving()?;
        let (known, is_open) = (log.producer(id).map(Producer::epoch), log.has_ongoing_txn(id, epoch));
        match (known, sequence) {
            (Some(known), _) if epoch < known => return Err(ErrorCode::InvalidProducerEpoch),
            (None, Some(sequence)) => state.watch.attempted(id, epoch, sequence),
            _ => {}
        }
        Ok((!is_open).then_some(Guard::Verified { ended: state.watch.ended(), from_zero: false }))
    }

    /// Whether the transaction of a producer is open here, or has not ended since `guard` was given.
    pub(crate) fn is_in_transaction(&self, id: ProducerId, epoch: ProducerEpoch, guard: &Guard) -> bool {
        let state = self.lock();
        state.log.as_ref().is_some_and(|log| guard.holds(log, id, epoch, &state.watch))
    }

    /// What has become of an append in a leader epoch that ends at `end`. When another node has led since, it may have been
    /// cut off, and other records may stand there.
    pub(crate) fn ack(&self, end: Offset, epoch: LeaderEpoch, acks: Acks) -> Result<Ack, ErrorCode> {
        let state = self.lock();
        let (_, leader) = state.serving()?;
        if leader.has_led_since(epoch) { Ok(leader.ack(end, acks)) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Whether this node leads, and can.
    pub(crate) fn leads(&self) -> bool {
        self.lock().role.leader().is_some()
    }

    /// `request` is to be woken when something becomes readable or changes here.
    pub(crate) fn park(&self, request: &Arc<Parked>) {
        self.lock().waiting.add(request);
    }

    /// As [`Partition::park`], for a follower, which reads to the end of the log.
    pub(crate) fn park_follower(&self, request: &Arc<Parked>) {
        self.lock().followers_waiting.add(request);
    }

    /// Reading or syncing the log has failed elsewhere.
    pub(crate) fn failed(&self, fault: &Fault) {
        let mut state = self.lock();
        if state.survives(fault) {
            warn!(partition = %self.id, error = %fault, "the log goes on: this is tried again later");
            return;
        }
        if let Some(dir) = &state.dir {
            dir.fail(fault);
        }
        state.go_offline();
    }

    /// A disk that has failed once is not trusted again: the whole directory goes offline. Damage in one log's files is
    /// that log's alone.
    fn fail(&self, state: &mut State, fault: &Fault) {
        if state.survives(fault) {
            warn!(partition = %self.id, error = %fault, "the log goes on: this is refused");
            return;
        }
        match (fault, &state.dir) {
            (Fault::Io { .. } | Fault::Offline { .. }, Some(dir)) => dir.fail(fault),
            _ if state.failed => {}
            (Fault::Descriptors { .. }, _) => {
                error!(partition = %self.id, error = %fault, "the log goes offline in the middle of a change: restart the node");
            }
            _ => error!(partition = %self.id, error = %fault, "the log goes offline: its files are damaged"),
        }
        state.go_offline();
    }

    /// Does something with the log, if it is there. A fault takes it offline.
    pub(crate) fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> Result<T, Fault>) -> Option<T> {
        let mut state = self.lock();
        let done = work(state.log.as_mut()?);
        match done {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fail(&mut state, &fault);
                None
            }
        }
    }

    /// Deletes the records before `to` (`None`: all that are committed); gives the offset of the first one left.
    pub(crate) fn delete_records(&self, to: Option<Offset>) -> Result<Offset, ErrorCode> {
        let settings = self.settings();
        let mut state = self.lock();
        let absent = state.absent();
        let State { log: Some(log), role: Role::Leader(leader), .. } = &mut *state else { return Err(absent) };
        let to = leader.may_delete_to(to).map_err(error_of)?;
        if !settings.log.delete {
            return Err(ErrorCode::PolicyViolation);
        }
        if let Err(fault) = log.advance_log_start(to) {
            self.fail(&mut state, &fault);
            return Err(ErrorCode::KafkaStorageError);
        }
        let log_start = log.log_start();
        let effects = leader.log_start_moved(log_start);
        state.touch();
        self.take_effects(&mut state, effects);
        Ok(log_start)
    }

    /// Where the logs of all live replicas begin; `None` while one has not told.
    pub(crate) fn low_watermark(&self) -> Result<Option<Offset>, ErrorCode> {
        self.lock().serving().map(|(_, leader)| leader.low_watermark())
    }

    /// The log's first offset has moved: consumers and followers learn of it.
    pub(crate) fn log_start_moved(&self) {
        let mut state = self.lock();
        let State { log: Some(log), role, .. } = &mut *state else { return };
        match role {
            Role::Leader(leader) => {
                let effects = leader.log_start_moved(log.log_start());
                self.take_effects(&mut state, effects);
            }
            Role::Follower(follower) => follower.log_start_moved(log.log_start()),
            Role::Idle { .. } => {}
        }
        state.touch();
    }

    /// Syncs the log outside of its lock, so that appends go on.
    pub(crate) fn flush(&self, what: Flush) {
        let Some(Some(plan)) = self.with_log(|log| log.flush_plan(what)) else { return };
        let begun = now();
        match plan.execute() {
            Ok(()) => self.flushed(&plan, timestamp(), begun.elapsed()),
            // After a failed sync nobody knows what is on the disk: it is not tried again.
            Err(fault) => self.failed(&fault),
        }
    }

    /// A flush was carried out.
    fn flushed(&self, plan: &FlushPlan, now: Timestamp, took: Duration) {
        let mut state = self.lock();
        state.touch();
        if let Some(dir) = &state.dir {
            dir.flushes.record(took);
        }
        let Some(log) = &mut state.log else { return };
        log.flushed(plan, now);
        let durable = log.recovery_point();
        if let Some(leader) = state.role.leader_mut().filter(|leader| leader.waits_for_sync()) {
            let effects = leader.synced(durable, self.local.moment());
            self.take_effects(&mut state, effects);
            // Some wait for the disk alone, whatever the followers have.
            state.waiting.wake_all();
        }
    }

    /// The high watermark, if there is a log.
    pub(crate) fn high_watermark(&self) -> Option<Offset> {
        let state = self.lock();
        state.log.is_some().then(|| state.role.high_watermark())
    }

    /// The partition as it is now.
    pub(crate) fn view(&self) -> View {
        let min_in_sync = self.settings().limits.min_isr;
        let state = self.lock();
        let high_watermark = state.role.leader().map(Leader::high_watermark);
        let log = state.log.as_ref().map(|log| LogView {
            start: log.log_start(),
            end: log.log_end(),
            last_stable: log.last_stable_offset(high_watermark.unwrap_or(log.log_end())),
            bytes: log.size(),
            segments: log.segment_count(),
            producers: log.producers().len(),
        });
        let lag = state.role.follower().map(Follower::lag);
        let (id, topic_id, traffic) = (self.id.clone(), self.topic_id, self.traffic.total());
        View { id, topic_id, log, high_watermark, lag, offline: state.failed, min_in_sync, traffic }
    }

    /// The topic was deleted: takes the log out. Whoever waits learns that there is no such partition.
    pub(crate) fn remove(&self) -> Option<Log> {
        self.lock().removed = true;
        self.take_log()
    }

    /// Takes the log out: from here on nobody is served.
    pub(crate) fn take_log(&self) -> Option<Log> {
        let mut state = self.lock();
        state.role.stand_by();
        state.wake_all();
        state.log.take()
    }
}

fn broker_state(cluster: &ClusterImage, broker: NodeId) -> BrokerState {
    match cluster.broker(broker) {
        Some(broker) if broker.fenced => BrokerState::Unavailable,
        Some(broker) if broker.in_controlled_shutdown => BrokerState::ShuttingDown(broker.epoch),
        Some(broker) => BrokerState::Active(broker.epoch),
        None => BrokerState::Unavailable,
    }
}
