//! A tool's way to the cluster: Kafka's client with the errors of Kafka's `AdminClient`.

mod acls;
mod configs;
mod consumer_groups;
mod error;
mod groups;
mod reassignments;
mod share_groups;
mod topics;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use thalweg_base::{NodeId, TopicPartition};
use thalweg_client::{
    Bootstrap, Client, ClientConfig, Destination, Error, Isolation, ListedOffset, OffsetSpec, Peer, Properties,
};
use thalweg_sys::{fs, net};
use thalweg_wire::messages::FindCoordinatorRequest;
use thalweg_wire::{ErrorCode, Request};

use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub use acls::{AccessControl, ResourcePattern};
pub use configs::{AlterConfig, ConfigEntry, Resource, ResourceKind, Synonym, WithSynonyms, source_name};
pub use consumer_groups::{Committed, ConsumerGroup, Member};
pub use groups::GroupListing;
pub use reassignments::{Reassignment, Replica, ReplicaDirs, by_topic};
pub use share_groups::ShareOffset;
pub use topics::{PartitionInfo, TopicInfo, TopicListing};

/// A client of one cluster that speaks for a tool.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub id: i32,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
}

impl NodeInfo {
    /// Its rack as Java shows it.
    #[must_use]
    pub fn rack_text(&self) -> &str {
        self.rack.as_deref().unwrap_or("null")
    }
}

/// Runs what a tool does with the network.
///
/// # Errors
/// What it fails with.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run_on(tokio::runtime::Builder::new_current_thread(), work)
}

/// As [`block_on`], for a tool that waits for standard input: what it has spawned goes on meanwhile, on another thread.
///
/// # Errors
/// What it fails with.
pub fn block_on_beside_input<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1);
    run_on(builder, work)
}

fn run_on<T>(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Message(format!("cannot start: {e}")))?;
    // Behind a pointer the tool's work is compiled once, and not for each of the ways in which a runtime may poll it.
    let work: Pin<Box<dyn Future<Output = Result<T, Failure>> + '_>> = Box::pin(work);
    runtime.block_on(work)
}

/// Reads a properties file.
///
/// # Errors
/// What Java throws when it cannot be read.
pub fn load_properties(path: &str) -> Result<Properties, Thrown> {
    read_file(path).map(|text| Properties::parse(&text))
}

/// Reads a text file.
///
/// # Errors
/// What Java throws when it cannot be read.
pub fn read_file(path: &str) -> Result<String, Thrown> {
    fs::read_to_string(Path::new(path)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Thrown::new("java.nio.file.NoSuchFileException", path),
        std::io::ErrorKind::PermissionDenied => Thrown::new("java.nio.file.AccessDeniedException", path),
        _ => Thrown::new("java.io.IOException", format!("{path}: {e}")),
    })
}

/// Reads a file that says what a tool does: a plan, partitions or offsets.
///
/// # Errors
/// `java.io.IOException` around what Java throws when it cannot be read.
pub fn read_input(path: &str) -> Result<String, Thrown> {
    read_file(path)
        .map_err(|cause| Thrown::caused_by("java.io.IOException", format!("Unable to read file {path}"), cause))
}

/// The properties of `--command-config`, or none.
///
/// # Errors
/// When the file cannot be read.
pub fn command_config(line: &Line) -> Result<Properties, Thrown> {
    properties_of(line.value("command-config")?)
}

/// The properties of a file, or none where none is named.
///
/// # Errors
/// When the file cannot be read.
pub fn properties_of(path: Option<&str>) -> Result<Properties, Thrown> {
    path.map_or_else(|| Ok(Properties::default()), load_properties)
}

/// The settings of a file as they stand there, blanks included; none where no file is named.
///
/// # Errors
/// When the file cannot be read.
pub fn settings_of(path: Option<&str>) -> Result<BTreeMap<String, String>, Thrown> {
    let text = path.map_or_else(|| Ok(String::new()), read_file)?;
    Ok(thalweg_base::properties::parse(&text).into_iter().collect())
}

/// Sets the nodes to begin with.
pub fn set_bootstrap(properties: &mut Properties, servers: Option<&str>, controllers: Option<&str>) {
    if let Some(servers) = servers {
        properties.set("bootstrap.servers", servers);
    }
    if let Some(controllers) = controllers {
        properties.set("bootstrap.controllers", controllers);
    }
}

impl Admin {
    /// A client with the properties of `--command-config` and the address of `--bootstrap-server`.
    ///
    /// # Errors
    /// As [`Admin::connect`], and when the file cannot be read.
    pub async fn of_line(line: &Line, out: &mut Out) -> Result<Self, Thrown> {
        let mut properties = command_config(line)?;
        if let Some(servers) = line.value("bootstrap-server")? {
            properties.set("bootstrap.servers", servers);
        }
        Self::connect(&properties, out).await
    }

