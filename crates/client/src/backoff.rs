//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubles from attempt to attempt up to a maximum, and varies by a fifth, so that clients which failed together do not
/// come back together (KIP-144, KIP-580).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub initial: Duration,
    /// The longest wait, before it is varied.
    pub max: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row; none after no failure. `random` decides about the variation.
    #[must_use]
    pub fn after(&self, failures: u32, random: u64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(doublings).filter(|factor| *factor > 0).unwrap_or(u32::MAX);
        let wait = self.initial.saturating_mul(factor).min(self.max.max(self.initial));
        // Between 0.8 and 1.2, in steps of a thousandth.
        let thousandths = 800 + (random % 401) as u32;
        wait.saturating_mul(thousandths) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let backoff = Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };
        let waits: Vec<u128> = (0..8).map(|failures| backoff.after(failures, 200).as_millis()).collect();
        assert_eq!(waits, [0, 50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.after(u32::MAX, 200), Duration::from_secs(1));
    }

    #[test]
    fn waits_vary_by_a_fifth() {
        let backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(1) };
        assert_eq!(backoff.after(1, 0), Duration::from_millis(80));
        assert_eq!(backoff.after(1, 400), Duration::from_millis(120));
    }
}
