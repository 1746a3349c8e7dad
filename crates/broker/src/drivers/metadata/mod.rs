//! The metadata quorum on this node: its log and its state machine, the controller while this node leads, and the image that
//! everybody else reads.
//!
//! - `quorum`: the task that owns the log and the quorum's state machine, with `serving` for what others ask and `transport`
//!   for what it asks them. It never awaits the rest of the node.
//! - `active`: the controller with its sessions and the decisions on their way. It dies with the leadership. `deciding` is where
//!   the quorum's task has it decide and writes what it says.
//! - `publisher`: a task that hands committed images to partitions, groups and transactions.

mod active;
mod control;
mod deciding;
mod ended;
mod forward;
mod handle;
mod images;
mod inbox;
mod load_error;
mod log;
pub(crate) mod messages;
mod mutation_quota;
mod parked;
mod publisher;
mod quorum;
mod serving;
mod snapshots;
mod snapshotting;
mod transport;
mod voters;
mod writing;

pub(crate) use active::ElectionTimes;
pub(crate) use ended::Ended;
pub(crate) use forward::ForwardedClient;
pub(crate) use handle::{Asker, MetadataHandle};
pub(crate) use inbox::{Description, FetchAnswer, LogFetch, Rpc, SnapshotAnswer};
pub(crate) use load_error::LoadError;
pub(crate) use log::MetadataLog;
pub(crate) use publisher::Acting;
pub(crate) use quorum::{QuorumDriver, QuorumSettings};
pub(crate) use snapshots::Retention;
pub(crate) use transport::TransportSettings;
pub(crate) use voters::{VoterRules, check_cluster, code_of, replica_key};
pub(crate) use writing::SnapshotPolicy;
