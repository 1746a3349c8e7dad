//! A node from its start to its end.

mod joining;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_base::{BrokerEpoch, Timestamp};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap};
use thalweg_network::{ConnectionLimits, Listener, ListenerName, ListenerType, Network};
use thalweg_replica::{SessionLimits, Sessions};
use thalweg_storage::{Fault, OpenFiles};
use thalweg_sys::closing::Close;
use thalweg_sys::net::SocketOptions;
use thalweg_sys::process::DescriptorBudget;
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::{Duration, Instant, now, timeout};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tracing::{error, info};

use crate::broker::Broker;
use crate::config::{self, HTTP_LISTEN, NodeConfig};
use crate::drivers::clock::timestamp;
use crate::drivers::groups::Groups;
use crate::drivers::log_dirs::{self, DirError, LogDirs};
use crate::drivers::maintenance::{Intervals, Maintenance};
use crate::drivers::metadata::{Acting, Ended, LoadError, MetadataHandle};
use crate::drivers::partition::{Local, Proposed};
use crate::drivers::partitions::Partitions;
use crate::drivers::presence::Presence;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::replication::FetchingConfig;
use crate::drivers::replication::in_sync::InSync;
use crate::drivers::reports::Reports;
use crate::drivers::settings::BrokerLimits;
use crate::drivers::share::{ShareCoordinators, SharePartitions};
use crate::drivers::throttles::Throttles;
use crate::drivers::transactions::Transactions;
use crate::format;
use crate::http::{Step, Watch};
use crate::live::{self, Reloaded};
use crate::live_properties::LiveProperties;
use crate::loggers::Loggers;
use crate::metrics::Metrics;
use crate::page::VitalsReader;
use crate::quotas::ClientQuotas;
use crate::seat_limits::NamedLimits;
use crate::security::{self, Outgoings, Securities, SecurityError};
use crate::telemetry::{Receiver, Telemetry};
use joining::{Joining, RunningQuorum};

/// What requests in flight may take on the whole node unless `queued.max.request.bytes` says otherwise: five of Kafka's
/// largest requests, or thousands of usual ones.
const REQUEST_MEMORY_DEFAULT: usize = 512 << 20;

/// How long a broker waits for leave to stop, as in Kafka.
const LEAVE_MAX: Duration = Duration::from_secs(300);

