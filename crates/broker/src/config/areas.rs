//! The parts of a node's configuration, by what they are for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thalweg_base::NodeId;
use thalweg_metadata::config::{parse_bootstrap_server, parse_voter};
use thalweg_records::validate::DECOMPRESSED_BYTES_MAX;

use super::listeners::{Listener, Listeners, SecurityProtocol};
use super::properties::Properties;
use super::{CONSOLE, DECOMPRESSED_MAX, HTTP_LISTEN, Refused, RefusedKind};

/// Where clients and other nodes reach this one, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// `listeners`, those of the controller among them.
    pub listeners: Vec<Listener>,
    /// What brokers and clients are told to connect to: `advertised.listeners`, or `listeners`, without those of the
    /// controller. A host of `None` is to be replaced by the machine's name.
    pub advertised_listeners: Vec<Listener>,
    /// What other nodes are told about the controller, in the order of `controller.listener.names`.
    pub advertised_controller_listeners: Vec<Listener>,
    /// `controller.listener.names`
    pub controller_listener_names: Vec<String>,
    /// `inter.broker.listener.name`, or the name of `security.inter.broker.protocol`.
    pub inter_broker_listener_name: String,
    /// `listener.security.protocol.map`: how each listener, of this node or of others, encrypts and authenticates.
    pub protocols: BTreeMap<String, SecurityProtocol>,
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: i32,
    /// `socket.send.buffer.bytes`: -1 is the system's choice.
    pub socket_send_buffer_bytes: i32,
    /// `socket.receive.buffer.bytes`: -1 is the system's choice.
    pub socket_receive_buffer_bytes: i32,
    /// `socket.listen.backlog.size`
    pub socket_listen_backlog_size: i32,
    /// `max.connections`
    pub max_connections: i32,
    /// `max.connections.per.ip`
    pub max_connections_per_ip: i32,
    /// `max.connections.per.ip.overrides`: by host name or address.
    pub max_connections_per_ip_overrides: BTreeMap<String, i32>,
    /// `max.connection.creation.rate`: connections a second.
    pub max_connection_creation_rate: i32,
    /// `connections.max.idle.ms`: negative is for ever.
    pub connections_max_idle_ms: i64,
    /// `queued.max.requests`
    pub queued_max_requests: i32,
    /// `queued.max.request.bytes`: -1 is no limit.
    pub queued_max_request_bytes: i64,
    /// `num.network.threads`
    pub num_network_threads: i32,
    /// `num.io.threads`
    pub num_io_threads: i32,
    /// `telemetry.max.bytes`: of what a client pushes of its metrics.
    pub telemetry_max_bytes: i32,
    /// `thalweg.http.listen`: where metrics and health are served over HTTP; nowhere unless it is set.
    pub http_listen: Option<(String, u16)>,
    /// `thalweg.console`: what the console there may do; `None` leaves it to the address.
    pub console: Option<ConsoleAccess>,
}

/// What the console of a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleAccess {
    /// It is served, and changes what it is asked to.
    On,
    /// It is served, and changes nothing.
    ReadOnly,
    /// It is not served.
    Off,
}

impl NetworkConfig {
    pub(super) fn read(properties: &Properties, listeners: Listeners) -> Result<Self, Refused> {
        let is_controllers = |listener: &&Listener| listeners.controller_names.contains(&listener.name);
        let node_id = NodeId(properties.int("node.id"));
        let voter = voters(properties)?.remove(&node_id);
        Ok(Self {
            advertised_listeners: listeners.advertised.iter().filter(|l| !is_controllers(l)).cloned().collect(),
            advertised_controller_listeners: advertised_controller(&listeners, voter),
            controller_listener_names: listeners.controller_names,
            inter_broker_listener_name: listeners.inter_broker_name,
            protocols: listeners.protocols,
            listeners: listeners.all,
            socket_request_max_bytes: properties.int("socket.request.max.bytes"),
            socket_send_buffer_bytes: properties.int("socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: properties.int("socket.receive.buffer.bytes"),
            socket_listen_backlog_size: properties.int("socket.listen.backlog.size"),
            max_connections: properties.int("max.connections"),
            max_connections_per_ip: properties.int("max.connections.per.ip"),
            max_connections_per_ip_overrides: overrides(properties)?,
            max_connection_creation_rate: properties.int("max.connection.creation.rate"),
            connections_max_idle_ms: properties.long("connections.max.idle.ms"),
            queued_max_requests: properties.int("queued.max.requests"),
            queued_max_request_bytes: properties.long("queued.max.request.bytes"),
            num_network_threads: properties.int("num.network.threads"),
            num_io_threads: properties.int("num.io.threads"),
            telemetry_max_bytes: properties.int("telemetry.max.bytes"),
            http_listen: http_listen(properties)?,
            console: console(properties)?,
        })
    }

    /// The listeners that serve clients and brokers.
    pub fn broker_listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(|listener| !self.controller_listener_names.contains(&listener.name))
    }

