//! `kafka-topics.sh --describe`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use thalweg_base::Uuid;
use thalweg_wire::messages::ListPartitionReassignmentsRequest;
use thalweg_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

use crate::admin::{Admin, ConfigEntry, PartitionInfo, Resource, ResourceKind, TopicInfo, WithSynonyms, check};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// A reassignment of one partition that is going on.
struct Reassignment {
    topic: String,
    partition: i32,
    replicas: Vec<i32>,
    adding: Vec<i32>,
    removing: Vec<i32>,
}

pub(super) async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let limit = line.number::<i32>("partition-size-limit-per-response")?.unwrap_or(2000);
    let topics = match topic_id(line)? {
        Some(id) => by_id(line, admin, id).await?,
        None => {
            let names = super::names(line, admin).await?;
            super::ensure_exists(line, &names)?;
            by_names(admin, names, limit).await?
        }
    };
    if topics.is_empty() {
        return Ok(());
    }
    let resources: Vec<Resource> =
        topics.iter().map(|topic| Resource { kind: ResourceKind::Topic, name: topic.name.clone() }).collect();
    let configs = admin.describe_configs(&resources, WithSynonyms::No).await?;
    let brokers: BTreeSet<i32> = admin.brokers("describeCluster").await?.into_iter().collect();
    let reassignments = reassignments(admin, &topics).await?;
    for (topic, configs) in topics.iter().zip(configs) {
        let view = View { line, topic, configs: configs?, brokers: &brokers, reassignments: &reassignments };
        view.print(out)?;
    }
    Ok(())
}

fn topic_id(line: &Line) -> Result<Option<Uuid>, Thrown> {
    let Some(text) = line.value("topic-id")? else { return Ok(None) };
    Ok(Some(java::uuid(text)?).filter(|id| !id.is_zero()))
}

async fn by_id(line: &Line, admin: &Admin, id: Uuid) -> Result<Vec<TopicInfo>, Thrown> {
    let excludes_internal = line.has("exclude-internal");
    let listed = admin.list_topics().await?;
    if listed.iter().any(|topic| topic.id == id && !(excludes_internal && topic.is_internal)) {
        return Ok(vec![admin.describe_topic_by_id(id).await?]);
    }
    if line.has("if-exists") {
        return Ok(Vec::new());
    }
    Err(Thrown::illegal_argument(format!("TopicId '{id}' does not exist as expected")))
}

/// The topics in the order of Kafka's hash map.
async fn by_names(admin: &Admin, names: Vec<String>, limit: i32) -> Result<Vec<TopicInfo>, Thrown> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let count = names.len();
    let found = admin.describe_topics_by(&names, limit).await?;
    let topics: Vec<TopicInfo> = found.into_iter().map(|(_, info)| info).collect::<Result<_, _>>()?;
    Ok(java::hash_order(topics, count, |topic| java::string_hash(&topic.name)))
}

async fn reassignments(admin: &Admin, topics: &[TopicInfo]) -> Result<Vec<Reassignment>, Thrown> {
    let topic = |topic: &TopicInfo| ListPartitionReassignmentsTopics {
        name: topic.name.as_str().into(),
        partition_indexes: topic.partitions.iter().map(|partition| partition.index).collect(),
    };
    let request = ListPartitionReassignmentsRequest {
        topics: Some(topics.iter().map(topic).collect()),
        ..ListPartitionReassignmentsRequest::default()
    };
    let response = match admin.controller("listPartitionReassignments", &request).await {
        Ok(response) => response,
        Err(thrown) if thrown.is("UnsupportedVersionException") => return Ok(Vec::new()),
        Err(thrown) => return Err(thrown),
    };
    match check(response.error_code, response.error_message.as_deref()) {
        Err(thrown) if thrown.is("ClusterAuthorizationException") => return Ok(Vec::new()),
        checked => checked.map_err(|thrown| thrown.execution().runtime())?,
    }
    let mut found = Vec::new();
    for topic in &response.topics {
        found.extend(topic.partitions.iter().map(|partition| Reassignment {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            replicas: partition.replicas.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
        }));
    }
    Ok(found)
}

/// One topic as it is shown.
struct View<'a> {
    line: &'a Line,
    topic: &'a TopicInfo,
    configs: Vec<ConfigEntry>,
    brokers: &'a BTreeSet<i32>,
    reassignments: &'a [Reassignment],
}

