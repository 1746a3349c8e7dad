//! How clients see topics and brokers: what Metadata, DescribeCluster and DescribeTopicPartitions have in common.

use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::PartitionRegistration;
use thalweg_metadata::image::partition::directory;
use thalweg_wire::ErrorCode;

/// "Not asked for", in the fields that hold what a client may do.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// What everybody may do with a topic while there is no authorizer, as bits by ACL operation: read, write, create,
/// delete, alter, describe, describe configs, alter configs.
pub(super) const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for the cluster: create, alter, describe, cluster action, describe configs, alter configs, idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// A broker as the clients of one listener reach it.
pub(super) struct BrokerView<'a> {
    pub(super) id: i32,
    pub(super) host: &'a str,
    pub(super) port: i32,
    pub(super) rack: Option<&'a str>,
    pub(super) fenced: bool,
}

/// The brokers that have that listener.
pub(super) fn brokers<'a>(image: &'a MetadataImage, listener: &'a str) -> impl Iterator<Item = BrokerView<'a>> {
    image.cluster().brokers().filter_map(move |broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(BrokerView {
            id: broker.id.0,
            host: &endpoint.host,
            port: i32::from(endpoint.port),
            rack: broker.rack.as_deref(),
            fenced: broker.fenced,
        })
    })
}

/// The broker that clients are told is the controller: any that lives, since brokers forward to the real one.
pub(super) fn controller_id(image: &MetadataImage) -> i32 {
    image.cluster().brokers().find(|broker| !broker.fenced).map_or(-1, |broker| broker.id.0)
}

/// Whether the clients of that listener can reach the leader of a partition, and the leader if so.
pub(super) fn leader(
    image: &MetadataImage,
    partition: &PartitionRegistration,
    listener: &str,
    missing_listener: ErrorCode,
) -> (ErrorCode, NodeId) {
    let Some(broker) = image.cluster().broker(partition.leader).filter(|broker| !broker.fenced) else {
        return (ErrorCode::LeaderNotAvailable, NodeId::NONE);
    };
    if broker.endpoint(listener).is_none() {
        return (missing_listener, NodeId::NONE);
    }
    (ErrorCode::None, partition.leader)
}

/// The replicas that cannot be read: their broker is gone or fenced, or their directory is offline.
pub(super) fn offline_replicas(image: &MetadataImage, partition: &PartitionRegistration) -> Vec<i32> {
    let is_offline = |replica: &&NodeId| {
        let Some(broker) = image.cluster().broker(**replica).filter(|broker| !broker.fenced) else { return true };
        let is_lost = |id| id == directory::LOST || !(directory::is_reserved(&id) || broker.has_online_directory(id));
        partition.directory(**replica).is_some_and(is_lost)
    };
    partition.replicas.iter().filter(is_offline).map(|replica| replica.0).collect()
}
