//! Changing a topic: its configs, its partitions, its records.

use thalweg_base::TopicPartition;
use thalweg_client::Destination;
use thalweg_wire::messages::create_partitions_request::CreatePartitionsTopic;
use thalweg_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use thalweg_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_wire::messages::{CreatePartitionsRequest, DeleteRecordsRequest, IncrementalAlterConfigsRequest};

use super::changes::timeout_ms;
use super::{ConfigScope, Kafka};
use crate::trouble::Trouble;

/// A change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigChange {
    /// It gets this value.
    Set(String),
    /// It goes back to what holds without it.
    Remove,
}

/// Whether a change is carried out, or only checked by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    CarryOut,
}

impl Kafka {
    /// Changes configs of a topic, and leaves its others as they are. Needs Kafka 2.3.
    pub(crate) async fn alter_topic_configs(
        &self,
        name: &str,
        changes: &[(String, ConfigChange)],
        mode: Mode,
    ) -> Result<(), Trouble> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let config = |(config, change): &(String, ConfigChange)| AlterableConfig {
            name: config.as_str().into(),
            config_operation: if *change == ConfigChange::Remove { DELETE } else { SET },
            value: match change {
                ConfigChange::Set(value) => Some(value.as_str().into()),
                ConfigChange::Remove => None,
            },
        };
        let resource = AlterConfigsResource {
            resource_type: ConfigScope::TOPIC,
            resource_name: name.into(),
            configs: changes.iter().map(config).collect(),
        };
        let validate_only = mode == Mode::Check;
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
        let response = self.ask(Destination::Any, &request).await?;
        let mut answers = response.responses.iter();
        answers.try_for_each(|answer| {
            Trouble::check(format!("configs of {name}"), answer.error_code, answer.error_message.as_deref())
        })
    }

    /// Adds partitions to a topic, so that there are `count` of them.
    pub(crate) async fn add_partitions(&self, name: &str, count: i32, mode: Mode) -> Result<(), Trouble> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name.into(), count, assignments: None }],
            timeout_ms: timeout_ms(),
            validate_only: mode == Mode::Check,
        };
        let response = self.ask(Destination::Controller, &request).await?;
        for result in &response.results {
            Trouble::check(format!("partitions of {name}"), result.error_code, result.error_message.as_deref())?;
        }
        self.forget_snapshot().await;
        Ok(())
    }

    /// Deletes the records of a topic's partitions before these offsets.
    pub(crate) async fn delete_records(&self, name: &str, before: &[(i32, i64)]) -> Result<(), Trouble> {
        // Each leader deletes its own; each is asked for its partitions one after the other, and the first refusal ends it.
        for (partition, offset) in before {
            let partitions = vec![DeleteRecordsPartition { partition_index: *partition, offset: *offset }];
            let topics = vec![DeleteRecordsTopic { name: name.into(), partitions }];
            let request = DeleteRecordsRequest { topics, timeout_ms: timeout_ms() };
            let response = self.ask(Destination::Leader(TopicPartition::new(name, *partition)), &request).await?;
            for result in response.topics.iter().flat_map(|topic| &topic.partitions) {
                Trouble::check(format!("deleting records of {name}-{partition}"), result.error_code, None)?;
            }
        }
        Ok(())
    }
}
