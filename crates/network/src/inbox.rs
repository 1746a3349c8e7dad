//! The bytes that a client has sent and that were not handled yet, cut into frames.
//!
//! A frame is a length of four bytes, big endian, and as many bytes. A length alone costs nothing: memory is taken as
//! the bytes arrive, and past a small allowance only from the node's [`Budget`].

use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use crate::budget::{Budget, Taken};
use crate::spare::Spare;
use crate::stream::Stream;

/// The length in front of each frame.
const PREFIX: usize = 4;
/// What is read at once while the length of the next frame is not known. Requests other than produce fit in.
const READ_MIN: usize = 16 << 10;
/// A buffer with less room than this is enlarged before the next read.
const ROOM_MIN: usize = 4 << 10;
/// A buffer grows by at most so much at once.
const AT_ONCE_MAX: usize = 1 << 20;
/// What a connection may hold without asking the budget.
const ALLOWANCE: usize = 64 << 10;

/// A frame's announced length is not one that this node takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a request announces a negative length ({0})")]
    Negative(i32),
    #[error("a request announces {0} bytes, more than socket.request.max.bytes ({1})")]
    TooLarge(i32, usize),
    #[error(
        "the client speaks TLS, and this listener does not: set the client's security.protocol, or the protocol of the listener"
    )]
    Tls,
    #[error(
        "the client speaks HTTP, and this listener speaks Kafka's protocol: /metrics and health are at thalweg.http.listen"
    )]
    Http,
}

impl FrameError {
    /// What is wrong with a frame that begins with `prefix`, which would be the length of too large a frame.
    fn too_large(prefix: [u8; PREFIX], max: usize) -> Self {
        match &prefix {
            // A handshake record of SSL 3.0 to TLS 1.3.
            [0x16, 3, ..] => Self::Tls,
            b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"OPTI" | b"CONN" | b"PRI " => Self::Http,
            _ => Self::TooLarge(i32::from_be_bytes(prefix), max),
        }
    }
}

/// Why no bytes came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// This many bytes arrived.
    Bytes(usize),
    /// The client closed its side.
    End,
    /// Other connections hold all the memory that requests may take: the task is woken when some is given back.
    NoMemory,
}

/// What has arrived of requests that were not handled yet.
#[derive(Debug)]
pub(crate) struct Inbox {
    buf: BytesMut,
    /// How much room the buffer has had at most.
    allocated: usize,
    frame_bytes_max: usize,
    /// The size of the last frame: the next one is likely to be as large.
    last_frame: usize,
    budget: Arc<Budget>,
    taken: Option<Taken>,
    spare: Arc<Spare>,
}

impl Inbox {
    pub(crate) fn new(frame_bytes_max: usize, budget: Arc<Budget>, spare: Arc<Spare>) -> Self {
        Self { buf: BytesMut::new(), allocated: 0, frame_bytes_max, last_frame: 0, budget, taken: None, spare }
    }

    /// From now on frames may have so many bytes.
    pub(crate) fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The next whole frame without its length, if it is there.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(len) = self.frame_len()? else { return Ok(None) };
        if self.buf.len() < PREFIX + len {
            return Ok(None);
        }
        self.buf.advance(PREFIX);
        self.last_frame = PREFIX + len;
        Ok(Some(self.buf.split_to(len).freeze()))
    }

    /// Gives all memory back when nothing is held. To be called before waiting.
    pub(crate) fn rest(&mut self) {
        if self.buf.is_empty() {
            self.spare.give(std::mem::take(&mut self.buf), std::mem::take(&mut self.allocated));
            self.taken = None;
        }
    }

    /// Reads what has arrived.
    pub(crate) fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        let wanted = self.wanted();
        if self.buf.capacity() - self.buf.len() < wanted.min(ROOM_MIN) {
            let capacity = self.buf.len() + wanted;
            if capacity > ALLOWANCE && self.taken.as_ref().is_none_or(|taken| taken.bytes() < capacity) {
                self.taken = None;
                match self.budget.poll_take(capacity, cx) {
                    Poll::Ready(taken) => self.taken = Some(taken),
                    Poll::Pending => return Poll::Ready(Ok(Filled::NoMemory)),
                }
            }
            if self.buf.capacity() == 0
                && let Some(buffer) = self.spare.take(wanted)
            {
                self.buf = buffer;
            }
            self.buf.reserve(wanted);
            self.allocated = self.allocated.max(self.buf.capacity());
        }
        match pin!(stream.read_buf(&mut self.buf)).poll(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Filled::End)),
            Poll::Ready(Ok(read)) => Poll::Ready(Ok(Filled::Bytes(read))),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// How many bytes to make room for: the rest of the frame that has begun, in steps. A client that has sent frames of
    /// that size gets the room at once; any other's buffer doubles as its bytes arrive, since an announcement is cheap.
    fn wanted(&self) -> usize {
        match self.frame_len() {
            Ok(Some(len)) if PREFIX + len > self.buf.len() => {
                let missing = PREFIX + len - self.buf.len();
                let trusted = (2 * self.last_frame).min(AT_ONCE_MAX);
                missing.min(trusted.max(self.buf.len()).max(READ_MIN))
            }
            _ => self.last_frame.clamp(READ_MIN, AT_ONCE_MAX),
        }
    }

    fn frame_len(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buf.first_chunk::<PREFIX>() else { return Ok(None) };
        let announced = i32::from_be_bytes(*prefix);
        let len = usize::try_from(announced).map_err(|_| FrameError::Negative(announced))?;
        if len > self.frame_bytes_max {
            return Err(FrameError::too_large(*prefix, self.frame_bytes_max));
        }
        Ok(Some(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::new(100, Budget::new(1 << 20), Arc::default());
        inbox.buf.extend_from_slice(bytes);
        inbox
    }

    #[test]
    fn frames_are_cut_at_their_lengths() {
        let mut inbox = inbox(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(inbox.next_frame(), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(inbox.next_frame(), Ok(Some(Bytes::new())));
        assert_eq!(inbox.next_frame(), Ok(None));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert_eq!(inbox(&[255, 255, 255, 255]).next_frame(), Err(FrameError::Negative(-1)));
        assert_eq!(inbox(&[0, 0, 0, 101]).next_frame(), Err(FrameError::TooLarge(101, 100)));
    }

    #[test]
    fn other_protocols_are_named() {
        assert_eq!(inbox(b"GET /metrics HTTP/1.1").next_frame(), Err(FrameError::Http));
        assert_eq!(inbox(&[0x16, 3, 1, 2, 0, 1]).next_frame(), Err(FrameError::Tls));
    }

    #[test]
    fn an_announced_length_takes_no_memory_before_its_bytes_come() {
        let mut inbox = Inbox::new(50 << 20, Budget::new(1 << 20), Arc::default());
        inbox.buf.extend_from_slice(&(50i32 << 20).to_be_bytes());
        assert_eq!(inbox.wanted(), READ_MIN);
        inbox.buf.clear();
        inbox.rest();
        assert_eq!(inbox.buf.capacity(), 0);
    }
}
