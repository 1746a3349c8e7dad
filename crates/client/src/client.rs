//! The client: finds the node that a request is for, keeps connections, tries again.

mod attempts;
mod offsets;
mod refresh;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_sys::time::{Instant, now};
use thalweg_wire::Request;

use crate::error::Api;
use crate::{Channel, ClientConfig, Cluster, Connection, Destination, Error, MetadataRecovery, Peer};
pub(crate) use attempts::Attempts;
pub use offsets::{ListedOffset, OffsetSpec};

/// Which of a client's connections to a node is used. A node answers the requests of one connection in their order, so
/// that requests which may wait at the node have connections of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Requests that are answered at once.
    Requests,
    /// Produces, which wait for replicas.
    Produces,
    /// Fetches, which wait for records.
    Fetches,
    /// Joining groups, which waits for the other members, and heartbeats.
    Coordination,
}

/// A client of one cluster. Clones share its connections and what it knows.
///
/// It asks for metadata when it needs some, keeps what is asked for regularly fresh, and sends a request again, with
/// back-off, while what failed may be better later: a connection that broke, a node that no longer leads.
///
/// ```no_run
/// use thalweg_client::{Client, ClientConfig, Destination, Peer};
/// use thalweg_wire::messages::ListGroupsRequest;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(ClientConfig::new(Peer::parse_list("localhost:9092")?));
/// for node in client.refresh().await?.nodes.keys() {
///     let response = client.send(Destination::Node(*node), &ListGroupsRequest::default()).await?;
///     println!("node {node} coordinates {} groups", response.groups.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    /// At most four for each node of the cluster and each bootstrap address.
    channels: Mutex<BTreeMap<(Lane, Peer), Channel>>,
    known: Mutex<Known>,
    /// Held while metadata is asked for, so that one request serves all who wait.
    refreshing: tokio::sync::Mutex<()>,
}

/// What the client has learned.
#[derive(Debug, Default)]
struct Known {
    cluster: Arc<Cluster>,
    /// When the cluster was asked last; `None` when what it said has proved wrong.
    fresh_since: Option<Instant>,
    /// When the first of the attempts began that have brought no metadata since it arrived last.
    failing_since: Option<Instant>,
    /// How often metadata has arrived.
    refreshes: u64,
    /// The topics that are asked for, and when somebody last wanted them.
    wanted: BTreeMap<Arc<str>, Instant>,
    coordinators: BTreeMap<Destination, Peer>,
}

impl Client {
    /// A client of the cluster that the configured nodes belong to. Nothing is sent before the first request.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let shared = Shared {
            config,
            channels: Mutex::default(),
            known: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// By when a request that begins now is given up: `default.api.timeout.ms`.
    #[must_use]
    pub fn api_deadline(&self) -> Instant {
        now() + self.config().api_timeout
    }

    /// Sends a request to where it belongs, and again if necessary, within `default.api.timeout.ms`.
    ///
    /// An error code in the response that says "not here" or "not yet" is tried again like a broken connection; when
    /// time is up the response is returned as it is. Every other error code is the caller's to read. A request whose
    /// connection broke may have been carried out already: what must not happen twice is sent through
    /// [`Client::connection`].
    ///
    /// # Errors
    /// When no attempt had a response in time, or trying again cannot help.
    pub async fn send<Q: Request>(&self, destination: Destination, request: &Q) -> Result<Q::Response, Error> {
        self.send_by(&destination, request, self.api_deadline()).await
    }

