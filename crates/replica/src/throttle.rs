//! How fast throttled replicas may be copied (KIP-73).

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_base::Moment;

/// What was copied from one moment on.
#[derive(Clone, Copy, Debug)]
struct Sample {
    from: Moment,
    bytes: u64,
}

/// Counts the bytes of throttled replicas, and says when there were more of them than the rate allows. It holds nobody up:
/// whoever asks leaves throttled replicas out for a while.
///
/// The rate is that of Kafka's quotas: the mean over the last samples, of which all but the newest count as whole.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// In bytes per second.
    rate_max: u64,
    samples_max: usize,
    sample: Duration,
    samples: VecDeque<Sample>,
}

impl Throttle {
    /// A throttle without limit. `replication.quota.window.num` samples of `replication.quota.window.size.seconds` are kept.
    #[must_use]
    pub fn new(samples_max: usize, sample: Duration) -> Self {
        Self { rate_max: u64::MAX, samples_max: samples_max.max(1), sample, samples: VecDeque::new() }
    }

    /// So many bytes may be copied in a second.
    pub fn set_rate(&mut self, bytes_per_second: u64) {
        self.rate_max = bytes_per_second;
    }

    /// How long a sample is: so long whoever was over the rate may wait before asking again.
    #[must_use]
    pub fn sample(&self) -> Duration {
        self.sample
    }

    /// So many bytes were copied.
    pub fn record(&mut self, bytes: u64, now: Moment) {
        let is_over = |last: &Sample| now.since(last.from) >= self.sample;
        match self.samples.back_mut() {
            Some(last) if !is_over(last) => last.bytes = last.bytes.saturating_add(bytes),
            _ => {
                if self.samples.len() == self.samples_max {
                    self.samples.pop_front();
                }
                self.samples.push_back(Sample { from: now, bytes });
            }
        }
    }

    /// Whether more was copied than the rate allows.
    pub fn is_exceeded(&mut self, now: Moment) -> bool {
        if self.rate_max == u64::MAX {
            return false;
        }
        let kept = self.sample.saturating_mul(u32::try_from(self.samples_max).unwrap_or(u32::MAX));
        while self.samples.front().is_some_and(|oldest| now.since(oldest.from) >= kept) {
            self.samples.pop_front();
        }
        let Some(oldest) = self.samples.front() else { return false };
        // With fewer samples than there may be, those that are missing count as without bytes.
        let least = self.sample.saturating_mul(u32::try_from(self.samples_max - 1).unwrap_or(u32::MAX));
        let elapsed = now.since(oldest.from).max(least).max(Duration::from_millis(1));
        let bytes: u64 = self.samples.iter().map(|sample| sample.bytes).fold(0, u64::saturating_add);
        let allowed = u128::from(self.rate_max) * elapsed.as_millis() / 1000;
        u128::from(bytes) > allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Throttle {
        let mut throttle = Throttle::new(11, Duration::from_secs(1));
        throttle.set_rate(1000);
        throttle
    }

    #[test]
    fn more_than_the_rate_over_the_kept_samples_is_too_much() {
        let mut throttle = throttle();
        throttle.record(10_000, Moment(0));
        assert!(!throttle.is_exceeded(Moment(0)), "ten seconds' worth");
        throttle.record(1, Moment(0));
        assert!(throttle.is_exceeded(Moment(0)));
        assert!(!throttle.is_exceeded(Moment(11_000)), "it is forgotten when its sample is");
    }

    #[test]
    fn a_steady_flow_at_the_rate_is_never_too_much() {
        let mut throttle = throttle();
        for second in 0..100 {
            throttle.record(900, Moment(second * 1000));
            assert!(!throttle.is_exceeded(Moment(second * 1000)), "in second {second}");
        }
    }

    #[test]
    fn without_a_rate_nothing_is_too_much() {
        let mut throttle = Throttle::new(11, Duration::from_secs(1));
        throttle.record(u64::MAX, Moment(0));
        throttle.record(u64::MAX, Moment(0));
        assert!(!throttle.is_exceeded(Moment(0)));
    }
}
