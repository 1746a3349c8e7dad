//! What waits to be written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes};
use thalweg_sys::time::Instant;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// How many parts go into one system call.
const PARTS_AT_ONCE: usize = 64;

/// Requests in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    parts: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the stream may hold bytes back: one that encrypts does, until it is flushed.
    unflushed: bool,
    /// The deadline of the last request that nobody waits for.
    deadline: Option<Instant>,
}

impl Outbox {
    /// Adds a request. `deadline` is given if no answer is waited for.
    pub(super) fn push(&mut self, parts: Vec<Bytes>, deadline: Option<Instant>) {
        self.bytes += parts.iter().map(Bytes::len).sum::<usize>();
        self.parts.extend(parts);
        self.deadline = deadline.or(self.deadline);
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is something to write or to flush.
    pub(super) fn is_busy(&self) -> bool {
        self.bytes > 0 || self.unflushed
    }

    /// By when what waits must be written, as far as nobody waits for an answer to it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes some of it, or flushes. Dropping the future before it is ready loses nothing.
    pub(super) async fn write_some<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        if self.bytes == 0 {
            stream.flush().await?;
            self.unflushed = false;
            self.deadline = None;
            return Ok(());
        }
        let written = {
            let slices: Vec<IoSlice<'_>> =
                self.parts.iter().take(PARTS_AT_ONCE).map(|part| IoSlice::new(part)).collect();
            stream.write_vectored(&slices).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.unflushed = true;
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        assert!(written <= self.bytes, "no more is written than there was");
        self.bytes -= written;
        while let Some(part) = self.parts.front_mut() {
            if part.len() > written {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
    }
}
