//! The owners of the state machines: they feed them events, carry out their effects, and wake who waits.

pub(crate) mod acknowledged;
mod cleaner_settings;
pub(crate) mod cleaning;
pub(crate) mod coordination;
mod found;
pub(crate) mod groups;
pub(crate) mod guard;
pub(crate) mod log_dirs;
pub(crate) mod maintenance;
pub(crate) mod marker;
pub(crate) mod metadata;
mod moves;
pub(crate) mod moving;
mod opening;
pub(crate) mod parked;
pub(crate) mod partition;
pub(crate) mod partitions;
pub(crate) mod peers;
pub(crate) mod planned_read;
pub(crate) mod presence;
pub(crate) mod producer_ids;
mod removing;
pub(crate) mod replication;
pub(crate) mod settings;
pub(crate) mod share;
pub(crate) mod throttles;
pub(crate) mod transactions;
