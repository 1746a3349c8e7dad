//! When the topics that a group subscribes to are looked at again.

use std::time::Duration;

use thalweg_base::Moment;

/// How long the topics are not looked at again when nothing is heard of them: about 25 days.
const REFRESH_INTERVAL: Duration = Duration::from_millis(i32::MAX as u64);

/// When a group's topics are to be looked at again although no subscription has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refresh {
    /// Not before that.
    pub(super) due: Moment,
    /// The group's epoch when that was decided: if the log has an earlier one, the write of that decision was lost.
    pub(super) epoch: i32,
}

impl Refresh {
    /// The topics were looked at when the group's epoch was to be `epoch`.
    pub(super) fn after(now: Moment, epoch: i32) -> Self {
        Self { due: now.after(REFRESH_INTERVAL), epoch }
    }
}
