//! How a node joins its cluster: it opens the metadata log, takes part in the quorum, and registers as controller and broker.

use std::sync::Arc;

use thalweg_base::{BrokerEpoch, NodeId, Uuid};
use thalweg_controller::{Controller, Refusal, SessionTimes, TokenSettings};
use thalweg_metadata::feature;
use thalweg_raft::{Endpoint, KRaftVersion, Peer, ReplicaKey, Settings as QuorumTimes, Voter, Voters};
use thalweg_storage::LogConfig;
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::{Duration, Instant, sleep};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::broker_registration_request::{Feature, Listener as RegisteredListener};
use thalweg_wire::messages::{
    BrokerRegistrationRequest, ControllerRegistrationRequest, controller_registration_request,
};
use tracing::{debug, info, warn};

use super::{Cause, millis};
use crate::config::{self, NodeConfig, TokenConfig};
use crate::drivers::clock::timestamp;
use crate::drivers::metadata::{
    Acting, Asker, ElectionTimes, Ended, MetadataHandle, MetadataLog, QuorumDriver, QuorumSettings, Retention,
    SnapshotPolicy, TransportSettings, VoterRules,
};
use crate::security::Outgoings;
use thalweg_sys::closing::Closing;

/// The version of BrokerRegistration that is sent.
const REGISTRATION_VERSION: i16 = 4;

/// How long a refused broker waits before it registers again, as in Kafka.
const REGISTRATION_PAUSE: Duration = Duration::from_millis(100);

/// The key of the time for which a broker may be silent.
const SESSION_TIMEOUT: &str = "broker.session.timeout.ms";

/// How long a broker has to report again after its connection to the controller has ended: it does so at once if it lives.
const LOST_GRACE: Duration = Duration::from_millis(500);

/// Where this node's listeners are bound, by name.
pub(super) type BoundPorts = std::collections::BTreeMap<String, u16>;

/// What a node is on its way into its cluster.
pub(super) struct Joining<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) outgoings: &'a Outgoings,
    pub(super) cluster_id: &'a str,
    /// The directory in which this node keeps the metadata log.
    pub(super) metadata_dir: Option<Uuid>,
    pub(super) ports: BoundPorts,
}

/// The quorum as it runs.
pub(super) struct RunningQuorum {
    pub(super) metadata: MetadataHandle,
    pub(super) quorum: JoinHandle<Result<(), Ended>>,
    pub(super) publisher: JoinHandle<()>,
}

