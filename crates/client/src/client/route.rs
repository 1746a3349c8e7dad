//! Where a request belongs.

use std::sync::Arc;

use thalweg_sys::time::{Instant, now};
use thalweg_wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use thalweg_wire::{ApiKey, ErrorCode};

use super::{Client, Lane, refused};
use crate::{Cluster, Destination, Error, Peer};

/// How many coordinators are remembered. A client rarely has more than one; a tool that describes all groups has many
/// for a moment.
const COORDINATORS_MAX: usize = 10_000;
/// FindCoordinator takes several keys from this version on (KIP-699).
const SEVERAL_KEYS_SINCE: i16 = 4;

impl Client {
    /// The address of the node that a request is for.
    pub(super) async fn route(&self, destination: &Destination, deadline: Instant) -> Result<Peer, Error> {
        let (key_type, key) = match destination {
            Destination::GroupCoordinator(group) => (0, group),
            Destination::TransactionCoordinator(id) => (1, id),
            _ => return self.route_by_metadata(destination, deadline).await,
        };
        if let Some(peer) = self.shared.known.lock().coordinators.get(destination) {
            return Ok(peer.clone());
        }
        let peer = self.find_coordinator(key_type, key, deadline).await?;
        let mut known = self.shared.known.lock();
        if known.coordinators.len() >= COORDINATORS_MAX {
            known.coordinators.clear();
        }
        known.coordinators.insert(destination.clone(), peer.clone());
        Ok(peer)
    }

    /// What was known about the way to a destination has proved wrong: the next request finds it out again.
    pub fn forget(&self, destination: &Destination) {
        match destination {
            Destination::GroupCoordinator(_) | Destination::TransactionCoordinator(_) => {
                self.shared.known.lock().coordinators.remove(destination);
            }
            Destination::Any => {}
            Destination::Controller | Destination::Node(_) | Destination::Leader(_) => self.mark_outdated(),
        }
    }

    async fn route_by_metadata(&self, destination: &Destination, deadline: Instant) -> Result<Peer, Error> {
        let known = {
            let mut known = self.shared.known.lock();
            if let Destination::Leader(partition) = destination {
                known.want(&partition.topic, now());
            }
            self.is_fresh(&known).then(|| Arc::clone(&known.cluster))
        };
        if let Some(Ok(peer)) = known.map(|cluster| look_up(&cluster, destination)) {
            return Ok(peer);
        }
        let cluster = self.refresh_once(deadline).await?;
        look_up(&cluster, destination).map_err(|code| Error::Unroutable { destination: destination.clone(), code })
    }

    async fn find_coordinator(&self, key_type: i8, key: &str, deadline: Instant) -> Result<Peer, Error> {
        let connection = self.any_connection(Lane::Requests, deadline).await?;
        let version = connection.version(ApiKey::FindCoordinator)?;
        let mut request = FindCoordinatorRequest { key_type, ..FindCoordinatorRequest::default() };
        if version >= SEVERAL_KEYS_SINCE {
            request.coordinator_keys = vec![key.into()];
        } else {
            request.key = key.into();
        }
        let response = connection.send_at(&request, version, deadline).await?;
        let found = Found::of(&response);
        refused::<FindCoordinatorRequest>(connection.peer(), found.code, found.message)?;
        let unknown = |_| Error::Unroutable { destination: Destination::Any, code: ErrorCode::CoordinatorNotAvailable };
        Ok(Peer::new(found.host, u16::try_from(found.port).map_err(unknown)?))
    }
}

/// A coordinator, from whichever part of the response has it.
struct Found<'a> {
    code: i16,
    message: Option<&'a str>,
    host: &'a str,
    port: i32,
}

impl<'a> Found<'a> {
    fn of(response: &'a FindCoordinatorResponse) -> Self {
        match response.coordinators.first() {
            Some(found) => Self {
                code: found.error_code,
                message: found.error_message.as_deref(),
                host: &found.host,
                port: found.port,
            },
            None => Self {
                code: response.error_code,
                message: response.error_message.as_deref(),
                host: &response.host,
                port: response.port,
            },
        }
    }
}

/// Finds a node in what is known, or says why there is none.
fn look_up(cluster: &Cluster, destination: &Destination) -> Result<Peer, ErrorCode> {
    let id = match destination {
        Destination::Controller => cluster.controller.ok_or(ErrorCode::BrokerNotAvailable)?,
        Destination::Node(id) => *id,
        Destination::Leader(partition) => {
            let topic = cluster.topics.get(&partition.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
            if topic.error.is_error() {
                return Err(topic.error);
            }
            let partition = cluster.partition(&partition.topic, partition.partition);
            let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
            partition.leader.ok_or(ErrorCode::LeaderNotAvailable)?
        }
        Destination::Any | Destination::GroupCoordinator(_) | Destination::TransactionCoordinator(_) => {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
    };
    cluster.nodes.get(&id).map(|node| node.peer.clone()).ok_or(ErrorCode::BrokerNotAvailable)
}
