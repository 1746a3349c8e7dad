//! The share coordinator: what share partitions must not forget, as Kafka 4.3 keeps it in `__share_group_state`.

mod batches;
mod records;
mod request;
mod shard;
#[cfg(test)]
mod tests;

pub use request::{Answer, Failure, Key, Request, State};
pub use shard::{Errand, Settings, Shard};
