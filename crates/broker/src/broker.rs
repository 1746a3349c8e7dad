//! What every handler holds: the node as one value.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_access::Authorizer;
use thalweg_base::{Moment, Timestamp};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name::{self, CONSUMER_OFFSETS, TRANSACTION_STATE};
use thalweg_network::Network;
use thalweg_records::validate::{Invalid, Rules, Scratch, Validated, validate_with};
use thalweg_replica::Sessions;
use thalweg_sys::closing::Closing;
use thalweg_sys::time::{Instant, wall_clock_ms};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use thalweg_wire::messages::create_topics_response::CreatableTopicResult;
use tracing::{debug, warn};

use crate::config::{GroupsConfig, NodeConfig, TransactionsConfig};
use crate::drivers::groups::Groups;
use crate::drivers::maintenance::Maintenance;
use crate::drivers::metadata::{Asker, MetadataHandle};
use crate::drivers::partitions::Partitions;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::transactions::Transactions;
use crate::live_properties::LiveProperties;
use crate::loggers::Loggers;
use crate::metrics::Metrics;
use crate::telemetry::Telemetry;

/// See the module.
pub(crate) struct Broker {
    /// What the node was started with.
    pub(crate) config: NodeConfig,
    /// Decides what clients may do; none where everybody may do everything.
    pub(crate) authorizer: Option<Arc<Authorizer>>,
    /// Its properties as they count now.
    pub(crate) properties: Arc<LiveProperties>,
    pub(crate) cluster_id: ByteString,
    pub(crate) metrics: Metrics,
    /// The metrics of clients, where somebody can see them.
    pub(crate) telemetry: Telemetry,
    /// What the listeners share.
    pub(crate) network: Arc<Network>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) metadata: MetadataHandle,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) maintenance: Maintenance,
    pub(crate) fetch_sessions: Mutex<Sessions>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    /// Buffers for checking compressed batches, as many as workers have checked at once.
    pub(crate) scratches: Mutex<Vec<Scratch>>,
    pub(crate) loggers: Loggers,
    pub(crate) started: Instant,
    /// The same by the wall clock.
    pub(crate) started_at: Timestamp,
    /// The node is going down: whoever waits for records is answered with what there is.
    pub(crate) closing: Closing,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({})", self.config.node_id)
    }
}

impl Broker {
    /// The cluster as clients may see it.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.metadata.image()
    }

    /// The time for state machines.
    pub(crate) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The time for records.
    pub(crate) fn wall_clock(&self) -> Timestamp {
        Timestamp(wall_clock_ms())
    }

    /// Checks a producer's batch.
    pub(crate) fn validate(&self, records: Bytes, rules: &Rules, now: Timestamp) -> Result<Validated, Invalid> {
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let validated = validate_with(&mut scratch, records, rules, now);
        self.scratches.lock().push(scratch);
        validated
    }

    /// Creates topics that a client has asked about, with the broker's defaults or as internal topics have to be. One that
    /// cannot be created stays missing.
    pub(crate) async fn auto_create_topics(&self, names: Vec<ByteString>) {
        let topic = |name: ByteString| match &*name {
            CONSUMER_OFFSETS => offsets_topic(name, &self.config.groups),
            TRANSACTION_STATE => transactions_topic(name, &self.config.transactions),
            _ => CreatableTopic { name, num_partitions: -1, replication_factor: -1, ..CreatableTopic::default() },
        };
        let request =
            CreateTopicsRequest { topics: names.into_iter().map(topic).collect(), ..CreateTopicsRequest::default() };
        let version = *CreateTopicsRequest::VERSIONS.end();
        let decided = self.metadata.ask(Asker::ThisNode, self.metadata.context(version), request).await;
        match decided {
            Ok(response) => response.topics.iter().for_each(note_refusal),
            Err(refusal) => debug!(error = %refusal, "topics were not created automatically"),
        }
    }
}

/// Says why an internal topic cannot be created: no client is told.
fn note_refusal(result: &CreatableTopicResult) {
    let error = ErrorCode::from_code(result.error_code);
    if topic_name::is_internal(&result.name) && !matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
        let message = result.error_message.as_deref().unwrap_or_default();
        warn!(topic = %result.name, error = error.name(), "the topic cannot be created: {message}");
    }
}

/// The topic in which groups are kept.
fn offsets_topic(name: ByteString, groups: &GroupsConfig) -> CreatableTopic {
    let segment_bytes = groups.offsets_topic_segment_bytes.to_string();
    let configs = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", &segment_bytes)];
    CreatableTopic {
        name,
        num_partitions: groups.offsets_topic_num_partitions,
        replication_factor: groups.offsets_topic_replication_factor,
        configs: configs.into_iter().map(topic_config).collect(),
        ..CreatableTopic::default()
    }
}

/// The topic in which transactions are kept.
fn transactions_topic(name: ByteString, transactions: &TransactionsConfig) -> CreatableTopic {
    let segment_bytes = transactions.topic_segment_bytes.to_string();
    let min_isr = transactions.topic_min_isr.to_string();
    let configs = [
        ("unclean.leader.election.enable", "false"),
        ("compression.type", "uncompressed"),
        ("cleanup.policy", "compact"),
        ("min.insync.replicas", &min_isr),
        ("segment.bytes", &segment_bytes),
    ];
    CreatableTopic {
        name,
        num_partitions: transactions.topic_num_partitions,
        replication_factor: transactions.topic_replication_factor,
        configs: configs.into_iter().map(topic_config).collect(),
        ..CreatableTopic::default()
    }
}

fn topic_config((name, value): (&str, &str)) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: Some(value.into()) }
}
