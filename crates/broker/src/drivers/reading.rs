//! Reads what a fetch has planned, outside of the partition's lock.

use std::io;

use bytes::Bytes;
use thalweg_storage::ReadPlan;

/// The bytes of a plan, if that needs no wait for the disk.
pub(crate) fn read_cached(plan: &ReadPlan) -> io::Result<Option<Bytes>> {
    let Some((file, position)) = plan.source() else { return Ok(Some(Bytes::new())) };
    let mut bytes = vec![0; plan.len()];
    Ok(file.file().read_exact_cached_at(&mut bytes, position)?.then(|| bytes.into()))
}
