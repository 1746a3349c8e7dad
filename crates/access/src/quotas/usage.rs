//! What one entity has used, as a rate over the last windows.

use std::collections::VecDeque;

use thalweg_base::Moment;

use super::Windows;

/// What was used in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    begins: Moment,
    value: f64,
}

/// Invariant: the windows are in the order of their beginnings, and at most as many as are measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    windows: VecDeque<Window>,
    /// For how long requests have been throttled.
    pub(super) throttled_ms: u64,
}

impl Usage {
    pub(super) fn new(now: Moment) -> Self {
        Self { windows: VecDeque::from([Window { begins: now, value: 0.0 }]), throttled_ms: 0 }
    }

    pub(super) fn record(&mut self, value: f64, windows: Windows, now: Moment) {
        self.forget_old(windows, now);
        match self.windows.back_mut() {
            Some(last) if now.0 - last.begins.0 < windows.size_ms => last.value += value,
            _ => {
                self.windows.push_back(Window { begins: now, value });
                while self.windows.len() > windows.count as usize {
                    self.windows.pop_front();
                }
            }
        }
    }

    fn forget_old(&mut self, windows: Windows, now: Moment) {
        let oldest = now.0 - i64::from(windows.count) * windows.size_ms;
        while self.windows.front().is_some_and(|window| window.begins.0 <= oldest) {
            self.windows.pop_front();
        }
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, windows: Windows, now: Moment) -> bool {
        let oldest = now.0 - i64::from(windows.count) * windows.size_ms;
        self.windows.back().is_none_or(|window| window.begins.0 <= oldest)
    }

    /// The time over which usage is averaged: all windows but the current one, and what has passed of that. So the first
    /// request of a client is no burst of a millisecond.
    fn measured_ms(&self, windows: Windows, now: Moment) -> i64 {
        let elapsed = self.windows.front().map_or(0, |oldest| now.0 - oldest.begins.0);
        let full = elapsed / windows.size_ms;
        let missing = (i64::from(windows.count) - 1 - full).max(0);
        (elapsed + missing * windows.size_ms).max(1)
    }

    /// How much per second.
    pub(super) fn rate(&mut self, windows: Windows, now: Moment) -> f64 {
        self.forget_old(windows, now);
        let used: f64 = self.windows.iter().map(|window| window.value).sum();
        used / (self.measured_ms(windows, now) as f64 / 1000.0)
    }

    /// How long nothing may be used until the rate is within the quota.
    pub(super) fn throttle_ms(&mut self, quota: f64, windows: Windows, now: Moment) -> i64 {
        let rate = self.rate(windows, now);
        if rate <= quota {
            return 0;
        }
        // Saturates: a quota of nearly nothing throttles nearly for ever.
        ((rate - quota) / quota * self.measured_ms(windows, now) as f64).round() as i64
    }
}
