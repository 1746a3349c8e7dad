//! From the command line and a properties file to the entries of a node's configuration.

use std::path::Path;

use thalweg_base::properties;
use thalweg_broker::config::NodeConfig;
use thalweg_sys::fs;

/// The name of the controller's listener of a lone node.
const CONTROLLER: &str = "CONTROLLER";
/// Where a lone node listens when only a port is given: on both loopback addresses.
const LOCALHOST: &str = "localhost";
/// Where its controller does, which has no clients but the node itself and tools.
const LOOPBACK: &str = "127.0.0.1";

/// What the command line says about addresses and directories.
#[derive(Default)]
pub(super) struct CommandLine<'a> {
    /// `--listen`
    pub(super) listen: Option<&'a str>,
    /// `--data`
    pub(super) data: Option<&'a Path>,
    /// `--override`, each as it was written.
    pub(super) overrides: &'a [String],
    /// The properties file is one of ZooKeeper's time, to be run as a lone node (`--adopt`).
    pub(super) adopt: bool,
}

/// The entries of a configuration, and what overrides them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entries {
    pub(super) entries: Vec<(String, String)>,
    pub(super) overrides: Vec<(String, String)>,
}

/// Reads the properties file, or takes the defaults of a lone node, and puts the command line over it.
///
/// # Errors
/// A message for people: the file cannot be read, an override is malformed, or the file is of ZooKeeper's time.
pub(super) fn read(file: Option<&Path>, asked: &CommandLine<'_>) -> Result<Entries, String> {
    let mut overrides = parse_overrides(asked.overrides)?;
    let mut entries = match file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            let entries = properties::parse(&text);
            if is_of_zookeeper(&entries) {
                if !asked.adopt {
                    return Err(of_zookeeper(path, &entries));
                }
                adopted(&entries)
            } else {
                entries
            }
        }
        None => NodeConfig::default_entries(),
    };
    if let Some(address) = asked.listen {
        overrides.push(("listeners".to_owned(), format!("PLAINTEXT://{}", host_and_port(address)?)));
    }
    if let Some(dir) = asked.data {
        overrides.push(("log.dirs".to_owned(), dir.display().to_string()));
    }
    let lone = file.is_none() || asked.adopt || asked.listen.is_some();
    if lone && let Some((_, listeners)) = overrides.iter_mut().rfind(|(key, _)| key == "listeners") {
        add_controller(listeners, &entries)?;
    }
    if asked.listen.is_some() {
        // What the file advertises belongs to the address that the command line replaces.
        entries.retain(|(key, _)| key != "advertised.listeners");
    }
    Ok(Entries { entries, overrides })
}

fn parse_overrides(texts: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut overrides = Vec::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("--override takes KEY=VALUE, and `{text}` has no `=`"));
        };
        let (key, value) = (key.trim(), value.trim());
        if matches!(key, "port" | "host.name" | "advertised.host.name" | "advertised.port") {
            return Err(format!(
                "{key} is no config of Kafka any more: use --listen HOST:PORT, or --override listeners=..."
            ));
        }
        overrides.push((key.to_owned(), value.to_owned()));
    }
    Ok(overrides)
}

/// `HOST:PORT`, or a port alone.
fn host_and_port(address: &str) -> Result<String, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((LOCALHOST, address));
    match port.parse::<u16>() {
        Ok(port) => Ok(format!("{host}:{port}")),
        Err(_) => Err(format!("--listen takes HOST:PORT with a port of 0 to 65535, and not `{address}`")),
    }
}

/// Adds the controller's listener where none is written: on loopback, at the next port.
fn add_controller(listeners: &mut String, entries: &[(String, String)]) -> Result<(), String> {
    let names = value_of(entries, "controller.listener.names").unwrap_or(CONTROLLER);
    let controller = names.split(',').next().unwrap_or(CONTROLLER).trim();
    let is_there = listeners.split(',').any(|one| one.trim().split("://").next() == Some(controller));
    if is_there {
        return Ok(());
    }
    let last = listeners.rsplit(',').next().unwrap_or_default();
    let port = last.rsplit_once(':').and_then(|(_, port)| port.trim().parse::<u16>().ok());
    let port = port.ok_or_else(|| format!("`{last}` is no listener: write NAME://HOST:PORT"))?;
    // Port 0 is a free one; behind the last port there is none.
    let next = if port == 0 { 0 } else { port.checked_add(1).unwrap_or(0) };
    listeners.push_str(&format!(",{controller}://{LOOPBACK}:{next}"));
    Ok(())
}

/// The value of a key; the last one where it stands several times.
pub(crate) fn value_of<'a>(entries: &'a [(String, String)], key: &str) -> Option<&'a str> {
    entries.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Whether a file is one of a broker with ZooKeeper: Kafka 4 has no such mode.
pub(crate) fn is_of_zookeeper(entries: &[(String, String)]) -> bool {
    let has = |key: &str| entries.iter().any(|(name, _)| name == key);
    has("zookeeper.connect") && !has("process.roles")
}

fn of_zookeeper(path: &Path, entries: &[(String, String)]) -> String {
    let added = adopted(entries);
    let lines: Vec<String> = added
        .iter()
        .filter(|(key, value)| !entries.iter().any(|(name, text)| name == key && text == value))
        .map(|(key, value)| format!("  {key}={value}"))
        .collect();
    format!(
        "{} is for a broker with ZooKeeper (it has zookeeper.connect and no process.roles), which Kafka 4 removed. \
         `thalweg serve --adopt {}` runs it as a single node, as if it had these lines, without zookeeper.*:\n{}",
        path.display(),
        path.display(),
        lines.join("\n")
    )
}

