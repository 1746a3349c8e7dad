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
    /// The last answer: the connection is closed for this reason when it was sent.
    Last(Answer, String),
}

/// Stands behind a listener: takes its connections.
pub trait Service: Send + Sync + 'static {
    /// A client has connected, and what it has shown of itself is in `origin`.
    ///
    /// # Errors
    /// The reason, when the client is refused.
    fn connect(self: Arc<Self>, listener: &ListenerName, origin: &Arc<Origin>) -> Result<Box<dyn Session>, String>;
}

/// Takes the requests of one connection, in their order. It is dropped when the connection has ended and its requests that
/// waited were dropped.
pub trait Session: Send {
    /// Handles one request: a frame without its length. Must not block; what has to wait is replied as a future.
    fn handle(&mut self, frame: Bytes) -> Reply;

    /// How many bytes the next request may have, if that is less than on other connections: clients that have not
    /// authenticated yet have little to say.
    fn request_bytes_max(&self) -> Option<usize>;
}
