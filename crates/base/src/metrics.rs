//! Metrics as values: counters, times, and the text in which Prometheus reads them.
//!
//! Counting is one relaxed addition to a number that its owner holds. Nothing is looked up by name: whoever is asked for
//! the metrics walks over their owners and writes a [`Text`].

mod text;
mod times;
mod vitals;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use text::{Kind, Text};
pub use times::{QUANTILES, Quantiles, Times};
pub use vitals::Vitals;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// How long something took that happens seldom: how often it was measured, and for how long in all and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// How many were measured.
    pub count: u32,
    /// All of them together.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
}

impl Spans {
    /// One more took so long.
    pub fn record(&mut self, took: Duration) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(took);
        self.max = self.max.max(took);
    }

    /// The average; zero where nothing was measured.
    #[must_use]
    pub fn average(&self) -> Duration {
        self.total.checked_div(self.count).unwrap_or_default()
    }
}

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