    /// As [`Client::send`], within `deadline`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_by<Q: Request>(
        &self,
        destination: &Destination,
        request: &Q,
        deadline: Instant,
    ) -> Result<Q::Response, Error> {
        self.send_limited(destination, request, i16::MAX, deadline).await
    }

    /// As [`Client::send_by`], at a version of at most `limit`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_limited<Q: Request>(
        &self,
        destination: &Destination,
        request: &Q,
        limit: i16,
        deadline: Instant,
    ) -> Result<Q::Response, Error> {
        let mut attempts = Attempts::new(self.config(), deadline);
        loop {
            let result = self.send_once(destination, request, limit, attempts.deadline()).await;
            match &result {
                Ok(response) if destination.missed_by(response).is_none() => return result,
                Err(error) if !error.is_retriable() => return result,
                Ok(_) | Err(_) => self.forget(destination),
            }
            let result = result.map_err(|error| attempts.most_telling(error));
            if !attempts.again().await {
                return result;
            }
        }
    }

    async fn send_once<Q: Request>(
        &self,
        destination: &Destination,
        request: &Q,
        limit: i16,
        deadline: Instant,
    ) -> Result<Q::Response, Error> {
        let connection = self.connection(destination, Lane::Requests, deadline).await?;
        let version = connection.version_up_to(Q::API, limit)?;
        connection.send_at(request, version, deadline).await
    }

    /// A connection to where a request belongs, in one attempt: for requests that depend on the negotiated version, must
    /// stay in order, or must not be sent again.
    ///
    /// # Errors
    /// When the place is not known, or cannot be reached.
    pub async fn connection(
        &self,
        destination: &Destination,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Connection, Error> {
        if *destination == Destination::Any {
            return self.any_connection(lane, deadline).await;
        }
        let peer = self.route(destination, deadline).await?;
        self.channel(lane, &peer).connection(deadline).await
    }

    /// The channel to an address.
    pub(crate) fn channel(&self, lane: Lane, peer: &Peer) -> Channel {
        let mut channels = self.shared.channels.lock();
        let options = &self.config().channel;
        let channel =
            channels.entry((lane, peer.clone())).or_insert_with(|| Channel::new(peer.clone(), options.clone()));
        channel.clone()
    }

    /// A connection to any node: one that stands, or to the first that can be reached, beginning anywhere.
    async fn any_connection(&self, lane: Lane, deadline: Instant) -> Result<Connection, Error> {
        let candidates = self.candidates();
        for peer in &candidates {
            let channel = self.shared.channels.lock().get(&(lane, peer.clone())).cloned();
            if let Some(connection) = channel.and_then(|channel| channel.standing()) {
                return Ok(connection);
            }
        }
        let mut tried = Vec::new();
        for peer in &candidates {
            match self.channel(lane, peer).connection(deadline).await {
                Ok(connection) => return Ok(connection),
                Err(error) => tried.push(error),
            }
            if deadline <= now() {
                break;
            }
        }
        Err(Error::Unreachable { tried: tried.into() })
    }

    /// The nodes that are known, from a random one on, then those to begin with if the client may go back to them.
    fn candidates(&self) -> Vec<Peer> {
        let cluster = self.cluster();
        let mut candidates: Vec<Peer> = cluster.nodes.values().map(|node| node.peer.clone()).collect();
        let mut bootstrap = self.config().bootstrap.clone();
        for list in [&mut candidates, &mut bootstrap] {
            if !list.is_empty() {
                let first = thalweg_sys::random::u64() % list.len() as u64;
                list.rotate_left(first as usize);
            }
        }
        let may_begin_again = self.config().metadata_recovery == MetadataRecovery::Rebootstrap;
        if !candidates.is_empty() && !may_begin_again {
            return candidates;
        }
        for peer in bootstrap {
            if !candidates.contains(&peer) {
                candidates.push(peer);
            }
        }
        candidates
    }
}

/// The error for a response that refuses.
///
/// # Errors
/// When `code` is an error.
pub(crate) fn refused<Q: Request>(peer: &Peer, code: i16, message: Option<&str>) -> Result<(), Error> {
    let code = thalweg_wire::ErrorCode::from(code);
    if !code.is_error() {
        return Ok(());
    }
    Err(Error::Refused { peer: peer.clone(), api: Api(Q::API), code, message: message.map(Arc::from) })
}

#[cfg(test)]
mod tests;
