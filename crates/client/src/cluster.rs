//! What a client knows about the cluster: nodes, topics, leaders.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId, TopicPartition, Uuid};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use thalweg_wire::messages::{DescribeClusterResponse, MetadataResponse};

use crate::Peer;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is reached.
    pub peer: Peer,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The leader; `None` if there is none now.
    pub leader: Option<NodeId>,
    /// The leader's epoch; [`LeaderEpoch::NONE`] from brokers that do not say.
    pub leader_epoch: LeaderEpoch,
    /// Every replica, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The replicas that are in sync.
    pub in_sync: Vec<NodeId>,
    /// The replicas that are offline.
    pub offline: Vec<NodeId>,
    /// What is wrong with it.
    pub error: ErrorCode,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id; zero from brokers before Kafka 2.8.
    pub id: Uuid,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub is_internal: bool,
    /// What is wrong with it, such as `UNKNOWN_TOPIC_OR_PARTITION`. Then it has no partitions.
    pub error: ErrorCode,
    /// Its partitions, by index from 0.
    pub partitions: Vec<Partition>,
}

/// The cluster as it was when it was last asked, as far as this client was interested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id.
    pub id: Option<Arc<str>>,
    /// The controller, or a broker that forwards to it.
    pub controller: Option<NodeId>,
    /// The nodes that are up.
    pub nodes: BTreeMap<NodeId, Node>,
    /// The topics that were asked for, by name.
    pub topics: BTreeMap<Arc<str>, Topic>,
    names: BTreeMap<Uuid, Arc<str>>,
}

impl Cluster {
    /// A partition, if it is known.
    #[must_use]
    pub fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(index).ok()?)
    }

    /// The name of the topic with this id, if it is known.
    #[must_use]
    pub fn topic_name(&self, id: Uuid) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// This cluster with what a broker says now: its nodes, and the topics that it was asked for. Of a partition whose
    /// leader epoch is newer here, this knowledge stays: the broker lags behind (KIP-320).
    #[must_use]
    pub(crate) fn updated(&self, response: &MetadataResponse) -> Self {
        let mut topics = self.topics.clone();
        for topic in &response.topics {
            let name: Arc<str> = match &topic.name {
                Some(name) => Arc::from(&**name),
                None => continue,
            };
            let known = topics.get(&name);
            let topic = read_topic(topic, known);
            topics.insert(name, topic);
        }
        let node = |broker: &thalweg_wire::messages::metadata_response::MetadataResponseBroker| {
            node(broker.node_id, &broker.host, broker.port, broker.rack.as_deref())
        };
        Self {
            id: response.cluster_id.as_deref().map(Arc::from),
            controller: known_node(response.controller_id),
            nodes: response.brokers.iter().filter_map(node).collect(),
            names: names_of(&topics),
            topics,
        }
    }

    /// What a controller says about the controllers.
    #[must_use]
    pub(crate) fn of_controllers(response: &DescribeClusterResponse) -> Self {
        let node = |broker: &thalweg_wire::messages::describe_cluster_response::DescribeClusterBroker| {
            node(broker.broker_id, &broker.host, broker.port, broker.rack.as_deref())
        };
        Self {
            id: Some(Arc::from(&*response.cluster_id)),
            controller: known_node(response.controller_id),
            nodes: response.brokers.iter().filter_map(node).collect(),
            ..Self::default()
        }
    }

    /// This cluster without the topics that `keep` does not want.
    #[must_use]
    pub(crate) fn with_topics(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.topics.retain(|name, _| keep(name));
        self.names = names_of(&self.topics);
        self
    }

    /// This cluster with a leader that a broker named in a response to a request that met the wrong one (KIP-951).
    #[must_use]
    pub(crate) fn with_leader(&self, partition: &TopicPartition, leader: NodeId, epoch: LeaderEpoch) -> Option<Self> {
        let known = self.partition(&partition.topic, partition.partition)?;
        if epoch <= known.leader_epoch || !self.nodes.contains_key(&leader) {
            return None;
        }
        let mut cluster = self.clone();
        let index = usize::try_from(partition.partition).ok()?;
        let known = cluster.topics.get_mut(&partition.topic)?.partitions.get_mut(index)?;
        known.leader = Some(leader);
        known.leader_epoch = epoch;
        Some(cluster)
    }
}

