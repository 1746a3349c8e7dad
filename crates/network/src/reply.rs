//! What stands behind a listener, and how it replies to a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;
use crate::kind::ListenerName;
use crate::origin::Origin;

/// A future answer, ready to be written.
pub type Answer = Pin<Box<dyn Future<Output = Frame> + Send>>;

/// What becomes of a request.
pub enum Reply {
    /// It is answered.
    Now(Frame),
    /// It waits for an event and holds so many bytes of memory meanwhile; later requests of its connection go ahead, their
    /// answers wait for this one.
    Parked(Answer, usize),
    /// It waits for an event; no later request of its connection is taken before.
    Exclusive(Answer),
    /// There is no answer (`acks=0`).
    Nothing,
    /// The connection is closed, for this reason.
    Close(String),
}

/// Takes the requests of every connection of a listener.
pub trait Service: Send + Sync + 'static {
    /// Handles one request: a frame without its length. Must not block; what has to wait is replied as a future.
    fn handle(self: Arc<Self>, listener: &ListenerName, origin: &Arc<Origin>, frame: Bytes) -> Reply;

    /// A connection has ended. Its requests that waited were dropped.
    fn disconnected(&self, origin: &Origin);
}
