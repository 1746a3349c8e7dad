//! Share groups where the records are (KIP-932): which member holds which record of a partition, and the coordinator that
//! remembers it in `__share_group_state`.
//!
//! [`SharePartition`] is a group's view of one partition: it says what a member may have and what becomes of it. [`Sessions`]
//! know which partitions a member fetches without being told every time. [`Shard`] is one partition of the topic that keeps
//! what share partitions must not forget. All three are pure.

mod ack_type;
mod acknowledge;
mod acquire;
mod partition;
mod sessions;
pub mod state;

pub use ack_type::AckType;
pub use acknowledge::{AckBatch, AckRefusal};
pub use acquire::{Acquire, AcquireMode, Acquired, Span};
pub use partition::{DeliveryState, Limits, Loaded, SharePartition, StateBatch, Write, WriteId};
pub use sessions::{SessionError, SessionKey, Sessions};
pub use state::Shard;
