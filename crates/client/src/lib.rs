//! A client of any Kafka cluster from version 2.1 to 4.4: connections, metadata, admin, producer and consumer.
//!
//! [`Client`] finds the node that a request is for, keeps connections and tries again. Below it, [`Channel`] keeps a
//! connection to one address and makes it again when it breaks, and [`Connection`] is one such connection.

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
mod peer;
mod producer;
mod properties;
mod stream;
mod versions;

pub use backoff::Backoff;
pub use channel::{Channel, ChannelOptions};
pub use client::{Client, Lane, ListedOffset, OffsetSpec};
pub use cluster::{Cluster, Node, Partition, Topic};
pub use config::{Bootstrap, ClientConfig};
pub use connection::{Connection, ConnectionOptions, InFlight, SaslConfig};
pub use consumer::{
    Assignor, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, GroupProtocol, Isolation, OffsetReset, Start,
};
pub use destination::Destination;
pub use error::{Api, Error};
pub use peer::{ParsePeerError, Peer};
pub use producer::{
    Acks, Delivery, GroupMetadata, Producer, ProducerConfig, ProducerRecord, RecordMetadata, murmur2, partition_for_key,
};
pub use properties::{ConfigError, Properties};
pub use versions::ApiVersions;
