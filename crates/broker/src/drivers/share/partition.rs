//! A share partition of this node: the group's view of it, the partition itself, and who waits for records.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_base::{LeaderEpoch, Moment, Offset};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchView, batches};
use thalweg_replica::FetchParams;
use thalweg_share::state::{Failure, Key, Request, State};
use thalweg_share::{
    AckBatch, AckRefusal, Acquire, AcquireMode, Acquired, Limits, Loaded, SharePartition, Span, StateBatch, Write,
};
use thalweg_storage::{AbortedTxn, FirstBatch};
use thalweg_sys::task;
use thalweg_wire::ErrorCode;

use super::clock::Clock;
use super::coordinators::ShareCoordinators;
use crate::drivers::parked::{Parked, Waiters};
use crate::drivers::partition::Partition;
use crate::drivers::partition::reading::{Isolation, Look, Reader};

/// What the members of a control batch need at most.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// How a member fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetching<'a> {
    pub(crate) member: &'a Arc<str>,
    pub(crate) mode: AcquireMode,
    pub(crate) records_max: i64,
    pub(crate) batch_size: i64,
    pub(crate) bytes_max: usize,
    pub(crate) isolation: Isolation,
}

/// Records that a member holds from now on.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) acquired: Vec<Acquired>,
    /// Whole batches of the log that hold them.
    pub(crate) records: Bytes,
}

#[derive(Debug)]
enum Machine {
    /// The coordinator is asked what it remembers.
    Loading,
    Active(SharePartition),
    /// It cannot be served here: another leader or another state has taken over.
    Ended(ErrorCode),
}

#[derive(Debug)]
struct Inner {
    machine: Machine,
    waiting: Waiters,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ShareState {
    this: Weak<Self>,
    pub(crate) key: Key,
    place: Arc<Partition>,
    epoch: LeaderEpoch,
    coordinators: Arc<ShareCoordinators>,
    clock: Arc<Clock>,
    inner: Mutex<Inner>,
}

impl ShareState {
    /// Begins to serve a share partition: asks the coordinator what it remembers. `start` says where the group begins when
    /// that is left to its configuration; it may read the disk.
    pub(super) fn begin(
        key: Key,
        place: Arc<Partition>,
        epoch: LeaderEpoch,
        coordinators: Arc<ShareCoordinators>,
        clock: Arc<Clock>,
        start: impl FnOnce(&Partition) -> Result<Offset, ErrorCode> + Send + 'static,
    ) -> Arc<Self> {
        let inner = Mutex::new(Inner { machine: Machine::Loading, waiting: Waiters::default() });
        let this = Arc::new_cyclic(|this| Self { this: this.clone(), key, place, epoch, coordinators, clock, inner });
        let loading = Arc::clone(&this);
        task::spawn(async move {
            let loaded = loading.load(start).await;
            let mut inner = loading.inner.lock();
            inner.machine = match loaded {
                Ok(loaded) => Machine::Active(SharePartition::new(&loaded)),
                Err(error) => Machine::Ended(error),
            };
            inner.waiting.wake_all();
        });
        this
    }

    async fn load(
        &self,
        start: impl FnOnce(&Partition) -> Result<Offset, ErrorCode> + Send + 'static,
    ) -> Result<Loaded, ErrorCode> {
        let read = self.coordinators.ask(&self.key, &Request::Read { leader_epoch: self.epoch.0 }).await;
        let State { state_epoch, start_offset, batches, .. } =
            read.map_err(|failure| of_coordinator(&failure))?.ok_or(ErrorCode::UnknownServerError)?;
        let begin = if start_offset >= 0 {
            Offset(start_offset)
        } else {
            let place = Arc::clone(&self.place);
            task::blocking(move || start(&place)).await.map_err(|_| ErrorCode::UnknownServerError)??
        };
        Ok(Loaded { state_epoch, start: begin, batches })
    }

    /// Whether it has ended, and why.
    pub(crate) fn ended(&self) -> Option<ErrorCode> {
        match &self.inner.lock().machine {
            Machine::Ended(error) => Some(*error),
            Machine::Loading | Machine::Active(_) => None,
        }
    }

    /// Whether members can be given records.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.inner.lock().machine, Machine::Active(_))
    }

    /// `request` is to be woken when records are free again or something else has changed.
    pub(crate) fn park(&self, request: &Arc<Parked>) {
        self.inner.lock().waiting.add(request);
        self.place.park(request);
    }

    /// How many bytes a member could be given now. The error ends the request.
    pub(crate) fn available(&self, fetching: Fetching<'_>, limits: Limits) -> Result<usize, ErrorCode> {
        let at = match &self.inner.lock().machine {
            Machine::Loading => return Ok(0),
            Machine::Ended(error) => return Err(*error),
            Machine::Active(machine) => machine.fetch_offset(limits),
        };
        let Some(at) = at else { return Ok(0) };
        let look = self.look(at, fetching);
        match look.error {
            ErrorCode::None => Ok(look.bytes()),
            // The records were deleted: the next look begins behind them.
            ErrorCode::OffsetOutOfRange => {
                self.follow_log_start();
                Ok(0)
            }
            error => Err(error),
        }
    }