/// Why a node did not start. Its text says what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Dir(#[from] DirError),
    #[error(transparent)]
    Format(#[from] format::FormatError),
    #[error("{0}")]
    Disks(String),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Quorum(#[from] Ended),
    #[error("cannot listen on {addr} for listener {name}: {source}{}", advice(source))]
    Listen { name: String, addr: String, source: std::io::Error },
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error("the controller refused this broker: {0}")]
    Refused(#[from] thalweg_controller::Refusal),
    #[error("the node stopped before it had joined its cluster")]
    Stopped,
    #[error("the metadata quorum has ended: {0}")]
    Interrupted(#[from] task::JoinError),
}

/// A node that runs.
pub struct Node {
    broker: Arc<Broker>,
    bound: Vec<(ListenerType, SocketAddr)>,
    /// `None` without the role of a broker.
    broker_epoch: Option<BrokerEpoch>,
    leaving: Close,
    closing_listeners: Close,
    closing_drivers: Close,
    listeners: Vec<JoinHandle<()>>,
    maintenance: JoinHandle<()>,
    presence: JoinHandle<Option<String>>,
    live: JoinHandle<()>,
    watch: Watch,
    quorum: JoinHandle<Result<(), Ended>>,
    publisher: JoinHandle<()>,
}

impl Node {
    /// Starts a node: formats empty directories if it is its own only controller, recovers its logs, and serves clients
    /// when all is ready.
    ///
    /// # Errors
    /// When a directory is in use, malformed or belongs to another node, a port is taken, or the controller refuses it.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        Self::start_with(config, Loggers::default()).await
    }

    /// The same, and clients may change levels of these loggers.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_with(config: NodeConfig, loggers: Loggers) -> Result<Self, StartError> {
        Ok(Starting::begin(config, loggers).await?)
    }

    /// The addresses at which clients reach this node, as `bootstrap.servers` takes them.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.addresses(ListenerType::Broker)
    }

    /// The addresses of its controller, as `--bootstrap-controller` takes them.
    #[must_use]
    pub fn bootstrap_controllers(&self) -> String {
        self.addresses(ListenerType::Controller)
    }

    fn addresses(&self, kind: ListenerType) -> String {
        let of_kind = self.bound.iter().filter(|(bound, _)| *bound == kind);
        let reached = |addr: &SocketAddr| match addr.ip().is_unspecified() {
            true => format!("localhost:{}", addr.port()),
            false => addr.to_string(),
        };
        let addresses: Vec<String> = of_kind.map(|(_, addr)| reached(addr)).collect();
        addresses.join(",")
    }

    /// Where metrics and health are served over HTTP, if they are.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.watch.local
    }

    /// From now on, requests over HTTP that are not about this node's metrics and health are answered by `handler`. Only the
    /// first one counts.
    pub fn answer_http_with(&self, handler: thalweg_http::Handler) {
        let _ = self.watch.guest.set(handler);
    }

    /// Reads what this node has done so far, for a history that is kept beside it.
    #[must_use]
    pub fn vitals(&self) -> VitalsReader {
        VitalsReader::new(&self.broker)
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.broker.cluster_id
    }

    /// The properties were read again: applies what may change at run time. `config` is what they say now.
    pub async fn reload(&self, config: &NodeConfig) -> Reloaded {
        live::reload(&self.broker, config).await
    }

    /// Completes when the node cannot go on: its metadata log has failed, or the last of its log directories.
    pub async fn failed(&mut self) -> String {
        let quorum = async {
            match (&mut self.quorum).await {
                Ok(Ok(())) => "the metadata quorum has ended".to_owned(),
                Ok(Err(ended)) => ended.to_string(),
                Err(e) => format!("the metadata quorum has panicked: {e}"),
            }
        };
        let disks = async {
            match (&mut self.presence).await {
                Ok(Some(why)) => why,
                Ok(None) => std::future::pending().await,
                Err(e) => format!("the task that talks to the controller has panicked: {e}"),
            }
        };
        tokio::select! {
            biased;
            why = disks => why,
            why = quorum => why,
        }
    }

    /// Stops: hands over what it leads, takes no more requests, answers what was taken, closes the logs and marks the
    /// directories as clean.
    pub async fn stop(self) {
        self.stop_hurried_by(std::future::pending()).await;
    }

    /// Stops like [`Node::stop`]. The controller gets some minutes to find other leaders and clients some seconds for their
    /// last answers, but none from the time on when `hurry` completes; the logs are closed all the same.
    pub async fn stop_hurried_by(mut self, hurry: impl Future<Output = ()>) {
        self.watch.health.enter(Step::Stopping);
        let answered = async {
            let asks = self.broker.config.replication.controlled_shutdown_enable && self.broker_epoch.is_some();
            if asks && !self.presence.is_finished() {
                self.leaving.now();
                let _ = timeout(LEAVE_MAX, &mut self.presence).await;
            }
            self.closing_listeners.now();
            for listener in &mut self.listeners {
                let _ = listener.await;
            }
        };
        tokio::select! {
            biased;
            () = answered => {}
            () = hurry => {}
        }
        self.closing_listeners.now();
        self.closing_drivers.now();
        let _ = (self.maintenance.await, self.live.await);
        if !self.presence.is_finished() {
            let _ = self.presence.await;
        }
        if !self.quorum.is_finished()
            && let Ok(Err(ended)) = self.quorum.await
        {
            error!(error = %ended, "the metadata log was not closed cleanly");
        }
        let _ = self.publisher.await;
        self.broker.transactions.close();
        self.broker.share.coordinators().close();
        self.broker.groups.close();
        if let Some(epoch) = self.broker_epoch {
            let partitions = Arc::clone(&self.broker.partitions);
            let _ = task::blocking(move || partitions.close(epoch.0)).await;
        }
        self.watch.stop().await;
        info!("the node has stopped");
    }
}

/// A node that has joined its cluster.
struct Joined {
    /// `None` without the role of a broker.
    broker_epoch: Option<BrokerEpoch>,
    presence: JoinHandle<Option<String>>,
}

/// What a broker is put together from.
struct Parts {
    properties: Arc<LiveProperties>,
    partitions: Arc<Partitions>,
    metadata: MetadataHandle,
    groups: Arc<Groups>,
    transactions: Arc<Transactions>,
    share: Arc<SharePartitions>,
    maintenance: Maintenance,
    producer_ids: Arc<ProducerIds>,
}