    /// The listeners that serve the quorum.
    pub fn controller_listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(|listener| self.controller_listener_names.contains(&listener.name))
    }
}

/// The controller's address for others: what is advertised, else where it listens; for the first controller listener,
/// what the static voters say of this node stands in for a missing host.
fn advertised_controller(listeners: &Listeners, voter: Option<(String, u16)>) -> Vec<Listener> {
    let named = |list: &[Listener], name: &str| list.iter().find(|l| l.name == name.to_uppercase()).cloned();
    let mut found = Vec::new();
    for (i, name) in listeners.controller_names.iter().enumerate() {
        if let Some(listener) = named(&listeners.advertised, name).filter(|_| listeners.advertised_is_set) {
            found.push(listener);
            continue;
        }
        let Some(mut listener) = named(&listeners.all, name) else { continue };
        if listener.host.as_deref() == Some("0.0.0.0") {
            listener.host = None;
        }
        if let (0, None, Some((host, port))) = (i, &listener.host, &voter) {
            listener.host = Some(host.clone());
            listener.port = *port;
        }
        found.push(listener);
    }
    found
}

/// `host:port`, with a host in brackets where it has colons of its own; an empty host is every interface.
fn http_listen(properties: &Properties) -> Result<Option<(String, u16)>, Refused> {
    let Some(text) = properties.texts().get(HTTP_LISTEN).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let address = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = address else {
        return Err(Refused::config(format!(
            "Invalid value {text} for configuration {HTTP_LISTEN}: it is no host:port"
        )));
    };
    Ok(Some((host.trim_matches(['[', ']']).to_owned(), port)))
}

fn console(properties: &Properties) -> Result<Option<ConsoleAccess>, Refused> {
    match properties.texts().get(CONSOLE).map(|text| text.trim()) {
        None | Some("") => Ok(None),
        Some("on") => Ok(Some(ConsoleAccess::On)),
        Some("read-only") => Ok(Some(ConsoleAccess::ReadOnly)),
        Some("off") => Ok(Some(ConsoleAccess::Off)),
        Some(text) => Err(Refused::config(format!(
            "Invalid value {text} for configuration {CONSOLE}: String must be one of: on, read-only, off"
        ))),
    }
}

/// The most that the records of a batch may have; checking them takes time and no memory.
fn batch_decompressed_max_bytes(properties: &Properties) -> Result<usize, Refused> {
    let Some(text) = properties.texts().get(DECOMPRESSED_MAX).map(|text| text.trim()).filter(|text| !text.is_empty())
    else {
        return Ok(DECOMPRESSED_BYTES_MAX);
    };
    match text.parse() {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => {
            Err(Refused::config(format!("Invalid value {text} for configuration {DECOMPRESSED_MAX}: it is no number")))
        }
    }
}

fn overrides(properties: &Properties) -> Result<BTreeMap<String, i32>, Refused> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let mut map = BTreeMap::new();
    for pair in properties.string(KEY).split(',').filter(|pair| !pair.is_empty()) {
        let Some((host, limit)) = pair.rsplit_once(':') else {
            return Err(Refused::illegal(format!("Error parsing configuration property '{KEY}': {pair} has no colon")));
        };
        let limit = limit.trim().parse().map_err(|_| Refused {
            kind: RefusedKind::NumberFormat,
            message: format!("For input string: \"{}\"", limit.trim()),
        })?;
        map.insert(host.trim().to_owned(), limit);
    }
    Ok(map)
}

