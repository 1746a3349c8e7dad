//! What a consumer is configured with, under Kafka's names.

use std::time::Duration;

use super::assignors::Assignor;
use crate::properties::invalid;
use crate::{ClientConfig, ConfigError, Properties};

/// Which records of transactions a consumer sees (`isolation.level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All of them.
    ReadUncommitted,
    /// Those of committed transactions, up to the first one that is open.
    ReadCommitted,
}

impl Isolation {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// Where to begin if there is no committed offset, or the position is out of range (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record.
    Earliest,
    /// Behind the last record.
    Latest,
    /// At the first record that is younger than this (KIP-1106).
    ByDuration(Duration),
    /// Nowhere: polling fails.
    None,
}

/// A consumer's configuration.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// How the cluster is reached.
    pub client: ClientConfig,
    /// `isolation.level`.
    pub isolation: Isolation,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `fetch.min.bytes`: a broker answers a fetch when it has so much.
    pub fetch_bytes_min: i32,
    /// `fetch.max.bytes`: the most that one fetch brings, and the most that is kept for the next polls.
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes`: the most that one fetch brings of one partition.
    pub partition_bytes_max: i32,
    /// `fetch.max.wait.ms`: a broker answers a fetch after so long in any case.
    pub fetch_wait_max: Duration,
    /// `max.poll.records`: the most that one poll gives.
    pub poll_records_max: usize,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// The group whose member the consumer is, or whose offsets it commits.
    pub group: Option<GroupConfig>,
    /// How large the records of one compressed batch may be, in bytes. This one has no name in Kafka: there is no limit.
    pub batch_bytes_max: usize,
    /// Whether the consumer notes which offsets it passes over, for [`Consumer::take_passed_over`](crate::Consumer::take_passed_over).
    /// A poll then returns, without a record, when there was nothing but such. Kafka's consumers have nothing like it.
    pub reports_passed: bool,
}

impl ConsumerConfig {
    /// Kafka's defaults.
    #[must_use]
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            isolation: Isolation::ReadUncommitted,
            offset_reset: OffsetReset::Latest,
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            fetch_wait_max: Duration::from_millis(500),
            poll_records_max: 500,
            check_crcs: true,
            group: None,
            // Producers limit their batches by their compressed size; a gigabyte is a thousandfold of the default.
            batch_bytes_max: 1 << 30,
            reports_passed: false,
        }
    }

    /// Reads Kafka's property names, those of the client among them.
    ///
    /// # Errors
    /// When a value is not possible.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let mut defaults = properties.clone();
        defaults.set_default("allow.auto.create.topics", "true");
        let mut config = Self::new(ClientConfig::from_properties(&defaults)?);
        let levels = [("read_uncommitted", Isolation::ReadUncommitted), ("read_committed", Isolation::ReadCommitted)];
        config.isolation = properties.choice("isolation.level", config.isolation, &levels)?;
        config.offset_reset = offset_reset(properties)?;
        config.fetch_bytes_min = properties.number("fetch.min.bytes", config.fetch_bytes_min, 0)?;
        config.fetch_bytes_max = properties.number("fetch.max.bytes", config.fetch_bytes_max, 0)?;
        config.partition_bytes_max = properties.number("max.partition.fetch.bytes", config.partition_bytes_max, 0)?;
        config.fetch_wait_max = properties.millis("fetch.max.wait.ms", config.fetch_wait_max)?;
        config.poll_records_max = properties.number("max.poll.records", config.poll_records_max, 1)?;
        config.check_crcs = properties.flag("check.crcs", config.check_crcs)?;
        config.group = GroupConfig::from_properties(properties)?;
        Ok(config)
    }
}

/// How the members of a group agree on who reads what (`group.protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// One of the members assigns.
    Classic,
    /// The coordinator assigns (KIP-848).
    Consumer,
}

