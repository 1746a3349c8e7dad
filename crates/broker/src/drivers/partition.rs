//! One partition on this node: its log, its leader's state machine, and who waits for it.
//!
//! The lock is held for the decisions and the one write of an append, never while records are read or synced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard, RwLock};
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition, Uuid};
use thalweg_records::PreparedBatch;
use thalweg_replica::epochs::{EpochEnd, diverging};
use thalweg_replica::{Ack, Acks, Assignment, Effects, FetchParams, Leader, LogEnds, Refusal};
use thalweg_storage::{
    AppendError, AppendOutcome, AppendRefusal, Fault, FirstBatch, Flush, FlushPlan, Log, Origin, Producer,
    ProducerRefusal, ReadError, ReadPlan, ReadRefusal, TimestampedOffset,
};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant};
use thalweg_wire::ErrorCode;
use tracing::{error, warn};

use super::guard::{Guard, Watch};
use super::log_dirs::Health;
use super::maintenance::flush;
use super::parked::{Parked, Waiters};
use super::settings::Settings;
use crate::metrics::Traffic;

mod reading;
#[cfg(all(test, not(sim)))]
mod tests;
mod view;

pub(crate) use self::reading::{Isolation, Look, OffsetQuery, Reader};
pub(crate) use self::view::{LogView, View};

/// What an append did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) base: Offset,
    /// The offset after the last record.
    pub(crate) end: Offset,
    pub(crate) log_append_time: Option<Timestamp>,
    pub(crate) log_start: Offset,
    /// What has become of it.
    pub(crate) ack: Ack,
    /// A segment was finished and should be flushed.
    pub(crate) rolled: bool,
}

/// This node, as its partitions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) id: NodeId,
    /// When the node started: moments are counted from there.
    pub(crate) started: Instant,
}

impl Local {
    pub(crate) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// Why nothing was appended.
#[derive(Debug)]
pub(crate) enum AppendRefused {
    /// Kafka's error code alone.
    Error(ErrorCode),
    /// An idempotent producer's batch may not come now; the text is for the node's log.
    Sequence(ErrorCode, String),
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

/// Invariant: a partition with a leader has a log.
#[derive(Debug)]
struct State {
    /// `None` once the log was closed, or its disk has failed.
    log: Option<Log>,
    /// `None` while this node does not lead.
    leader: Option<Leader>,
    waiting: Waiters,
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
        self.leader = None;
        self.log = None;
        self.waiting.wake_all();
    }

    /// Whether the log is as usable as before: there was no file descriptor for something that can be done later.
    fn survives(&self, fault: &Fault) -> bool {
        matches!(fault, Fault::Descriptors { .. }) && self.log.as_ref().is_none_or(|log| !log.is_offline())
    }

