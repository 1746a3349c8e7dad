//! A client of any Kafka cluster: connections, metadata, administration, producer and consumer.
//!
//! [`Producer`] writes records, [`Consumer`] reads them, and [`ShareConsumer`] shares them with other members as a queue. [`Client`] sends any request of the protocol to the node that it
//! is for, keeps connections and metadata, and tries again. Below it, [`Channel`] keeps a connection to one address and makes it
//! again when it breaks, and [`Connection`] is one such connection. docs/client.md says what each promises.
//!
//! ```no_run
//! use thalweg_client::{Client, ClientConfig, Destination, Producer, ProducerConfig, ProducerRecord, Properties};
//! use thalweg_wire::messages::DescribeClusterRequest;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let properties = Properties::from_iter([("bootstrap.servers", "localhost:9092")]);
//!
//! let producer = Producer::new(ProducerConfig::from_properties(&properties)?);
//! producer.send(ProducerRecord::new("greetings", "hello")).await?.wait().await?;
//!
//! let client = Client::new(ClientConfig::from_properties(&properties)?);
//! let cluster = client.send(Destination::Any, &DescribeClusterRequest::default()).await?;
//! println!("cluster {} has {} brokers", cluster.cluster_id, cluster.brokers.len());
//! # Ok(())
//! # }
//! ```

mod backoff;
mod channel;
mod client;
mod cluster;
mod config;
mod connection;
mod consumer;
mod destination;
mod error;
#[cfg(test)]
#[path = "tests/fake.rs"]
mod fake;
mod meter;
mod peer;
mod producer;
mod properties;
mod share_consumer;
mod stream;
mod versions;

pub use backoff::Backoff;
pub use channel::{Channel, ChannelOptions};
pub use client::{Client, Lane, ListedOffset, OffsetSpec};
pub use cluster::{Cluster, Node, Partition, Topic};
pub use config::{Bootstrap, ClientConfig, MetadataRecovery};
pub use connection::{Connection, ConnectionOptions, InFlight, SOFTWARE_NAME, SaslConfig};
pub use consumer::{
    Assignor, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, GroupProtocol, Isolation, OffsetReset, Passed,
    PassedOver, RebalanceListener, Start,
};
pub use destination::Destination;
pub use error::{Api, Error};
pub use meter::Meter;
pub use peer::{ParsePeerError, Peer};
pub use producer::{
    Acks, Delivery, GroupMetadata, Producer, ProducerConfig, ProducerRecord, RecordMetadata, murmur2, partition_for_key,
};
pub use properties::{ConfigError, Properties};
pub use share_consumer::{Acknowledge, ShareConsumer, ShareRecord};
pub use stream::{Encryption, open_stream};
pub use versions::ApiVersions;
