//! What an answer says.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// Why the rest of an answer does not come. The connection is closed then, so that nobody takes a part for the whole.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What an answer says: nothing, bytes, or bytes that are still being made.
#[derive(Debug)]
pub struct Body(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Parts(mpsc::Receiver<Bytes>),
    Other(Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Failure> + Send>>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Parts(_) => "Parts",
            Self::Other(_) => "Other",
        })
    }
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(bytes.into())))
    }

    /// What comes out of a channel, until it is closed. The channel's size is how much waits for a slow reader.
    #[must_use]
    pub fn parts(parts: mpsc::Receiver<Bytes>) -> Self {
        Self(Kind::Parts(parts))
    }

    /// What another library has made.
    #[must_use]
    pub fn other(body: impl hyper::body::Body<Data = Bytes, Error = Failure> + Send + 'static) -> Self {
        Self(Kind::Other(Box::pin(body)))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let next = match &mut self.0 {
            Kind::Whole(content) => Poll::Ready(content.take()),
            Kind::Parts(parts) => parts.poll_recv(cx),
            Kind::Other(body) => return body.as_mut().poll_frame(cx),
        };
        next.map(|part| part.map(|part| Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(content) => SizeHint::with_exact(content.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Parts(_) => SizeHint::default(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}
