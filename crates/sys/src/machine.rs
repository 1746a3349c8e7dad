//! The simulated machine that a node runs on: its wall clock may be wrong, its process may be paused, and its blocking work
//! takes time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A node's machine. Clones are the same machine.
#[derive(Clone, Debug, Default)]
pub struct Machine(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The milliseconds by which the wall clock is ahead.
    skew_ms: AtomicI64,
    /// The most milliseconds that blocking work waits for its turn.
    blocking_delay_ms_max: AtomicU64,
    paused: AtomicBool,
    /// The tasks that were to go on while the process was paused: at most all that it has.
    held: Mutex<Vec<Waker>>,
}

tokio::task_local! {
    static MACHINE: Machine;
}

impl Machine {
    /// The wall clock jumps: it is so many milliseconds ahead from now on.
    pub fn set_clock_ahead_ms(&self, ms: i64) {
        self.0.skew_ms.store(ms, Ordering::Relaxed);
    }

    /// Blocking work (syncs, recovery, cold reads) waits up to so many milliseconds before it is done, each time as long as
    /// the seed says: what a node does meanwhile, it does before its disk has answered.
    pub fn set_blocking_delay_ms_max(&self, ms: u64) {
        self.0.blocking_delay_ms_max.store(ms, Ordering::Relaxed);
    }

    /// The process stands still, as after SIGSTOP: the world goes on, and sends it messages.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
    }

    /// The process goes on, and sees how late it is.
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::Relaxed);
        self.held().drain(..).for_each(Waker::wake);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process is paused: then the task of `cx` goes on when it does.
    fn holds(&self, cx: &Context<'_>) -> bool {
        let paused = self.0.paused.load(Ordering::Relaxed);
        if paused {
            self.held().push(cx.waker().clone());
        }
        paused
    }

    /// Runs a node, or one of its tasks, and all the tasks that it spawns, on this machine.
    pub async fn run<F: Future>(self, task: F) -> F::Output {
        let machine = self.clone();
        let mut task = pin!(task);
        let unless_paused = poll_fn(move |cx| match machine.holds(cx) {
            true => Poll::Pending,
            false => task.as_mut().poll(cx),
        });
        MACHINE.scope(self, unless_paused).await
    }

    /// The machine that this task runs on; `None` for programs that are no nodes.
    pub(crate) fn current() -> Option<Self> {
        MACHINE.try_with(Clone::clone).ok()
    }

    pub(crate) fn clock_ahead_ms() -> i64 {
        MACHINE.try_with(|machine| machine.0.skew_ms.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How long the blocking work that is asked for now waits.
    pub(crate) fn draw_blocking_delay() -> Duration {
        let max = MACHINE.try_with(|machine| machine.0.blocking_delay_ms_max.load(Ordering::Relaxed)).unwrap_or(0);
        Duration::from_millis(if max == 0 { 0 } else { crate::random::u64() % (max + 1) })
    }
}
