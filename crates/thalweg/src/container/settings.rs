//! From the environment of a container to the properties of a node, by the rules of the images `apache/kafka` and
//! `confluentinc/cp-kafka`, of `bitnami/kafka` for its `KAFKA_CFG_` names, and of images of ZooKeeper's time.

use crate::serve::entries::{adopted, is_of_zookeeper, value_of};

/// What a variable of a property begins with.
const PREFIX: &str = "KAFKA_";
/// The same in `bitnami/kafka`.
const BITNAMI_PREFIX: &str = "KAFKA_CFG_";
/// The id that the image of Apache Kafka gives a cluster when nothing names one.
const DEFAULT_CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";
/// Variables with the prefix that name no property: those of Java, of logging, and of the images.
const NO_PROPERTIES: [&str; 14] = [
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_HOME",
    "KAFKA_CREATE_TOPICS",
    "KAFKA_KRAFT_CLUSTER_ID",
    "KAFKA_CLUSTER_ID",
    "KAFKA_ENABLE_KRAFT",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    // Kubernetes tells of a service called `kafka` by these.
    "KAFKA_SERVICE_HOST",
    "KAFKA_SERVICE_PORT",
    "KAFKA_ADVERTISED_PROTOCOL_NAME",
];
/// Beginnings of more of them.
const NO_PROPERTIES_BEGIN: [&str; 5] =
    ["KAFKA_LOG4J_", "KAFKA_JMX_", "KAFKA_PORT_", "KAFKA_SERVICE_PORT_", "KAFKA_CONFLUENT_"];
