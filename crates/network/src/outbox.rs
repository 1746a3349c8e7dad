//! Answers on their way to the client: pieces that are written together, with as few system calls as possible.
//!
//! Records in files pass through a buffer, a chunk at a time, so that an answer costs no more memory than one chunk
//! however large it is. A chunk that is not in the page cache is read where waiting for the disk harms nobody, and what
//! stands before it is written meanwhile.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use thalweg_sys::task;
use tokio::io::AsyncWrite as _;

use crate::chunks::{CHUNK, Chunk, Chunks};
use crate::frame::{FileRange, Frame, Piece};
use crate::stream::Stream;

/// How many pieces one write names: more than a burst of small answers has.
const SLICES_MAX: usize = 64;

/// After so many bytes others go first, though the socket would take more.
const AT_ONCE_MAX: usize = 1 << 20;

/// A read that waits for the disk, with the length of what it reads.
type Reading = Pin<Box<dyn Future<Output = io::Result<(Chunk, usize)>> + Send>>;

/// What was read of the first piece that is a file, and not written yet.
struct Loaded {
    chunk: Chunk,
    from: usize,
    to: usize,
}

/// The answers that are not written yet.
///
/// Invariant: what is loaded, or being read, is the next of the first piece that is a file.
pub(crate) struct Outbox {
    chunks: Arc<Chunks>,
    pieces: VecDeque<Piece>,
    bytes: usize,
    loaded: Option<Loaded>,
    reading: Option<Reading>,
    /// Nothing was written since the stream was flushed.
    is_flushed: bool,
}

impl Outbox {
    pub(crate) fn new(chunks: Arc<Chunks>) -> Self {
        Self { chunks, pieces: VecDeque::new(), bytes: 0, loaded: None, reading: None, is_flushed: true }
    }

    /// How many bytes wait to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        self.bytes += frame.move_to(&mut self.pieces);
    }

    /// Writes until the socket takes no more, or enough for once; ready when all is written.
    pub(crate) fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut at_once = 0;
        while !self.pieces.is_empty() {
            if at_once >= AT_ONCE_MAX {
                task::let_others_go_first(cx);
                return Poll::Pending;
            }
            let written = ready!(self.poll_write(stream, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            at_once += written;
            self.is_flushed = false;
        }
        // What was written to TLS may still have to go to the socket.
        if !self.is_flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is in memory, up to the first range that is still being read.
    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let loading = self.poll_load(cx)?;
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.gather(&mut slices);
        if count == 0 {
            ready!(loading);
        }
        let poll = Pin::new(stream).poll_write_vectored(cx, &slices[..count]);
        if poll.is_pending() && self.loaded.is_some() && self.chunks.is_scarce() {
            self.loaded = None;
        }
        poll
    }

    /// Reads the next of the first file among the pieces that the next write can name.
    fn poll_load(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.loaded.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.reading.is_none() {
            let file = self.pieces.iter().take(SLICES_MAX).find_map(|piece| match piece {
                Piece::File(range) => Some(range),
                Piece::Bytes(_) => None,
            });
            let Some(range) = file else { return Poll::Ready(Ok(())) };
            let len = range.left().min(CHUNK);
            let mut chunk = self.chunks.take();
            match range.read_cached(&mut chunk[..len]) {
                Ok(true) => {
                    self.loaded = Some(Loaded { chunk, from: 0, to: len });
                    return Poll::Ready(Ok(()));
                }
                Ok(false) => self.reading = Some(Box::pin(read(range.clone(), chunk, len))),
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        if let Some(reading) = &mut self.reading {
            let read = ready!(reading.as_mut().poll(cx));
            self.reading = None;
            let (chunk, len) = read?;
            self.loaded = Some(Loaded { chunk, from: 0, to: len });
        }
        Poll::Ready(Ok(()))
    }

    /// Names what can be written now: everything up to the end of what is loaded. Says how many slices that takes.
    fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut loaded = self.loaded.as_ref();
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            let (bytes, is_whole) = match (piece, loaded.take()) {
                (Piece::Bytes(bytes), still) => {
                    loaded = still;
                    (&bytes[..], true)
                }
                (Piece::File(range), Some(Loaded { chunk, from, to })) => {
                    (&chunk[*from..*to], to - from == range.left())
                }
                (Piece::File(_), None) => break,
            };
            *slice = IoSlice::new(bytes);
            count += 1;
            if !is_whole {
                break;
            }
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0
            && let Some(first) = self.pieces.front_mut()
        {
            let now = written.min(first.left());
            first.advance(now);
            written -= now;
            let is_done = first.left() == 0;
            if let (Piece::File(_), Some(loaded)) = (first, &mut self.loaded) {
                loaded.from += now;
                if loaded.from == loaded.to {
                    self.loaded = None;
                }
            }
            if is_done {
                self.pieces.pop_front();
            }
        }
    }
}

async fn read(range: FileRange, mut chunk: Chunk, len: usize) -> io::Result<(Chunk, usize)> {
    task::blocking(move || range.read(&mut chunk[..len]).map(|()| (chunk, len))).await?
}
