//! Changing the cluster: creating and deleting topics, writing a record.

use thalweg_client::{Destination, Producer, ProducerConfig, ProducerRecord};
use thalweg_sys::time::now;
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;
use thalweg_wire::messages::{CreateTopicsRequest, DeleteTopicsRequest};

use super::{ASK_TIME_MAX, Kafka};
use crate::trouble::Trouble;

/// The last version of DeleteTopics that has a list of names.
const NAMES_UP_TO: i16 = 5;

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1 for the cluster's default.
    pub(crate) partitions: i32,
    /// -1 for the cluster's default.
    pub(crate) replication_factor: i16,
    /// Its configs.
    pub(crate) configs: Vec<(String, String)>,
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// How long the controller may take for a change, in milliseconds.
pub(super) fn timeout_ms() -> i32 {
    i32::try_from(ASK_TIME_MAX.as_millis()).unwrap_or(i32::MAX)
}

impl Kafka {
    /// Creates a topic; with `validate_only`, finds out whether it could be.
    pub(crate) async fn create_topic(&self, topic: &NewTopic, validate_only: bool) -> Result<(), Trouble> {
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.as_str().into(),
            value: Some(value.as_str().into()),
        };
        let creatable = CreatableTopic {
            name: topic.name.as_str().into(),
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: topic.configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![creatable], timeout_ms: timeout_ms(), validate_only };
        let response = self.ask(Destination::Controller, &request).await?;
        for result in &response.topics {
            let what = format!("creating topic {}", topic.name);
            Trouble::check(what, result.error_code, result.error_message.as_deref())?;
        }
        self.forget_snapshot().await;
        Ok(())
    }

    /// Deletes a topic.
    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), Trouble> {
        let deadline = Self::deadline();
        let connection = self.client.connection(&Destination::Controller, thalweg_client::Lane::Requests, deadline);
        let connection = connection.await?;
        let version = connection.version(thalweg_wire::ApiKey::DeleteTopics)?;
        let mut request = DeleteTopicsRequest { timeout_ms: timeout_ms(), ..DeleteTopicsRequest::default() };
        if version > NAMES_UP_TO {
            request.topics = vec![DeleteTopicState { name: Some(name.into()), ..DeleteTopicState::default() }];
        } else {
            request.topic_names = vec![name.into()];
        }
        let response = connection.send_at(&request, version, deadline).await?;
        for result in &response.responses {
            Trouble::check(format!("deleting topic {name}"), result.error_code, result.error_message.as_deref())?;
        }
        self.forget_snapshot().await;
        Ok(())
    }

    /// Writes a record and waits until all replicas in sync have it.
    pub(crate) async fn send(&self, record: ProducerRecord) -> Result<Written, Trouble> {
        let producer = self.producer()?;
        let delivery = producer.send(record).await?;
        // The deadline is the producer's own.
        let written = delivery.wait().await?;
        producer.flush(now() + ASK_TIME_MAX).await?;
        Ok(Written { partition: written.partition.partition, offset: written.offset.map_or(-1, |offset| offset.0) })
    }

    /// Writes records and waits until all replicas in sync have each of them.
    ///
    /// # Errors
    /// When one of them was not written; others may have been.
    pub(crate) async fn send_all(producer: &Producer, records: Vec<ProducerRecord>) -> Result<(), Trouble> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(producer.send(record).await?);
        }
        producer.flush(now() + ASK_TIME_MAX).await?;
        for delivery in deliveries {
            delivery.wait().await?;
        }
        Ok(())
    }

    /// A producer that waits for all replicas in sync, and creates no topic.
    pub(crate) fn producer(&self) -> Result<Producer, Trouble> {
        let mut properties = self.properties.clone();
        let half = (ASK_TIME_MAX / 2).as_millis().to_string();
        let whole = ASK_TIME_MAX.as_millis().to_string();
        for (name, value) in [
            ("acks", "all"),
            ("allow.auto.create.topics", "false"),
            ("linger.ms", "0"),
            ("max.block.ms", &half),
            ("request.timeout.ms", &half),
            ("delivery.timeout.ms", &whole),
        ] {
            properties.set(name, value);
        }
        let config = ProducerConfig::from_properties(&properties).map_err(|e| Trouble::Bad(e.to_string()))?;
        Ok(Producer::new(config))
    }
}