impl View<'_> {
    fn print(&self, out: &mut Out) -> Result<(), Thrown> {
        let reports = [
            "under-replicated-partitions",
            "unavailable-partitions",
            "under-min-isr-partitions",
            "at-min-isr-partitions",
        ];
        let shows_all = !self.line.has_any(&reports);
        let only_overridden = self.line.has("topics-with-overrides");
        if shows_all && (!only_overridden || self.configs.iter().any(|config| !config.is_default())) {
            self.print_head(out);
        }
        if only_overridden {
            return Ok(());
        }
        for partition in &self.topic.partitions {
            if shows_all || self.is_reported(partition)? {
                self.print_partition(partition, out);
            }
        }
        Ok(())
    }

    fn reassignment(&self, partition: i32) -> Option<&Reassignment> {
        self.reassignments.iter().find(|going| going.topic == self.topic.name && going.partition == partition)
    }

    /// How many replicas a partition is to have: while it is moved, those that are added do not count.
    fn replication_factor(&self, partition: &PartitionInfo) -> usize {
        match self.reassignment(partition.index) {
            Some(going)
                if partition.replicas.iter().any(|id| going.removing.contains(id) || going.adding.contains(id)) =>
            {
                going.replicas.len().saturating_sub(going.adding.len())
            }
            _ => partition.replicas.len(),
        }
    }

    fn is_reported(&self, partition: &PartitionInfo) -> Result<bool, Thrown> {
        let isr = partition.isr.len();
        let min_isr = self.configs.iter().find(|config| config.name == "min.insync.replicas");
        let min_isr: i32 = java::number(min_isr.and_then(|config| config.value.as_deref()).unwrap_or("1"))?;
        let min_isr = usize::try_from(min_isr).unwrap_or(0);
        let has = |report: &str, is_so: bool| self.line.has(report) && is_so;
        let leads = partition.leader.is_some_and(|leader| self.brokers.contains(&leader));
        Ok(has("under-replicated-partitions", self.replication_factor(partition) > isr)
            || has("unavailable-partitions", !leads)
            || has("under-min-isr-partitions", partition.leader.is_none() || isr < min_isr)
            || has("at-min-isr-partitions", isr == min_isr))
    }

    fn print_head(&self, out: &mut Out) {
        if out.is_json() {
            let set = self.configs.iter().filter(|config| !config.is_default());
            let configs: serde_json::Map<String, Value> =
                set.map(|config| (config.name.clone(), Value::from(config.value.clone()))).collect();
            let factor = self.topic.partitions.first().map_or(0, |partition| self.replication_factor(partition));
            return out.object(&json!({
                "topic": self.topic.name,
                "topicId": self.topic.id.to_string(),
                "partitionCount": self.topic.partitions.len(),
                "replicationFactor": factor,
                "configs": configs,
            }));
        }
        let set = self.configs.iter().filter(|config| !config.is_default());
        let set: Vec<String> =
            set.map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("null"))).collect();
        let (name, count) = (&self.topic.name, self.topic.partitions.len());
        let factor = self.topic.partitions.first().map_or(0, |partition| self.replication_factor(partition));
        if self.line.zookeeper {
            let overrides = set.iter().filter(|config| *config != "min.insync.replicas=1").cloned();
            let overrides = overrides.collect::<Vec<_>>().join(",");
            out.line(format_args!(
                "Topic:{name}\tPartitionCount:{count}\tReplicationFactor:{factor}\tConfigs:{overrides}"
            ));
            return;
        }
        let id = if self.topic.id.is_zero() { String::new() } else { format!("\tTopicId: {}", self.topic.id) };
        let configs = set.join(",");
        out.line(format_args!(
            "Topic: {name}{id}\tPartitionCount: {count}\tReplicationFactor: {factor}\tConfigs: {configs}"
        ));
    }

    fn print_partition(&self, partition: &PartitionInfo, out: &mut Out) {
        if out.is_json() {
            let going = self.reassignment(partition.index);
            return out.object(&json!({
                "topic": self.topic.name,
                "partition": partition.index,
                "leader": partition.leader,
                "replicas": partition.replicas,
                "isr": partition.isr,
                "elr": partition.elr,
                "lastKnownElr": partition.last_known_elr,
                "addingReplicas": going.map_or(&[][..], |going| &going.adding),
                "removingReplicas": going.map_or(&[][..], |going| &going.removing),
            }));
        }
        let leader = partition.leader.map_or("none".to_owned(), |leader| leader.to_string());
        let mut text = format!(
            "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            self.topic.name,
            partition.index,
            java::joined(&partition.replicas, ","),
            java::joined(&partition.isr, ",")
        );
        if let Some(going) = self.reassignment(partition.index) {
            let (adding, removing) = (java::joined(&going.adding, ","), java::joined(&going.removing, ","));
            let _ = write!(text, "\tAdding Replicas: {adding}\tRemoving Replicas: {removing}");
        }
        if !self.line.zookeeper {
            let shown = |ids: &Option<Vec<i32>>| ids.as_ref().map_or("N/A".to_owned(), |ids| java::joined(ids, ","));
            let (elr, last_known) = (shown(&partition.elr), shown(&partition.last_known_elr));
            let _ = write!(text, "\tElr: {elr}\tLastKnownElr: {last_known}");
        }
        out.line(text);
    }
}
