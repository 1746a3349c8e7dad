//! Who leads a partition now, and where: what clients are told along with "not me" (KIP-951).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_replica::TopicRef;

use crate::call::Call;

/// A broker as the clients of one listener reach it.
pub(crate) struct Endpoint {
    pub(crate) id: i32,
    pub(crate) host: ByteString,
    pub(crate) port: i32,
    pub(crate) rack: Option<ByteString>,
}

/// Collects the leaders that one answer names, each endpoint once. Costs nothing as long as none is asked for.
pub(crate) struct Leaders<'a> {
    call: &'a Call,
    image: Option<Arc<MetadataImage>>,
    named: BTreeMap<i32, Endpoint>,
}

impl<'a> Leaders<'a> {
    pub(crate) fn new(call: &'a Call) -> Self {
        Self { call, image: None, named: BTreeMap::new() }
    }

    /// The leader's id and epoch, -1 each when there is none. The partitions of this node act on an image before it is
    /// published: whoever is sent away by one is told of the leader that it knows.
    pub(crate) fn of(&mut self, topic: TopicRef<'_>, partition: i32) -> (i32, i32) {
        let image = self.image.get_or_insert_with(|| self.call.broker.partitions.newest_image());
        let topic = match topic {
            TopicRef::Id(id) => image.topics().by_id(id),
            TopicRef::Name(name) => image.topics().by_name(name),
        };
        let Some(partition) = topic.and_then(|topic| topic.partition(partition)) else { return (-1, -1) };
        let broker = image.cluster().broker(partition.leader);
        if partition.leader != NodeId::NONE
            && let Some(broker) = broker
            && let Some(endpoint) = broker.endpoint(&self.call.listener)
        {
            let endpoint = Endpoint {
                id: broker.id.0,
                host: (&*endpoint.host).into(),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_deref().map(Into::into),
            };
            self.named.insert(endpoint.id, endpoint);
        }
        (partition.leader.0, partition.leader_epoch.0)
    }

    /// Every leader that was named.
    pub(crate) fn endpoints(self) -> impl Iterator<Item = Endpoint> {
        self.named.into_values()
    }
}
