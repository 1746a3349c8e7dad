//! One partition's replication, as pure state machines: no file, socket, clock or thread is touched here.
//!
//! - [`Leader`] knows how far every follower has fetched, and from that how far consumers may read and who is in sync.
//! - [`Follower`] decides what a replica does with its leader's answers: append, truncate, start over.
//! - [`Fetcher`] decides what one broker asks another for, for all partitions that it follows there, in one session.
//! - [`epochs`] holds the two decisions about diverged logs that leader and follower share (KIP-101, KIP-279, KIP-595).
//! - [`Sessions`] are the incremental fetch sessions of KIP-227.
//!
//! A partition with one replica is the same machine with no followers: its high watermark follows its log end at once.
//!
//! ```
//! use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};
//! use thalweg_replica::{Acks, Assignment, Leader, Limits, LogEnds, PartitionEpoch};
//!
//! let me = NodeId(1);
//! let assignment = Assignment {
//!     leader_epoch: LeaderEpoch(0),
//!     partition_epoch: PartitionEpoch(0),
//!     replicas: vec![me],
//!     isr: vec![me],
//! };
//! let log = LogEnds { start: Offset(0), end: Offset(0), high_watermark: Offset(0) };
//! let (mut leader, _) = Leader::start(me, &assignment, log, Limits::default(), Moment(0));
//!
//! assert_eq!(leader.may_append(Acks::All), Ok(()));
//! let effects = leader.appended(Offset(3), Moment(1));
//! assert_eq!(effects.high_watermark, Some(Offset(3)));
//! ```

pub mod epochs;
mod fetcher;
mod follower;
mod leader;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod throttle;

pub use fetcher::{FetchRound, Fetcher, Followed};
pub use follower::{FetchFrom, Follower, FollowerEffects, LeaderAnswer};
pub use leader::{
    Ack, Acks, Assignment, BrokerState, Effects, FetchedBy, IsrMember, IsrProposal, IsrRefusal, Leader, Limits,
    LogEnds, PartitionEpoch, Refusal,
};
pub use session::{CachedPartition, FetchParams, Session, Shown, Slot, Topic, TopicRef};
pub use sessions::{Begun, NewSession, SessionEpoch, SessionError, SessionId, SessionLimits, SessionRequest, Sessions};
pub use throttle::Throttle;
