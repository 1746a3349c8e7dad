//! When the locks of this node's share partitions end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use thalweg_base::Moment;
use thalweg_sys::time::{Duration, Instant, now};

use crate::drivers::parked::Parked;

/// How long the task sleeps when no lock is held. It is woken when that changes.
const FAR: Duration = Duration::from_secs(3600);

/// Tells the time, and wakes the task that ends locks.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    task: Arc<Parked>,
    /// When the task looks next, by itself.
    armed: AtomicI64,
}

impl Clock {
    pub(super) fn new(started: Instant) -> Arc<Self> {
        Arc::new(Self { started, task: Parked::new(), armed: AtomicI64::new(i64::MAX) })
    }

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

    /// The task looks now: what it finds is to be told with [`Clock::found`].
    pub(super) fn begin_look(&self) {
        self.armed.store(i64::MAX, Ordering::Release);
    }

    /// The task has found a lock that ends then.
    pub(super) fn found(&self, due: Option<Moment>) {
        if let Some(due) = due {
            self.armed.fetch_min(due.0, Ordering::AcqRel);
        }
    }

    /// Completes when the first lock ends.
    pub(super) async fn due(&self) {
        let until = Moment(self.armed.load(Ordering::Acquire));
        let wait = if until.0 == i64::MAX { FAR } else { until.since(self.moment()) };
        self.task.woken_before(now() + wait).await;
    }
}
