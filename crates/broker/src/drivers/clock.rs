//! The wall clock, as records know it.

use thalweg_base::Timestamp;
use thalweg_sys::time::wall_clock_ms;

/// The time of now.
pub(crate) fn timestamp() -> Timestamp {
    Timestamp(wall_clock_ms())
}
