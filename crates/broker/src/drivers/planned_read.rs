//! Records of a partition that are read from their files while they are sent.

use std::io;
use std::sync::Arc;

use thalweg_network::{FileRange, ReadAt};
use thalweg_storage::{Fault, ReadPlan};

use super::partition::Partition;

/// A read that was planned under the partition's lock and is carried out without it.
struct PlannedRead {
    plan: ReadPlan,
    partition: Arc<Partition>,
}

/// The records of `plan`, as part of an answer.
pub(crate) fn file_range(plan: ReadPlan, partition: Arc<Partition>) -> FileRange {
    let len = plan.len();
    FileRange::new(Arc::new(PlannedRead { plan, partition }), len)
}

impl PlannedRead {
    /// A disk that cannot be read takes the log offline; the answer that has begun cannot be finished. Nor can one whose
    /// log was truncated meanwhile: what is read then are other records.
    fn check<T>(&self, read: Result<T, Fault>) -> io::Result<T> {
        let read = read.map_err(|fault| {
            self.partition.read_failed(&self.plan, &fault);
            io::Error::other(fault)
        })?;
        if self.plan.is_current() { Ok(read) } else { Err(io::Error::other("the log was truncated")) }
    }
}

impl ReadAt for PlannedRead {
    fn read_cached_at(&self, at: usize, buf: &mut [u8]) -> io::Result<bool> {
        self.check(self.plan.read_cached_at(at, buf))
    }

    fn read_at(&self, at: usize, buf: &mut [u8]) -> io::Result<()> {
        self.check(self.plan.read_at(at, buf))
    }
}