/// The steps of a start, in their order.
struct Starting {
    config: NodeConfig,
    loggers: Loggers,
    started: Instant,
    started_at: Timestamp,
    cluster_id: String,
    securities: Securities,
    outgoings: Outgoings,
    watch: Watch,
    leaving: Close,
    closing_listeners: Close,
    closing_drivers: Close,
}

impl Starting {
    async fn begin(config: NodeConfig, loggers: Loggers) -> Result<Node, Cause> {
        let (started, started_at) = (now(), timestamp());
        let watch = watch(&config).await?;
        let jaas = security::jaas(&config)?;
        let securities = security::read(&config, &jaas)?;
        let outgoings = Outgoings::read(&config, &jaas)?;
        let listeners = bind(&config, &securities).await?;
        let (dirs, cluster_id) = open_dirs(&config)?;
        let this = Self {
            config,
            loggers,
            started,
            started_at,
            cluster_id,
            securities,
            outgoings,
            watch,
            leaving: Close::new(),
            closing_listeners: Close::new(),
            closing_drivers: Close::new(),
        };
        this.run(listeners, dirs).await
    }

    async fn run(self, listeners: Vec<Listener>, dirs: LogDirs) -> Result<Node, Cause> {
        let config = &self.config;
        let previous = previous_epoch(&dirs);
        let bound: Vec<_> = listeners.iter().map(|listener| (listener.name.kind, listener.local)).collect();
        let ports = listeners.iter().map(|listener| (listener.name.name.to_string(), listener.local.port()));
        let metadata_dir = dirs.metadata_id();
        let joining = Joining {
            config,
            outgoings: &self.outgoings,
            cluster_id: &self.cluster_id,
            metadata_dir,
            ports: ports.collect(),
        };
        let properties = LiveProperties::new(config.properties.clone());
        let (proposals, proposed) = unbounded_channel();
        let partitions = Partitions::new(
            self.local(proposals),
            dirs,
            Arc::clone(&properties),
            broker_limits(config),
            fetching(config, &self.outgoings),
        );
        let acting = self.acting(&partitions);
        let (groups, transactions) = (Arc::clone(&acting.groups), Arc::clone(&acting.transactions));
        let share = self.share_partitions(&partitions, &acting.share_coordinators);
        let closing = || self.closing_drivers.closing();
        let RunningQuorum { metadata, mut quorum, publisher } =
            joining.start_quorum(acting, self.started, closing())?;
        let (maintenance, flushes) = Maintenance::new();
        let producer_ids = Arc::new(ProducerIds::new(config.node_id));
        let parts = Parts { properties, partitions, metadata, groups, transactions, share, maintenance, producer_ids };
        let broker = self.broker(parts).await;
        // Controllers serve one another before any of them knows a leader: else nobody could be elected.
        let (controllers, brokers): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listener| listener.name.kind == ListenerType::Controller);
        security::follow_keys(&broker.securities, &closing()).await;
        let mut serving = self.serve(&broker, controllers);
        let joined = tokio::select! {
            biased;
            joined = self.join(&joining, &broker, previous) => joined?,
            ended = &mut quorum => return Err(ended?.err().map_or(Cause::Stopped, Cause::Quorum)),
        };
        let Joined { broker_epoch, presence } = joined;
        if let Some(epoch) = broker_epoch {
            let lag_max = millis(config.replication.replica_lag_time_max_ms);
            let (partitions, metadata) = (Arc::clone(&broker.partitions), broker.metadata.clone());
            let in_sync = InSync { node: config.node_id, epoch, partitions, metadata, lag_max };
            task::spawn(in_sync.run(proposed, closing()));
        }
        let maintenance = flushes.start(Arc::clone(&broker.partitions), intervals(config), closing());
        let live = task::spawn(live::follow(Arc::clone(&broker), closing()));
        serving.extend(self.serve(&broker, brokers));
        broker.warn_of_impossible_topics();
        self.watch.health.serve(&broker);
        Ok(Node {
            broker,
            bound,
            broker_epoch,
            leaving: self.leaving,
            closing_listeners: self.closing_listeners,
            closing_drivers: self.closing_drivers,
            listeners: serving,
            maintenance,
            presence,
            live,
            watch: self.watch,
            quorum,
            publisher,
        })
    }

    /// Registers the node in its roles. A broker opens its logs as the cluster's metadata wants them, and is unfenced.
    async fn join(&self, joining: &Joining<'_>, broker: &Arc<Broker>, previous: Option<i64>) -> Result<Joined, Cause> {
        let (metadata, partitions) = (&broker.metadata, &broker.partitions);
        self.watch.health.enter(Step::Registering);
        if self.config.roles.controller {
            joining.register_controller(metadata).await?;
        }
        if !self.config.roles.broker {
            let mut closing = self.closing_drivers.closing();
            let presence = task::spawn(async move {
                closing.begun().await;
                None
            });
            return Ok(Joined { broker_epoch: None, presence });
        }
        let epoch = joining.register_broker(metadata, partitions.dir_ids(), previous).await?;
        broker.producer_ids.registered(epoch);
        self.watch.health.enter(Step::Recovering);
        // What was decided before this broker registered is known here now, so that no log is taken for one of a topic that
        // was deleted.
        let own = |image: &MetadataImage| image.provenance().offset.0 >= epoch.0;
        let Some(image) = metadata.image_when(own).await else { return Err(Cause::Stopped) };
        partitions.load(Arc::clone(&image)).await;
        broker.groups.begin(Arc::clone(&image));
        broker.share.coordinators().begin(Arc::clone(&image));
        let (share, images) = (Arc::clone(&broker.share), metadata.clone());
        let changes = metadata.changes();
        task::spawn(share.run(move || images.image(), changes, self.closing_drivers.closing()));
        let security = &self.outgoings.brokers;
        broker.transactions.begin_with(Arc::clone(&broker.producer_ids), metadata.clone(), security);
        // What was published meanwhile has not been acted upon.
        partitions.apply(metadata.image()).await;
        let presence = self.begin_presence(metadata, partitions, epoch).await;
        Ok(Joined { broker_epoch: Some(epoch), presence })
    }

    async fn broker(&self, parts: Parts) -> Arc<Broker> {
        let (config, image) = (&self.config, parts.metadata.image());
        let limits = NamedLimits::read(&config.network, config.node_id, &config.properties, &image);
        let (seats, _) = limits.resolved().await;
        Arc::new(Broker {
            cluster_id: self.cluster_id.as_str().into(),
            authorizer: config.access.authorizer.clone().map(Arc::new),
            metrics: Metrics::default(),
            quotas: ClientQuotas::new(config.access.quota_windows, &image),
            telemetry: telemetry(config, &image),
            securities: self.securities.clone(),
            outgoings: self.outgoings.clone(),
            network: Network::new(connection_limits(config), seats),
            properties: parts.properties,
            partitions: parts.partitions,
            metadata: parts.metadata,
            groups: parts.groups,
            transactions: parts.transactions,
            share: parts.share,
            maintenance: parts.maintenance,
            fetch_sessions: Mutex::new(fetch_sessions(config)),
            producer_ids: parts.producer_ids,
            reports: Reports::default(),
            closing: self.closing_listeners.closing(),
            scratches: Mutex::default(),
            repeats: Mutex::default(),
            loggers: self.loggers.clone(),
            started: self.started,
            started_at: self.started_at,
            config: self.config.clone(),
        })
    }

    fn serve(&self, broker: &Arc<Broker>, listeners: Vec<Listener>) -> Vec<JoinHandle<()>> {
        let serve = |listener: Listener| {
            let (network, service) = (Arc::clone(&broker.network), Arc::clone(broker));
            task::spawn(listener.run(network, service, self.closing_listeners.closing()))
        };
        listeners.into_iter().map(serve).collect()
    }

    /// This node, as its partitions see it.
    fn local(&self, proposals: UnboundedSender<Proposed>) -> Local {
        let none = ConfigMap::new();
        let configs =
            BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &self.config.properties };
        let throttles = Arc::new(Throttles::new(&configs));
        Local { id: self.config.node_id, started: self.started, proposals, throttles, replicated: Arc::default() }
    }

    /// What acts on the metadata on this node.
    fn acting(&self, partitions: &Arc<Partitions>) -> Acting {
        let (node_id, config) = (self.config.node_id, &self.config);
        let groups = Groups::new(node_id, config.groups.clone(), Arc::clone(partitions), self.started);
        let transactions =
            Transactions::new(node_id, config.transactions.clone(), Arc::clone(partitions), &groups, self.started);
        let security = Arc::clone(&self.outgoings.brokers);
        let share_coordinators =
            ShareCoordinators::new(node_id, config.share.clone(), security, Arc::clone(partitions), self.started);
        Acting { partitions: Arc::clone(partitions), groups, transactions, share_coordinators }
    }

    fn share_partitions(
        &self,
        partitions: &Arc<Partitions>,
        coordinators: &Arc<ShareCoordinators>,
    ) -> Arc<SharePartitions> {
        let settings = self.config.groups.rules.share.clone();
        SharePartitions::new(Arc::clone(partitions), Arc::clone(coordinators), settings, self.started)
    }

    /// The logs are open: the broker asks to be unfenced, and goes on telling the controller about itself.
    async fn begin_presence(
        &self,
        metadata: &MetadataHandle,
        partitions: &Arc<Partitions>,
        epoch: BrokerEpoch,
    ) -> JoinHandle<Option<String>> {
        let (metadata, partitions) = (metadata.clone(), Arc::clone(partitions));
        let presence = Presence { metadata, partitions, node: self.config.node_id, epoch };
        presence.unfence().await;
        let every = millis(i64::from(self.config.replication.broker_heartbeat_interval_ms));
        let closing = self.closing_drivers.closing();
        task::spawn(presence.run(every, self.leaving.closing(), closing))
    }
}

