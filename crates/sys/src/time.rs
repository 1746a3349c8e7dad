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
    let ms = ms.saturating_add(crate::machine::Machine::clock_ahead_ms());
    ms
}
