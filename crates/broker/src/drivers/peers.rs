//! Requests of this broker to other brokers, beside those of its fetchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_base::NodeId;
use thalweg_client::{Channel, ChannelOptions, ConnectionOptions, Peer};
use thalweg_metadata::MetadataImage;
use thalweg_sys::time::{Duration, now};
use thalweg_wire::{ErrorCode, Request};
use tracing::debug;

use crate::security::Outgoing;

/// A channel to each broker that was asked something. There are never more than registered brokers.
#[derive(Debug)]
pub(crate) struct Peers {
    security: Arc<Outgoing>,
    client_id: ByteString,
    channels: Mutex<BTreeMap<NodeId, Channel>>,
}

impl Peers {
    /// Channels that say `broker-N-PURPOSE` as their `client.id`.
    pub(crate) fn new(node: NodeId, security: Arc<Outgoing>, purpose: &str) -> Self {
        Self { security, client_id: format!("broker-{node}-{purpose}").into(), channels: Mutex::default() }
    }

    /// Sends a request to a broker, and waits no longer than `timeout` for its answer.
    ///
    /// # Errors
    /// BROKER_NOT_AVAILABLE if the broker is not registered, UNSUPPORTED_VERSION if it does not serve such requests, else
    /// NETWORK_EXCEPTION: it is not known then whether the request was carried out.
    pub(crate) async fn send<Q: Request>(
        &self,
        image: &MetadataImage,
        to: NodeId,
        request: &Q,
        timeout: Duration,
    ) -> Result<Q::Response, ErrorCode> {
        let channel = self.channel(image, to).ok_or(ErrorCode::BrokerNotAvailable)?;
        channel.send(request, now() + timeout).await.map_err(|error| {
            debug!(broker = to.0, api = Q::API.name(), %error, "another broker has not answered");
            match error {
                thalweg_client::Error::UnsupportedVersion { .. } => ErrorCode::UnsupportedVersion,
                _ => ErrorCode::NetworkException,
            }
        })
    }

    fn channel(&self, image: &MetadataImage, to: NodeId) -> Option<Channel> {
        let endpoint = image.cluster().broker(to)?.endpoint(self.security.listener())?;
        let peer = Peer::new(&*endpoint.host, endpoint.port);
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&to).filter(|channel| *channel.peer() == peer) {
            return Some(channel.clone());
        }
        channels.retain(|node, _| image.cluster().broker(*node).is_some());
        let connection = ConnectionOptions { client_id: Some(self.client_id.clone()), ..ConnectionOptions::default() };
        let connection = self.security.secure(connection);
        let channel = Channel::new(peer, ChannelOptions { connection, ..ChannelOptions::default() });
        channels.insert(to, channel.clone());
        Some(channel)
    }
}
