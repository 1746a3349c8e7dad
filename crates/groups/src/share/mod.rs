//! Share groups (KIP-932): members share partitions, and the group says who fetches from which.
//!
//! A [`ShareGroup`] is what the log says of a group. Nobody owns a partition, so a member is given its target at once. A
//! partition is given to members once the share coordinator remembers its state: the group says what is to be initialized
//! with a heartbeat's answer, and is told when that was done.

mod assignor;
mod describe;
mod group;
mod heartbeat;
mod offsets;
mod serve;
mod settings;
#[cfg(test)]
mod tests;

pub use group::Partitions;
pub(crate) use group::ShareGroup;
pub use heartbeat::Initialize;
pub use settings::{ResetStrategy, ShareSettings, allows_renewal, reads_committed, reset_strategy};
