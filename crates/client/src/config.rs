//! What a client is configured with, under Kafka's names.

use std::time::Duration;

use thalweg_sys::net::ConnectOptions;

use crate::properties::invalid;
use crate::stream::Encryption;
use crate::{Backoff, ChannelOptions, ConfigError, Peer, Properties, SaslConfig};

/// Which kind of nodes a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// `bootstrap.servers`: brokers, which have all of the metadata.
    Brokers,
    /// `bootstrap.controllers`: controllers, which serve administration only (KIP-919).
    Controllers,
}

/// What a client does when the nodes that it knows of are no longer those of its cluster (`metadata.recovery.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataRecovery {
    /// It goes on asking the nodes that it knows of.
    None,
    /// It begins again with the bootstrap nodes: when none of the others can be reached (KIP-899), when a broker says so, or
    /// when there was no metadata for [`ClientConfig::rebootstrap_after`] (KIP-1102).
    Rebootstrap,
}

/// A client's configuration. [`ClientConfig::new`] has Kafka's defaults; [`ClientConfig::from_properties`] reads Kafka's
/// property names.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The nodes to begin with. Any of them is enough.
    pub bootstrap: Vec<Peer>,
    /// What kind of nodes they are.
    pub bootstrap_kind: Bootstrap,
    /// How nodes are connected to.
    pub channel: ChannelOptions,
    /// `request.timeout.ms`: how long one attempt may take.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long a request may take with all of its attempts.
    pub api_timeout: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`: the wait between attempts.
    pub retry: Backoff,
    /// `retries`: how many attempts may follow the first one.
    pub retries: u32,
    /// `metadata.max.age.ms`: metadata that is older is asked for again before it is used.
    pub metadata_max_age: Duration,
    /// `metadata.recovery.strategy`.
    pub metadata_recovery: MetadataRecovery,
    /// `metadata.recovery.rebootstrap.trigger.ms`.
    pub rebootstrap_after: Duration,
    /// `allow.auto.create.topics`: whether asking for the metadata of a topic may create it.
    pub auto_create_topics: bool,
    /// `client.rack`: where this client is, for reading from replicas nearby (KIP-392).
    pub rack: Option<String>,
}

impl ClientConfig {
    /// Kafka's defaults, beginning with these brokers.
    #[must_use]
    pub fn new(bootstrap: Vec<Peer>) -> Self {
        Self {
            bootstrap,
            bootstrap_kind: Bootstrap::Brokers,
            channel: ChannelOptions::default(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            retry: Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(1) },
            retries: i32::MAX.cast_unsigned(),
            metadata_max_age: Duration::from_secs(300),
            metadata_recovery: MetadataRecovery::Rebootstrap,
            rebootstrap_after: Duration::from_secs(300),
            auto_create_topics: false,
            rack: None,
        }
    }

    /// Reads Kafka's property names. Names that mean nothing to a client are passed over.
    ///
    /// ```
    /// use thalweg_client::{ClientConfig, Properties};
    ///
    /// let properties = Properties::parse("bootstrap.servers=a:9092,b:9092\nrequest.timeout.ms=5000\nunknown=1");
    /// let config = ClientConfig::from_properties(&properties)?;
    /// assert_eq!(config.bootstrap[1].to_string(), "b:9092");
    /// assert_eq!(config.request_timeout.as_millis(), 5000);
    /// # Ok::<(), thalweg_client::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// When a value is not possible, or no node is named.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let (bootstrap, bootstrap_kind) = bootstrap(properties)?;
        let mut config = Self { bootstrap_kind, ..Self::new(bootstrap) };
        let connection = &mut config.channel.connection;
        connection.client_id = properties.text("client.id").map(Into::into);
        connection.socket = ConnectOptions {
            receive_buffer: buffer(properties, "receive.buffer.bytes")?,
            send_buffer: buffer(properties, "send.buffer.bytes")?,
        };
        connection.setup_timeout = properties.millis("socket.connection.setup.timeout.ms", connection.setup_timeout)?;
        connection.idle_max = properties.millis("connections.max.idle.ms", connection.idle_max)?;
        let reconnect = ("reconnect.backoff.ms", "reconnect.backoff.max.ms");
        config.channel.reconnect = properties.backoff(reconnect.0, reconnect.1, config.channel.reconnect)?;
        config.retry = properties.backoff("retry.backoff.ms", "retry.backoff.max.ms", config.retry)?;
        config.retries = properties.number("retries", i32::MAX, 0)?.cast_unsigned();
        config.request_timeout = properties.millis("request.timeout.ms", config.request_timeout)?;
        config.api_timeout = properties.millis("default.api.timeout.ms", config.api_timeout)?;
        config.metadata_max_age = properties.millis("metadata.max.age.ms", config.metadata_max_age)?;
        let recoveries = [("none", MetadataRecovery::None), ("rebootstrap", MetadataRecovery::Rebootstrap)];
        config.metadata_recovery =
            properties.choice("metadata.recovery.strategy", config.metadata_recovery, &recoveries)?;
        let trigger = "metadata.recovery.rebootstrap.trigger.ms";
        config.rebootstrap_after = properties.millis(trigger, config.rebootstrap_after)?;
        config.auto_create_topics = properties.flag("allow.auto.create.topics", config.auto_create_topics)?;
        config.rack = properties.text("client.rack").map(Into::into);
        let plain = (false, false);
        let protocols = [
            ("PLAINTEXT", plain),
            ("SSL", (true, false)),
            ("SASL_PLAINTEXT", (false, true)),
            ("SASL_SSL", (true, true)),
        ];
        let (encrypts, authenticates) = properties.choice("security.protocol", plain, &protocols)?;
        if encrypts {
            config.channel.connection.encryption = Some(Encryption::from_properties(properties)?);
        }
        if authenticates {
            config.channel.connection.sasl = Some(SaslConfig::from_properties(properties)?);
        }
        Ok(config)
    }
}