    /// A client with these properties.
    ///
    /// # Errors
    /// When they are wrong, or no address of theirs can be resolved.
    pub async fn connect(properties: &Properties, out: &mut Out) -> Result<Self, Thrown> {
        Self::checked(properties, out).await.map_err(|cause| {
            let class = "org.apache.kafka.common.KafkaException";
            Thrown::caused_by(class, "Failed to create new KafkaAdminClient", cause)
        })
    }

    async fn checked(properties: &Properties, out: &mut Out) -> Result<Self, Thrown> {
        let config = client_config(properties)?;
        let bootstrap = resolvable(&config.bootstrap, out).await?;
        Ok(Self { client: Client::new(ClientConfig { bootstrap, ..config }) })
    }

    /// The client behind it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request. `call` is what Kafka's client calls the work, for its message when time is up.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send<Q: Request>(&self, call: &str, to: Destination, request: &Q) -> Result<Q::Response, Thrown> {
        self.client.send(to, request).await.map_err(|e| match e {
            // Controllers do not have the APIs of brokers.
            Error::UnsupportedVersion { .. } if self.client.config().bootstrap_kind == Bootstrap::Controllers => {
                let text =
                    "This Admin API is not yet supported when communicating directly with the controller quorum.";
                Thrown::of_code(ErrorCode::UnsupportedEndpointType, Some(text))
            }
            e => error::thrown(call, &e),
        })
    }

    /// Sends a request to any node.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn any<Q: Request>(&self, call: &str, request: &Q) -> Result<Q::Response, Thrown> {
        self.send(call, Destination::Any, request).await
    }

    /// Sends a request that only the active controller can answer: to any broker, which asks it, or to the active one of
    /// `--bootstrap-controller`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn broker_or_active_controller<Q: Request>(
        &self,
        call: &str,
        request: &Q,
    ) -> Result<Q::Response, Thrown> {
        let to = match self.client.config().bootstrap_kind {
            Bootstrap::Brokers => Destination::Any,
            Bootstrap::Controllers => Destination::Controller,
        };
        self.send(call, to, request).await
    }

    /// Sends a request to the controller.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn controller<Q: Request>(&self, call: &str, request: &Q) -> Result<Q::Response, Thrown> {
        self.send(call, Destination::Controller, request).await
    }

    /// Sends a request to a node.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn node<Q: Request>(&self, call: &str, node: i32, request: &Q) -> Result<Q::Response, Thrown> {
        self.send(call, Destination::Node(NodeId(node)), request).await
    }

    /// Sends a request to the coordinator of a group.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn coordinator<Q: Request>(&self, call: &str, group: &str, request: &Q) -> Result<Q::Response, Thrown> {
        let answered = self.send(call, Destination::GroupCoordinator(group.into()), request).await;
        answered.map_err(|thrown| {
            if !thrown.is("GroupAuthorizationException") {
                return thrown;
            }
            let text = format!(
                "FindCoordinator request for groupId `CoordinatorKey(idValue='{group}', type=GROUP)` failed due to \
                 authorization failure"
            );
            Thrown { message: Some(text), ..thrown }
        })
    }

    /// The nodes that are up, in the order of their ids.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn nodes(&self, call: &str) -> Result<Vec<NodeInfo>, Thrown> {
        let cluster = self.client.refresh().await.map_err(|e| error::thrown(call, &e))?;
        let node = |(id, node): (&NodeId, &thalweg_client::Node)| NodeInfo {
            id: id.0,
            host: node.peer.host.to_string(),
            port: node.peer.port,
            rack: node.rack.as_deref().map(str::to_owned),
        };
        Ok(cluster.nodes.iter().map(node).collect())
    }

    /// The id of the node that coordinates a transactional id.
    ///
    /// # Errors
    /// When there is none, or no node answers.
    pub async fn transaction_coordinator(&self, id: &str) -> Result<i32, Thrown> {
        Ok(self.find_coordinator(id, 1).await?.id)
    }

    /// The node that coordinates a group (kind 0) or a transactional id (kind 1).
    pub(crate) async fn find_coordinator(&self, key: &str, kind: i8) -> Result<NodeInfo, Thrown> {
        let several = FindCoordinatorRequest {
            key_type: kind,
            coordinator_keys: vec![key.into()],
            ..FindCoordinatorRequest::default()
        };
        let response = match self.any("findCoordinator", &several).await {
            Ok(response) => response,
            // Brokers before Kafka 3.0 look up one key at a time.
            Err(thrown) if thrown.is("UnsupportedVersionException") => {
                let one =
                    FindCoordinatorRequest { key: key.into(), key_type: kind, ..FindCoordinatorRequest::default() };
                self.any("findCoordinator", &one).await?
            }
            Err(thrown) => return Err(thrown),
        };
        let (code, message, id, host, port) = match response.coordinators.first() {
            Some(found) => (found.error_code, &found.error_message, found.node_id, &found.host, found.port),
            None => (response.error_code, &response.error_message, response.node_id, &response.host, response.port),
        };
        check(code, message.as_deref())?;
        Ok(NodeInfo { id, host: host.to_string(), port: u16::try_from(port).unwrap_or(0), rack: None })
    }

    /// Looks up an offset for each partition; the results stand in the same order.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
    ) -> Result<Vec<Result<ListedOffset, Thrown>>, Thrown> {
        let deadline = self.client.api_deadline();
        let found = self.client.list_offsets(wanted, Isolation::ReadUncommitted, deadline).await;
        let found = found.map_err(|e| error::thrown("listOffsets(api=METADATA)", &e))?;
        Ok(found.into_iter().map(|listed| listed.map_err(|code| Thrown::of_code(code, None))).collect())
    }

    /// Looks up the same offset for each partition, in their order; -1 where there is none.
    ///
    /// # Errors
    /// When no node answers, or one of the partitions is refused.
    pub async fn offsets_at(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        spec: OffsetSpec,
    ) -> Result<Vec<(TopicPartition, i64)>, Thrown> {
        let wanted: Vec<(TopicPartition, OffsetSpec)> = partitions.into_iter().map(|one| (one, spec)).collect();
        let found = self.list_offsets(&wanted).await?;
        let offset = |((partition, _), listed): ((TopicPartition, OffsetSpec), Result<ListedOffset, Thrown>)| {
            Ok((partition, listed?.offset.map_or(-1, |offset| offset.0)))
        };
        wanted.into_iter().zip(found).map(offset).collect()
    }

    /// The ids of the brokers that are up, in order.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn brokers(&self, call: &str) -> Result<Vec<i32>, Thrown> {
        let cluster = self.client.refresh().await.map_err(|e| error::thrown(call, &e))?;
        Ok(cluster.nodes.keys().map(|node| node.0).collect())
    }
}