/// The entries of a broker with ZooKeeper as those of a lone node with its own controller.
pub(crate) fn adopted(old: &[(String, String)]) -> Vec<(String, String)> {
    let gone = ["zookeeper.", "broker.id", "port", "host.name", "advertised.host.name", "advertised.port"];
    let is_gone =
        |key: &str| gone.iter().any(|prefix| key == *prefix || prefix.ends_with('.') && key.starts_with(prefix));
    let written = |key: &str| value_of(old, key).map(str::trim);
    let mut entries: Vec<(String, String)> = old
        .iter()
        .filter(|(key, _)| !is_gone(key) && key != "listeners" && key != "inter.broker.protocol.version")
        .cloned()
        .collect();
    let mut set = |key: &str, value: String| entries.push((key.to_owned(), value));
    // ZooKeeper gave an id to a broker that had none, or -1.
    let id = written("broker.id").and_then(|id| id.parse::<i32>().ok()).filter(|id| *id >= 0).unwrap_or(1);
    set("process.roles", "broker,controller".to_owned());
    set("node.id", id.to_string());
    set("controller.listener.names", CONTROLLER.to_owned());
    set("controller.quorum.bootstrap.servers", format!("{LOOPBACK}:0"));
    let mut listeners = match written("listeners") {
        Some(listeners) => listeners.to_owned(),
        None => {
            let host = written("host.name").unwrap_or_default();
            format!("PLAINTEXT://{host}:{}", written("port").unwrap_or("9092"))
        }
    };
    // A listener without a port is refused later, with Kafka's message.
    let _ = add_controller(&mut listeners, &[]);
    set("listeners", listeners);
    if let (None, Some(host)) = (written("advertised.listeners"), written("advertised.host.name")) {
        let port = written("advertised.port").or(written("port")).unwrap_or("9092");
        set("advertised.listeners", format!("PLAINTEXT://{host}:{port}"));
    }
    if let Some(protocols) = written("listener.security.protocol.map") {
        let has_controller = protocols.split(',').any(|pair| pair.trim().starts_with("CONTROLLER:"));
        if !has_controller {
            set("listener.security.protocol.map", format!("{protocols},{CONTROLLER}:PLAINTEXT"));
        }
    }
    for (key, one) in [
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
    ] {
        if written(key).is_none() {
            set(key, one.to_owned());
        }
    }
    entries
}

/// The line of the file that a refusal is about: the last one whose key the message names.
pub(super) fn line_of(text: &str, message: &str) -> Option<usize> {
    let names = |key: &str| {
        message.match_indices(key).any(|(at, _)| {
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let before = message[..at].chars().next_back().is_some_and(part);
            let after = message[at + key.len()..].chars().next().is_some_and(|c| part(c) && c != '.');
            !before && !after
        })
    };
    let keys = text.lines().map(|line| properties::parse(line).into_iter().next().map(|(key, _)| key));
    let found = keys.enumerate().filter(|(_, key)| key.as_deref().is_some_and(|key| !key.is_empty() && names(key)));
    found.last().map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn an_address_and_a_directory_are_enough_for_a_lone_node() {
        let asked =
            CommandLine { listen: Some("127.0.0.1:9192"), data: Some(Path::new("/data")), ..CommandLine::default() };
        let read = read(None, &asked).expect("read");
        assert_eq!(
            read.overrides,
            [pair("listeners", "PLAINTEXT://127.0.0.1:9192,CONTROLLER://127.0.0.1:9193"), pair("log.dirs", "/data")]
        );
        NodeConfig::from_properties(&read.entries, &read.overrides).expect("a configuration");
    }

    #[test]
    fn a_port_alone_is_on_loopback_and_a_port_out_of_range_is_refused() {
        assert_eq!(host_and_port("9192").as_deref(), Ok("localhost:9192"));
        assert_eq!(host_and_port("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert!(host_and_port("127.0.0.1:99999").is_err());
    }

    #[test]
    fn listeners_alone_have_the_controller_added() {
        let overrides = ["listeners=PLAINTEXT://:9192".to_owned()];
        let read = read(None, &CommandLine { overrides: &overrides, ..CommandLine::default() }).expect("read");
        assert_eq!(value_of(&read.overrides, "listeners"), Some("PLAINTEXT://:9192,CONTROLLER://127.0.0.1:9193"));
    }

    #[test]
    fn the_old_name_of_a_config_leads_to_the_new_one() {
        let overrides = ["port=9192".to_owned()];
        let refused =
            read(None, &CommandLine { overrides: &overrides, ..CommandLine::default() }).expect_err("refused");
        assert!(refused.contains("--listen HOST:PORT"), "{refused}");
    }

    #[test]
    fn a_file_with_zookeeper_runs_as_a_lone_node() {
        let old = [
            pair("broker.id", "3"),
            pair("port", "9192"),
            pair("zookeeper.connect", "zk:2181"),
            pair("log.dirs", "/d"),
        ];
        assert!(is_of_zookeeper(&old));
        let new = adopted(&old);
        assert_eq!(value_of(&new, "node.id"), Some("3"));
        assert_eq!(value_of(&new, "listeners"), Some("PLAINTEXT://:9192,CONTROLLER://127.0.0.1:9193"));
        assert_eq!(value_of(&new, "zookeeper.connect"), None);
        let (config, notices) = NodeConfig::from_properties(&new, &[]).expect("a configuration");
        assert_eq!((config.node_id.0, notices), (3, Vec::new()));
    }

    #[test]
    fn a_refusal_names_the_line_of_its_key() {
        let text = "node.id=1\n# comment\nnum.partitions=x\nlog.dirs=/d\n";
        let message = "Invalid value x for configuration num.partitions: Not a number of type INT";
        assert_eq!(line_of(text, message), Some(3));
        assert_eq!(line_of(text, "nothing named"), None);
    }
}
