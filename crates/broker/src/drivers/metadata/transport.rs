//! Carries the quorum's requests to other replicas, and their answers back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_base::NodeId;
use thalweg_client::{Channel, ChannelOptions, ConnectionOptions, Error, Meter, Peer as Address};
use thalweg_raft::{Peer, Quorum, QuorumError, Request, RequestId, Response};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::ApiKey;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::messages as convert;
use super::messages::FetchLimits;
use crate::security::Outgoing;

/// So many answers may wait for the quorum's task. It has at most one request on its way to each peer.
const ANSWERS_MAX: usize = 64;

/// So many addresses are remembered at most: those of a large quorum, and of those that were in it before.
const CHANNELS_MAX: usize = 256;

/// How long a leader may keep a fetch until there is something new: as in Kafka.
const FETCH_WAIT_MAX_MS: i32 = 500;

/// What requests are sent with.
#[derive(Clone, Debug)]
pub(crate) struct TransportSettings {
    pub(crate) node: NodeId,
    pub(crate) cluster_id: String,
    /// `controller.quorum.bootstrap.servers`.
    pub(crate) bootstrap: Vec<(String, u16)>,
    /// The listener of other controllers to which this node connects, and how connections to it are encrypted and logged in.
    pub(crate) security: Arc<Outgoing>,
    /// `controller.quorum.request.timeout.ms`.
    pub(crate) request_timeout: Duration,
    /// `controller.quorum.fetch.max.bytes`.
    pub(crate) fetch_bytes_max: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub(crate) snapshot_bytes_max: i32,
}

/// An answer to one of the quorum's requests.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) id: RequestId,
    /// The replica that was asked, if it is known by its id.
    pub(super) from: Option<NodeId>,
    pub(super) response: Response,
    /// The records, or the piece of a snapshot, that came along.
    pub(super) bytes: Bytes,
}

/// The way to the other replicas.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
    answers: mpsc::Sender<Answered>,
}

#[derive(Debug)]
struct Shared {
    settings: TransportSettings,
    /// What went to other controllers and came from them.
    meter: Arc<Meter>,
    links: Mutex<BTreeMap<Address, Link>>,
}

/// The connections to one address: a fetch that waits there must not keep a vote waiting behind it.
#[derive(Clone, Debug)]
struct Link {
    fetches: Channel,
    others: Channel,
    /// Whether the last attempt to reach it failed.
    is_down: bool,
    /// Whether it has answered that it is of another cluster.
    is_foreign: bool,
}

impl Transport {
    /// The way, and where the answers come out.
    pub(super) fn new(settings: TransportSettings) -> (Self, mpsc::Receiver<Answered>) {
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        (
            Self { shared: Arc::new(Shared { settings, meter: Arc::default(), links: Mutex::default() }), answers },
            answered,
        )
    }

    /// Counts what goes to other controllers and comes from them.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.shared.meter)
    }

    /// Where a peer listens, as far as it is known.
    pub(super) fn address(&self, to: Peer, quorum: &Quorum) -> Option<Address> {
        let settings = &self.shared.settings;
        let id = match to {
            Peer::Bootstrap(at) => {
                return settings.bootstrap.get(at).map(|(host, port)| Address::new(host.as_str(), *port));
            }
            Peer::Node(id) => id,
        };
        let of_leader = if quorum.leader() == Some(id) { quorum.leader_endpoints() } else { &[] };
        let of_voter = quorum.voters().get(id).map(|voter| &voter.endpoints[..]).unwrap_or_default();
        let endpoints = if of_leader.is_empty() { of_voter } else { of_leader };
        let named = endpoints.iter().find(|endpoint| endpoint.listener == settings.security.listener());
        named.or(endpoints.first()).map(|endpoint| Address::new(endpoint.host.as_str(), endpoint.port))
    }

    /// Sends a request. Its answer, or that there is none, comes out at the other end; nobody waits here.
    pub(super) fn send(&self, peer: Peer, to: Option<Address>, id: RequestId, request: Request) {
        let this = self.clone();
        let from = match peer {
            Peer::Node(id) => Some(id),
            Peer::Bootstrap(_) => None,
        };
        task::spawn(async move {
            let (response, bytes) = match to {
                Some(to) => this.shared.exchange(to, request).await,
                None => (Response::Failed(QuorumError::Other), Bytes::new()),
            };
            // The quorum may have ended.
            let _ = this.answers.send(Answered { id, from, response, bytes }).await;
        });
    }
}

impl Shared {
    async fn exchange(&self, to: Address, request: Request) -> (Response, Bytes) {
        let deadline = now() + self.settings.request_timeout;
        let link = self.link(&to);
        let answered = self.ask(&link, &request, deadline).await;
        self.note(&to, answered.as_ref().err());
        if let Ok((response, _)) = &answered {
            self.note_cluster(&to, *response == Response::Failed(QuorumError::InconsistentClusterId));
        }
        answered.unwrap_or_else(|error| (Response::Failed(failure(&error)), Bytes::new()))
    }

