//! Transactions and the topic that keeps them.

use std::time::Duration;

use thalweg_transactions::Settings;

use super::properties::Properties;

/// Where transactions are kept, and by which rules they live.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionsConfig {
    /// The rules.
    pub rules: Settings,
    /// `transaction.state.log.num.partitions`
    pub topic_num_partitions: i32,
    /// `transaction.state.log.replication.factor`
    pub topic_replication_factor: i16,
    /// `transaction.state.log.segment.bytes`
    pub topic_segment_bytes: i32,
    /// `transaction.state.log.min.isr`
    pub topic_min_isr: i32,
    /// `transaction.state.log.load.buffer.size`: how many bytes of the topic are read at once.
    pub load_buffer_bytes: i32,
    /// `add.partitions.to.txn.retry.backoff.ms`: how soon a produce asks again while the transaction before is completed.
    pub add_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: how long it does so.
    pub add_backoff_max: Duration,
}

impl TransactionsConfig {
    pub(super) fn read(properties: &Properties) -> Self {
        let ms = |name| Duration::from_millis(u64::try_from(properties.int(name)).unwrap_or(0));
        let factor = properties.int("transaction.state.log.replication.factor");
        Self {
            rules: Settings {
                timeout_ms_max: properties.int("transaction.max.timeout.ms"),
                id_expiration_ms: i64::from(properties.int("transactional.id.expiration.ms")),
                abort_interval: ms("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
                expiry_interval: ms("transaction.remove.expired.transaction.cleanup.interval.ms"),
                two_phase_commit: properties.boolean("transaction.two.phase.commit.enable"),
            },
            topic_num_partitions: properties.int("transaction.state.log.num.partitions"),
            topic_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            topic_segment_bytes: properties.int("transaction.state.log.segment.bytes"),
            topic_min_isr: properties.int("transaction.state.log.min.isr"),
            load_buffer_bytes: properties.int("transaction.state.log.load.buffer.size"),
            add_backoff: ms("add.partitions.to.txn.retry.backoff.ms"),
            add_backoff_max: ms("add.partitions.to.txn.retry.backoff.max.ms"),
        }
    }
}
