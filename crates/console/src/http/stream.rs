//! Answers that are written while they are read.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// So many pieces wait for whoever reads; the work that makes them waits for room.
const PIECES_MAX: usize = 2;

/// The body of an answer whose pieces come through a channel. It ends when the sender is dropped, or cut off, so that whoever
/// reads notices, when the sender says that the work has failed.
struct Pieces(mpsc::Receiver<Result<Bytes, Broken>>);

/// The work behind an answer has failed when a part of it was on its way.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) String);

/// Where the pieces of an answer go. Sending fails once nobody reads any more.
pub(crate) type Sender = mpsc::Sender<Result<Bytes, Broken>>;

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// An answer of this kind that may take minutes, and where its pieces go.
pub(crate) fn streamed(kind: &'static str) -> (Response, Sender) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let mut response = Response::new(Body::new(Pieces(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.extensions_mut().insert(thalweg_http::Long);
    (response, sender)
}