    /// What serving clients needs: the log and its leader.
    fn serving(&self) -> Result<(&Log, &Leader), ErrorCode> {
        match (&self.log, &self.leader) {
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

    fn carry_out(&mut self, effects: &Effects) {
        if let Some(high_watermark) = effects.high_watermark {
            let has_ended = self.log.as_mut().is_some_and(|log| log.replicated(high_watermark));
            self.touch();
            let bytes = std::mem::take(&mut self.unannounced_bytes);
            match has_ended {
                // Readers of committed records have counted nothing of a transaction until now.
                true => self.waiting.wake_all(),
                false => self.waiting.arrived(bytes.max(1)),
            }
        }
    }
}

impl Partition {
    /// A partition whose log was opened and that nobody leads yet.
    pub(crate) fn new(
        id: TopicPartition,
        topic_id: Uuid,
        log: Log,
        dir: &Arc<Health>,
        settings: Arc<Settings>,
        local: Local,
    ) -> Arc<Self> {
        Self::with(id, topic_id, Some((log, Arc::clone(dir))), settings, local)
    }

    /// A partition whose log is, or may be, in a directory that cannot be used.
    pub(crate) fn offline(id: TopicPartition, topic_id: Uuid, settings: Arc<Settings>, local: Local) -> Arc<Self> {
        Self::with(id, topic_id, None, settings, local)
    }

    fn with(
        id: TopicPartition,
        topic_id: Uuid,
        log: Option<(Log, Arc<Health>)>,
        settings: Arc<Settings>,
        local: Local,
    ) -> Arc<Self> {
        let failed = log.is_none();
        let (log, dir) = log.unzip();
        let state = State {
            log,
            leader: None,
            waiting: Waiters::default(),
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
        if let Some(leader) = &mut state.leader {
            let effects = leader.limits_changed(settings.limits, now);
            state.carry_out(&effects);
        }
        *self.settings.write() = settings;
    }

    /// The metadata says that this node leads. `high_watermark` is the one that was last written to disk.
    pub(crate) fn lead(&self, local: NodeId, assignment: &Assignment, high_watermark: Offset, now: Moment) {
        let limits = self.settings().limits;
        let mut state = self.lock();
        let State { log: Some(log), leader, .. } = &mut *state else { return };
        let effects = match leader {
            Some(leader) => leader.assigned(assignment, now),
            None => {
                let ends = LogEnds { start: log.log_start(), end: log.log_end(), high_watermark };
                let (started, effects) = Leader::start(local, assignment, ends, limits, now);
                *leader = Some(started);
                effects
            }
        };
        log.assign_epoch(assignment.leader_epoch, log.log_end());
        state.carry_out(&effects);
    }

    /// The metadata says that this node does not lead any more.
    pub(crate) fn stop_leading(&self) {
        let mut state = self.lock();
        state.leader = None;
        state.waiting.wake_all();
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
        let State { log: Some(log), leader: Some(leader), unannounced_bytes, watch, .. } = state else {
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
                let ack = leader.ack(end, acks);
                Ok(Appended { base, end, log_append_time, log_start, ack, rolled: false })
            }
            AppendOutcome::Appended(appended) => {
                let end = appended.last_offset.next();
                let bytes = batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
                *unannounced_bytes += bytes.cast_signed();
                watch.note(batches);
                self.traffic.appended((end.0 - appended.first_offset.0).unsigned_abs(), bytes);
                let must_sync = log.is_flush_due(now);
                let effects = match must_sync {
                    true => leader.appended_unsynced(end, moment),
                    false => leader.appended(end, moment),
                };
                let ack = leader.ack(end, acks);
                state.carry_out(&effects);
                if must_sync {
                    self.begin_sync(state);
                }
                let (base, log_append_time) = (appended.first_offset, appended.log_append_time);
                Ok(Appended { base, end, log_append_time, log_start, ack, rolled: appended.rolled })
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
            flush(self, Flush::All);
            let mut state = self.lock();
            if !state.leader.as_ref().is_some_and(Leader::waits_for_sync) {
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

    /// What has become of an append that ends at `end`.
    pub(crate) fn ack(&self, end: Offset, acks: Acks) -> Result<Ack, ErrorCode> {
        let state = self.lock();
        state.serving().map(|(_, leader)| leader.ack(end, acks))
    }

    /// Whether this node leads, and can.
    pub(crate) fn leads(&self) -> bool {
        self.lock().leader.is_some()
    }

    /// `request` is to be woken when something becomes readable or changes here.
    pub(crate) fn park(&self, request: &Arc<Parked>) {
        self.lock().waiting.add(request);
    }

    /// Finds what a fetch would read, without reading it.
    pub(crate) fn look(
        &self,
        params: &FetchParams,
        bytes_max: usize,
        first: FirstBatch,
        reader: Reader,
        isolation: Isolation,
    ) -> Look {
        let state = self.lock();
        let looked = state.serving().and_then(|(log, leader)| {
            leader.check_epoch(params.current_leader_epoch).map_err(error_of)?;
            if let Reader::Follower(_) = reader {
                // Nobody follows this node yet: every partition has one replica.
                return Err(match params.current_leader_epoch {
                    Some(_) => error_of(Refusal::NotAReplica),
                    None => ErrorCode::NotLeaderOrFollower,
                });
            }
            let high_watermark = leader.high_watermark();
            let last_stable = log.last_stable_offset(high_watermark);
            let diverging = match params.last_fetched_epoch {
                Some(epoch) => {
                    let own = log.end_offset_for_epoch(epoch).map(|(epoch, end)| EpochEnd { epoch, end });
                    diverging(params.fetch_offset, epoch, own, log.log_start()).map_err(error_of)?
                }
                None => None,
            };
            let mut look = Look {
                error: ErrorCode::None,
                high_watermark,
                last_stable,
                log_start: log.log_start(),
                diverging,
                read: None,
                aborted: Vec::new(),
            };
            if look.diverging.is_none() {
                let limit = if isolation == Isolation::ReadCommitted { last_stable } else { high_watermark };
                let plan = log.read(params.fetch_offset, limit, bytes_max, first);
                let failed = |e: &ReadError| self.read_error(state.dir.as_deref(), e);
                let plan = plan.map_err(|e| failed(&e))?;
                if isolation == Isolation::ReadCommitted {
                    // Under the same lock as the plan: a compaction in between forgets what the plan still reads.
                    let aborted = log.aborted_txns(params.fetch_offset, &plan);
                    look.aborted = aborted.map_err(|fault| failed(&fault.into()))?;
                }
                look.read = Some(plan).filter(|plan| !plan.is_empty());
            }
            Ok(look)
        });
        looked.unwrap_or_else(Look::refused)
    }

    /// Answers a query of `ListOffsets`; `None` when there is no such record.
    pub(crate) fn position(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<TimestampedOffset>, ErrorCode> {
        let state = self.lock();
        let (log, leader) = state.serving()?;
        leader.check_epoch(current_leader_epoch).map_err(error_of)?;
        let high_watermark = leader.high_watermark();
        let readable_end = match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => log.last_stable_offset(high_watermark),
            Isolation::LogEnd => log.log_end(),
        };
        let found = match query {
            OffsetQuery::Latest => {
                let leader_epoch = leader.leader_epoch();
                let timestamp = Timestamp::NONE;
                return Ok(Some(TimestampedOffset { timestamp, offset: readable_end, leader_epoch }));
            }
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal => return Ok(Some(log.earliest())),
            // Nothing is tiered.
            OffsetQuery::LatestTiered | OffsetQuery::EarliestPendingUpload => return Ok(None),
            OffsetQuery::MaxTimestamp => log.max_timestamp(),
            OffsetQuery::At(timestamp) => log.offset_for_timestamp(timestamp),
        };
        match found {
            Ok(found) => Ok(found.filter(|found| found.offset < readable_end)),
            Err(fault) => Err(self.read_fault(state.dir.as_deref(), &fault)),
        }
    }

    fn read_error(&self, dir: Option<&Health>, error: &ReadError) -> ErrorCode {
        match error {
            ReadError::Refused(ReadRefusal::OffsetOutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
            ReadError::Fault(fault) => self.read_fault(dir, fault),
        }
    }

    /// Damage in a file spoils what was asked for; a disk that cannot be read takes its directory offline.
    fn read_fault(&self, dir: Option<&Health>, fault: &Fault) -> ErrorCode {
        match (fault, dir) {
            (Fault::Io { .. }, Some(dir)) => dir.fail(fault),
            _ => error!(partition = %self.id, error = %fault, "a read failed"),
        }
        match fault {
            Fault::Corrupt { .. } => ErrorCode::CorruptMessage,
            Fault::Io { .. } | Fault::Offline { .. } | Fault::Descriptors { .. } => ErrorCode::KafkaStorageError,
        }
    }

    /// A fetch was cut by its limits: its client will go on where these bytes end.
    pub(crate) fn has_read(&self, plan: &ReadPlan, bytes: &[u8]) {
        if let Some(log) = &self.lock().log {
            log.has_read(plan, bytes);
        }
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
        let State { log: Some(log), leader: Some(leader), .. } = &mut *state else { return Err(absent) };
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
        state.carry_out(&effects);
        Ok(log_start)
    }

    /// Where an epoch ended in this log: the offset after its last record, with the largest epoch that is not above it.
    pub(crate) fn end_of_epoch(
        &self,
        epoch: LeaderEpoch,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<EpochEnd>, ErrorCode> {
        let state = self.lock();
        let (log, leader) = state.serving()?;
        leader.check_epoch(current_leader_epoch).map_err(error_of)?;
        Ok(log.end_offset_for_epoch(epoch).map(|(epoch, end)| EpochEnd { epoch, end }))
    }

    /// The log's first offset has moved: consumers and followers are told.
    pub(crate) fn log_start_moved(&self) {
        let mut state = self.lock();
        if let State { log: Some(log), leader: Some(leader), .. } = &mut *state {
            let effects = leader.log_start_moved(log.log_start());
            state.touch();
            state.carry_out(&effects);
        }
    }

    /// A flush was carried out.
    pub(crate) fn flushed(&self, plan: &FlushPlan, now: Timestamp, took: Duration) {
        let mut state = self.lock();
        state.touch();
        if let Some(dir) = &state.dir {
            dir.flushes.record(took);
        }
        let Some(log) = &mut state.log else { return };
        log.flushed(plan, now);
        let durable = log.recovery_point();
        if let Some(leader) = state.leader.as_mut().filter(|leader| leader.waits_for_sync()) {
            let effects = leader.synced(durable, self.local.moment());
            state.carry_out(&effects);
            // Some wait for the disk alone, whatever the followers have.
            state.waiting.wake_all();
        }
    }

    /// The high watermark, if this node leads.
    pub(crate) fn high_watermark(&self) -> Option<Offset> {
        self.lock().leader.as_ref().map(Leader::high_watermark)
    }

    /// The partition as it is now.
    pub(crate) fn view(&self) -> View {
        let min_in_sync = self.settings().limits.min_isr;
        let state = self.lock();
        let high_watermark = state.leader.as_ref().map(Leader::high_watermark);
        let log = state.log.as_ref().map(|log| LogView {
            start: log.log_start(),
            end: log.log_end(),
            last_stable: log.last_stable_offset(high_watermark.unwrap_or(log.log_end())),
            bytes: log.size(),
            segments: log.segment_count(),
            producers: log.producers().len(),
        });
        let (id, topic_id, traffic) = (self.id.clone(), self.topic_id, self.traffic.total());
        View { id, topic_id, log, high_watermark, offline: state.failed, min_in_sync, traffic }
    }

    /// The topic was deleted: takes the log out. Whoever waits learns that there is no such partition.
    pub(crate) fn remove(&self) -> Option<Log> {
        self.lock().removed = true;
        self.take_log()
    }

    /// Takes the log out: from here on nobody is served.
    pub(crate) fn take_log(&self) -> Option<Log> {
        let mut state = self.lock();
        state.leader = None;
        state.waiting.wake_all();
        state.log.take()
    }
}

fn error_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        Refusal::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refusal::UnknownLeaderEpoch | Refusal::NotAReplica => ErrorCode::UnknownLeaderEpoch,
        Refusal::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        Refusal::StaleBrokerEpoch => ErrorCode::NotLeaderOrFollower,
    }
}

fn append_refused(refusal: &AppendRefusal) -> AppendRefused {
    let error = match refusal {
        AppendRefusal::Producer(refusal) => match refusal {
            ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerRefusal::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerRefusal::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            ProducerRefusal::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        },
        AppendRefusal::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendRefusal::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        AppendRefusal::Corrupt(_) => ErrorCode::CorruptMessage,
    };
    match refusal {
        AppendRefusal::Producer(_) => AppendRefused::Sequence(error, refusal.to_string()),
        _ => AppendRefused::Error(error),
    }
}
