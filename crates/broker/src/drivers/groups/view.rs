//! What those who watch the group coordinators are told.

use parking_lot::Mutex;
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
    /// How long loading took.
    pub(crate) loads: Loads,
}

/// How long partitions took to be loaded since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads {
    pub(crate) count: u32,
    pub(crate) total: Duration,
    pub(crate) max: Duration,
}

/// What outlives single coordinators.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What those had counted that have ended.
    ended: Mutex<Tally>,
    loads: Mutex<Loads>,
}

impl History {
    pub(super) fn ended(&self, tally: Tally) {
        *self.ended.lock() += tally;
    }

    pub(super) fn loaded(&self, took: Duration) {
        let mut loads = self.loads.lock();
        loads.count += 1;
        loads.total += took;
        loads.max = loads.max.max(took);
    }

    /// A view that knows of no coordinator yet.
    pub(super) fn view(&self) -> GroupsView {
        GroupsView { tally: *self.ended.lock(), loads: *self.loads.lock(), ..GroupsView::default() }
    }
}
