//! Time as the pure state machines know it: a number that their driver hands in.

use std::time::Duration;

/// Milliseconds on a monotonic clock whose origin stays the same as long as the process runs.
///
/// It orders what happened within one process and says when a deadline is due. It is not a date: what is written to a
/// log or sent to a client is a [`crate::Timestamp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// The moment `wait` later; saturates instead of wrapping. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_ahead_is_no_time_ago() {
        assert_eq!(Moment(5).since(Moment(3)), Duration::from_millis(2));
        assert_eq!(Moment(3).since(Moment(5)), Duration::ZERO);
        assert_eq!(Moment(3).after(Duration::from_millis(4)), Moment(7));
        assert_eq!(Moment(3).after(Duration::MAX), Moment(i64::MAX));
    }
}
