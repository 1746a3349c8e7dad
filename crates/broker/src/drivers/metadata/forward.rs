//! Sends requests to the active controller on another node: a client's within an Envelope (KIP-590), the node's own as they are.

use std::net::IpAddr;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_client::{Channel, ChannelOptions, ConnectionOptions, Error, Peer as Address};
use thalweg_controller::{Context, Refusal};
use thalweg_raft::Endpoint;
use thalweg_sys::time::Instant;
use thalweg_wire::messages::{DefaultPrincipalData, EnvelopeRequest, RequestHeader, ResponseHeader};
use thalweg_wire::{ApiKey, Codec, ErrorCode, Reader, Request, Writer};
use tracing::debug;

use super::transport::TransportSettings;
use crate::security::Outgoing;

/// Who asks, when it is not this node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedClient {
    pub(crate) address: IpAddr,
    /// Its `client.id`.
    pub(crate) id: Option<ByteString>,
}

/// Kinds of requests that must not wait for each other on one connection, as Kafka's brokers separate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// Registration and heartbeats.
    Lifecycle,
    /// What replicas say about themselves.
    Replicas,
    /// What clients ask for.
    Clients,
}

/// The way to the active controller.
#[derive(Debug)]
pub(super) struct Forwarder {
    /// The listener of controllers to which this node connects, and how.
    security: Arc<Outgoing>,
    client_id: ByteString,
    lanes: Mutex<Vec<(Lane, Channel)>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Asking again, perhaps another node, may bring one.
    Again,
    /// It will not.
    Never(Refusal),
}

impl Forwarder {
    /// The way of this node, whose requests within the quorum are sent with these settings.
    pub(super) fn new(settings: &TransportSettings) -> Self {
        Self {
            security: Arc::clone(&settings.security),
            client_id: format!("broker-{}-to-controller", settings.node).into(),
            lanes: Mutex::default(),
        }
    }

    /// Sends a request to the controller that listens there, and gives its answer.
    pub(super) async fn send<Q: Request>(
        &self,
        endpoints: &[Endpoint],
        client: Option<&ForwardedClient>,
        context: &Context,
        request: &Q,
        deadline: Instant,
    ) -> Result<Q::Response, NoAnswer> {
        let named = endpoints.iter().find(|endpoint| endpoint.listener == self.security.listener());
        let endpoint = named.or(endpoints.first()).ok_or(NoAnswer::Again)?;
        let address = Address::new(endpoint.host.as_str(), endpoint.port);
        let channel = self.channel(&address, lane(Q::API));
        let sent = match client {
            None => channel.send(request, deadline).await.map_err(|error| no_answer(&error)),
            Some(client) => {
                let envelope = envelope(client, context, request).map_err(NoAnswer::Never)?;
                let answered = channel.send(&envelope, deadline).await.map_err(|error| no_answer(&error));
                answered.and_then(|answer| open::<Q>(answer, context.version))
            }
        };
        if let Err(NoAnswer::Again) = &sent {
            debug!(%address, api = Q::API.name(), "the controller has not answered");
        }
        sent
    }

    /// Completes when the connection has ended by which this node reports that it is alive; never before the first report.
    pub(super) async fn reports_ended(&self) {
        let lanes = self.lanes.lock().clone();
        match lanes.into_iter().find(|(lane, _)| *lane == Lane::Lifecycle) {
            Some((_, channel)) => {
                if let Some(connection) = channel.standing() {
                    connection.closed().await;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// The channel of a lane. The one to a controller that is active no longer is let go.
    fn channel(&self, address: &Address, lane: Lane) -> Channel {
        let mut lanes = self.lanes.lock();
        if let Some((_, channel)) = lanes.iter().find(|(own, channel)| *own == lane && channel.peer() == address) {
            return channel.clone();
        }
        let connection = ConnectionOptions { client_id: Some(self.client_id.clone()), ..ConnectionOptions::default() };
        let connection = self.security.secure(connection);
        let channel = Channel::new(address.clone(), ChannelOptions { connection, ..ChannelOptions::default() });
        lanes.retain(|(own, _)| *own != lane);
        lanes.push((lane, channel.clone()));
        channel
    }
}

fn lane(api: ApiKey) -> Lane {
    match api {
        ApiKey::BrokerHeartbeat | ApiKey::BrokerRegistration | ApiKey::ControllerRegistration => Lane::Lifecycle,
        ApiKey::AlterPartition | ApiKey::AssignReplicasToDirs | ApiKey::AllocateProducerIds => Lane::Replicas,
        _ => Lane::Clients,
    }
}

/// A client's request as it came, with who sent it.
fn envelope<Q: Request>(client: &ForwardedClient, context: &Context, request: &Q) -> Result<EnvelopeRequest, Refusal> {
    let unable = |_| Refusal::usual(ErrorCode::UnknownServerError);
    let version = context.version;
    let header = RequestHeader {
        request_api_key: Q::API.code(),
        request_api_version: version,
        correlation_id: 0,
        client_id: client.id.clone(),
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, Q::API.request_header_version(version)).map_err(unable)?;
    request.encode(&mut writer, version).map_err(unable)?;
    let principal = DefaultPrincipalData {
        type_: context.principal.kind.clone(),
        name: context.principal.name.clone(),
        // Who logs in with a token may ask for none.
        token_authenticated: false,
    };
    let mut serialized = Writer::new();
    serialized.i16(0);
    principal.encode(&mut serialized, 0).map_err(unable)?;
    let address = match client.address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    Ok(EnvelopeRequest {
        request_data: writer.into_bytes(),
        request_principal: Some(serialized.into_bytes()),
        client_host_address: address.into(),
    })
}

fn open<Q: Request>(answer: thalweg_wire::messages::EnvelopeResponse, version: i16) -> Result<Q::Response, NoAnswer> {
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => {}
        ErrorCode::NotController => return Err(NoAnswer::Again),
        // The controller does not take this broker's word: that is not the client's fault.
        ErrorCode::ClusterAuthorizationFailed => {
            return Err(NoAnswer::Never(Refusal::usual(ErrorCode::UnknownServerError)));
        }
        error => return Err(NoAnswer::Never(Refusal::usual(error))),
    }
    let unreadable = |_| NoAnswer::Never(Refusal::usual(ErrorCode::UnknownServerError));
    let data = answer.response_data.unwrap_or_default();
    let mut reader = Reader::new(data);
    ResponseHeader::decode(&mut reader, Q::API.response_header_version(version)).map_err(unreadable)?;
    Q::Response::decode(&mut reader, version).map_err(unreadable)
}

fn no_answer(error: &Error) -> NoAnswer {
    match error {
        error if error.is_retriable() => NoAnswer::Again,
        Error::UnsupportedVersion { .. } | Error::Encode { .. } => {
            NoAnswer::Never(Refusal::usual(ErrorCode::UnsupportedVersion))
        }
        _ => NoAnswer::Never(Refusal::usual(ErrorCode::UnknownServerError)),
    }
}