/// The metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `controller.quorum.voters`: the static voters; empty when the voters stand in the metadata log.
    pub voters: BTreeMap<NodeId, (String, u16)>,
    /// `controller.quorum.bootstrap.servers`
    pub bootstrap_servers: Vec<(String, u16)>,
    /// `controller.quorum.election.timeout.ms`
    pub election_timeout_ms: i32,
    /// `controller.quorum.election.backoff.max.ms`
    pub election_backoff_max_ms: i32,
    /// `controller.quorum.fetch.timeout.ms`
    pub fetch_timeout_ms: i32,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout_ms: i32,
    /// `controller.quorum.retry.backoff.ms`
    pub retry_backoff_ms: i32,
    /// `controller.quorum.auto.join.enable`
    pub auto_join_enable: bool,
    /// `controller.quorum.append.linger.ms`
    pub append_linger_ms: i32,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// `metadata.max.idle.interval.ms`: how often a leader without work writes a record that says so; 0 is never.
    pub metadata_max_idle_interval_ms: i32,
}

impl QuorumConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let servers = properties.list("controller.quorum.bootstrap.servers");
        Ok(Self {
            voters: voters(properties)?,
            bootstrap_servers: servers.iter().map(|s| parse_bootstrap_server(s)).collect::<Result<_, _>>()?,
            election_timeout_ms: properties.int("controller.quorum.election.timeout.ms"),
            election_backoff_max_ms: properties.int("controller.quorum.election.backoff.max.ms"),
            fetch_timeout_ms: properties.int("controller.quorum.fetch.timeout.ms"),
            request_timeout_ms: properties.int("controller.quorum.request.timeout.ms"),
            retry_backoff_ms: properties.int("controller.quorum.retry.backoff.ms"),
            auto_join_enable: properties.boolean("controller.quorum.auto.join.enable"),
            append_linger_ms: properties.int("controller.quorum.append.linger.ms"),
            fetch_max_bytes: properties.int("controller.quorum.fetch.max.bytes"),
            fetch_snapshot_max_bytes: properties.int("controller.quorum.fetch.snapshot.max.bytes"),
            metadata_max_idle_interval_ms: properties.int("metadata.max.idle.interval.ms"),
        })
    }

    /// The addresses that are asked for the leader, as an operator reads them.
    #[must_use]
    pub fn asked(&self) -> String {
        let voters = self.voters.values();
        let servers = self.bootstrap_servers.iter().filter(|_| self.voters.is_empty());
        let addresses: Vec<String> = voters.chain(servers).map(|(host, port)| format!("{host}:{port}")).collect();
        addresses.join(", ")
    }
}

fn voters(properties: &Properties) -> Result<BTreeMap<NodeId, (String, u16)>, Refused> {
    let mut voters = BTreeMap::new();
    for entry in properties.list("controller.quorum.voters") {
        let (id, host, port) = parse_voter(&entry)?;
        voters.insert(NodeId(id), (host, port));
    }
    Ok(voters)
}

