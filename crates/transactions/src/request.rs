//! What a shard is asked and what it answers.

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::describe_transactions_response::TransactionState as Described;
use thalweg_wire::messages::list_transactions_response::TransactionState as Listed;

use crate::pattern::Filter;
use crate::transaction::{NO_EPOCH, Partitions};

/// A producer: its id, and the epoch that fences its former selves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

impl Producer {
    /// None: what answers say that have no producer to tell of.
    pub const NONE: Self = Self { id: ProducerId::NONE, epoch: NO_EPOCH };
}

/// A request about the transactional ids of one shard.
#[derive(Clone, Debug)]
pub enum Request {
    /// InitProducerId: a producer begins, or goes on after an error.
    InitProducerId {
        /// Which.
        transactional_id: ByteString,
        /// After how long a transaction of it is to be aborted.
        timeout_ms: i32,
        /// Another system decides about its transactions (KIP-939).
        two_phase: bool,
        /// What is prepared is to stay so (KIP-939).
        keep_prepared: bool,
        /// Who it was, if it goes on (KIP-360).
        expected: Option<Producer>,
        /// An id that nobody ever had, if the shard has asked for one.
        fresh: Option<ProducerId>,
    },
    /// AddPartitionsToTxn and all that adds partitions on the side.
    AddPartitions {
        /// To whose transaction.
        transactional_id: ByteString,
        /// Who the client thinks it is.
        producer: Producer,
        /// What it will write to.
        partitions: Partitions,
        /// The protocol of the client: 2 is that of KIP-890.
        client_version: i16,
    },
    /// Asks whether partitions are part of the open transaction (KIP-890).
    VerifyPartitions {
        /// Of whose transaction.
        transactional_id: ByteString,
        /// Who the client thinks it is.
        producer: Producer,
        /// What it writes to.
        partitions: Partitions,
    },
    /// EndTxn.
    EndTxn {
        /// Whose transaction.
        transactional_id: ByteString,
        /// Who the client thinks it is.
        producer: Producer,
        /// Whether what it wrote is to count.
        committed: bool,
        /// The protocol of the client: 2 is that of KIP-890.
        client_version: i16,
        /// An id that nobody ever had, if the shard has asked for one.
        fresh: Option<ProducerId>,
    },
    /// DescribeTransactions, of one id.
    Describe(ByteString),
    /// ListTransactions, of all that is here.
    List(Filter),
}

/// What InitProducerId says, the id aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Init {
    pub(crate) timeout_ms: i32,
    pub(crate) two_phase: bool,
    pub(crate) keep_prepared: bool,
    pub(crate) expected: Option<Producer>,
    pub(crate) fresh: Option<ProducerId>,
}

/// What EndTxn says, the id aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) producer: Producer,
    pub(crate) committed: bool,
    pub(crate) client_version: i16,
    pub(crate) fresh: Option<ProducerId>,
}

/// Why a producer does not get what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not, or not now.
    Error(ErrorCode),
    /// The shard needs a producer id that nobody ever had: ask again with one.
    NeedsProducerId,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self::Error(error)
    }
}

/// What a shard answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Who the producer is from now on: to InitProducerId, and to EndTxn since KIP-890. [`Producer::NONE`] to an older EndTxn.
    Producer(Result<Producer, Refusal>),
    /// The partitions are part of the transaction, all of them, or none was added.
    Added(Result<(), ErrorCode>),
    /// Which of the partitions are not part of the transaction.
    Verified(Result<Partitions, ErrorCode>),
    /// How it is.
    Described(Described),
    /// The transactional ids that were asked for.
    Listed(Vec<Listed>),
}

impl Answer {
    /// The same answer with `error` in place of success, for a write that failed after it was decided.
    pub(crate) fn refused(self, error: ErrorCode) -> Self {
        match self {
            Self::Producer(_) => Self::Producer(Err(error.into())),
            Self::Added(_) => Self::Added(Err(error)),
            // These read only: no write goes before their answers.
            reading @ (Self::Verified(_) | Self::Described(_) | Self::Listed(_)) => reading,
        }
    }
}
