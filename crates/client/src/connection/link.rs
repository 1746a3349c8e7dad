//! The handle to a connection's task, before anything is known about the peer's versions.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;
use thalweg_sys::time::{Instant, now, timeout_at};
use thalweg_wire::messages::RequestHeader;
use thalweg_wire::{ApiKey, EncodeError, Request, Writer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::ConnectionOptions;
use super::driver::Driver;
use super::shared::{Outgoing, Shared, Waiting};
use crate::error::Api;
use crate::stream::Stream;
use crate::{Error, Peer};

/// A handle to the task that owns the stream.
#[derive(Clone, Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Outgoing>,
}

/// A request as bytes.
pub(super) struct Message {
    api: ApiKey,
    correlation_id: i32,
    parts: Vec<Bytes>,
}

impl Message {
    /// Encodes a request. Each has a correlation id of its own on its connection.
    pub(super) fn new<Q: Request>(link: &Link, request: &Q, version: i16) -> Result<Self, Error> {
        let correlation_id = link.shared.correlation_id.fetch_add(1, Ordering::Relaxed);
        let header = RequestHeader {
            request_api_key: Q::API.code(),
            request_api_version: version,
            correlation_id,
            client_id: link.shared.client_id.clone(),
        };
        let encode = || -> Result<Vec<Bytes>, EncodeError> {
            let mut writer = Writer::new();
            header.encode(&mut writer, Q::API.request_header_version(version))?;
            request.encode(&mut writer, version)?;
            writer.into_frame()
        };
        let parts = encode().map_err(|source| Error::Encode { api: Api(Q::API), version, source })?;
        Ok(Self { api: Q::API, correlation_id, parts })
    }
}

impl Link {
    /// Starts the task that owns `stream`.
    pub(super) fn start(peer: Peer, stream: Box<dyn Stream>, options: &ConnectionOptions) -> Self {
        // A semaphore has an upper limit of its own, far above any that makes sense here.
        let in_flight_max = options.in_flight_max.clamp(1, 1 << 20);
        let shared = Arc::new(Shared {
            peer,
            client_id: options.client_id.clone(),
            correlation_id: AtomicI32::new(0),
            slots: Arc::new(Semaphore::new(in_flight_max)),
            ended: OnceLock::new(),
        });
        // Whoever has a slot finds room in the queue.
        let (requests, received) = mpsc::channel(in_flight_max);
        thalweg_sys::task::spawn(Driver::new(Arc::clone(&shared), stream, received, options).run());
        Self { shared, requests }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    pub(super) fn ended(&self) -> Option<Error> {
        self.shared.ended.get().cloned()
    }

    /// Completes when the task has ended.
    pub(super) async fn closed(&self) {
        self.requests.closed().await;
    }

    /// Queues a request as soon as a slot is free; gives where its answer will arrive.
    pub(super) async fn queue(
        &self,
        message: Message,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Bytes, Error>>, Error> {
        let (answer, receiver) = oneshot::channel();
        self.push(message, deadline, Some(answer)).await?;
        Ok(receiver)
    }

    /// Queues a request that has no answer.
    pub(super) async fn queue_unanswered(&self, message: Message, deadline: Instant) -> Result<(), Error> {
        self.push(message, deadline, None).await
    }

    async fn push(
        &self,
        message: Message,
        deadline: Instant,
        answer: Option<oneshot::Sender<Result<Bytes, Error>>>,
    ) -> Result<(), Error> {
        let asked_at = now();
        let Message { api, correlation_id, parts } = message;
        let after = deadline.saturating_duration_since(asked_at);
        let slot = timeout_at(deadline, self.slot()).await;
        let timed_out = |_| Error::TimedOut { peer: self.peer().clone(), api: Api(api), after };
        let slot = slot.map_err(timed_out)??;
        let waiting = answer.map(|answer| Waiting { correlation_id, api, deadline, asked_at, answer, _slot: None });
        self.requests.try_send(Outgoing { parts, deadline, waiting, slot }).map_err(|_| self.gone())
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Some(error) = self.ended() {
            return Err(error);
        }
        Arc::clone(&self.shared.slots).acquire_owned().await.map_err(|_| self.gone())
    }

    fn gone(&self) -> Error {
        let shut_down = || Error::Disconnected { peer: self.peer().clone(), reason: "the client shuts down".into() };
        self.ended().unwrap_or_else(shut_down)
    }
}
