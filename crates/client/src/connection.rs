//! One connection to one node: pipelined requests, each with its deadline.
//!
//! A connection is a task that owns the stream, and any number of cheap handles. Requests are encoded and responses
//! decoded by the callers, so that the task moves bytes only.

mod driver;
mod inbox;
mod link;
mod outbox;
mod sasl;
mod shared;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_sys::net::ConnectOptions;
use thalweg_sys::time::Instant;
use thalweg_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, ResponseHeader};
use thalweg_wire::{ApiKey, Codec as _, DecodeError, ErrorCode, Reader, Request};
use tokio::sync::oneshot;

use crate::error::Api;
use crate::stream::{self, Encryption};
use crate::{ApiVersions, Error, Meter, Peer};
use link::{Link, Message};
pub use sasl::SaslConfig;

/// The name by which this library introduces itself (KIP-511).
pub const SOFTWARE_NAME: &str = "thalweg";

/// What a connection is like. [`ConnectionOptions::default`] is Kafka's default for clients.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// `client.id`: what brokers log and count requests by.
    pub client_id: Option<ByteString>,
    /// `send.buffer.bytes` and `receive.buffer.bytes`. The default lets the kernel adapt them.
    pub socket: ConnectOptions,
    /// `socket.connection.setup.timeout.ms`: how long resolving, connecting and negotiating may take.
    pub setup_timeout: Duration,
    /// How it is encrypted; `None` with a `security.protocol` without TLS.
    pub encryption: Option<Encryption>,
    /// How to log in; `None` with a `security.protocol` without SASL.
    pub sasl: Option<SaslConfig>,
    /// `connections.max.idle.ms`: a connection without requests for so long is closed.
    pub idle_max: Duration,
    /// How many requests may be on the way at once. A further one waits for its turn, within its deadline.
    pub in_flight_max: usize,
    /// The largest response that is read, in bytes. A larger one ends the connection before room is made for it.
    pub response_bytes_max: usize,
    /// Counts what goes over the connection, if that is wanted.
    pub meter: Option<Arc<Meter>>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: None,
            socket: ConnectOptions::default(),
            setup_timeout: Duration::from_secs(10),
            encryption: None,
            sasl: None,
            idle_max: Duration::from_secs(540),
            // Brokers answer in order, and one slow request holds up all behind it: more would only wait longer.
            in_flight_max: 100,
            // Five times the default of fetch.max.bytes, and room for the metadata of a million partitions.
            response_bytes_max: 256 << 20,
            meter: None,
        }
    }
}

/// A connection to one node. Clones share it; it is closed when the last clone and the last waiting request are gone.
///
/// Every request has a deadline. When one passes, the connection ends as in Kafka's own client, since every answer
/// behind the missing one would be late too: that request fails with [`Error::TimedOut`], the others with
/// [`Error::Disconnected`]. Dropping the future of a request is safe: its answer is thrown away when it comes.
///
/// ```no_run
/// use std::time::Duration;
/// use thalweg_client::{Connection, ConnectionOptions, Peer};
/// use thalweg_sys::time::now;
/// use thalweg_wire::messages::MetadataRequest;
///
/// # async fn example() -> Result<(), thalweg_client::Error> {
/// let deadline = now() + Duration::from_secs(5);
/// let connection = Connection::open(Peer::new("localhost", 9092), &ConnectionOptions::default(), deadline).await?;
/// let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
/// let response = connection.send(&request, deadline).await?;
/// println!("{} brokers", response.brokers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    link: Link,
    versions: Arc<ApiVersions>,
    /// When the broker will want this client to have logged in again (KIP-368).
    expires_at: Option<Instant>,
}

impl Connection {
    /// Connects to `peer` and negotiates versions, within `deadline` and the options' setup timeout.
    ///
    /// # Errors
    /// When the peer cannot be reached or does not answer in time, or is not a Kafka node.
    pub async fn open(peer: Peer, options: &ConnectionOptions, deadline: Instant) -> Result<Self, Error> {
        let deadline = deadline.min(thalweg_sys::time::now() + options.setup_timeout);
        let stream = stream::open(&peer, options, deadline).await?;
        let link = Link::start(peer, stream, options);
        let versions = negotiate(&link, deadline).await?;
        let mut expires_at = None;
        if let Some(config) = &options.sasl
            && let Some(lifetime) = sasl::log_in(&link, &versions, config, deadline).await?
        {
            // Early enough that what is on the way then is still answered.
            expires_at = Some(thalweg_sys::time::now() + lifetime * 4 / 5);
        }
        Ok(Self { link, versions: Arc::new(versions), expires_at })
    }

