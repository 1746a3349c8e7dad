//! What a producer is configured with, under Kafka's names.

use std::time::Duration;

use bytestring::ByteString;
use thalweg_records::{Codec, Compression};

use crate::{ClientConfig, ConfigError, Properties};

/// Who must have a record before it counts as delivered (`acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: it is delivered when it is sent. It has no offset.
    None,
    /// The leader.
    Leader,
    /// Every replica that is in sync.
    All,
}

impl Acks {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// A producer's configuration.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// How the cluster is reached.
    pub client: ClientConfig,
    /// `retries`: how often a batch may be sent again. What the producer asks the cluster about is asked as long as there
    /// is time for it.
    pub retries: u32,
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`: retries neither repeat nor reorder records (KIP-98).
    pub idempotent: bool,
    /// `transactional.id`.
    pub transactional_id: Option<ByteString>,
    /// `transaction.timeout.ms`: after so long the coordinator aborts a transaction by itself.
    pub transaction_timeout: Duration,
    /// `compression.type` and the level of its codec.
    pub codec: Codec,
    /// `batch.size`: a batch of a partition is sent when it has so many bytes.
    pub batch_bytes: usize,
    /// `linger.ms`: or when it is so old.
    pub linger: Duration,
    /// `buffer.memory`: how many bytes of records may wait; sending waits while there are more.
    pub buffer_bytes: usize,
    /// `max.block.ms`: how long sending waits for metadata and for memory.
    pub block_max: Duration,
    /// `max.request.size`: the largest record, and about the largest request, in bytes.
    pub request_bytes_max: usize,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// `delivery.timeout.ms`: after so long a record counts as not delivered.
    pub delivery_timeout: Duration,
}

/// More requests of an idempotent producer on the way than batches that brokers remember would break its guarantee.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

impl ProducerConfig {
    /// Kafka's defaults.
    #[must_use]
    pub fn new(client: ClientConfig) -> Self {
        Self {
            retries: i32::MAX.cast_unsigned(),
            client,
            acks: Acks::All,
            idempotent: true,
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
            codec: Codec::default(),
            batch_bytes: 16 << 10,
            linger: Duration::from_millis(5),
            buffer_bytes: 32 << 20,
            block_max: Duration::from_secs(60),
            request_bytes_max: 1 << 20,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(120),
        }
    }

    /// Reads Kafka's property names, those of the client among them.
    ///
    /// # Errors
    /// When a value is not possible, or values do not fit together.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let mut defaults = properties.clone();
        defaults.set_default("allow.auto.create.topics", "true");
        let mut config = Self::new(ClientConfig::from_properties(&defaults)?);
        config.retries = std::mem::replace(&mut config.client.retries, config.retries);
        let acks = [("all", Acks::All), ("-1", Acks::All), ("0", Acks::None), ("1", Acks::Leader)];
        config.acks = properties.choice("acks", config.acks, &acks)?;
        config.transactional_id = properties.text("transactional.id").map(Into::into);
        config.transaction_timeout = properties.millis("transaction.timeout.ms", config.transaction_timeout)?;
        config.codec = codec(properties)?;
        config.batch_bytes = properties.number("batch.size", config.batch_bytes, 0)?;
        config.linger = properties.millis("linger.ms", config.linger)?;
        config.buffer_bytes = properties.number("buffer.memory", config.buffer_bytes, 0)?;
        config.block_max = properties.millis("max.block.ms", config.block_max)?;
        config.request_bytes_max = properties.number("max.request.size", config.request_bytes_max, 0)?;
        config.in_flight_max = properties.number("max.in.flight.requests.per.connection", config.in_flight_max, 1)?;
        config.delivery_timeout = properties.millis("delivery.timeout.ms", config.delivery_timeout)?;
        config.decide_idempotence(properties)?;
        Ok(config)
    }

    /// As in Kafka, idempotence is on unless other settings speak against it; asked for explicitly, these are errors.
    fn decide_idempotence(&mut self, properties: &Properties) -> Result<(), ConfigError> {
        let wanted = properties.flag("enable.idempotence", true)?;
        let explicit = properties.get("enable.idempotence").is_some() || self.transactional_id.is_some();
        let against = if self.acks != Acks::All {
            Some(
                "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.",
            )
        } else if self.retries == 0 {
            Some("Must set retries to non-zero when using the idempotent producer.")
        } else if self.in_flight_max > IDEMPOTENT_IN_FLIGHT_MAX {
            Some("Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.")
        } else {
            None
        };
        if !wanted && self.transactional_id.is_some() {
            let text = "Cannot set a transactional.id without also enabling idempotence.";
            return Err(ConfigError::Combination(text.to_owned()));
        }
        match against {
            Some(text) if wanted && explicit => Err(ConfigError::Combination(text.to_owned())),
            against => {
                self.idempotent = wanted && against.is_none();
                Ok(())
            }
        }
    }
}

fn codec(properties: &Properties) -> Result<Codec, ConfigError> {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    let choices = [("none", None), ("gzip", Gzip), ("snappy", Snappy), ("lz4", Lz4), ("zstd", Zstd)];
    let compression = properties.choice("compression.type", None, &choices)?;
    let level = match compression {
        Gzip | Lz4 | Zstd => {
            let name = format!("compression.{}.level", compression.name());
            properties.number(&name, compression.default_level(), i32::MIN)?
        }
        None | Snappy => compression.default_level(),
    };
    Ok(Codec { compression, level })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProducerConfig, ConfigError> {
        ProducerConfig::from_properties(&Properties::parse(&format!("bootstrap.servers=a:1\n{text}")))
    }

    #[test]
    fn idempotence_gives_way_unless_it_is_asked_for() {
        assert!(read("").expect("a configuration").idempotent);
        assert!(!read("acks=1").expect("a configuration").idempotent);
        assert!(!read("enable.idempotence=false").expect("a configuration").idempotent);
        for wrong in ["acks=1\nenable.idempotence=true", "transactional.id=x\nenable.idempotence=false", "acks=2"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retries_are_for_batches_and_not_for_questions_about_the_cluster() {
        let config = read("retries=0").expect("a configuration");
        assert_eq!((config.retries, config.idempotent), (0, false));
        assert_eq!(config.client.retries, i32::MAX.cast_unsigned());
    }

    #[test]
    fn codecs_have_levels() {
        let config = read("compression.type=zstd\ncompression.zstd.level=9").expect("a configuration");
        assert_eq!(config.codec, Codec { compression: Compression::Zstd, level: 9 });
    }
}
