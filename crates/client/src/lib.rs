//! A client of any Kafka cluster from version 2.1 to 4.4: connections, metadata, admin, producer and consumer.
//!
//! [`Connection`] is one connection to one node, [`Channel`] keeps one to an address and makes it again when it breaks.

mod backoff;
mod channel;
mod connection;
mod error;
#[cfg(test)]
mod fake;
mod peer;
mod stream;
mod versions;

pub use backoff::Backoff;
pub use channel::{Channel, ChannelOptions};
pub use connection::{Connection, ConnectionOptions, InFlight};
pub use error::{Api, Error};
pub use peer::{ParsePeerError, Peer};
pub use versions::ApiVersions;
