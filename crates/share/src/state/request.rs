//! What the share coordinator is asked, each time about one share partition.

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;

use crate::partition::StateBatch;

/// A share partition: a group and a partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The group.
    pub group: ByteString,
    /// The topic's id.
    pub topic: Uuid,
    /// The partition's index.
    pub partition: i32,
}

impl Key {
    /// The name by which its coordinator is found, on every node the same.
    #[must_use]
    pub fn coordinator_key(&self) -> String {
        format!("{}:{}:{}", self.group, self.topic, self.partition)
    }
}

/// A request about one share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Begin to remember it.
    Initialize {
        /// The epoch of its state, which fences older ones.
        state_epoch: i32,
        /// Where delivery begins; -1 to leave that to the group's configuration.
        start_offset: i64,
    },
    /// Remember a change.
    Write {
        /// The epoch of the state that is changed.
        state_epoch: i32,
        /// The epoch of the partition's leader that asks.
        leader_epoch: i32,
        /// The first record that is not done with.
        start_offset: i64,
        /// How many records from there on are done with.
        delivery_complete_count: i32,
        /// What has changed.
        batches: Vec<StateBatch>,
    },
    /// What is remembered? The leader that asks fences those before it.
    Read {
        /// The epoch of the partition's leader that asks.
        leader_epoch: i32,
    },
    /// Where is it?
    ReadSummary,
    /// Forget it.
    Delete,
}

/// What is remembered of a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The epoch of the state.
    pub state_epoch: i32,
    /// The epoch of the partition's leader that wrote last.
    pub leader_epoch: i32,
    /// The first record that is not done with; -1 if nobody knows yet.
    pub start_offset: i64,
    /// How many records from there on are done with; -1 if nobody knows yet.
    pub delivery_complete_count: i32,
    /// Records whose state is known, in order and without overlaps.
    pub batches: Vec<StateBatch>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Kafka's error.
    pub code: ErrorCode,
    /// Its text; the error's own if there is none.
    pub message: Option<&'static str>,
}

impl Failure {
    /// The text that goes to the client.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.message.unwrap_or_else(|| self.code.message())
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// What a request comes to: for those that read, what is remembered; `None` if that is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub Result<Option<State>, Failure>);
