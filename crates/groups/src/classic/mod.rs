//! The classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
//!
//! The log holds a generation of a group with its members and their assignments, from when the leader's assignment
//! arrives. Who has joined the rebalance that is under way, and who waits for an answer, is known to the shard alone.

mod convert;
mod group;
mod heartbeat;
mod join;
pub(crate) mod leave;
mod member;
mod rebalance;
mod replace;
mod replay;
mod sync;

#[cfg(test)]
mod tests;

pub(crate) use group::{ClassicGroup, State};
pub(crate) use member::{Member, Protocols};
pub(crate) use rebalance::Desk;
pub(crate) use replace::PendingReplacement;
pub(crate) use sync::PendingAssignment;
