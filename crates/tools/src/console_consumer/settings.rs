//! What the options of `kafka-console-consumer.sh` say together.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_client::{ConfigError, ConsumerConfig, Error, Properties, Start};
use thalweg_sys::random;

use super::formatter::{self, Formatter};
use super::start;
use crate::admin::{self, config_exception};
use crate::failure::Failure;
use crate::jopt::{Line, key_values};
use crate::options::{exclusive, warn_deprecated};
use crate::out::Out;
use crate::thrown::Thrown;

/// What to read, and how to print it.
pub(super) struct Settings {
    /// The consumer's properties.
    pub(super) consumer: Properties,
    pub(super) start: Start,
    pub(super) timeout: Option<Duration>,
    pub(super) formatter: Formatter,
}

impl Settings {
    /// What Kafka's consumer throws; it names the group that it may not use.
    pub(super) fn thrown(&self, error: &Error) -> Thrown {
        let thrown = super::thrown(error);
        if !thrown.is("GroupAuthorizationException") {
            return thrown;
        }
        let group = self.consumer.text("group.id").unwrap_or_default();
        Thrown { message: Some(format!("Not authorized to access group: {group}")), ..thrown }
    }

    /// Whether the group is of the classic protocol.
    pub(super) fn is_classic(&self) -> bool {
        self.consumer.text("group.protocol").is_none_or(|protocol| protocol.eq_ignore_ascii_case("classic"))
    }
}

fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

fn check(line: &Line) -> Result<(), Failure> {
    line.require_one_of(&["topic", "include"])?;
    if line.number::<i32>("partition")?.is_some() {
        if !line.has("topic") {
            return usage("The topic is required when partition is specified.");
        }
        if line.has("from-beginning") && line.has("offset") {
            return usage("Options from-beginning and offset cannot be specified together.");
        }
        if line.zookeeper {
            return usage(
                "Option \"[partition]\" can't be used with option \"[zookeeper]\": it needs --bootstrap-server.",
            );
        }
    } else if line.has("offset") {
        return usage("The partition is required when offset is specified.");
    }
    line.require(&["bootstrap-server"])?;
    for (old, new) in [("consumer-property", "command-property"), ("consumer.config", "command-config")] {
        exclusive(line, old, new)?;
    }
    Ok(())
}

/// The group that the line, the file of the option `config` and properties name, which must agree.
pub(crate) fn one_group(named: [Option<&str>; 3], config: &str) -> Result<Option<String>, Failure> {
    let mut groups: Vec<&str> = Vec::new();
    for group in named.into_iter().flatten() {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if groups.len() > 1 {
        let shown: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--{config}') do not match. Detected group ids: {}",
            shown.join(", ")
        ));
    }
    Ok(groups.first().map(|group| (*group).to_owned()))
}

pub(super) fn of_line(line: &Line, out: &mut Out) -> Result<Settings, Failure> {
    check(line)?;
    warn_deprecated(line, "consumer-property", "command-property", out);
    warn_deprecated(line, "consumer.config", "command-config", out);
    let file = admin::properties_of(line.value("command-config")?.or(line.value("consumer.config")?))?;
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for name in ["consumer-property", "command-property"] {
        given.extend(key_values(line.values(name)));
    }
    let named = [line.value("group")?, file.get("group.id"), given.get("group.id").map(String::as_str)];
    let group = one_group(named, "consumer.config")?;
    if group.is_some() && line.has("partition") {
        return usage("Options group and partition cannot be specified together.");
    }
    let consumer = consumer(line, file, given, group.as_deref())?;
    let start = start(line.value("offset")?, line.has("from-beginning"))?;
    let timeout = line.number::<i64>("timeout-ms")?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    Ok(Settings { consumer, start, timeout, formatter: formatter::of_line(line, out)? })
}

fn consumer(
    line: &Line,
    file: Properties,
    given: BTreeMap<String, String>,
    group: Option<&str>,
) -> Result<Properties, Failure> {
    let mut properties = file;
    for (key, value) in &given {
        properties.set(key, value);
    }
    let from_beginning = line.has("from-beginning");
    match properties.get("auto.offset.reset") {
        Some(reset) if from_beginning && reset != "earliest" => {
            return Err(Failure::Message(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
        Some(_) => {}
        None => properties.set("auto.offset.reset", if from_beginning { "earliest" } else { "latest" }),
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "console-consumer");
    match line.value("isolation-level")? {
        Some(level) => properties.set("isolation.level", level),
        None => properties.set_default("isolation.level", "read_uncommitted"),
    }
    match group {
        Some(group) => properties.set("group.id", group),
        None => {
            properties.set("group.id", &format!("console-consumer-{}", random::u64() % 100_000));
            properties.set_default("enable.auto.commit", "false");
        }
    }
    Ok(properties)
}

/// Reads the consumer's configuration, with Kafka's words for what is wrong.
pub(crate) fn consumer_config(properties: &Properties) -> Result<ConsumerConfig, Thrown> {
    // An address that cannot be read is refused elsewhere, with other words.
    let mut checked = properties.clone();
    if admin::client_config(properties).is_err() {
        checked.set("bootstrap.servers", "localhost:9092");
    }
    ConsumerConfig::from_properties(&checked).map_err(|e| match &e {
        ConfigError::Value { name, value, .. } if name == "auto.offset.reset" => config_exception(format!(
            "Invalid value {value} for configuration {name}: Invalid value `{value}` for configuration {name}. The value must \
             be either 'earliest', 'latest', 'none' or of the format 'by_duration:<PnDTnHnMn.nS.>'."
        )),
        ConfigError::Value { name, value, .. } if name == "isolation.level" => config_exception(format!(
            "Invalid value {value} for configuration {name}: String must be one of: read_committed, read_uncommitted"
        )),
        _ => config_exception(e.to_string()),
    })
}
