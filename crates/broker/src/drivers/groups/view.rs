//! What those who watch the group coordinators are told.

use parking_lot::Mutex;
use thalweg_base::metrics::Spans;
use thalweg_groups::{Census, Tally};
use thalweg_sys::time::Duration;

/// All coordinators of a node together.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupsView {
    /// Partitions of `__consumer_offsets` whose groups are being loaded.
    pub(crate) loading: usize,
    /// Partitions whose groups are served.
    pub(crate) active: usize,
    /// What the groups are.
    pub(crate) census: Census,
    /// What happened to them.
    pub(crate) tally: Tally,
    /// How long partitions took to be loaded since the node started.
    pub(crate) loads: Spans,
}

/// What outlives single coordinators.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What those had counted that have ended.
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

    /// A view that knows of no coordinator yet.
    pub(super) fn view(&self) -> GroupsView {
        GroupsView { tally: *self.ended.lock(), loads: *self.loads.lock(), ..GroupsView::default() }
    }
}
