//! The cluster's nodes, topics and partitions at one time.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::Uuid;
use thalweg_client::Destination;
use thalweg_sys::time::{Duration, now, timeout};
use thalweg_wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use thalweg_wire::messages::{MetadataRequest, MetadataResponse};

use super::{ASK_TIME_MAX, Kafka};
use crate::trouble::Trouble;

/// A snapshot serves those who ask within this time after it was taken, so that many open pages cost the cluster no more than
/// one.
const FRESH: Duration = Duration::from_secs(1);

/// The cluster at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The cluster's id.
    pub(crate) cluster_id: Option<String>,
    /// The controller; of a cluster with KRaft, a broker that forwards to it.
    pub(crate) controller: Option<i32>,
    /// The brokers that are up, by their ids.
    pub(crate) brokers: Vec<Broker>,
    /// All topics that this client may see, by name.
    pub(crate) topics: BTreeMap<Arc<str>, Topic>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    /// Whether it is one of Kafka's own.
    pub(crate) is_internal: bool,
    /// By their indexes.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) id: i32,
    /// `None` if there is none now.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    /// Every replica, the preferred leader first.
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
    pub(crate) offline: Vec<i32>,
}

/// How many partitions each broker leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaders {
    /// Now, by the broker's id.
    pub(crate) led: BTreeMap<i32, usize>,
    /// If each preferred leader led.
    pub(crate) preferred: BTreeMap<i32, usize>,
}

impl Partition {
    /// Whether some replica is not in sync.
    pub(crate) fn is_under_replicated(&self) -> bool {
        self.in_sync.len() < self.replicas.len()
    }

    /// Whether the preferred leader leads.
    pub(crate) fn is_leader_preferred(&self) -> bool {
        self.leader == self.replicas.first().copied()
    }
}

impl Topic {
    /// The partition of this index.
    pub(crate) fn partition(&self, id: i32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }

    /// How many partitions have a replica that is not in sync.
    pub(crate) fn under_replicated(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.is_under_replicated()).count()
    }

    /// How many partitions have no leader.
    pub(crate) fn without_leader(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.leader.is_none()).count()
    }

    /// How many replicas the partitions have, of the first partition for all.
    pub(crate) fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

impl Snapshot {
    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Result<&Topic, Trouble> {
        self.topics.get(name).ok_or_else(|| Trouble::NotFound(format!("there is no topic {name}")))
    }

    /// The broker of this id.
    pub(crate) fn broker(&self, id: i32) -> Result<&Broker, Trouble> {
        let found = self.brokers.iter().find(|broker| broker.id == id);
        found.ok_or_else(|| Trouble::NotFound(format!("there is no broker {id}, or it is down")))
    }

    /// How many partitions there are.
    pub(crate) fn partition_count(&self) -> usize {
        self.topics.values().map(|topic| topic.partitions.len()).sum()
    }

    /// How many partitions each broker leads.
    pub(crate) fn leaders(&self) -> Leaders {
        let mut leaders = Leaders::default();
        for partition in self.topics.values().flat_map(|topic| &topic.partitions) {
            if let Some(leader) = partition.leader {
                *leaders.led.entry(leader).or_default() += 1;
            }
            if let Some(first) = partition.replicas.first() {
                *leaders.preferred.entry(*first).or_default() += 1;
            }
        }
        leaders
    }

    fn of(response: MetadataResponse) -> Self {
        let broker = |broker: thalweg_wire::messages::metadata_response::MetadataResponseBroker| Broker {
            id: broker.node_id,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.map(|rack| rack.to_string()),
        };
        let mut brokers: Vec<Broker> = response.brokers.into_iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller: (response.controller_id >= 0).then_some(response.controller_id),
            brokers,
            topics: response.topics.into_iter().filter_map(topic).collect(),
        }
    }
}

fn topic(topic: MetadataResponseTopic) -> Option<(Arc<str>, Topic)> {
    let name: Arc<str> = Arc::from(&*topic.name?);
    let mut partitions: Vec<Partition> = topic.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.id);
    Some((name, Topic { id: topic.topic_id, is_internal: topic.is_internal, partitions }))
}

fn partition(partition: MetadataResponsePartition) -> Partition {
    Partition {
        id: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes,
        in_sync: partition.isr_nodes,
        offline: partition.offline_replicas,
    }
}

impl Kafka {
    /// The cluster, as it was within the last second. Whoever comes while it is being asked waits for that answer.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, Trouble> {
        // Whoever asks has the lock for so long at most: those behind do not wait for all before them.
        let kept = timeout(ASK_TIME_MAX, self.kept.lock()).await;
        let mut kept = kept.map_err(|_| Trouble::Busy("the cluster is being asked for others; try again"))?;
        if let Some((taken, snapshot)) = &*kept
            && now().saturating_duration_since(*taken) < FRESH
        {
            return Ok(Arc::clone(snapshot));
        }
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let response = self.ask(Destination::Any, &request).await?;
        Trouble::check("the cluster's metadata", response.error_code, None)?;
        let snapshot = Arc::new(Snapshot::of(response));
        *kept = Some((now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// The cluster with this topic. One that was created within the last second is looked for again.
    ///
    /// # Errors
    /// When there is no such topic.
    pub(crate) async fn snapshot_with(&self, topic: &str) -> Result<Arc<Snapshot>, Trouble> {
        let kept = self.snapshot().await?;
        if kept.topics.contains_key(topic) {
            return Ok(kept);
        }
        self.forget_snapshot().await;
        let fresh = self.snapshot().await?;
        fresh.topic(topic)?;
        Ok(fresh)
    }

    /// The next who asks for a snapshot gets a new one: something has been changed.
    pub(crate) async fn forget_snapshot(&self) {
        *self.kept.lock().await = None;
    }
}
