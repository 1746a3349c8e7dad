//! Brokers: their log directories.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::NodeId;
use thalweg_client::Destination;
use thalweg_wire::messages::DescribeLogDirsRequest;
use thalweg_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;

use super::{Kafka, Topic, of_each};
use crate::trouble::Trouble;

/// A log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogDir {
    pub(crate) path: String,
    /// Why it cannot be used.
    pub(crate) trouble: Option<String>,
    /// Bytes of the volume, where the broker says so.
    pub(crate) total: Option<i64>,
    /// Bytes that are free there.
    pub(crate) usable: Option<i64>,
    /// The bytes of each topic's replicas, by name.
    pub(crate) topics: BTreeMap<String, i64>,
    /// How many replicas there are.
    pub(crate) replicas: usize,
}

impl LogDir {
    /// The bytes of all replicas.
    pub(crate) fn bytes(&self) -> i64 {
        self.topics.values().sum()
    }
}

impl Kafka {
    /// The log directories of a broker.
    pub(crate) async fn log_dirs(&self, id: i32) -> Result<Vec<LogDir>, Trouble> {
        let request = DescribeLogDirsRequest { topics: None };
        let response = self.ask(Destination::Node(NodeId(id)), &request).await?;
        Trouble::check(format!("log directories of broker {id}"), response.error_code, None)?;
        let mut dirs = Vec::new();
        for result in response.results {
            let trouble = Trouble::check("log directory", result.error_code, None).err();
            let mut dir = LogDir {
                path: result.log_dir.to_string(),
                trouble: trouble.map(|trouble| trouble.to_string()),
                total: (result.total_bytes >= 0).then_some(result.total_bytes),
                usable: (result.usable_bytes >= 0).then_some(result.usable_bytes),
                topics: BTreeMap::new(),
                replicas: 0,
            };
            for topic in result.topics {
                dir.replicas += topic.partitions.len();
                let bytes: i64 = topic.partitions.iter().map(|partition| partition.partition_size).sum();
                *dir.topics.entry(topic.name.to_string()).or_default() += bytes;
            }
            dirs.push(dir);
        }
        Ok(dirs)
    }

    /// The bytes of a topic's replicas on disk, by partition and broker, of those brokers that say.
    pub(crate) async fn replica_sizes(&self, name: &str, topic: &Topic) -> BTreeMap<(i32, i32), i64> {
        let ids: Vec<i32> = topic.partitions.iter().map(|partition| partition.id).collect();
        let replicas = topic.partitions.iter().flat_map(|partition| partition.replicas.iter().copied());
        let brokers: BTreeSet<i32> = replicas.collect();
        let answers = of_each(brokers, |broker| {
            let topics = Some(vec![DescribableLogDirTopic { topic: name.into(), partitions: ids.clone() }]);
            let (client, deadline) = (self.client.clone(), Self::deadline());
            async move { client.send_by(&Destination::Node(broker), &DescribeLogDirsRequest { topics }, deadline).await }
        });
        let mut sizes = BTreeMap::new();
        for (broker, answer) in answers.await {
            let Ok(response) = answer else { continue };
            for topic in response.results.iter().flat_map(|dir| &dir.topics).filter(|topic| &*topic.name == name) {
                // A replica that moves to another directory has two for a while: the future one does not count.
                for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
                    sizes.insert((partition.partition_index, broker), partition.partition_size);
                }
            }
        }
        sizes
    }
}
