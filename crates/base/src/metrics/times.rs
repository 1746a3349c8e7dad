//! How long things took, as quantiles of the last minutes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The quantiles that are told, as fractions and as Prometheus writes them: those of Kafka's histograms.
pub const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// Values are kept to an eighth of a power of two: a quantile is off by 6 % at most.
const STEPS_BITS: u32 = 3;
const STEPS: usize = 1 << STEPS_BITS;
/// Longer times, of more than an hour, count as this one.
const MICROS_MAX: u64 = u32::MAX as u64;
const BUCKETS: usize = (u32::BITS - STEPS_BITS + 1) as usize * STEPS;

/// Times that were measured: how many in all, and quantiles of those of the last two periods.
///
/// Its memory is fixed, 4 KB. [`Times::turn`] begins a period and forgets the one before the last.
#[derive(Debug)]
pub struct Times {
    count: AtomicU64,
    /// Which of the two periods is the current one.
    current: AtomicUsize,
    periods: [[AtomicU64; BUCKETS]; 2],
}

impl Default for Times {
    fn default() -> Self {
        let period = || [const { AtomicU64::new(0) }; BUCKETS];
        Self { count: AtomicU64::new(0), current: AtomicUsize::new(0), periods: [period(), period()] }
    }
}

/// Quantiles in milliseconds, in the order of [`QUANTILES`]; zero when nothing was measured lately.
pub type Quantiles = [f64; QUANTILES.len()];

impl Times {
    /// Something took this long.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MICROS_MAX).min(MICROS_MAX);
        let period = &self.periods[self.current.load(Ordering::Relaxed) & 1];
        period[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were measured, ever.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A period is over. To be called by one thread at a time; what is measured meanwhile counts in either period.
    pub fn turn(&self) {
        let next = (self.current.load(Ordering::Relaxed) + 1) & 1;
        for bucket in &self.periods[next] {
            bucket.store(0, Ordering::Relaxed);
        }
        self.current.store(next, Ordering::Relaxed);
    }

    /// What the other has measured counts here, too.
    pub fn add(&self, other: &Self) {
        self.count.fetch_add(other.count(), Ordering::Relaxed);
        let mine = &self.periods[self.current.load(Ordering::Relaxed) & 1];
        for period in &other.periods {
            for (mine, other) in mine.iter().zip(period) {
                mine.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// The quantiles of the last two periods.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let mut counts = [0u64; BUCKETS];
        for period in &self.periods {
            for (count, bucket) in counts.iter_mut().zip(period) {
                *count += bucket.load(Ordering::Relaxed);
            }
        }
        let all: u64 = counts.iter().sum();
        let mut quantiles = [0.0; QUANTILES.len()];
        if all == 0 {
            return quantiles;
        }
        let (mut seen, mut at) = (0, 0);
        for (quantile, (fraction, _)) in quantiles.iter_mut().zip(QUANTILES) {
            let rank = ((all as f64 * fraction).ceil() as u64).max(1);
            while at < BUCKETS && seen + counts[at] < rank {
                seen += counts[at];
                at += 1;
            }
            *quantile = middle(at.min(BUCKETS - 1)) / 1000.0;
        }
        quantiles
    }
}

/// Where a value is counted: one bucket each below [`STEPS`], from there on [`STEPS`] for each power of two.
fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEPS_BITS;
    (shift as usize + 1) * STEPS + ((micros >> shift) as usize & (STEPS - 1))
}

/// The middle of a bucket in microseconds.
fn middle(bucket: usize) -> f64 {
    if bucket < STEPS {
        return bucket as f64;
    }
    let shift = bucket / STEPS - 1;
    let least = ((STEPS + bucket % STEPS) as u64) << shift;
    least as f64 + ((1u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_whose_middle_is_near() {
        let mut last = 0;
        for exponent in 0..40 {
            for micros in [1u64 << exponent, (1 << exponent) + 1, (3 << exponent) / 2] {
                let micros = micros.min(MICROS_MAX);
                let at = bucket(micros);
                assert!(at < BUCKETS, "{micros} us");
                assert!((middle(at) - micros as f64).abs() <= micros as f64 / 15.0, "{micros} us");
            }
            assert!(last <= bucket((1u64 << exponent).min(MICROS_MAX)), "greater times come later");
            last = bucket((1u64 << exponent).min(MICROS_MAX));
        }
        assert_eq!(bucket(MICROS_MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_last_two_periods() {
        let times = Times::default();
        assert_eq!(times.quantiles(), [0.0; QUANTILES.len()]);
        for _ in 0..99 {
            times.record(Duration::from_millis(1));
        }
        times.record(Duration::from_secs(1));
        let [half, .., ninety_nine, most] = times.quantiles();
        assert!((half - 1.0).abs() < 0.07 && (ninety_nine - 1.0).abs() < 0.07, "{half} {ninety_nine}");
        assert!((most - 1000.0).abs() < 70.0, "{most}");
        times.turn();
        assert!((times.quantiles()[0] - 1.0).abs() < 0.07, "the last period still counts");
        times.turn();
        assert_eq!(times.quantiles(), [0.0; QUANTILES.len()], "older ones do not");
        assert_eq!(times.count(), 100);
    }
}
