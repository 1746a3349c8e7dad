//! Numbers of milliseconds.

use std::time::Duration;

/// A number of milliseconds from the network, the disk or a configuration; what is negative is none.
pub(crate) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
