//! An answer on its way to a client: bytes, and ranges of files that are read while they are written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use thalweg_storage::ReadPlan;
use thalweg_wire::Gap;

use crate::drivers::partition::Partition;

/// A whole answer, its length in front.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    parts: Vec<Bytes>,
    /// What belongs between the parts, in order.
    ranges: Vec<(Gap, FileRange)>,
}

impl Frame {
    /// An answer with gaps, and what fills each of them.
    pub(crate) fn with_ranges(parts: Vec<Bytes>, gaps: Vec<Gap>, ranges: Vec<FileRange>) -> Self {
        assert_eq!(gaps.len(), ranges.len(), "every gap has its range");
        assert!(gaps.iter().zip(&ranges).all(|(gap, range)| gap.len == range.left()), "a range fills its gap");
        Self { parts, ranges: gaps.into_iter().zip(ranges).collect() }
    }

    /// Whether there is nothing to write: the answer could not be encoded.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Moves everything to the end of a queue; says how many bytes that is.
    pub(crate) fn move_to(self, queue: &mut VecDeque<Piece>) -> usize {
        let mut bytes = 0;
        let mut ranges = self.ranges.into_iter().peekable();
        let mut put = |piece: Piece| {
            bytes += piece.left();
            if piece.left() > 0 {
                queue.push_back(piece);
            }
        };
        for (at, part) in self.parts.into_iter().enumerate() {
            while let Some((_, range)) = ranges.next_if(|(gap, _)| gap.after_parts <= at) {
                put(Piece::File(Box::new(range)));
            }
            put(Piece::Bytes(part));
        }
        ranges.for_each(|(_, range)| put(Piece::File(Box::new(range))));
        bytes
    }
}

impl From<Vec<Bytes>> for Frame {
    fn from(parts: Vec<Bytes>) -> Self {
        Self { parts, ranges: Vec::new() }
    }
}

/// What is written without a break.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// In a box, since most answers have none.
    File(Box<FileRange>),
}

impl Piece {
    /// How many bytes are still to be written.
    pub(crate) fn left(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.left(),
        }
    }

    /// So many bytes were written.
    pub(crate) fn advance(&mut self, written: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(written),
            Self::File(range) => range.done += written,
        }
    }
}

/// Records in a segment's file.
#[derive(Clone, Debug)]
pub(crate) struct FileRange {
    plan: ReadPlan,
    partition: Arc<Partition>,
    /// How much of the plan was written.
    done: usize,
}

impl FileRange {
    pub(crate) fn new(plan: ReadPlan, partition: Arc<Partition>) -> Self {
        Self { plan, partition, done: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.plan.len() - self.done
    }

    /// Fills `buf` with what comes next, if that needs no wait for the disk; says whether it did.
    pub(crate) fn read_cached(&self, buf: &mut [u8]) -> io::Result<bool> {
        self.check(self.plan.read_cached_at(self.done, buf))
    }

    /// Fills `buf` with what comes next; may wait for the disk.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<()> {
        self.check(self.plan.read_at(self.done, buf))
    }

    /// A disk that cannot be read takes the log offline; the answer that has begun cannot be finished.
    fn check<T>(&self, read: Result<T, thalweg_storage::Fault>) -> io::Result<T> {
        read.map_err(|fault| {
            self.partition.failed(&fault);
            io::Error::other(fault)
        })
    }
}
