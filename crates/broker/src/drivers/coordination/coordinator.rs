//! One partition of a coordinators' topic that this node leads, and what is kept in it.
//!
//! Requests are handled where they arrive, under the coordinator's lock: most of them, heartbeats above all, are answered
//! at once. A task of its own loads the log, waits for deadlines, for the high watermark and for the disk.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_base::{LeaderEpoch, Offset};
use thalweg_coordinator::{Effect, Machine, Now, Ticket};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_storage::Flush;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use super::active::{Active, Chore, Outcome};
use super::load::{LoadError, load};
use super::{Role, Surroundings};
use crate::drivers::marker::Marker;
use crate::drivers::parked::Parked;
use crate::drivers::partition::{Appended, Partition};

/// How long the task sleeps when nothing is due. It is woken when that changes.
const FAR: Duration = Duration::from_secs(3600);

/// A request's outcome, now or later.
pub(crate) enum Asked<A> {
    Now(Outcome<A>),
    Later(oneshot::Receiver<Outcome<A>>),
}

impl<A> Asked<A> {
    /// Waits for the outcome.
    pub(crate) async fn outcome(self) -> Outcome<A> {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(receiver) => receiver.await.unwrap_or(Err(ErrorCode::NotCoordinator)),
        }
    }
}

/// The effects of a shard of this kind.
type Effects<R> = Vec<Effect<<<R as Role>::Shard as Machine>::Answer, <<R as Role>::Shard as Machine>::Errand>>;

#[derive(Debug)]
enum State<R: Role> {
    Loading,
    Active(Box<Active<R::Shard>>),
    /// The partition is led elsewhere, is gone, or its disk has failed.
    Retired,
}

