//! Time: the monotonic clock with its timers, and the wall clock.

pub use std::time::Duration;
pub use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at};

/// The monotonic clock.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970-01-01 UTC by the wall clock, which may jump.
#[must_use]
pub fn wall_clock_ms() -> i64 {
    #[cfg(not(sim))]
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    #[cfg(sim)]
    let since_epoch = turmoil::since_epoch().unwrap_or_default();
    let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    #[cfg(sim)]
    let ms = ms.saturating_add(skew::of_this_node());
    ms
}

/// How wrong the wall clock of each simulated node is.
#[cfg(sim)]
pub mod skew {
    use std::future::Future;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// The milliseconds by which a node's wall clock is ahead; to be changed at any time.
    #[derive(Clone, Debug, Default)]
    pub struct Skew(Arc<AtomicI64>);

    impl Skew {
        /// The clock jumps: it is so many milliseconds ahead from now on.
        pub fn set_ms(&self, ms: i64) {
            self.0.store(ms, Ordering::Relaxed);
        }
    }

    tokio::task_local! {
        static SKEW: Skew;
    }

    /// Runs a node with a wall clock of its own, and all the tasks that it spawns.
    pub async fn with<F: Future>(skew: Skew, node: F) -> F::Output {
        SKEW.scope(skew, node).await
    }

    pub(super) fn of_this_node() -> i64 {
        SKEW.try_with(|skew| skew.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The clock of the node that this task belongs to.
    pub(crate) fn current() -> Option<Skew> {
        SKEW.try_with(Clone::clone).ok()
    }
}
