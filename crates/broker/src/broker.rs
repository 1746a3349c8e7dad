//! What every handler holds: the node as one value.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_access::Authorizer;
use thalweg_base::{Moment, Repeats, Timestamp};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name;
use thalweg_network::Network;
use thalweg_records::validate::{Invalid, Rules, Scratch, Validated, validate_with};
use thalweg_replica::Sessions;
use thalweg_sys::closing::Closing;
use thalweg_sys::time::Instant;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_response::CreatableTopicResult;
use tracing::{debug, warn};

use crate::config::NodeConfig;
use crate::drivers::clock::timestamp;
use crate::drivers::groups::Groups;
use crate::drivers::maintenance::Maintenance;
use crate::drivers::metadata::{Asker, MetadataHandle};
use crate::drivers::partitions::Partitions;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::reports::Reports;
use crate::drivers::share::SharePartitions;
use crate::drivers::transactions::Transactions;
use crate::internal_topics;
use crate::live_properties::LiveProperties;
use crate::loggers::Loggers;
use crate::metrics::Metrics;
use crate::quotas::ClientQuotas;
pub(crate) use crate::security::LoginView;
use crate::security::{Outgoings, Securities};
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
    /// What clients may use.
    pub(crate) quotas: ClientQuotas,
    /// The metrics of clients, where somebody can see them.
    pub(crate) telemetry: Telemetry,
    /// How each listener encrypts and authenticates.
    pub(crate) securities: Securities,
    /// How this node connects to others.
    pub(crate) outgoings: Outgoings,
    /// What the listeners share.
    pub(crate) network: Arc<Network>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) metadata: MetadataHandle,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) share: Arc<SharePartitions>,
    pub(crate) maintenance: Maintenance,
    pub(crate) fetch_sessions: Mutex<Sessions>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    /// By which connections brokers report to this controller.
    pub(crate) reports: Reports,
    /// Buffers for checking compressed batches, as many as workers have checked at once.
    pub(crate) scratches: Mutex<Vec<Scratch>>,
    /// What is logged about what clients can make happen as often as they like.
    pub(crate) repeats: Mutex<Repeats>,
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

    /// Begins a new period of all quantiles when it is time. Whoever reads them calls this first.
    pub(crate) fn turn_quantiles(&self) {
        if self.network.requests.turn_if_due(self.moment()) {
            self.partitions.turn_flush_times();
        }
    }

    /// The time for state machines.
    pub(crate) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The time for records.
    pub(crate) fn wall_clock(&self) -> Timestamp {
        timestamp()
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
        let topic = |name| internal_topics::creatable(name, &self.config);
        let request =
            CreateTopicsRequest { topics: names.into_iter().map(topic).collect(), ..CreateTopicsRequest::default() };
        let version = *CreateTopicsRequest::VERSIONS.end();
        let decided = self.metadata.ask(Asker::ThisNode, self.metadata.context(version), request).await;
        match decided {
            Ok(response) => response.topics.iter().for_each(|result| self.note_refusal(result)),
            Err(refusal) => debug!(error = %refusal, "topics were not created automatically"),
        }
    }

    /// Warns of settings that keep an internal topic from being created by the brokers that there are.
    pub(crate) fn warn_of_impossible_topics(&self) {
        if !self.config.roles.broker {
            return;
        }
        let brokers = self.image().cluster().brokers().count();
        internal_topics::impossible(&self.config, brokers).iter().for_each(|why| warn!("{why}"));
    }

    /// Says why an internal topic cannot be created: clients only see that it is missing, and ask again and again.
    fn note_refusal(&self, result: &CreatableTopicResult) {
        let error = ErrorCode::from_code(result.error_code);
        if !topic_name::is_internal(&result.name) || matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
            return;
        }
        let message = result.error_message.as_deref().unwrap_or_default();
        let subject = format!("{} {message}", result.name);
        if let Some(left_out) = self.repeats.lock().note(&subject, self.moment()) {
            warn!(topic = %result.name, error = error.name(), "the topic cannot be created: {message}{left_out}");
        }
    }
}
