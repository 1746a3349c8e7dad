//! What the metrics say of the transaction coordinators.

use parking_lot::Mutex;
use thalweg_base::metrics::Spans;
use thalweg_sys::time::Duration;
use thalweg_transactions::{Census, Tally};

/// All transaction coordinators of a node together.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransactionsView {
    /// Partitions of `__transaction_state` that are being loaded.
    pub(crate) loading: usize,
    /// Partitions whose transactional ids are served.
    pub(crate) active: usize,
    /// The transactional ids by state.
    pub(crate) census: Census,
    /// How transactions have ended.
    pub(crate) tally: Tally,
    /// How long partitions took to load since the node started.
    pub(crate) loads: Spans,
}

/// What outlives single coordinators.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The counts of coordinators that have ended.
    ended: Mutex<Tally>,
    loads: Mutex<Spans>,
}

impl History {
    pub(super) fn ended(&self, tally: Tally) {
        *self.ended.lock() += tally;
    }

    pub(super) fn loaded(&self, took: Duration) {
        self.loads.lock().record(took);
    }

    /// A view without any coordinator.
    pub(super) fn view(&self) -> TransactionsView {
        TransactionsView { tally: *self.ended.lock(), loads: *self.loads.lock(), ..TransactionsView::default() }
    }
}