fn names_of(topics: &BTreeMap<Arc<str>, Topic>) -> BTreeMap<Uuid, Arc<str>> {
    topics.iter().filter(|(_, topic)| !topic.id.is_zero()).map(|(name, topic)| (topic.id, Arc::clone(name))).collect()
}

fn known_node(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}

/// A node, unless its address is not one.
fn node(id: i32, host: &str, port: i32, rack: Option<&str>) -> Option<(NodeId, Node)> {
    let port = u16::try_from(port).ok()?;
    Some((NodeId(id), Node { peer: Peer::new(host, port), rack: rack.map(Arc::from) }))
}

fn read_topic(topic: &MetadataResponseTopic, known: Option<&Topic>) -> Topic {
    let known = known.filter(|known| known.id == topic.topic_id);
    let mut answers: Vec<&MetadataResponsePartition> = topic.partitions.iter().collect();
    answers.sort_by_key(|partition| partition.partition_index);
    let mut partitions: Vec<Partition> = Vec::with_capacity(answers.len());
    for answer in answers {
        // Indexes are 0, 1, 2, ...: whatever follows a gap cannot be named by its place.
        if usize::try_from(answer.partition_index) != Ok(partitions.len()) {
            break;
        }
        let before = known.and_then(|known| known.partitions.get(partitions.len()));
        let now = read_partition(answer);
        match before {
            Some(before) if now.leader_epoch >= LeaderEpoch(0) && now.leader_epoch < before.leader_epoch => {
                partitions.push(before.clone());
            }
            _ => partitions.push(now),
        }
    }
    Topic { id: topic.topic_id, is_internal: topic.is_internal, error: topic.error_code.into(), partitions }
}

fn read_partition(answer: &MetadataResponsePartition) -> Partition {
    let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
    Partition {
        leader: known_node(answer.leader_id),
        leader_epoch: LeaderEpoch(answer.leader_epoch),
        replicas: nodes(&answer.replica_nodes),
        in_sync: nodes(&answer.isr_nodes),
        offline: nodes(&answer.offline_replicas),
        error: answer.error_code.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: Uuid, leaders: &[(i32, i32, i32)]) -> MetadataResponse {
        let partition = |(partition_index, leader_id, leader_epoch): &(i32, i32, i32)| MetadataResponsePartition {
            partition_index: *partition_index,
            leader_id: *leader_id,
            leader_epoch: *leader_epoch,
            ..MetadataResponsePartition::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: id,
            partitions: leaders.iter().map(partition).collect(),
            ..MetadataResponseTopic::default()
        };
        MetadataResponse { topics: vec![topic], ..MetadataResponse::default() }
    }

    fn leaders(cluster: &Cluster) -> Vec<Option<NodeId>> {
        cluster.topics["t"].partitions.iter().map(|partition| partition.leader).collect()
    }

    #[test]
    fn a_broker_that_lags_behind_does_not_take_a_newer_leader_back() {
        let cluster = Cluster::default().updated(&answer(Uuid::ONE, &[(1, 2, 5), (0, 1, 7)]));
        assert_eq!(leaders(&cluster), [Some(NodeId(1)), Some(NodeId(2))]);
        let lagging = cluster.updated(&answer(Uuid::ONE, &[(0, 3, 6), (1, 3, 6)]));
        assert_eq!(leaders(&lagging), [Some(NodeId(1)), Some(NodeId(3))]);
        let created_again = cluster.updated(&answer(Uuid([7; 16]), &[(0, 3, 0)]));
        assert_eq!(leaders(&created_again), [Some(NodeId(3))]);
        assert_eq!(created_again.topic_name(Uuid([7; 16])).map(|name| &**name), Some("t"));
        assert_eq!(created_again.topic_name(Uuid::ONE), None);
    }

    #[test]
    fn a_partition_without_a_leader_has_none() {
        assert_eq!(leaders(&Cluster::default().updated(&answer(Uuid::ONE, &[(0, -1, 7)]))), [None]);
    }
}
