//! One partition of `__consumer_offsets` that this node leads, and the groups in it.
//!
//! Requests are handled where they arrive, under the coordinator's lock: most of them, heartbeats above all, are answered
//! at once. A task of its own loads the log, waits for deadlines, for the high watermark and for the disk.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_base::LeaderEpoch;
use thalweg_groups::{Caller, Request, Shard};
use thalweg_metadata::Changes;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::active::{Active, Chore, Outcome};
use super::load::{LoadError, load};
use super::{GroupsView, Surroundings};
use crate::drivers::maintenance::flush;
use crate::drivers::parked::Parked;
use crate::drivers::partition::Partition;

/// How long the task sleeps when nothing is due. It is woken when that changes.
const FAR: Duration = Duration::from_secs(3600);

/// A request's outcome, now or later.
pub(crate) enum Asked {
    Now(Outcome),
    Later(oneshot::Receiver<Outcome>),
}

#[derive(Debug)]
enum State {
    Loading,
    Active(Box<Active>),
    /// The partition is led elsewhere, is gone, or its disk has failed.
    Retired,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Coordinator {
    surroundings: Arc<Surroundings>,
    partition: Arc<Partition>,
    /// Wakes the task.
    task: Arc<Parked>,
    state: Mutex<State>,
}

impl Coordinator {
    /// Begins to coordinate: loads the log, at once if it is empty.
    pub(super) fn begin(surroundings: Arc<Surroundings>, partition: Arc<Partition>, epoch: LeaderEpoch) -> Arc<Self> {
        let rules = surroundings.config.rules.clone();
        let shard = Shard::new(rules, epoch, thalweg_sys::random::u64());
        let this = Arc::new(Self { surroundings, partition, task: Parked::new(), state: Mutex::new(State::Loading) });
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

    async fn run(self: Arc<Self>, shard: Option<Shard>) {
        if let Some(shard) = shard {
            self.load(shard).await;
        }
        loop {
            self.task.begin();
            match self.look() {
                None => return,
                Some(Chore::Flush(what)) => self.flush(what).await,
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

    async fn load(self: &Arc<Self>, mut shard: Shard) {
        let begun = now();
        let this = Arc::clone(self);
        let chunk = usize::try_from(self.surroundings.config.offsets_load_buffer_size).unwrap_or(0).max(1 << 16);
        let loaded = task::blocking(move || {
            let is_wanted = || matches!(*this.state.lock(), State::Loading);
            load(&this.partition, &mut shard, chunk, is_wanted).map(|end| (shard, end))
        });
        let partition = &self.partition.id;
        match loaded.await {
            Ok(Ok((shard, end))) => {
                self.activate(shard, end);
                self.surroundings.history.loaded(begun.elapsed());
                let ms = begun.elapsed().as_millis();
                info!(%partition, %end, ms, "loaded the groups of the partition");
            }
            Ok(Err(LoadError::Gone)) => self.retire(),
            Ok(Err(e)) => {
                error!(%partition, error = %e, "the groups of the partition cannot be loaded; they have no coordinator");
                self.retire();
            }
            Err(e) => {
                error!(%partition, error = %e, "loading the groups of the partition was interrupted");
                self.retire();
            }
        }
    }

    /// The log was replayed.
    fn activate(&self, shard: Shard, end: thalweg_base::Offset) {
        let config = &self.surroundings.config;
        let timeout = Duration::from_millis(u64::try_from(config.offsets_commit_timeout_ms).unwrap_or(0));
        let mut active = Active::new(shard, end, config.offsets_topic_codec, timeout);
        let mut state = self.state.lock();
        if matches!(*state, State::Loading) {
            let (now, image) = (self.surroundings.now(), self.surroundings.image());
            active.tell(&self.partition, now, &image, |shard| shard.loaded(now, &image));
            *state = State::Active(Box::new(active));
        }
    }

    /// What the task has to do; nothing once the coordinator has ended.
    fn look(&self) -> Option<Chore> {
        let mut state = self.state.lock();
        let State::Active(active) = &mut *state else { return None };
        if self.partition.high_watermark().is_none() || active.is_lost() {
            self.end(&mut state);
            return None;
        }
        Some(active.look(&self.partition, self.surroundings.now(), &self.surroundings.image()))
    }

    async fn flush(&self, what: thalweg_storage::Flush) {
        let end = match &*self.state.lock() {
            State::Active(active) => active.appended(),
            _ => return,
        };
        let partition = Arc::clone(&self.partition);
        // A flush that fails takes the log offline, which the next look finds.
        let flushed = task::blocking(move || flush(&partition, what)).await;
        if flushed.is_err() {
            self.retire();
        }
        if what == thalweg_storage::Flush::All
            && self.partition.high_watermark().is_some()
            && let State::Active(active) = &mut *self.state.lock()
        {
            active.flushed(end);
        }
    }

    /// Asks for an answer to a request.
    pub(crate) fn ask(&self, caller: &Caller, request: Request) -> Asked {
        let mut state = self.state.lock();
        let active = match &mut *state {
            State::Loading => return Asked::Now(Err(ErrorCode::CoordinatorLoadInProgress)),
            State::Retired => return Asked::Now(Err(ErrorCode::NotCoordinator)),
            State::Active(active) => active,
        };
        if !active.has_room() {
            return Asked::Now(Err(ErrorCode::CoordinatorNotAvailable));
        }
        let (now, image) = (self.surroundings.now(), self.surroundings.image());
        let asked = active
            .ask(&self.partition, now, &image, |shard, ticket| shard.request(now, &image, ticket, caller, request));
        if active.needs_a_look() {
            self.task.wake();
        }
        match asked {
            Ok(answer) => Asked::Now(Ok(answer)),
            Err(receiver) => Asked::Later(receiver),
        }
    }

    /// The cluster has changed.
    pub(super) fn metadata_changed(&self, changes: &Changes) {
        if let State::Active(active) = &mut *self.state.lock() {
            let (now, image) = (self.surroundings.now(), self.surroundings.image());
            active.tell(&self.partition, now, &image, |shard| shard.metadata_changed(now, &image, changes));
            if active.needs_a_look() {
                self.task.wake();
            }
        }
    }

    /// Ends: everybody who waits is told to ask elsewhere.
    pub(super) fn retire(&self) {
        self.end(&mut self.state.lock());
        self.task.wake();
    }

    fn end(&self, state: &mut State) {
        if let State::Active(active) = std::mem::replace(state, State::Retired) {
            self.surroundings.history.ended(active.shard().tally());
            active.refuse_all();
        }
    }

    /// Adds what is to be told of it.
    pub(super) fn count(&self, view: &mut GroupsView) {
        match &*self.state.lock() {
            State::Loading => view.loading += 1,
            State::Active(active) => {
                view.active += 1;
                view.tally += active.shard().tally();
                view.census.add(&active.shard().census());
            }
            State::Retired => {}
        }
    }
}
