//! What the handles of a connection and its task share, and what passes between them.

use std::sync::atomic::AtomicI32;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_sys::time::Instant;
use thalweg_wire::ApiKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Peer};

/// What the handles and the task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) peer: Peer,
    pub(super) client_id: Option<ByteString>,
    pub(super) correlation_id: AtomicI32,
    pub(super) slots: Arc<Semaphore>,
    /// Set once, by the task, before it stops taking requests.
    pub(super) ended: OnceLock<Error>,
}

impl Shared {
    /// Nobody gets a slot any more.
    pub(super) fn close(&self, error: Error) {
        let _ = self.ended.set(error);
        self.slots.close();
    }
}

/// A request on its way to the task.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) parts: Vec<Bytes>,
    pub(super) deadline: Instant,
    /// Who waits for the answer, if there will be one.
    pub(super) waiting: Option<Waiting>,
    pub(super) slot: OwnedSemaphorePermit,
}

/// Somebody waits for an answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) correlation_id: i32,
    pub(super) api: ApiKey,
    pub(super) asked_at: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<Bytes, Error>>,
    /// Given back with the answer.
    pub(super) _slot: Option<OwnedSemaphorePermit>,
}