/// What a node has that is given no property at all: what stands in the file of the image of Apache Kafka.
const DEFAULTS: [(&str, &str); 12] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.quorum.voters", "1@localhost:9093"),
    ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
    ("advertised.listeners", "PLAINTEXT://localhost:9092"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// What a container is to run.
#[derive(Debug, PartialEq)]
pub(super) struct Settings {
    /// The properties of the node; of a key that stands twice the last one counts.
    pub(super) entries: Vec<(String, String)>,
    /// What an empty data directory is formatted with.
    pub(super) cluster_id: String,
    /// Whether the node is the first and only voter of a dynamic quorum.
    pub(super) is_standalone: bool,
    /// Log levels in the words of `--log-level`, if a variable names one.
    pub(super) log_level: Option<String>,
    /// What a variable asks for that is not done.
    pub(super) warnings: Vec<String>,
}

/// Composes the properties: those of a mounted file, then those of the variables, or the defaults when there are none of
/// either. `secret` reads a file of the directory for secrets by its name; `data_dir` holds the data when nothing names
/// a directory.
///
/// # Errors
/// A message for people: a variable contradicts the roles, or a secret cannot be read.
pub(super) fn compose(
    variables: &[(String, String)],
    mounted: Vec<(String, String)>,
    secrets: &Secrets<'_>,
    data_dir: &str,
) -> Result<Settings, String> {
    let variable = |name: &str| value_of(variables, name).filter(|value| !value.is_empty());
    let mut entries = mounted;
    entries.extend(variables.iter().filter_map(|(name, value)| Some((property_of(name, value)?, value.clone()))));
    // Compose files leave variables empty that they do not need.
    entries.retain(|(key, value)| !(value.is_empty() && key == "advertised.listeners"));
    if entries.is_empty() {
        entries.extend(DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    }
    let is_controller_only = value_of(&entries, "process.roles").is_some_and(|roles| roles.trim() == "controller");
    if is_controller_only && value_of(&entries, "advertised.listeners").is_some() {
        return Err("KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller.".to_owned());
    }
    if value_of(&entries, "listeners").is_none()
        && !is_controller_only
        && let Some(advertised) = value_of(&entries, "advertised.listeners")
    {
        entries.push(("listeners".to_owned(), on_every_interface(advertised)));
    }
    entries.extend(secrets.entries(variables)?);
    if is_of_zookeeper(&entries) {
        entries = adopted(&entries);
    }
    if value_of(&entries, "log.dirs").or(value_of(&entries, "log.dir")).is_none() {
        entries.push(("log.dirs".to_owned(), data_dir.to_owned()));
    }
    let cluster_id = ["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"].into_iter().find_map(variable);
    let is_controller = value_of(&entries, "process.roles").is_some_and(|roles| roles.contains("controller"));
    let warnings = variable("KAFKA_CREATE_TOPICS").map(|topics| {
        format!(
            "KAFKA_CREATE_TOPICS={topics} has no effect: create the topics with kafka-topics --create --if-not-exists"
        )
    });
    Ok(Settings {
        is_standalone: is_controller && value_of(&entries, "controller.quorum.voters").is_none(),
        entries,
        cluster_id: cluster_id.unwrap_or(DEFAULT_CLUSTER_ID).to_owned(),
        log_level: variable("KAFKA_LOG4J_ROOT_LOGLEVEL").map(level),
        warnings: warnings.into_iter().collect(),
    })
}

/// The files of key material that variables name, as in the images of Apache Kafka and Confluent.
pub(super) struct Secrets<'a> {
    /// The directory of the files.
    pub(super) dir: &'a str,
    /// Reads one of them by its name.
    pub(super) read: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Secrets<'_> {
    /// `KAFKA_SSL_KEYSTORE_FILENAME` and the like name files in the directory: stores by their place, passwords by what
    /// the file holds.
    fn entries(&self, variables: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
        let mut entries = Vec::new();
        for (variable, key) in [
            ("KAFKA_SSL_KEYSTORE_FILENAME", "ssl.keystore.location"),
            ("KAFKA_SSL_TRUSTSTORE_FILENAME", "ssl.truststore.location"),
        ] {
            if let Some(name) = value_of(variables, variable) {
                entries.push((key.to_owned(), format!("{}/{name}", self.dir)));
            }
        }
        for (variable, key) in [
            ("KAFKA_SSL_KEYSTORE_CREDENTIALS", "ssl.keystore.password"),
            ("KAFKA_SSL_KEY_CREDENTIALS", "ssl.key.password"),
            ("KAFKA_SSL_TRUSTSTORE_CREDENTIALS", "ssl.truststore.password"),
        ] {
            if let Some(name) = value_of(variables, variable) {
                let secret = (self.read)(name).map_err(|e| format!("{variable} names {}/{name}: {e}", self.dir))?;
                entries.push((key.to_owned(), secret.trim_end_matches(['\n', '\r']).to_owned()));
            }
        }
        Ok(entries)
    }
}

/// The property that a variable sets: `KAFKA_A_B__C___D` is `a.b_c-d`.
fn property_of(name: &str, value: &str) -> Option<String> {
    let is_none = NO_PROPERTIES.contains(&name)
        || NO_PROPERTIES_BEGIN.iter().any(|beginning| name.starts_with(beginning))
        || name.starts_with("KAFKA_SSL_") && (name.ends_with("_FILENAME") || name.ends_with("_CREDENTIALS"))
        || name == "KAFKA_PORT" && value.contains("://");
    if is_none {
        return None;
    }
    let rest =
        name.strip_prefix(BITNAMI_PREFIX).or_else(|| name.strip_prefix(PREFIX)).filter(|rest| !rest.is_empty())?;
    Some(rest.to_lowercase().replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_"))
}

/// The listeners of what is advertised: each at its port, on every interface.
fn on_every_interface(advertised: &str) -> String {
    let one = |listener: &str| match (listener.split_once("://"), listener.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{name}://0.0.0.0:{port}"),
        _ => listener.to_owned(),
    };
    advertised.split(',').map(|listener| one(listener.trim())).collect::<Vec<_>>().join(",")
}

/// A level of log4j in our words.
fn level(of_log4j: &str) -> String {
    match of_log4j.to_lowercase().as_str() {
        "fatal" => "error".to_owned(),
        "all" => "trace".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