    /// Gives free records to a member. What is not in the page cache is fetched into it first.
    pub(crate) async fn deliver(
        &self,
        now: Moment,
        fetching: Fetching<'_>,
        limits: Limits,
    ) -> Result<Delivered, ErrorCode> {
        for is_cached in [false, true] {
            let plan = {
                let mut inner = self.inner.lock();
                let Machine::Active(machine) = &mut inner.machine else { return Ok(Delivered::default()) };
                let Some(at) = machine.fetch_offset(limits) else { return Ok(Delivered::default()) };
                let look = self.look(at, fetching);
                if !matches!(look.error, ErrorCode::None | ErrorCode::OffsetOutOfRange) {
                    return Err(look.error);
                }
                let Some(plan) = look.read else { return Ok(Delivered::default()) };
                let read = if is_cached { plan.read().map(Some) } else { plan.read_cached() };
                match read {
                    Ok(Some(bytes)) => {
                        let delivered = acquire(machine, now, at, fetching, bytes, &look.aborted, limits);
                        self.clock.look_before(machine.next_deadline());
                        return delivered;
                    }
                    Ok(None) => plan,
                    Err(fault) => {
                        self.place.failed(&fault);
                        return Err(ErrorCode::KafkaStorageError);
                    }
                }
            };
            // The second time, the bytes are in the page cache, and the lock is held for a copy only.
            let read = task::blocking(move || plan.read().map(drop)).await;
            read.map_err(|_| ErrorCode::UnknownServerError)?.map_err(|_| ErrorCode::KafkaStorageError)?;
        }
        Ok(Delivered::default())
    }

    /// A member says what shall become of records that it holds. Returns when that is kept.
    pub(crate) async fn acknowledge(
        &self,
        now: Moment,
        member: &str,
        batches: &[AckBatch],
        limits: Limits,
    ) -> Result<(), Refused> {
        let write = {
            let mut inner = self.inner.lock();
            let Machine::Active(machine) = &mut inner.machine else {
                return Err(Refused::Error(ErrorCode::UnknownTopicOrPartition));
            };
            let write = machine.acknowledge(now, member, batches, limits).map_err(Refused::Ack)?;
            self.clock.look_before(machine.next_deadline());
            write
        };
        match write {
            Some(write) => self.keep(write, limits).await.map_err(Refused::Error),
            None => Ok(()),
        }
    }

    /// A member has left: what it holds is free.
    pub(crate) async fn release(&self, member: &str, limits: Limits) {
        let write = match &mut self.inner.lock().machine {
            Machine::Active(machine) => machine.release(member, limits),
            Machine::Loading | Machine::Ended(_) => None,
        };
        if let Some(write) = write {
            // What could not be kept is free when its time is over.
            let _ = self.keep(write, limits).await;
        }
    }

    /// Takes records from members that have held them for too long. Gives when to look again.
    pub(super) fn tick(&self, now: Moment, limits: Limits) -> Option<Moment> {
        let mut inner = self.inner.lock();
        let Machine::Active(machine) = &mut inner.machine else { return None };
        let write = machine.tick(now, limits);
        let next = machine.next_deadline();
        if let (Some(write), Some(this)) = (write, self.this.upgrade()) {
            inner.waiting.wake_all();
            task::spawn(async move {
                // They are free whether that is kept or not.
                let _ = this.keep(write, limits).await;
            });
        }
        next
    }

    /// Keeps what has changed, and wakes members that wait for it. It goes on in a task of its own: a request ends with
    /// the connection of its client, and records whose change nobody brings to its end would never be free again.
    async fn keep(&self, write: Write, limits: Limits) -> Result<(), ErrorCode> {
        let Some(this) = self.this.upgrade() else { return Err(ErrorCode::NotLeaderOrFollower) };
        let kept = task::spawn(async move { this.write(write, limits).await });
        kept.await.unwrap_or(Err(ErrorCode::UnknownServerError))
    }

    async fn write(&self, write: Write, limits: Limits) -> Result<(), ErrorCode> {
        let request = Request::Write {
            state_epoch: write.state_epoch,
            leader_epoch: self.epoch.0,
            start_offset: write.start.0,
            delivery_complete_count: write.delivery_complete_count,
            batches: write.batches.iter().map(|batch| StateBatch { ..*batch }).collect(),
        };
        let kept = self.coordinators.ask(&self.key, &request).await;
        let kept = kept.map(drop).map_err(|failure| of_coordinator(&failure));
        let mut inner = self.inner.lock();
        if let Machine::Active(machine) = &mut inner.machine {
            machine.written(self.clock.moment(), write.id, kept.map_err(drop), limits);
            self.clock.look_before(machine.next_deadline());
        }
        if let Err(
            error @ (ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition | ErrorCode::GroupIdNotFound),
        ) = kept
        {
            inner.machine = Machine::Ended(error);
        }
        inner.waiting.wake_all();
        kept
    }