async fn watch(config: &NodeConfig) -> Result<Watch, Cause> {
    let address = config.network.http_listen.as_ref();
    Watch::start(address).await.map_err(|source| Cause::Listen {
        name: HTTP_LISTEN.to_owned(),
        addr: address.map(|(host, port)| format!("{host}:{port}")).unwrap_or_default(),
        source,
    })
}

/// What helps when an address cannot be bound.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "; another node or program uses the port: stop it, or choose another port (--listen, or listeners)"
        }
        ErrorKind::PermissionDenied => {
            "; ports below 1024 are for privileged programs: choose a higher one (--listen, or listeners)"
        }
        ErrorKind::AddrNotAvailable => "; no interface of this machine has this address: correct the host in listeners",
        // What a resolver says has no kind of its own.
        _ => "; if it is the name of a host, check that this machine can resolve it",
    }
}

async fn bind(config: &NodeConfig, securities: &Securities) -> Result<Vec<Listener>, Cause> {
    let network = &config.network;
    // Kafka's default of 100 KiB dates from slow networks: then the kernel finds the right size by itself.
    const DEFAULT: i32 = 102_400;
    let buffer = |bytes: i32| u32::try_from(bytes).ok().filter(|_| bytes != DEFAULT);
    let options = SocketOptions {
        backlog: u32::try_from(network.socket_listen_backlog_size).unwrap_or(0),
        receive_buffer: buffer(network.socket_receive_buffer_bytes),
        send_buffer: buffer(network.socket_send_buffer_bytes),
    };
    let mut bound = Vec::new();
    let brokers = network.broker_listeners().map(|listener| (listener, ListenerType::Broker));
    let controllers = network.controller_listeners().map(|listener| (listener, ListenerType::Controller));
    for (listener, kind) in brokers.chain(controllers) {
        bound.push(bind_one(listener, kind, options, securities).await.map_err(|source| Cause::Listen {
            name: listener.name.clone(),
            addr: format!("{}:{}", listener.host.as_deref().unwrap_or_default(), listener.port),
            source,
        })?);
    }
    Ok(bound)
}

