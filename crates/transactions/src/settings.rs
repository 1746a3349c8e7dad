//! The broker's configuration as transactions need it.

use std::time::Duration;

/// The broker's configuration as transactions need it. The defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `transaction.max.timeout.ms`: the longest timeout that a producer may ask for.
    pub timeout_ms_max: i32,
    /// `transactional.id.expiration.ms`: ids that were idle for so long are forgotten.
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how often transactions are looked for that have lasted
    /// too long.
    pub abort_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: how often ids are looked for that have expired.
    pub expiry_interval: Duration,
    /// `transaction.two.phase.commit.enable` (KIP-939).
    pub two_phase_commit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_ms_max: 900_000,
            id_expiration_ms: 604_800_000,
            abort_interval: Duration::from_secs(10),
            expiry_interval: Duration::from_secs(3600),
            two_phase_commit: false,
        }
    }
}
