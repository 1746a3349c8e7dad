//! Transactions: producers that are told apart by a transactional id, and whether what they wrote counts, as Kafka 4.3
//! keeps it in `__transaction_state` (KIP-98, KIP-360, KIP-890).
//!
//! A [`Shard`] is one partition of that topic with the transactional ids that live there. It is pure:
//! `thalweg_coordinator` says what its driver does for it.

mod add;
mod census;
mod completion;
mod end;
mod entry;
mod errand;
mod expiry;
mod init;
mod outbox;
mod pattern;
mod reads;
mod records;
mod request;
mod settings;
mod shard;
mod tally;
#[cfg(test)]
mod tests;
mod transaction;

pub use census::{Census, InState};
pub use errand::{Errand, Markers, Written};
pub use pattern::Filter;
pub use request::{Answer, Producer, Refusal, Request};
pub use settings::Settings;
pub use shard::Shard;
pub use tally::Tally;
pub use transaction::Partitions;
