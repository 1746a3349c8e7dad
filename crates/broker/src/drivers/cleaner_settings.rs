//! The configs of the cleaner.

use thalweg_metadata::config::BrokerConfigs;
use thalweg_storage::CleanerLimits;
use thalweg_sys::time::Duration;

use super::settings::value;

/// More cleanings at once than this help no disk.
pub(super) const THREADS_MAX: usize = 64;

/// The configs of the cleaner, as they count now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CleanerSettings {
    /// `log.cleaner.enable`
    pub(super) enabled: bool,
    /// `log.cleaner.threads`: so many logs are cleaned at once.
    pub(super) threads: usize,
    /// `log.cleaner.dedupe.buffer.size`, for all threads.
    dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`
    load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`, for all threads.
    bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`: so long the cleaner rests when nothing is dirty.
    pub(super) backoff: Duration,
}

impl CleanerSettings {
    pub(crate) fn of(broker: &BrokerConfigs<'_>) -> Self {
        let whole = |name| value(broker, name).and_then(|value| value.as_i64()).unwrap_or_default();
        let real = |name| value(broker, name).and_then(|value| value.as_f64()).unwrap_or_default();
        let positive = |name| u64::try_from(whole(name)).unwrap_or(0);
        let count = |name| usize::try_from(positive(name)).unwrap_or(usize::MAX);
        Self {
            enabled: value(broker, "log.cleaner.enable").and_then(|value| value.as_bool()).unwrap_or(true),
            threads: count("log.cleaner.threads").min(THREADS_MAX),
            dedupe_buffer_bytes: count("log.cleaner.dedupe.buffer.size"),
            load_factor: real("log.cleaner.io.buffer.load.factor"),
            bytes_per_second: real("log.cleaner.io.max.bytes.per.second").max(1.0),
            // No interval is so short that the cleaner would do nothing but look around.
            backoff: Duration::from_millis(positive("log.cleaner.backoff.ms").clamp(10, 86_400_000)),
        }
    }

    /// What one cleaning may take.
    pub(super) fn limits(&self) -> CleanerLimits {
        let dedupe_buffer_bytes = self.dedupe_buffer_bytes / self.threads.max(1);
        CleanerLimits { dedupe_buffer_bytes, load_factor: self.load_factor }
    }

    /// How long one of the threads rests after so many bytes.
    pub(super) fn pause_after(&self, bytes: u64) -> Duration {
        let seconds = bytes as f64 * self.threads.max(1) as f64 / self.bytes_per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or_default().min(Duration::from_secs(3600))
    }
}
