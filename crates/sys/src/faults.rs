//! Faults of the simulated disk, each at an operation that is chosen by its number: so that a run can be repeated with every
//! fault at every operation.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The device does not work.
    Io,
    /// There is no room; of a write, the first half is done.
    Full,
    /// Nothing may be changed.
    ReadOnly,
    /// The device does not give what it has.
    Unreadable,
    /// A file ends where more was written; of a read, the first half is there.
    Short,
}

impl Kind {
    /// Whether reads fail so; all other kinds are of operations that change files.
    const fn is_of_reads(self) -> bool {
        matches!(self, Self::Unreadable | Self::Short)
    }
}

/// What fails.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only files under this directory fail.
    pub under: PathBuf,
    /// The number of the operation that fails, counted from 0 since the plan was made.
    pub at: u64,
    /// How many operations fail from there on.
    pub times: u64,
    /// How they fail.
    pub kind: Kind,
}

#[derive(Debug, Default)]
struct State {
    /// Each with how many operations there were under its directory.
    plans: Vec<(Plan, u64)>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Lets operations fail as planned from now on, and in no other way; `None` lets none fail. A simulation runs in one thread,
/// and so does this.
pub fn plan(plan: Option<Plan>) {
    STATE.with_borrow_mut(|state| state.plans = plan.into_iter().map(|plan| (plan, 0)).collect());
}

/// Lets operations fail as planned, besides those of other plans: each node's disk has its own.
pub fn add(plan: Plan) {
    STATE.with_borrow_mut(|state| state.plans.push((plan, 0)));
}

/// Operations under a directory fail as planned no longer.
pub fn remove(under: &Path) {
    STATE.with_borrow_mut(|state| state.plans.retain(|(plan, _)| plan.under != under));
}

/// Whether operations under a directory are planned to fail.
#[must_use]
pub fn has_plan(under: &Path) -> bool {
    STATE.with_borrow(|state| state.plans.iter().any(|(plan, _)| plan.under == under))
}

/// How many operations the first plan has seen of those that fail in its way: reads, or changes of files.
#[must_use]
pub fn seen() -> u64 {
    STATE.with_borrow(|state| state.plans.first().map_or(0, |(_, count)| *count))
}

/// An operation is about to change what stands at `path`: its fault, if it is to fail.
pub(crate) fn before_change(path: &Path) -> Result<(), Kind> {
    before(path, false)
}

/// What stands at `path` is about to be read: its fault, if it is to fail.
pub(crate) fn before_read(path: &Path) -> Result<(), Kind> {
    before(path, true)
}

fn before(path: &Path, reads: bool) -> Result<(), Kind> {
    STATE.with_borrow_mut(|state| {
        let mut fault = Ok(());
        for (plan, count) in &mut state.plans {
            if plan.kind.is_of_reads() != reads || !path.starts_with(&plan.under) {
                continue;
            }
            if *count >= plan.at && *count - plan.at < plan.times {
                fault = fault.and(Err(plan.kind));
            }
            *count += 1;
        }
        fault
    })
}

impl From<Kind> for io::Error {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Io | Kind::Unreadable => Self::other("simulated I/O error"),
            Kind::Short => io::ErrorKind::UnexpectedEof.into(),
            Kind::Full => io::ErrorKind::StorageFull.into(),
            Kind::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
        }
    }
}
