//! Metrics as values: counters, times, and the text in which Prometheus reads them.
//!
//! Counting is one relaxed addition to a number that its owner holds. Nothing is looked up by name: whoever is asked for
//! the metrics walks over their owners and writes a [`Text`].

mod text;
mod times;

use std::sync::atomic::{AtomicU64, Ordering};

pub use text::{Kind, Text};
pub use times::{QUANTILES, Quantiles, Times};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

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
