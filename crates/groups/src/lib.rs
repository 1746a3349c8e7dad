//! Consumer groups: membership, assignment and offsets, as Kafka 4.3 keeps them in `__consumer_offsets`.
//!
//! A [`Shard`] is one partition of that topic with the groups that live there. It is pure: `thalweg_coordinator` says
//! what its driver does for it.

mod request;
mod shard;

pub use request::{Answer, Caller, Request};
pub use shard::{Now, Settings, Shard};
