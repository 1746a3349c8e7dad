//! An answer on its way to a client: bytes, and ranges of files that are read while they are written.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use thalweg_wire::Gap;

/// How many bytes an answer's length takes.
const LENGTH_BYTES: usize = 4;

/// A whole answer, its length in front.
#[derive(Debug, Default)]
pub struct Frame {
    parts: Vec<Bytes>,
    /// What belongs between the parts, in order.
    ranges: Vec<(Gap, FileRange)>,
}

impl Frame {
    /// An answer with gaps, and what fills each of them.
    pub fn with_ranges(parts: Vec<Bytes>, gaps: Vec<Gap>, ranges: Vec<FileRange>) -> Self {
        assert_eq!(gaps.len(), ranges.len(), "every gap has its range");
        assert!(gaps.iter().zip(&ranges).all(|(gap, range)| gap.len == range.left()), "a range fills its gap");
        Self { parts, ranges: gaps.into_iter().zip(ranges).collect() }
    }

    /// Whether there is nothing to write: the answer could not be encoded.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The answer without its length, which is sent within another one; `None` if parts of it stand in files, or if there
    /// is none.
    pub fn into_payload(self) -> Option<Bytes> {
        let whole: Vec<u8> = self.parts.concat();
        let payload = Bytes::from(whole);
        (self.ranges.is_empty() && payload.len() >= LENGTH_BYTES).then(|| payload.slice(LENGTH_BYTES..))
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
                put(Piece::File(range));
            }
            put(Piece::Bytes(part));
        }
        ranges.for_each(|(_, range)| put(Piece::File(range)));
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
    File(FileRange),
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

/// What part of an answer is read from while the answer is written.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` with the bytes from `at` on, if that needs no wait for the disk; says whether it did.
    ///
    /// # Errors
    /// When the bytes cannot be read: the answer that has begun cannot be finished.
    fn read_cached_at(&self, at: usize, buf: &mut [u8]) -> io::Result<bool>;

    /// Fills `buf` with the bytes from `at` on; may wait for the disk.
    ///
    /// # Errors
    /// When the bytes cannot be read: the answer that has begun cannot be finished.
    fn read_at(&self, at: usize, buf: &mut [u8]) -> io::Result<()>;
}

/// A part of an answer that stands in files.
#[derive(Clone)]
pub struct FileRange {
    source: Arc<dyn ReadAt>,
    len: usize,
    /// How much of it was written.
    done: usize,
}

impl FileRange {
    /// The first `len` bytes of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn ReadAt>, len: usize) -> Self {
        Self { source, len, done: 0 }
    }

    /// How many bytes are still to be written.
    #[must_use]
    pub fn left(&self) -> usize {
        self.len - self.done
    }

    /// Fills `buf` with what comes next, if that needs no wait for the disk; says whether it did.
    pub(crate) fn read_cached(&self, buf: &mut [u8]) -> io::Result<bool> {
        self.source.read_cached_at(self.done, buf)
    }

    /// Fills `buf` with what comes next; may wait for the disk.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<()> {
        self.source.read_at(self.done, buf)
    }
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRange({} of {} bytes left)", self.left(), self.len)
    }
}
