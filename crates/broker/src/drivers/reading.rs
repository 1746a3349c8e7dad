//! Reads what a fetch has planned, outside of the partition's lock.

use bytes::Bytes;
use thalweg_storage::{Fault, ReadPlan};

/// The bytes of a plan, if that needs no wait for the disk.
pub(crate) fn read_cached(plan: &ReadPlan) -> Result<Option<Bytes>, Fault> {
    let mut bytes = vec![0; plan.len()];
    Ok(plan.read_cached_at(0, &mut bytes)?.then(|| bytes.into()))
}