fn bootstrap(properties: &Properties) -> Result<(Vec<Peer>, Bootstrap), ConfigError> {
    const BROKERS: &str = "bootstrap.servers";
    const CONTROLLERS: &str = "bootstrap.controllers";
    let (name, list, kind) = match (properties.text(BROKERS), properties.text(CONTROLLERS)) {
        (Some(list), None) => (BROKERS, list, Bootstrap::Brokers),
        (None, Some(list)) => (CONTROLLERS, list, Bootstrap::Controllers),
        (None, None) => {
            let text = "You must set either bootstrap.servers or bootstrap.controllers";
            return Err(ConfigError::Combination(text.to_owned()));
        }
        (Some(_), Some(_)) => {
            let text = "You cannot set both bootstrap.servers and bootstrap.controllers";
            return Err(ConfigError::Combination(text.to_owned()));
        }
    };
    let peers = Peer::parse_list(list).map_err(|error| invalid(name, list, &error.to_string()))?;
    Ok((peers, kind))
}

/// The size of a socket's buffer; -1 and no value leave it to the kernel.
fn buffer(properties: &Properties, name: &str) -> Result<Option<u32>, ConfigError> {
    Ok(u32::try_from(properties.number(name, -1i32, -1)?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        ClientConfig::from_properties(&Properties::parse(text)).expect_err("a wrong configuration").to_string()
    }

    #[test]
    fn wrong_configurations_are_refused_with_the_reason() {
        assert_eq!(error(""), "You must set either bootstrap.servers or bootstrap.controllers");
        assert_eq!(
            error("bootstrap.servers=a"),
            "Invalid value a for configuration bootstrap.servers: `a` is not host:port"
        );
        assert_eq!(
            error("bootstrap.servers=a:1\nrequest.timeout.ms=soon"),
            "Invalid value soon for configuration request.timeout.ms: Not a number of type LONG"
        );
    }

    #[test]
    fn controllers_can_be_the_beginning() {
        let config = ClientConfig::from_properties(&Properties::parse("bootstrap.controllers=c:9093"));
        assert_eq!(config.expect("a configuration").bootstrap_kind, Bootstrap::Controllers);
    }
}