/// A coordinator as others see it.
pub(crate) enum Seen<'a, S> {
    Loading,
    Active(&'a S),
    Retired,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Coordinator<R: Role> {
    surroundings: Arc<Surroundings<R>>,
    partition: Arc<Partition>,
    epoch: LeaderEpoch,
    /// Wakes the task.
    task: Arc<Parked>,
    state: Mutex<State<R>>,
}

impl<R: Role> Coordinator<R> {
    /// Begins to coordinate: loads the log, at once if it is empty.
    pub(super) fn begin(
        surroundings: Arc<Surroundings<R>>,
        partition: Arc<Partition>,
        epoch: LeaderEpoch,
    ) -> Arc<Self> {
        let shard = surroundings.role.shard(epoch);
        let this =
            Arc::new(Self { surroundings, partition, epoch, task: Parked::new(), state: Mutex::new(State::Loading) });
        // When the partition changes hands or its disk fails, the task is woken.
        this.partition.park(&this.task);
        let ends = this.partition.with_log(|log| Ok((log.log_start(), log.log_end())));
        let shard = match ends {
            Some((start, end)) if start == end => {
                this.activate(shard, end);
                None
            }
            _ => Some(shard),
        };
        task::spawn(Arc::clone(&this).run(shard));
        this
    }

    async fn run(self: Arc<Self>, shard: Option<R::Shard>) {
        if let Some(shard) = shard {
            self.load(shard).await;
        }
        loop {
            self.task.begin();
            match self.look() {
                None => return,
                Some(Chore::FlushFinished) => self.flush_finished().await,
                Some(Chore::Wait { until, for_commit }) => {
                    if for_commit {
                        self.task.expect(1);
                    }
                    let moment = self.surroundings.now().moment;
                    let wait = until.map_or(FAR, |until| until.since(moment));
                    self.task.woken_before(now() + wait).await;
                }
            }
        }
    }

    async fn load(self: &Arc<Self>, mut shard: R::Shard) {
        let begun = now();
        let this = Arc::clone(self);
        let chunk = usize::try_from(self.surroundings.role.storage().load_buffer_bytes).unwrap_or(0).max(1 << 16);
        let loaded = task::blocking(move || {
            let is_wanted = || matches!(*this.state.lock(), State::Loading);
            load(&this.partition, &mut shard, chunk, is_wanted).map(|end| (shard, end))
        });
        let partition = &self.partition.id;
        match loaded.await {
            Ok(Ok((shard, end))) => {
                self.surroundings.role.loaded(&shard, begun.elapsed());
                self.activate(shard, end);
                let ms = begun.elapsed().as_millis();
                info!(%partition, %end, ms, "loaded what the partition coordinates");
            }
            Ok(Err(LoadError::Gone)) => self.retire(),
            Ok(Err(e)) => {
                error!(%partition, error = %e, "the partition cannot be loaded; what it keeps has no coordinator");
                self.retire();
            }
            Err(e) => {
                error!(%partition, error = %e, "loading the partition was interrupted");
                self.retire();
            }
        }
    }

    /// The log was replayed.
    fn activate(self: &Arc<Self>, shard: R::Shard, end: Offset) {
        let mut active = Active::new(shard, end, self.surroundings.role.storage(), self.epoch);
        let errands = {
            let mut state = self.state.lock();
            if !matches!(*state, State::Loading) {
                return;
            }
            let (now, image) = (self.surroundings.now(), self.surroundings.image());
            active.tell(&self.partition, now, &image, |shard| shard.loaded(now, &image));
            let errands = active.take_errands();
            *state = State::Active(Box::new(active));
            errands
        };
        self.carry_out(errands);
    }

    /// Does what the shard wants done elsewhere. The lock must be free: what comes of it is told to the shard.
    fn carry_out(self: &Arc<Self>, errands: Vec<<R::Shard as Machine>::Errand>) {
        for errand in errands {
            self.surroundings.role.carry_out(self, errand);
        }
    }

    /// What the task has to do; nothing once the coordinator has ended.
    fn look(self: &Arc<Self>) -> Option<Chore> {
        let (chore, errands) = {
            let mut state = self.state.lock();
            let State::Active(active) = &mut *state else { return None };
            if !self.partition.leads() || active.is_lost() {
                self.end(&mut state);
                return None;
            }
            let chore = active.look(&self.partition, self.surroundings.now(), &self.surroundings.image());
            (chore, active.take_errands())
        };
        self.carry_out(errands);
        Some(chore)
    }

    async fn flush_finished(&self) {
        let partition = Arc::clone(&self.partition);
        // A flush that fails takes the log offline, which the next look finds.
        if task::blocking(move || partition.flush(Flush::Finished)).await.is_err() {
            self.retire();
        }
    }

    /// Does something with what is active, and then what follows from it.
    fn with_active<T>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Active<R::Shard>, Now, &MetadataImage) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let (done, errands) = {
            let mut state = self.state.lock();
            let active = match &mut *state {
                State::Loading => return Err(ErrorCode::CoordinatorLoadInProgress),
                State::Retired => return Err(ErrorCode::NotCoordinator),
                State::Active(active) => active,
            };
            let (now, image) = (self.surroundings.now(), self.surroundings.image());
            let done = work(active, now, &image)?;
            if active.needs_a_look() {
                self.task.wake();
            }
            (done, active.take_errands())
        };
        self.carry_out(errands);
        Ok(done)
    }

    /// Asks for an answer to a request.
    pub(crate) fn ask(
        self: &Arc<Self>,
        ask: impl FnOnce(&mut R::Shard, Now, &MetadataImage, Ticket) -> Effects<R>,
    ) -> Asked<<R::Shard as Machine>::Answer> {
        self.ask_guarded(|_| Ok(()), ask)
    }

    /// Asks for an answer to a request if nothing has changed in the partition that `check` would find.
    pub(crate) fn ask_guarded(
        self: &Arc<Self>,
        check: impl FnOnce(&Partition) -> Result<(), ErrorCode>,
        ask: impl FnOnce(&mut R::Shard, Now, &MetadataImage, Ticket) -> Effects<R>,
    ) -> Asked<<R::Shard as Machine>::Answer> {
        let asked = self.with_active(|active, now, image| {
            if !active.has_room() {
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
            check(&self.partition)?;
            Ok(active.ask(&self.partition, now, image, |shard, ticket| ask(shard, now, image, ticket)))
        });
        match asked {
            Ok(Ok(answer)) => Asked::Now(Ok(answer)),
            Ok(Err(receiver)) => Asked::Later(receiver),
            Err(error) => Asked::Now(Err(error)),
        }
    }

    /// The cluster as this node acts upon it.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.surroundings.image()
    }

    /// Tells the shard what came of an errand. Nothing happens when there is no shard any more.
    pub(crate) fn tell(self: &Arc<Self>, tell: impl FnOnce(&mut R::Shard, Now, &MetadataImage) -> Effects<R>) {
        // Whoever is loaded next begins with what the log says.
        let _ = self.with_active(|active, now, image| {
            active.tell(&self.partition, now, image, |shard| tell(shard, now, image));
            Ok(())
        });
    }

    /// Appends the marker of a transaction that may have records here.
    pub(crate) fn end_transaction(self: &Arc<Self>, marker: &Marker) -> Result<Appended, ErrorCode> {
        self.with_active(|active, now, _| active.end_transaction(&self.partition, now, marker))
    }

    /// Deletes the records before `to`, which nobody needs any more.
    pub(crate) fn delete_records_before(&self, to: Offset) {
        if let Err(error) = self.partition.delete_records(Some(to)) {
            // It is tried again with what is not needed then.
            debug!(partition = %self.partition.id, error = error.name(), "records that nobody needs are not deleted");
        }
    }

    /// The cluster has changed.
    pub(super) fn metadata_changed(self: &Arc<Self>, changes: &Changes) {
        self.tell(|shard, now, image| shard.metadata_changed(now, image, changes));
    }

    /// Ends: everybody who waits is told to ask elsewhere.
    pub(super) fn retire(&self) {
        self.end(&mut self.state.lock());
        self.task.wake();
    }

    fn end(&self, state: &mut State<R>) {
        if let State::Active(active) = std::mem::replace(state, State::Retired) {
            self.surroundings.role.ended(active.shard());
            active.refuse_all();
        }
    }

    /// Looks at it as it is.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(Seen<'_, R::Shard>) -> T) -> T {
        match &*self.state.lock() {
            State::Loading => look(Seen::Loading),
            State::Active(active) => look(Seen::Active(active.shard())),
            State::Retired => look(Seen::Retired),
        }
    }
}
