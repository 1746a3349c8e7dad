//! Reassignments of partitions, and the log directories of replicas.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use thalweg_wire::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use thalweg_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use thalweg_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
    ListPartitionReassignmentsRequest,
};

use super::{Admin, check};
use crate::thrown::Thrown;

/// A partition whose replicas change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reassignment {
    /// All replicas, those that come and those that go included.
    pub replicas: Vec<i32>,
    /// Those that come.
    pub adding: Vec<i32>,
    /// Those that go.
    pub removing: Vec<i32>,
}

/// A replica: partition and broker. It is shown, and sorted, as Kafka does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    /// The broker.
    pub broker: i32,
    /// The partition.
    pub partition: TopicPartition,
}

impl std::fmt::Display for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.partition, self.broker)
    }
}

/// Where a replica is on its broker's disks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaDirs {
    /// The directory that it is in.
    pub current: Option<String>,
    /// The directory that it is being moved to.
    pub future: Option<String>,
}

/// The indexes of partitions by their topics.
#[must_use]
pub fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    topics
}

impl Admin {
    /// The reassignments that go on, of all partitions or of these.
    ///
    /// # Errors
    /// When the controller does not answer, or refuses.
    pub async fn reassignments(
        &self,
        of: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, Thrown> {
        let topic = |(name, partition_indexes): (&str, Vec<i32>)| ListPartitionReassignmentsTopics {
            name: name.into(),
            partition_indexes,
        };
        let topics = of.map(|partitions| by_topic(partitions).into_iter().map(topic).collect());
        let request = ListPartitionReassignmentsRequest { topics, ..ListPartitionReassignmentsRequest::default() };
        let response = self.controller("listPartitionReassignments", &request).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let mut found = BTreeMap::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                let reassignment = Reassignment {
                    replicas: partition.replicas.clone(),
                    adding: partition.adding_replicas.clone(),
                    removing: partition.removing_replicas.clone(),
                };
                found.insert(TopicPartition::new(&*topic.name, partition.partition_index), reassignment);
            }
        }
        Ok(found)
    }

    /// Gives partitions other replicas, or with `None` stops their reassignments. What was refused is returned.
    ///
    /// # Errors
    /// When the controller does not answer, or refuses all of it.
    pub async fn reassign(
        &self,
        wanted: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
        allow_replication_factor_change: bool,
    ) -> Result<BTreeMap<TopicPartition, Thrown>, Thrown> {
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for (partition, replicas) in wanted {
            topics
                .entry(&partition.topic)
                .or_default()
                .push(ReassignablePartition { partition_index: partition.partition, replicas: replicas.clone() });
        }
        let topic = |(name, partitions): (&str, Vec<ReassignablePartition>)| ReassignableTopic {
            name: name.into(),
            partitions,
        };
        let request = AlterPartitionReassignmentsRequest {
            allow_replication_factor_change,
            topics: topics.into_iter().map(topic).collect(),
            ..AlterPartitionReassignmentsRequest::default()
        };
        let response = self.controller("alterPartitionReassignments", &request).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let mut refused = BTreeMap::new();
        for topic in &response.responses {
            for partition in &topic.partitions {
                let code = ErrorCode::from(partition.error_code);
                if code.is_error() {
                    let thrown = Thrown::of_code(code, partition.error_message.as_deref());
                    refused.insert(TopicPartition::new(&*topic.name, partition.partition_index), thrown);
                }
            }
        }
        Ok(refused)
    }

    /// Where replicas are; one that its broker does not have has no directory.
    ///
    /// # Errors
    /// When a broker does not answer, or refuses.
    pub async fn replica_dirs(&self, replicas: &[Replica]) -> Result<BTreeMap<Replica, ReplicaDirs>, Thrown> {
        let mut found: BTreeMap<Replica, ReplicaDirs> =
            replicas.iter().map(|replica| (replica.clone(), ReplicaDirs::default())).collect();
        let mut brokers: Vec<i32> = replicas.iter().map(|replica| replica.broker).collect();
        brokers.sort_unstable();
        brokers.dedup();
        for broker in brokers {
            let response =
                self.node("describeReplicaLogDirs", broker, &DescribeLogDirsRequest { topics: None }).await?;
            check(response.error_code, None)?;
            for dir in response.results.iter().filter(|dir| !ErrorCode::from(dir.error_code).is_error()) {
                for topic in &dir.topics {
                    for partition in &topic.partitions {
                        let partition_of = TopicPartition::new(&*topic.name, partition.partition_index);
                        let Some(dirs) = found.get_mut(&Replica { broker, partition: partition_of }) else { continue };
                        let place = if partition.is_future_key { &mut dirs.future } else { &mut dirs.current };
                        *place = Some(dir.log_dir.to_string());
                    }
                }
            }
        }
        Ok(found)
    }

    /// Moves replicas to directories of their brokers; each has its own result.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn move_replicas(
        &self,
        wanted: &BTreeMap<Replica, String>,
    ) -> Result<BTreeMap<Replica, ErrorCode>, Thrown> {
        let mut brokers: BTreeMap<i32, BTreeMap<&str, Vec<TopicPartition>>> = BTreeMap::new();
        for (replica, dir) in wanted {
            let dirs = brokers.entry(replica.broker).or_default();
            dirs.entry(dir).or_default().push(replica.partition.clone());
        }
        let mut results = BTreeMap::new();
        for (broker, dirs) in brokers {
            let topic =
                |(name, partitions): (&str, Vec<i32>)| AlterReplicaLogDirTopic { name: name.into(), partitions };
            let dir = |(path, partitions): (&str, Vec<TopicPartition>)| AlterReplicaLogDir {
                path: path.into(),
                topics: by_topic(&partitions).into_iter().map(topic).collect(),
            };
            let request = AlterReplicaLogDirsRequest { dirs: dirs.into_iter().map(dir).collect() };
            let response = self.node("alterReplicaLogDirs", broker, &request).await?;
            for topic in &response.results {
                for partition in &topic.partitions {
                    let partition_of = TopicPartition::new(&*topic.topic_name, partition.partition_index);
                    let code = ErrorCode::from(partition.error_code);
                    results.insert(Replica { broker, partition: partition_of }, code);
                }
            }
        }
        Ok(results)
    }
}
