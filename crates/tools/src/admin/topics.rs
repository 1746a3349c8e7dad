//! Topics as tools see them.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::Uuid;
use thalweg_sys::time::{now, sleep, timeout_at};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use thalweg_wire::messages::metadata_request::MetadataRequestTopic;
use thalweg_wire::messages::metadata_response::MetadataResponseTopic;
use thalweg_wire::messages::{DescribeTopicPartitionsRequest, MetadataRequest};

use super::{Admin, check};
use crate::thrown::Thrown;

/// A topic in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
}

/// A topic with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its index.
    pub index: i32,
    /// Its leader, if it has one.
    pub leader: Option<i32>,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Its in-sync replicas.
    pub isr: Vec<i32>,
    /// Its eligible leader replicas; `None` where the broker did not say (KIP-966).
    pub elr: Option<Vec<i32>>,
    /// Its last known eligible leader replicas; `None` where the broker did not say.
    pub last_known_elr: Option<Vec<i32>>,
}

/// How long a new topic is waited for.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait before a broker is asked again whether it knows a topic.
const KNOWN_AGAIN: Duration = Duration::from_millis(10);

impl Admin {
    /// All topics, sorted by name.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, Thrown> {
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let response = self.any("listTopics", &request).await?;
        let mut topics: Vec<TopicListing> = response
            .topics
            .iter()
            .filter(|topic| topic.error_code == 0)
            .map(|topic| TopicListing {
                name: topic.name.as_deref().unwrap_or_default().to_owned(),
                id: topic.topic_id,
                is_internal: topic.is_internal,
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Waits until every broker knows a topic that was just created, for two seconds at most: the next command of a
    /// script comes sooner than metadata travels.
    pub async fn wait_until_known(&self, name: &str) {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let deadline = now() + KNOWN_WITHIN;
        for node in self.client().cluster().nodes.keys() {
            loop {
                let answered = timeout_at(deadline, self.node("metadata", node.0, &request)).await;
                let Ok(Ok(response)) = answered else { return };
                let unknown = ErrorCode::UnknownTopicOrPartition.code();
                if response.topics.iter().all(|topic| topic.error_code != unknown) {
                    break;
                }
                if now() + KNOWN_AGAIN >= deadline {
                    return;
                }
                sleep(KNOWN_AGAIN).await;
            }
        }
    }

    /// Topics by name, in the order of the names; one that cannot be described is an error of its own.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn describe_topics(&self, names: &[String]) -> Result<Vec<(String, Result<TopicInfo, Thrown>)>, Thrown> {
        self.describe_topics_by(names, 2000).await
    }

    /// As [`Admin::describe_topics`], with so many partitions in one answer.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn describe_topics_by(
        &self,
        names: &[String],
        partitions_max: i32,
    ) -> Result<Vec<(String, Result<TopicInfo, Thrown>)>, Thrown> {
        let mut found: BTreeMap<String, Result<TopicInfo, Thrown>> = BTreeMap::new();
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        let topic = |name: &&String| TopicRequest { name: name.as_str().into() };
        let mut cursor = None;
        loop {
            let request = DescribeTopicPartitionsRequest {
                topics: sorted.iter().map(topic).collect(),
                response_partition_limit: partitions_max,
                cursor,
            };
            let response = match self.any("describeTopics", &request).await {
                Ok(response) => response,
                Err(thrown) if thrown.is("UnsupportedVersionException") => {
                    return self.describe_by_metadata(names).await;
                }
                Err(thrown) => return Err(thrown),
            };
            for topic in &response.topics {
                let name = topic.name.as_deref().unwrap_or_default().to_owned();
                if let Err(thrown) = check(topic.error_code, None) {
                    found.insert(name, Err(thrown));
                    continue;
                }
                let info = found.entry(name.clone()).or_insert_with(|| {
                    Ok(TopicInfo { name, id: topic.topic_id, is_internal: topic.is_internal, partitions: Vec::new() })
                });
                let Ok(info) = info else { continue };
                info.partitions.extend(topic.partitions.iter().map(|partition| PartitionInfo {
                    index: partition.partition_index,
                    leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                    replicas: partition.replica_nodes.clone(),
                    isr: partition.isr_nodes.clone(),
                    elr: Some(partition.eligible_leader_replicas.clone().unwrap_or_default()),
                    last_known_elr: Some(partition.last_known_elr.clone().unwrap_or_default()),
                }));
            }
            let Some(next) = response.next_cursor else { break };
            sorted.retain(|name| name.as_str() >= &*next.topic_name);
            cursor = Some(Cursor { topic_name: next.topic_name, partition_index: next.partition_index });
        }
        Ok(names.iter().filter_map(|name| found.remove(name).map(|info| (name.clone(), info))).collect())
    }

    /// Topics by name from brokers before Kafka 3.8, and wherever eligible leader replicas are of no interest.
    async fn describe_by_metadata(&self, names: &[String]) -> Result<Vec<(String, Result<TopicInfo, Thrown>)>, Thrown> {
        let topic = |name: &String| MetadataRequestTopic {
            name: Some(name.as_str().into()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.any("describeTopics", &request).await?;
        Ok(response
            .topics
            .iter()
            .map(|topic| (topic.name.as_deref().unwrap_or_default().to_owned(), info(topic)))
            .collect())
    }

    /// A topic by its id.
    ///
    /// # Errors
    /// When no node answers, or there is no such topic.
    pub async fn describe_topic_by_id(&self, id: Uuid) -> Result<TopicInfo, Thrown> {
        let topic = MetadataRequestTopic { topic_id: id, name: None };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.any("describeTopicsWithIds", &request).await?;
        let Some(topic) = response.topics.first() else {
            return check(thalweg_wire::ErrorCode::UnknownTopicId.code(), None).map(|()| TopicInfo {
                name: String::new(),
                id,
                is_internal: false,
                partitions: Vec::new(),
            });
        };
        info(topic)
    }
}

fn info(topic: &MetadataResponseTopic) -> Result<TopicInfo, Thrown> {
    check(topic.error_code, None)?;
    let mut partitions: Vec<PartitionInfo> = topic
        .partitions
        .iter()
        .map(|partition| PartitionInfo {
            index: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(partition.leader_id),
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            elr: None,
            last_known_elr: None,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    let name = topic.name.as_deref().unwrap_or_default().to_owned();
    Ok(TopicInfo { name, id: topic.topic_id, is_internal: topic.is_internal, partitions })
}