/// Reads a client's properties.
///
/// # Errors
/// `ConfigException`, with Kafka's text.
pub fn client_config(properties: &Properties) -> Result<ClientConfig, Thrown> {
    let servers = properties.text("bootstrap.servers").or_else(|| properties.text("bootstrap.controllers"));
    for address in servers.unwrap_or_default().split(',').map(str::trim).filter(|address| !address.is_empty()) {
        if address.parse::<Peer>().is_err() {
            return Err(config_exception(format!("Invalid url in bootstrap.servers: {address}")));
        }
    }
    ClientConfig::from_properties(properties).map_err(|e| config_exception(e.to_string()))
}

/// `org.apache.kafka.common.config.ConfigException`.
#[must_use]
pub fn config_exception(message: impl Into<String>) -> Thrown {
    Thrown::new("org.apache.kafka.common.config.ConfigException", message)
}

/// The addresses whose hosts can be resolved.
///
/// # Errors
/// When there is none.
pub async fn resolvable(peers: &[Peer], out: &mut Out) -> Result<Vec<Peer>, Thrown> {
    let mut found = Vec::new();
    for peer in peers {
        if net::resolve(&peer.host, peer.port).await.is_ok_and(|addresses| !addresses.is_empty()) {
            found.push(peer.clone());
            continue;
        }
        let host = &peer.host;
        let text = format!("Couldn't resolve server {peer} from bootstrap.servers as DNS resolution failed for {host}");
        out.log("WARN", text, "org.apache.kafka.clients.ClientUtils");
    }
    if found.is_empty() {
        return Err(config_exception("No resolvable bootstrap urls given in bootstrap.servers"));
    }
    Ok(found)
}

/// What Kafka's client throws when it has found no node for a call in time.
#[must_use]
pub fn no_node(call: &str) -> Thrown {
    let text = format!("Timed out waiting for a node assignment. Call: {call}");
    Thrown::of_code(ErrorCode::RequestTimedOut, Some(&text))
}

/// The exception of an error code in a response, if it is one.
///
/// # Errors
/// That exception.
pub fn check(code: i16, message: Option<&str>) -> Result<(), Thrown> {
    let code = ErrorCode::from(code);
    if code.is_error() { Err(Thrown::of_code(code, message)) } else { Ok(()) }
}