async fn bind_one(
    listener: &config::Listener,
    kind: ListenerType,
    options: SocketOptions,
    securities: &Securities,
) -> std::io::Result<Listener> {
    let host = listener.host.as_deref().unwrap_or_default();
    let name = ListenerName { name: listener.name.as_str().into(), kind };
    let encryption = securities.get(listener.name.as_str()).and_then(|security| security.encryption());
    Listener::bind(name, (host, listener.port), options, encryption).await
}

/// Takes every directory, formats those that are empty, and checks that all of them belong to this node. Directories that
/// cannot be used stay offline, as long as one is left and it is not that of the metadata.
fn open_dirs(config: &NodeConfig) -> Result<(LogDirs, String), Cause> {
    let mut locks = BTreeMap::new();
    for path in config.storage.directories() {
        match log_dirs::lock(&path) {
            Ok(lock) => drop(locks.insert(path, lock)),
            Err(e @ DirError::Io { .. }) if path != config.storage.metadata_log_dir => {
                error!(error = %e, "the log directory stays offline: mend the disk and restart the node");
            }
            Err(e) => return Err(e.into()),
        }
    }
    let opened = format::open(config, timestamp())?;
    for (path, why) in &opened.offline {
        error!(dir = %path.display(), "the log directory stays offline: {why}");
    }
    let dirs = LogDirs::open(&config.storage, locks, &opened.directory_ids);
    match dirs.fatal() {
        Some(why) => Err(Cause::Disks(why)),
        None => Ok((dirs, opened.cluster_id)),
    }
}