    /// It is served here no more.
    pub(super) fn end(&self, error: ErrorCode) {
        let mut inner = self.inner.lock();
        inner.machine = Machine::Ended(error);
        inner.waiting.wake_all();
    }

    /// Whether it is still about this partition, in the epoch in which this node leads it.
    pub(super) fn is_of(&self, place: &Arc<Partition>, epoch: LeaderEpoch) -> bool {
        Arc::ptr_eq(&self.place, place) && self.epoch == epoch
    }

    /// Whether this node leads the partition in that epoch, as far as this knows.
    pub(super) fn is_in(&self, epoch: LeaderEpoch) -> bool {
        self.epoch == epoch
    }

    fn look(&self, at: Offset, fetching: Fetching<'_>) -> Look {
        let params = FetchParams {
            fetch_offset: at,
            log_start: Offset(-1),
            max_bytes: i32::try_from(fetching.bytes_max).unwrap_or(i32::MAX),
            current_leader_epoch: None,
            last_fetched_epoch: None,
        };
        self.place.look(&params, fetching.bytes_max, FirstBatch::Whole, Reader::Consumer, fetching.isolation)
    }

    fn follow_log_start(&self) {
        let Some(start) = self.place.with_log(|log| Ok(log.log_start())) else { return };
        let mut inner = self.inner.lock();
        if let Machine::Active(machine) = &mut inner.machine
            && machine.log_start_moved(start)
        {
            inner.waiting.wake_all();
        }
    }
}

/// Why an acknowledgement is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    Ack(AckRefusal),
    Error(ErrorCode),
}

/// What a member is told when the share coordinator refuses.
fn of_coordinator(failure: &Failure) -> ErrorCode {
    match failure.code {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => ErrorCode::NotLeaderOrFollower,
        error @ (ErrorCode::GroupIdNotFound | ErrorCode::UnknownTopicOrPartition) => error,
        _ => ErrorCode::UnknownServerError,
    }
}

/// Gives records of `bytes`, which were read at `at`, to a member.
fn acquire(
    machine: &mut SharePartition,
    now: Moment,
    at: Offset,
    fetching: Fetching<'_>,
    bytes: Bytes,
    aborted: &[AbortedTxn],
    limits: Limits,
) -> Result<Delivered, ErrorCode> {
    let mut views = Vec::new();
    for batch in batches(bytes.clone()) {
        match batch {
            Ok(batch) => views.push(batch),
            Err(thalweg_records::BatchError::Truncated { .. }) => break,
            Err(_) => return Err(ErrorCode::CorruptMessage),
        }
    }
    if views.is_empty() {
        return Ok(Delivered::default());
    }
    let spans: Vec<Span> = views.iter().map(span).collect();
    let aborted = aborted_spans(&views, aborted);
    let asked = Acquire {
        member: fetching.member,
        mode: fetching.mode,
        records_max: fetching.records_max,
        batch_size: fetching.batch_size,
        fetch_offset: at,
        batches: &spans,
        aborted: &aborted,
    };
    let acquired = machine.acquire(now, &asked, limits);
    let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return Ok(Delivered::default()) };
    let mut range: Option<(usize, usize)> = None;
    let mut position = 0;
    for view in &views {
        let end = position + view.len();
        if view.last_offset().0 >= first.span.first && view.base_offset().0 <= last.span.last {
            range = Some((range.map_or(position, |(start, _)| start), end));
        }
        position = end;
    }
    let records = range.map(|(start, end)| bytes.slice(start..end)).unwrap_or_default();
    Ok(Delivered { acquired, records })
}

fn span(batch: &BatchView) -> Span {
    Span { first: batch.base_offset().0, last: batch.last_offset().0 }
}

/// The batches of aborted transactions among these.
fn aborted_spans(views: &[BatchView], aborted: &[AbortedTxn]) -> Vec<Span> {
    if aborted.is_empty() {
        return Vec::new();
    }
    let mut to_come: Vec<&AbortedTxn> = aborted.iter().collect();
    to_come.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
    let mut open = std::collections::BTreeSet::new();
    let mut spans = Vec::new();
    for view in views {
        while to_come.last().is_some_and(|txn| txn.first_offset <= view.last_offset()) {
            open.extend(to_come.pop().map(|txn| txn.producer_id));
        }
        let header = view.header();
        if header.attributes.is_control() {
            if is_abort(view) {
                open.remove(&header.producer_id);
            }
        } else if header.attributes.is_transactional() && open.contains(&header.producer_id) {
            spans.push(span(view));
        }
    }
    spans
}

fn is_abort(view: &BatchView) -> bool {
    let first = view.records(CONTROL_BYTES_MAX).ok().and_then(|mut records| records.next()?.ok());
    let key = first.and_then(|record| record.key);
    key.is_some_and(|key| matches!(ControlType::parse_key(&key), Ok(Some(ControlType::Abort))))
}
