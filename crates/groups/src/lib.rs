//! Consumer groups: membership, assignment and offsets, as Kafka 4.3 keeps them in `__consumer_offsets`.
//!
//! A [`Shard`] is one partition of that topic with the groups that live there. It is pure: `thalweg_coordinator` says
//! what its driver does for it.

mod census;
mod classic;
mod consumer;
mod describable;
mod describe;
mod group;
mod millis;
mod offsets;
mod outbox;
mod own_config;
pub mod records;
mod request;
mod settings;
mod shard;
mod share;
mod streams;
mod tally;
#[cfg(test)]
mod tests;
mod walk;

pub use census::Census;
pub use describable::Describable;
pub use own_config::Bounded;
pub use request::{Answer, Caller, Request};
pub use settings::{MigrationPolicy, Settings};
pub use shard::Shard;
pub use share::{
    Initialize, Partitions, ResetStrategy, ShareSettings, allows_renewal, reads_committed, reset_strategy,
};
pub use streams::StreamsSettings;
pub use tally::Tally;
pub use thalweg_coordinator::Now;
