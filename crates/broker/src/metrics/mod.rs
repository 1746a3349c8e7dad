//! What the node counts about itself, as values: five nodes may live in one process.
//!
//! Partitions hold their own [`Traffic`], the network counts requests; what is asked for rarely is looked up when it is
//! asked for. `page.rs` writes all of it for
//! Prometheus.

mod rates;
mod replicated;
mod traffic;

use parking_lot::Mutex;
use thalweg_base::Moment;
use thalweg_base::metrics::Counter;
use thalweg_records::validate::{Invalid, Meter};

use rates::Rates;
pub(crate) use replicated::Replicated;
pub(crate) use traffic::{Total, Traffic};

/// The counters that belong to the node as a whole.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Batches that were refused, by why.
    pub(crate) refused: Refused,
    rates: Mutex<Rates>,
}

/// Why batches were refused.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) magic: Counter,
    pub(crate) checksum: Counter,
    pub(crate) offset_or_sequence: Counter,
    pub(crate) key: Counter,
}

impl Metrics {
    /// How fast a number has grown lately, by the second. `name` tells the numbers apart: there must be few.
    pub(crate) fn rate(&self, name: &str, count: u64, now: Moment) -> f64 {
        self.rates.lock().rate(name, count as f64, now)
    }

    /// How idle the workers were lately, from 0 to 1; `None` where nobody counts.
    pub(crate) fn idle(&self, now: Moment) -> Option<f64> {
        let (workers, worked) = thalweg_sys::task::worked()?;
        let busy = self.rates.lock().rate("worked", worked.as_secs_f64(), now) / workers.max(1) as f64;
        Some((1.0 - busy).clamp(0.0, 1.0))
    }

    /// A producer's batch of `bytes` was refused.
    pub(crate) fn refused(&self, traffic: &Traffic, invalid: &Invalid, bytes: usize) {
        match invalid.meter {
            Some(Meter::BytesRejected) => traffic.rejected(bytes),
            Some(Meter::InvalidMagicNumber) => self.refused.magic.increment(),
            Some(Meter::InvalidMessageCrc) => self.refused.checksum.increment(),
            Some(Meter::InvalidOffsetOrSequence) => self.refused.offset_or_sequence.increment(),
            Some(Meter::NoKeyCompactedTopic) => self.refused.key.increment(),
            None => {}
        }
    }
}