impl Joining<'_> {
    /// Opens the metadata log and takes part in the quorum from now on. Once `closing` has begun the leadership is handed
    /// over, and the log is closed.
    pub(super) fn start_quorum(
        &self,
        acting: Acting,
        started: Instant,
        closing: Closing,
    ) -> Result<RunningQuorum, Cause> {
        let config = self.config;
        let log_config = metadata_log_config(config);
        let loaded = MetadataLog::open(&config.storage.metadata_log_dir, log_config, timestamp())?;
        let controller = Controller::new(thalweg_controller::Settings {
            node_id: config.node_id,
            cluster_id: self.cluster_id.to_owned(),
            static_configs: config.properties.clone(),
            partitions_default: config.topics.num_partitions,
            replication_factor_default: i16::try_from(config.topics.default_replication_factor).unwrap_or(1),
            delete_topic_enable: config.topics.delete_topic_enable,
            tokens: token_settings(&config.access.tokens),
            remote_storage_enable: false,
            unstable_features: config.unstable_features,
        });
        let (settings, transport) = (self.quorum_settings(), self.transport_settings());
        let (driver, publisher, metadata) = QuorumDriver::new(loaded, controller, settings, transport, acting, started);
        let publisher = task::spawn(publisher.run(closing.clone()));
        Ok(RunningQuorum { metadata, quorum: task::spawn(driver.run(closing)), publisher })
    }

    fn quorum_settings(&self) -> QuorumSettings {
        let (config, quorum) = (self.config, &self.config.quorum);
        let local = self.voter();
        QuorumSettings {
            static_voters: self.static_voters(),
            bootstrap: bootstrap(config),
            local,
            may_become_voter: config.roles.controller,
            joins_by_itself: config.roles.controller && quorum.auto_join_enable,
            times: QuorumTimes {
                election_timeout: millis(i64::from(quorum.election_timeout_ms)),
                fetch_timeout: millis(i64::from(quorum.fetch_timeout_ms)),
                election_backoff_max: millis(i64::from(quorum.election_backoff_max_ms)),
                request_timeout: millis(i64::from(quorum.request_timeout_ms)),
                retry_backoff: millis(i64::from(quorum.retry_backoff_ms)),
            },
            session_times: session_times(config),
            election_times: election_times(config),
            tokens_every: millis(config.access.tokens.check_interval_ms),
            mutation_windows: config.access.controller_quota_windows,
            snapshots: SnapshotPolicy {
                bytes: u64::try_from(config.storage.metadata_log_max_record_bytes_between_snapshots)
                    .unwrap_or(u64::MAX),
                interval: Some(millis(config.storage.metadata_log_max_snapshot_interval_ms)).filter(|ms| !ms.is_zero()),
                retention: Retention {
                    bytes: u64::try_from(config.storage.metadata_max_retention_bytes).ok(),
                    ms: Some(config.storage.metadata_max_retention_ms).filter(|ms| *ms >= 0),
                },
            },
            voter_rules: VoterRules {
                cluster_id: self.cluster_id.to_owned(),
                default_listener: default_listener(config),
            },
            fetch_bytes_max: usize::try_from(quorum.fetch_max_bytes).unwrap_or(0),
            snapshot_bytes_max: usize::try_from(quorum.fetch_snapshot_max_bytes).unwrap_or(0),
        }
    }

    fn transport_settings(&self) -> TransportSettings {
        let quorum = &self.config.quorum;
        TransportSettings {
            node: self.config.node_id,
            cluster_id: self.cluster_id.to_owned(),
            bootstrap: quorum.bootstrap_servers.clone(),
            security: Arc::clone(&self.outgoings.controllers),
            request_timeout: millis(i64::from(quorum.request_timeout_ms)),
            fetch_bytes_max: quorum.fetch_max_bytes,
            snapshot_bytes_max: quorum.fetch_snapshot_max_bytes,
        }
    }

    /// This node as a replica of the metadata log.
    fn voter(&self) -> Voter {
        let endpoint = |listener: &config::Listener| Endpoint {
            listener: listener.name.clone(),
            host: listener.host.clone().unwrap_or_else(|| "localhost".to_owned()),
            port: self.port(listener),
        };
        Voter {
            key: ReplicaKey { id: self.config.node_id, directory: self.metadata_dir },
            endpoints: self.config.network.advertised_controller_listeners.iter().map(endpoint).collect(),
            kraft_version_min: KRaftVersion::STATIC,
            kraft_version_max: KRaftVersion::DYNAMIC,
        }
    }

    /// The voters of `controller.quorum.voters`. Their directories are not known.
    fn static_voters(&self) -> Voters {
        let listener = default_listener(self.config);
        Voters::new(self.config.quorum.voters.iter().map(|(id, (host, port))| Voter {
            key: ReplicaKey { id: *id, directory: None },
            endpoints: vec![Endpoint { listener: listener.clone(), host: host.clone(), port: *port }],
            kraft_version_min: KRaftVersion::STATIC,
            kraft_version_max: KRaftVersion::STATIC,
        }))
    }

    /// Port 0 took a free one: that is where clients must go.
    fn port(&self, listener: &config::Listener) -> u16 {
        let bound = self.ports.get(&listener.name).copied();
        if listener.port == 0 { bound.unwrap_or(0) } else { listener.port }
    }

    /// Registers this controller with the active one (KIP-919), as soon as there is one: that is where DescribeCluster finds
    /// it. Metadata versions before that have no such registrations.
    pub(super) async fn register_controller(&self, metadata: &MetadataHandle) -> Result<(), Cause> {
        let config = self.config;
        let listeners = config.network.advertised_controller_listeners.iter().map(|advertised| {
            controller_registration_request::Listener {
                name: advertised.name.as_str().into(),
                host: advertised.host.clone().unwrap_or_else(|| "localhost".to_owned()).into(),
                port: self.port(advertised),
                security_protocol: advertised.protocol.code(),
            }
        });
        let features = feature::supported_ranges(config.unstable_features).into_iter().map(|(name, min, max)| {
            controller_registration_request::Feature {
                name: name.into(),
                min_supported_version: min,
                max_supported_version: max,
            }
        });
        let request = ControllerRegistrationRequest {
            controller_id: config.node_id.0,
            incarnation_id: Uuid::from_random(thalweg_sys::random::bytes16()),
            listeners: listeners.collect(),
            features: features.collect(),
            ..ControllerRegistrationRequest::default()
        };
        let mut said = None;
        loop {
            match metadata.ask(Asker::ThisNode, metadata.context(0), request.clone()).await {
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.code == ErrorCode::UnsupportedVersion => return Ok(()),
                Err(refusal) => self.wait_to_register(metadata, &refusal, "controller", &mut said).await,
            }
        }
    }

    /// Registers this broker with the active controller, which gives it its epoch. Another run of it that seems alive keeps
    /// it waiting until that run's session is over.
    pub(super) async fn register_broker(
        &self,
        metadata: &MetadataHandle,
        log_dirs: Vec<Uuid>,
        previous: Option<i64>,
    ) -> Result<BrokerEpoch, Cause> {
        let config = self.config;
        let listeners = config.network.advertised_listeners.iter().map(|advertised| RegisteredListener {
            name: advertised.name.as_str().into(),
            host: advertised.host.clone().unwrap_or_else(|| "localhost".to_owned()).into(),
            port: self.port(advertised),
            security_protocol: advertised.protocol.code(),
        });
        let features = feature::supported_ranges(config.unstable_features).into_iter().map(|(name, min, max)| {
            Feature { name: name.into(), min_supported_version: min, max_supported_version: max }
        });
        let request = BrokerRegistrationRequest {
            broker_id: config.node_id.0,
            cluster_id: self.cluster_id.into(),
            incarnation_id: Uuid::from_random(thalweg_sys::random::bytes16()),
            listeners: listeners.collect(),
            features: features.collect(),
            rack: config.rack.as_deref().map(Into::into),
            log_dirs,
            previous_broker_epoch: previous.unwrap_or(-1),
            ..BrokerRegistrationRequest::default()
        };
        let mut said = None;
        loop {
            let context = metadata.context(REGISTRATION_VERSION);
            match metadata.ask(Asker::ThisNode, context, request.clone()).await {
                Ok(response) => return Ok(BrokerEpoch(response.broker_epoch)),
                Err(refusal) if may_pass(refusal.code) => {
                    self.wait_to_register(metadata, &refusal, "broker", &mut said).await;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Says once why the node is not registered, in `said`, and waits a little.
    async fn wait_to_register(
        &self,
        metadata: &MetadataHandle,
        refusal: &Refusal,
        role: &str,
        said: &mut Option<ErrorCode>,
    ) {
        let leader = metadata.quorum().leader;
        if said.replace(refusal.code) == Some(refusal.code) {
            debug!(error = %refusal, "the {role} is still not registered");
        } else if leader == NodeId::NONE {
            let asked = self.config.quorum.asked();
            info!("the {role} waits for a leader of the metadata quorum; {asked} are asked for one");
        } else {
            warn!(error = %refusal, controller = %leader, "the {role} is not registered yet, and tries again and again");
        }
        sleep(REGISTRATION_PAUSE).await;
    }
}

/// Whether a broker that is refused so may be taken in later.
fn may_pass(code: ErrorCode) -> bool {
    let passing = [ErrorCode::DuplicateBrokerRegistration, ErrorCode::NotController, ErrorCode::RequestTimedOut];
    passing.contains(&code)
}

/// Whom to ask for the leader: static voters, or the bootstrap servers.
fn bootstrap(config: &NodeConfig) -> Vec<Peer> {
    if config.quorum.voters.is_empty() {
        (0..config.quorum.bootstrap_servers.len()).map(Peer::Bootstrap).collect()
    } else {
        config.quorum.voters.keys().copied().map(Peer::Node).collect()
    }
}

/// The first of `controller.listener.names`: nodes reach controllers there.
pub(super) fn default_listener(config: &NodeConfig) -> String {
    config.network.controller_listener_names.first().cloned().unwrap_or_default()
}

/// A session time-out that the operator has set is kept to the letter.
fn session_times(config: &NodeConfig) -> SessionTimes {
    let timeout = millis(i64::from(config.replication.broker_session_timeout_ms));
    let is_set = config.properties.contains_key(SESSION_TIMEOUT);
    SessionTimes { timeout, grace: (!is_set).then_some(LOST_GRACE) }
}

fn token_settings(config: &TokenConfig) -> TokenSettings {
    TokenSettings {
        secret: config.secret.as_ref().map(|secret| secret.reveal().into()),
        lifetime_max_ms: config.lifetime_max_ms,
        renewal_ms: config.renewal_ms,
    }
}

fn election_times(config: &NodeConfig) -> ElectionTimes {
    let replication = &config.replication;
    let seconds = u64::try_from(replication.leader_imbalance_check_interval_seconds).unwrap_or(u64::MAX);
    ElectionTimes {
        preferred_every: replication.auto_leader_rebalance_enable.then(|| Duration::from_secs(seconds)),
        unclean_every: millis(replication.unclean_leader_election_interval_ms),
    }
}

/// The metadata log is never deleted by age or size: what a snapshot holds goes.
fn metadata_log_config(config: &NodeConfig) -> LogConfig {
    LogConfig {
        segment_bytes: u32::try_from(config.storage.metadata_log_segment_bytes).unwrap_or(u32::MAX),
        segment_ms: config.storage.metadata_log_segment_ms,
        delete: false,
        ..LogConfig::default()
    }
}
