//! Options of older Kafkas, translated to those of today: `--zookeeper`, `--broker-list`, `--new-consumer` and others.
//!
//! People's notes and scripts have them. Each is replaced before the line is read, with a warning on standard error.

use crate::jopt::Opt;
use crate::out::Out;

/// The environment variable that says what stands in for the address of ZooKeeper.
pub const BOOTSTRAP_VARIABLE: &str = "THALWEG_BOOTSTRAP_SERVERS";

/// The port of brokers, where only a host is known.
const BROKER_PORT: u16 = 9092;

/// A command line in today's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// The words.
    pub words: Vec<String>,
    /// Whether the line named ZooKeeper: its output has the older form.
    pub zookeeper: bool,
}

/// The brokers that stand in for ZooKeeper's address: what the environment says, or the same hosts at the port of brokers.
#[must_use]
pub fn bootstrap_of(zookeeper: &str, variable: Option<&str>) -> String {
    if let Some(servers) = variable.filter(|servers| !servers.is_empty()) {
        return servers.to_owned();
    }
    let hosts = zookeeper.split('/').next().unwrap_or_default();
    let hosts = hosts.split(',').map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host));
    hosts.map(|host| format!("{host}:{BROKER_PORT}")).collect::<Vec<_>>().join(",")
}

/// Translates the words of a tool that has these options.
#[must_use]
pub fn translate(options: &[Opt], words: &[String], out: &mut Out) -> Translated {
    let has = |name: &str| options.iter().any(|option| option.name == name);
    let variable = std::env::var(BOOTSTRAP_VARIABLE).ok();
    let names_servers = words.iter().any(|word| word.trim_start_matches('-').starts_with("bootstrap-server"));
    let mut translated = Translated { words: Vec::with_capacity(words.len()), zookeeper: false };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some((name, attached)) = option_of(word).filter(|(name, _)| !has(name)) else {
            translated.words.push(word.clone());
            continue;
        };
        let mut value = || attached.map(str::to_owned).or_else(|| rest.next().cloned()).unwrap_or_default();
        let servers = match name {
            "zookeeper" if has("bootstrap-server") => {
                translated.zookeeper = true;
                bootstrap_of(&value(), variable.as_deref())
            }
            "authorizer-properties" if has("bootstrap-server") => {
                let address = value();
                bootstrap_of(address.strip_prefix("zookeeper.connect=").unwrap_or(&address), variable.as_deref())
            }
            "broker-list" if has("bootstrap-server") => value(),
            "whitelist" if has("include") => {
                out.error("WARNING: --whitelist is an option of older Kafkas; it is taken as --include.");
                translated.words.extend(["--include".to_owned(), value()]);
                continue;
            }
            "new-consumer" => {
                out.error("WARNING: --new-consumer is an option of older Kafkas; it changes nothing.");
                continue;
            }
            _ => {
                translated.words.push(word.clone());
                continue;
            }
        };
        if !names_servers {
            out.error(format_args!(
                "WARNING: --{name} is an option of older Kafkas; it is taken as --bootstrap-server {servers}."
            ));
            translated.words.extend(["--bootstrap-server".to_owned(), servers]);
        }
    }
    translated
}

fn option_of(word: &str) -> Option<(&str, Option<&str>)> {
    let text = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jopt::{flag, value};

    const OPTIONS: &[Opt] = &[value("bootstrap-server", "servers", "Brokers."), flag("list", "Lists.")];

    fn translated(text: &str) -> Translated {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        translate(OPTIONS, &words, &mut Out::default())
    }

    #[test]
    fn zookeeper_becomes_the_brokers_of_the_same_hosts() {
        assert_eq!(bootstrap_of("a:2181,b:2181/kafka", None), "a:9092,b:9092");
        assert_eq!(bootstrap_of("a", Some("c:19092")), "c:19092");
        let line = translated("--zookeeper a:2181/x --list");
        assert!(line.zookeeper);
        assert_eq!(line.words, ["--bootstrap-server", "a:9092", "--list"]);
    }

    #[test]
    fn other_old_options_are_renamed_or_dropped() {
        assert_eq!(
            translated("--broker-list=a:1 --new-consumer --list").words,
            ["--bootstrap-server", "a:1", "--list"]
        );
        assert_eq!(translated("--new-consumer --bootstrap-server a:1").words, ["--bootstrap-server", "a:1"]);
        assert_eq!(translated("--whitelist x").words, ["--whitelist", "x"]);
    }
}
