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
    plan: Option<Plan>,
    /// How many operations there were under the plan's directory.
    count: u64,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Lets operations fail as planned from now on; `None` lets none fail. A simulation runs in one thread, and so does this.
pub fn plan(plan: Option<Plan>) {
    STATE.with_borrow_mut(|state| *state = State { plan, count: 0 });
}

/// How many operations that change files the plan has seen.
#[must_use]
pub fn seen() -> u64 {
    STATE.with_borrow(|state| state.count)
}

/// An operation is about to change what stands at `path`: its fault, if it is to fail.
pub(crate) fn before(path: &Path) -> Result<(), Kind> {
    STATE.with_borrow_mut(|state| {
        let Some(plan) = state.plan.as_ref().filter(|plan| path.starts_with(&plan.under)) else { return Ok(()) };
        let number = state.count;
        state.count += 1;
        if number >= plan.at && number - plan.at < plan.times { Err(plan.kind) } else { Ok(()) }
    })
}

impl From<Kind> for io::Error {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Io => Self::other("simulated I/O error"),
            Kind::Full => io::ErrorKind::StorageFull.into(),
            Kind::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
        }
    }
}