    async fn ask(&self, link: &Link, request: &Request, deadline: Instant) -> Result<(Response, Bytes), Error> {
        let (settings, cluster_id) = (&self.settings, self.settings.cluster_id.as_str());
        let listener = settings.security.listener();
        let response = match request {
            Request::Vote(vote) => {
                let answer = link.others.send(&convert::vote_request(cluster_id, vote), deadline).await?;
                convert::voted(answer, listener)
            }
            Request::BeginQuorumEpoch(begin) => {
                let answer = link.others.send(&convert::begin_request(cluster_id, begin), deadline).await?;
                convert::begun(answer, listener)
            }
            Request::EndQuorumEpoch(end) => {
                let answer = link.others.send(&convert::end_request(cluster_id, end), deadline).await?;
                convert::ended(answer, listener)
            }
            Request::UpdateVoter(update) => {
                let answer = link.others.send(&convert::update_request(cluster_id, update), deadline).await?;
                convert::updated(answer, listener)
            }
            Request::AddVoter(voter) => {
                let timeout_ms = i32::try_from(settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
                let add = convert::add_request(cluster_id, voter, timeout_ms);
                convert::voters_changed(link.others.send(&add, deadline).await?.error_code)
            }
            Request::RemoveVoter(key) => {
                let remove = convert::remove_request(cluster_id, key);
                convert::voters_changed(link.others.send(&remove, deadline).await?.error_code)
            }
            Request::Fetch(fetch) => {
                let limits = FetchLimits { max_wait_ms: FETCH_WAIT_MAX_MS, max_bytes: settings.fetch_bytes_max };
                let connection = link.fetches.connection(deadline).await?;
                let version = connection.version(ApiKey::Fetch)?;
                let request = convert::fetch_request(cluster_id, fetch, version, limits);
                return Ok(convert::fetched(connection.send_at(&request, version, deadline).await?, listener));
            }
            Request::FetchSnapshot(fetch) => {
                let request = convert::snapshot_request(cluster_id, fetch, settings.snapshot_bytes_max);
                return Ok(convert::snapshot_fetched(link.fetches.send(&request, deadline).await?, listener));
            }
        };
        Ok((response, Bytes::new()))
    }

    fn link(&self, to: &Address) -> Link {
        let mut links = self.links.lock();
        if links.len() >= CHANNELS_MAX && !links.contains_key(to) {
            links.clear();
        }
        let link = links.entry(to.clone()).or_insert_with(|| {
            let channel = || Channel::new(to.clone(), self.options());
            Link { fetches: channel(), others: channel(), is_down: false, is_foreign: false }
        });
        link.clone()
    }

    fn options(&self) -> ChannelOptions {
        let connection = ConnectionOptions {
            client_id: Some(format!("raft-client-{}", self.settings.node).into()),
            setup_timeout: self.settings.request_timeout,
            meter: Some(Arc::clone(&self.meter)),
            ..ConnectionOptions::default()
        };
        let connection = self.settings.security.secure(connection);
        ChannelOptions { connection, ..ChannelOptions::default() }
    }

    /// Says once that an address cannot be reached, and once that it can again.
    fn note(&self, to: &Address, error: Option<&Error>) {
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(to) else { return };
        match error {
            Some(error) if !link.is_down => warn!(
                %error,
                "a controller cannot be reached: is it up, and is its address right in controller.quorum.voters or \
                 controller.quorum.bootstrap.servers? It is tried again and again, and this is said once"
            ),
            Some(error) => debug!(%error, "a controller still cannot be reached"),
            None if link.is_down => info!(address = %to, "a controller can be reached again"),
            None => {}
        }
        link.is_down = error.is_some();
    }

    /// Says once that a controller is of another cluster.
    fn note_cluster(&self, to: &Address, is_foreign: bool) {
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(to) else { return };
        if is_foreign && !link.is_foreign {
            warn!(
                address = %to,
                own_cluster_id = %self.settings.cluster_id,
                "a controller is of another cluster than this node: is its address right in controller.quorum.voters or \
                 controller.quorum.bootstrap.servers, and was this node formatted with the id of that cluster? It is tried \
                 again and again, and this is said once"
            );
        }
        link.is_foreign = is_foreign;
    }
}

/// What the quorum makes of a request without an answer. A peer that cannot express it is too old for it.
fn failure(error: &Error) -> QuorumError {
    match error {
        Error::UnsupportedVersion { .. } | Error::Encode { .. } => QuorumError::UnsupportedVersion,
        Error::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            QuorumError::ConnectionLost
        }
        Error::Disconnected { .. } => QuorumError::ConnectionLost,
        _ => QuorumError::Other,
    }
}