fn telemetry(config: &NodeConfig, image: &MetadataImage) -> Telemetry {
    let receiver = if config.network.http_listen.is_some() { Receiver::Page } else { Receiver::Nobody };
    Telemetry::new(receiver, config.network.telemetry_max_bytes, image)
}

fn connection_limits(config: &NodeConfig) -> ConnectionLimits {
    let network = &config.network;
    let request_memory = usize::try_from(network.queued_max_request_bytes).unwrap_or(REQUEST_MEMORY_DEFAULT);
    // Longer than any process runs.
    const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
    let idle_max =
        u64::try_from(network.connections_max_idle_ms).map_or(FOR_EVER, |ms| Duration::from_millis(ms).min(FOR_EVER));
    let descriptors = DescriptorBudget::of_this_process().connections;
    ConnectionLimits::new(count(network.socket_request_max_bytes), request_memory, idle_max, descriptors)
}

/// Only a node that shut all of its directories down may say so; else it may have lost records.
fn previous_epoch(dirs: &LogDirs) -> Option<i64> {
    let epochs: Vec<_> = dirs.iter().map(|dir| dir.checkpoints.previous_broker_epoch()).collect();
    epochs.first().copied().flatten().filter(|_| epochs.iter().all(|epoch| *epoch == epochs[0]))
}

fn broker_limits(config: &NodeConfig) -> BrokerLimits {
    BrokerLimits {
        replica_lag_max: millis(config.replication.replica_lag_time_max_ms),
        producer_id_expiration_ms: i64::from(config.storage.producer_id_expiration_ms),
        recovery_threads: count(config.storage.num_recovery_threads_per_data_dir),
        decompressed_bytes_max: config.storage.batch_decompressed_max_bytes,
        open_files: OpenFiles::at_most(DescriptorBudget::of_this_process().log_files),
    }
}

fn fetch_sessions(config: &NodeConfig) -> Sessions {
    let slots = count(config.fetch.max_incremental_fetch_session_cache_slots);
    Sessions::new(SessionLimits { slots, ..SessionLimits::default() })
}

fn fetching(config: &NodeConfig, outgoings: &Outgoings) -> FetchingConfig {
    let replication = &config.replication;
    let ms = |ms: i32| millis(i64::from(ms));
    FetchingConfig {
        fetchers: usize::try_from(replication.num_replica_fetchers).unwrap_or(1).max(1),
        partition_bytes_max: replication.replica_fetch_max_bytes,
        response_bytes_max: replication.replica_fetch_response_max_bytes,
        bytes_min: replication.replica_fetch_min_bytes,
        wait_max: ms(replication.replica_fetch_wait_max_ms),
        backoff: ms(replication.replica_fetch_backoff_ms),
        timeout: ms(replication.replica_socket_timeout_ms),
        receive_buffer_bytes: u32::try_from(replication.replica_socket_receive_buffer_bytes).ok(),
        security: Arc::clone(&outgoings.brokers),
    }
}

fn intervals(config: &NodeConfig) -> Intervals {
    let storage = &config.storage;
    let checkpoint = i64::from(storage.log_flush_offset_checkpoint_interval_ms)
        .min(i64::from(storage.log_flush_start_offset_checkpoint_interval_ms))
        .min(storage.replica_high_watermark_checkpoint_interval_ms);
    // No interval is so short that a node would do nothing else.
    let at_least = |ms: i64| millis(ms.clamp(100, 86_400_000));
    Intervals {
        first: millis(storage.log_initial_task_delay_ms),
        checkpoint: at_least(checkpoint),
        retention: at_least(storage.log_retention_check_interval_ms),
        flush: at_least(storage.log_flush_scheduler_interval_ms),
        producers: at_least(i64::from(storage.producer_id_expiration_check_interval_ms)),
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