    /// The node at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.link.peer()
    }

    /// What the node said about its APIs when the connection was made.
    #[must_use]
    pub fn versions(&self) -> &ApiVersions {
        &self.versions
    }

    /// Why the connection has ended; `None` while it stands.
    #[must_use]
    pub fn ended(&self) -> Option<Error> {
        self.link.ended()
    }

    /// Completes when the connection has ended.
    pub async fn closed(&self) {
        self.link.closed().await;
    }

    /// Whether a new connection should take the place of this one: the login is about to expire.
    #[must_use]
    pub fn is_expiring(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= thalweg_sys::time::now())
    }

    /// The version at which [`Connection::send`] sends requests of this API: the highest that both sides have.
    ///
    /// # Errors
    /// When there is none.
    pub fn version(&self, api: ApiKey) -> Result<i16, Error> {
        self.version_up_to(api, i16::MAX)
    }

    /// As [`Connection::version`], but at most `limit`.
    ///
    /// # Errors
    /// When there is none.
    pub fn version_up_to(&self, api: ApiKey, limit: i16) -> Result<i16, Error> {
        self.versions.highest_of(api, limit).ok_or_else(|| self.unsupported(api, None))
    }

    fn unsupported(&self, api: ApiKey, version: Option<i16>) -> Error {
        let theirs = self.versions.theirs(api);
        Error::UnsupportedVersion { peer: self.peer().clone(), api: Api(api), version, theirs }
    }

    /// Sends a request at the highest version that both sides have, and waits for the response.
    ///
    /// # Errors
    /// When there is no such version, the request cannot be expressed in it, or no response comes by `deadline`.
    pub async fn send<Q: Request>(&self, request: &Q, deadline: Instant) -> Result<Q::Response, Error> {
        self.start_at(request, self.version(Q::API)?, deadline).await?.response().await
    }

    /// As [`Connection::send`], at a version that the caller chooses. The peer must have it; versions that it does not
    /// advertise as stable are the caller's choice too.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_at<Q: Request>(
        &self,
        request: &Q,
        version: i16,
        deadline: Instant,
    ) -> Result<Q::Response, Error> {
        self.start_at(request, version, deadline).await?.response().await
    }

    /// Sends a request and gives a handle to its response, so that further requests can follow at once. Requests reach
    /// the node in the order in which calls of this method complete.
    ///
    /// # Errors
    /// When the version is not one that both sides have, the request cannot be expressed in it, or none of the
    /// connection's in-flight slots became free by `deadline`.
    pub async fn start_at<Q: Request>(
        &self,
        request: &Q,
        version: i16,
        deadline: Instant,
    ) -> Result<InFlight<Q>, Error> {
        self.check(Q::API, version)?;
        start(&self.link, request, version, deadline).await
    }

    /// Sends a request that the node does not answer: Produce with `acks=0`. Completes when the request is on its way.
    ///
    /// # Errors
    /// As [`Connection::start_at`].
    pub async fn send_unanswered<Q: Request>(&self, request: &Q, version: i16, deadline: Instant) -> Result<(), Error> {
        self.check(Q::API, version)?;
        let message = Message::new(&self.link, request, version)?;
        self.link.queue_unanswered(message, deadline).await
    }

    fn check(&self, api: ApiKey, version: i16) -> Result<(), Error> {
        match self.versions.theirs(api) {
            Some((low, high)) if (low..=high).contains(&version) => Ok(()),
            _ => Err(self.unsupported(api, Some(version))),
        }
    }
}

async fn start<Q: Request>(link: &Link, request: &Q, version: i16, deadline: Instant) -> Result<InFlight<Q>, Error> {
    let message = Message::new(link, request, version)?;
    let answer = link.queue(message, deadline).await?;
    Ok(InFlight { peer: link.peer().clone(), answer, version, request: PhantomData })
}

/// A request that was sent and is not answered yet.
#[derive(Debug)]
pub struct InFlight<Q> {
    peer: Peer,
    answer: oneshot::Receiver<Result<Bytes, Error>>,
    version: i16,
    request: PhantomData<fn() -> Q>,
}

impl<Q: Request> InFlight<Q> {
    /// Waits for the response; no longer than until the deadline that the request was sent with.
    ///
    /// # Errors
    /// When the connection ends first, or the response is malformed.
    pub async fn response(self) -> Result<Q::Response, Error> {
        let (peer, version) = (self.peer.clone(), self.version);
        let frame = self.frame().await?;
        decode::<Q>(frame, version).map_err(|source| Error::Decode { peer, api: Api(Q::API), version, source })
    }

    /// The undecoded response, behind its correlation id.
    async fn frame(self) -> Result<Bytes, Error> {
        let lost = || Error::Disconnected { peer: self.peer.clone(), reason: "the client shuts down".into() };
        self.answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

fn decode<Q: Request>(frame: Bytes, version: i16) -> Result<Q::Response, DecodeError> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, Q::API.response_header_version(version))?;
    Q::Response::decode(&mut reader, version)
}

/// Asks for the peer's APIs. A peer that does not know our version of the question answers in version 0, with the
/// versions that it knows (KIP-511); peers older than that say nothing about them and know version 0 for sure.
async fn negotiate(link: &Link, deadline: Instant) -> Result<ApiVersions, Error> {
    let peer = link.peer().clone();
    let request = ApiVersionsRequest {
        client_software_name: SOFTWARE_NAME.into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut version = *ApiVersionsRequest::VERSIONS.end();
    loop {
        let frame = start(link, &request, version, deadline).await?.frame().await?;
        let code = frame.get(4..6).map_or(0, |code| i16::from_be_bytes([code[0], code[1]]));
        let code = ErrorCode::from(code);
        let read_as = if code == ErrorCode::UnsupportedVersion { 0 } else { version };
        let response: ApiVersionsResponse = decode::<ApiVersionsRequest>(frame, read_as).map_err(|source| {
            Error::Decode { peer: peer.clone(), api: Api(ApiKey::ApiVersions), version: read_as, source }
        })?;
        let versions = ApiVersions::new(&response);
        match code {
            ErrorCode::None => return Ok(versions),
            ErrorCode::UnsupportedVersion if version > 0 => {
                let highest = versions.highest_of(ApiKey::ApiVersions, version - 1);
                version = highest.unwrap_or(0);
            }
            code => return Err(Error::Refused { peer, api: Api(ApiKey::ApiVersions), code, message: None }),
        }
    }
}

#[cfg(test)]
mod tests;