/// How a consumer is a member of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.id`.
    pub id: String,
    /// `group.instance.id`: a member that comes back under this name gets its partitions back (KIP-345).
    pub instance_id: Option<String>,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// `session.timeout.ms`, for the classic protocol.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`, for the classic protocol.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: a member that does not poll for so long leaves.
    pub poll_interval_max: Duration,
    /// `partition.assignment.strategy`, for the classic protocol; at least one.
    pub assignors: Vec<Assignor>,
    /// `group.remote.assignor`, for the consumer protocol.
    pub remote_assignor: Option<String>,
    /// `enable.auto.commit` and `auto.commit.interval.ms`.
    pub auto_commit: Option<Duration>,
}

impl GroupConfig {
    /// Kafka's defaults for a group.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            instance_id: None,
            protocol: GroupProtocol::Classic,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            remote_assignor: None,
            auto_commit: Some(Duration::from_secs(5)),
        }
    }

    /// Reads Kafka's property names; `None` without `group.id`.
    fn from_properties(properties: &Properties) -> Result<Option<Self>, ConfigError> {
        let Some(id) = properties.text("group.id") else { return Ok(None) };
        let mut group = Self::new(id);
        group.instance_id = properties.text("group.instance.id").map(Into::into);
        let protocols = [("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)];
        group.protocol = properties.choice("group.protocol", group.protocol, &protocols)?;
        group.session_timeout = properties.millis("session.timeout.ms", group.session_timeout)?;
        group.heartbeat_interval = properties.millis("heartbeat.interval.ms", group.heartbeat_interval)?;
        group.poll_interval_max = properties.millis("max.poll.interval.ms", group.poll_interval_max)?;
        const STRATEGY: &str = "partition.assignment.strategy";
        let known = |name: &str| {
            Assignor::from_name(name)
                .ok_or_else(|| invalid(STRATEGY, name, "it is none of range, roundrobin, sticky, cooperative-sticky"))
        };
        let named: Vec<Assignor> = properties.list(STRATEGY).into_iter().map(known).collect::<Result<_, _>>()?;
        if !named.is_empty() {
            group.assignors = named;
        }
        group.remote_assignor = properties.text("group.remote.assignor").map(Into::into);
        let interval = properties.millis("auto.commit.interval.ms", Duration::from_secs(5))?;
        group.auto_commit = properties.flag("enable.auto.commit", true)?.then_some(interval);
        Ok(Some(group))
    }
}

fn offset_reset(properties: &Properties) -> Result<OffsetReset, ConfigError> {
    const NAME: &str = "auto.offset.reset";
    let Some(value) = properties.get(NAME) else { return Ok(OffsetReset::Latest) };
    match value.to_ascii_lowercase().as_str() {
        "earliest" => Ok(OffsetReset::Earliest),
        "latest" => Ok(OffsetReset::Latest),
        "none" => Ok(OffsetReset::None),
        other => other
            .strip_prefix("by_duration:")
            .and_then(iso_duration)
            .map(OffsetReset::ByDuration)
            .ok_or_else(|| invalid(NAME, value, "it is none of earliest, latest, none and by_duration:<ISO 8601>")),
    }
}

/// Reads `pNdTnHnMnS` with whole numbers and a fraction of seconds, in lower case.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('p')?;
    let (days, time) = text.split_once('t').unwrap_or((text, ""));
    let mut total = Duration::ZERO;
    for (part, units) in [(days, &[('d', 86_400.0)][..]), (time, &[('h', 3600.0), ('m', 60.0), ('s', 1.0)][..])] {
        let mut rest = part;
        for (unit, seconds) in units {
            if let Some((number, after)) = rest.split_once(*unit) {
                total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
                rest = after;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    (!text.is_empty() && !text.ends_with('t')).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(value: &str) -> Result<OffsetReset, ConfigError> {
        offset_reset(&Properties::from_iter([("auto.offset.reset", value)]))
    }

    #[test]
    fn offset_resets_are_read() {
        assert_eq!(reset("Earliest"), Ok(OffsetReset::Earliest));
        assert_eq!(reset("by_duration:PT1H30M"), Ok(OffsetReset::ByDuration(Duration::from_secs(5400))));
        assert_eq!(reset("by_duration:P1DT0.5S"), Ok(OffsetReset::ByDuration(Duration::from_millis(86_400_500))));
        for wrong in ["", "soon", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:PT1X"] {
            assert!(reset(wrong).is_err(), "{wrong}");
        }
    }
}
