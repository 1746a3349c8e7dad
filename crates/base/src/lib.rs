//! Words that every other crate uses: ids, offsets, epochs, metrics, and the reader of Java properties files.
//!
//! A bare `i64` says nothing about what it counts. These newtypes do, and the compiler keeps them apart.

pub mod base64;
mod ids;
pub mod metrics;
mod moment;
#[cfg(sim)]
pub mod planted;
pub mod properties;
mod repeats;
mod uuid;

pub use ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
pub use moment::Moment;
pub use repeats::{LeftOut, Repeats};
pub use uuid::{ParseUuidError, Uuid};
