//! Streams groups (KIP-1071): members run the tasks of one topology, which the group configures, checks and assigns.

mod assignor;
mod describe;
mod group;
mod heartbeat;
mod member;
mod offsets;
mod reconcile;
mod records;
mod serve;
mod settings;
mod target;
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
mod validate;

pub(crate) use group::StreamsGroup;
pub use settings::StreamsSettings;