/// The data directories and what happens in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// `log.dirs`, or `log.dir`; at least one.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_log_dir: PathBuf,
    /// `metadata.log.segment.bytes`, or its internal twin without a lower bound.
    pub metadata_log_segment_bytes: i32,
    /// `metadata.log.segment.ms`
    pub metadata_log_segment_ms: i64,
    /// `thalweg.batch.decompressed.max.bytes`
    pub batch_decompressed_max_bytes: usize,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub metadata_log_max_record_bytes_between_snapshots: i64,
    /// `metadata.log.max.snapshot.interval.ms`: 0 is never.
    pub metadata_log_max_snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`: -1 is no limit.
    pub metadata_max_retention_bytes: i64,
    /// `metadata.max.retention.ms`: -1 is no limit.
    pub metadata_max_retention_ms: i64,
    /// `internal.metadata.max.batch.size.in.bytes`
    pub metadata_max_batch_bytes: i32,
    /// `internal.metadata.delete.delay.millis`
    pub metadata_delete_delay_ms: i64,
    /// `log.retention.check.interval.ms`
    pub log_retention_check_interval_ms: i64,
    /// `log.flush.scheduler.interval.ms`
    pub log_flush_scheduler_interval_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub log_flush_offset_checkpoint_interval_ms: i32,
    /// `log.flush.start.offset.checkpoint.interval.ms`
    pub log_flush_start_offset_checkpoint_interval_ms: i32,
    /// `log.initial.task.delay.ms`: how long after the start the first of these rounds begins.
    pub log_initial_task_delay_ms: i64,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub replica_high_watermark_checkpoint_interval_ms: i64,
    /// `num.recovery.threads.per.data.dir`: so many logs of one directory are opened at once.
    pub num_recovery_threads_per_data_dir: i32,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i32,
    /// `producer.id.expiration.check.interval.ms`
    pub producer_id_expiration_check_interval_ms: i32,
}

impl StorageConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let dirs = properties.optional_list("log.dirs").unwrap_or_else(|| properties.list("log.dir"));
        let log_dirs: Vec<PathBuf> = dirs.into_iter().map(PathBuf::from).collect();
        let metadata_log_dir = match properties.optional_string("metadata.log.dir") {
            Some(dir) => PathBuf::from(dir),
            None => log_dirs.first().cloned().unwrap_or_default(),
        };
        let metadata_segment = properties
            .optional_int("internal.metadata.log.segment.bytes")
            .unwrap_or_else(|| properties.int("metadata.log.segment.bytes"));
        Ok(Self {
            batch_decompressed_max_bytes: batch_decompressed_max_bytes(properties)?,
            log_dirs,
            metadata_log_dir,
            metadata_log_segment_bytes: metadata_segment,
            metadata_log_segment_ms: properties.long("metadata.log.segment.ms"),
            metadata_log_max_record_bytes_between_snapshots: properties
                .long("metadata.log.max.record.bytes.between.snapshots"),
            metadata_log_max_snapshot_interval_ms: properties.long("metadata.log.max.snapshot.interval.ms"),
            metadata_max_retention_bytes: properties.long("metadata.max.retention.bytes"),
            metadata_max_retention_ms: properties.long("metadata.max.retention.ms"),
            metadata_max_batch_bytes: properties.int("internal.metadata.max.batch.size.in.bytes"),
            metadata_delete_delay_ms: properties.long("internal.metadata.delete.delay.millis"),
            log_retention_check_interval_ms: properties.long("log.retention.check.interval.ms"),
            log_flush_scheduler_interval_ms: properties.long("log.flush.scheduler.interval.ms"),
            log_flush_offset_checkpoint_interval_ms: properties.int("log.flush.offset.checkpoint.interval.ms"),
            log_flush_start_offset_checkpoint_interval_ms: properties
                .int("log.flush.start.offset.checkpoint.interval.ms"),
            log_initial_task_delay_ms: properties.long("log.initial.task.delay.ms"),
            replica_high_watermark_checkpoint_interval_ms: properties
                .long("replica.high.watermark.checkpoint.interval.ms"),
            num_recovery_threads_per_data_dir: properties.int("num.recovery.threads.per.data.dir"),
            producer_id_expiration_ms: properties.int("producer.id.expiration.ms"),
            producer_id_expiration_check_interval_ms: properties.int("producer.id.expiration.check.interval.ms"),
        })
    }

    /// Makes every directory an absolute path, relative ones from the working directory.
    ///
    /// # Errors
    /// When there is no working directory, or a path is empty.
    pub fn make_absolute(&mut self) -> std::io::Result<()> {
        for dir in self.log_dirs.iter_mut().chain([&mut self.metadata_log_dir]) {
            *dir = std::path::absolute(&dir)?;
        }
        Ok(())
    }

    /// Every directory of the node, each once: the data directories, then that of the metadata if it is another.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = self.log_dirs.clone();
        if !directories.contains(&self.metadata_log_dir) {
            directories.push(self.metadata_log_dir.clone());
        }
        directories
    }
}

/// What topics get that nobody says more about. Their other configs come from [`super::NodeConfig::properties`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicsConfig {
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i32,
    /// `auto.create.topics.enable`
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `max.request.partition.size.limit`: how many partitions one DescribeTopicPartitions answers.
    pub max_request_partition_size_limit: i32,
}

impl TopicsConfig {
    pub(super) fn read(properties: &Properties) -> Self {
        Self {
            num_partitions: properties.int("num.partitions"),
            default_replication_factor: properties.int("default.replication.factor"),
            auto_create_topics_enable: properties.boolean("auto.create.topics.enable"),
            delete_topic_enable: properties.boolean("delete.topic.enable"),
            max_request_partition_size_limit: properties.int("max.request.partition.size.limit"),
        }
    }
}

/// Limits of fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchConfig {
    /// `fetch.max.bytes`
    pub max_bytes: i32,
    /// `max.incremental.fetch.session.cache.slots`
    pub max_incremental_fetch_session_cache_slots: i32,
    /// `replica.selector.class` names Kafka's selector by racks (KIP-392).
    pub rack_aware: bool,
}

/// Kafka's selectors of replicas.
pub(super) const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
pub(super) const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";

impl FetchConfig {
    pub(super) fn read(properties: &Properties) -> Self {
        Self {
            max_bytes: properties.int("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: properties.int("max.incremental.fetch.session.cache.slots"),
            rack_aware: properties
                .optional_string("replica.selector.class")
                .is_some_and(|class| class == RACK_AWARE_SELECTOR),
        }
    }
}

/// Replicas and brokers that fall behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`
    pub replica_lag_time_max_ms: i64,
    /// `request.timeout.ms`
    pub request_timeout_ms: i32,
    /// `broker.heartbeat.interval.ms`
    pub broker_heartbeat_interval_ms: i32,
    /// `broker.session.timeout.ms`
    pub broker_session_timeout_ms: i32,
    /// `controlled.shutdown.enable`
    pub controlled_shutdown_enable: bool,
    /// `auto.leader.rebalance.enable`
    pub auto_leader_rebalance_enable: bool,
    /// `leader.imbalance.check.interval.seconds`
    pub leader_imbalance_check_interval_seconds: i64,
    /// `unclean.leader.election.interval.ms`
    pub unclean_leader_election_interval_ms: i64,
    /// `num.replica.fetchers`
    pub num_replica_fetchers: i32,
    /// `replica.fetch.max.bytes`
    pub replica_fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`
    pub replica_fetch_response_max_bytes: i32,
    /// `replica.fetch.min.bytes`
    pub replica_fetch_min_bytes: i32,
    /// `replica.fetch.wait.max.ms`
    pub replica_fetch_wait_max_ms: i32,
    /// `replica.fetch.backoff.ms`
    pub replica_fetch_backoff_ms: i32,
    /// `replica.socket.timeout.ms`
    pub replica_socket_timeout_ms: i32,
    /// `replica.socket.receive.buffer.bytes`
    pub replica_socket_receive_buffer_bytes: i32,
}

impl ReplicationConfig {
    pub(super) fn read(properties: &Properties) -> Self {
        Self {
            replica_lag_time_max_ms: properties.long("replica.lag.time.max.ms"),
            request_timeout_ms: properties.int("request.timeout.ms"),
            broker_heartbeat_interval_ms: properties.int("broker.heartbeat.interval.ms"),
            broker_session_timeout_ms: properties.int("broker.session.timeout.ms"),
            controlled_shutdown_enable: properties.boolean("controlled.shutdown.enable"),
            auto_leader_rebalance_enable: properties.boolean("auto.leader.rebalance.enable"),
            leader_imbalance_check_interval_seconds: properties.long("leader.imbalance.check.interval.seconds"),
            unclean_leader_election_interval_ms: properties.long("unclean.leader.election.interval.ms"),
            num_replica_fetchers: properties.int("num.replica.fetchers"),
            replica_fetch_max_bytes: properties.int("replica.fetch.max.bytes"),
            replica_fetch_response_max_bytes: properties.int("replica.fetch.response.max.bytes"),
            replica_fetch_min_bytes: properties.int("replica.fetch.min.bytes"),
            replica_fetch_wait_max_ms: properties.int("replica.fetch.wait.max.ms"),
            replica_fetch_backoff_ms: properties.int("replica.fetch.backoff.ms"),
            replica_socket_timeout_ms: properties.int("replica.socket.timeout.ms"),
            replica_socket_receive_buffer_bytes: properties.int("replica.socket.receive.buffer.bytes"),
        }
    }
}
