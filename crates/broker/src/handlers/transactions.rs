//! What the handlers of transactions have in common.

use bytestring::ByteString;
use thalweg_base::ProducerId;
use thalweg_transactions::{Answer, Partitions, Producer, Refusal, Request};
use thalweg_wire::ErrorCode;

use crate::call::Call;
use crate::drivers::transactions::{Asked, Outcome, Transactions, answered};

/// Asks for a producer, with a new id if the coordinator needs one.
pub(super) async fn producer(
    call: &Call,
    transactional_id: &str,
    request: impl Fn(Option<ProducerId>) -> Request,
) -> Result<Producer, ErrorCode> {
    let transactions = &call.broker.transactions;
    let ask = async |fresh| match answered(transactions.ask(transactional_id, request(fresh))).await {
        Ok(Answer::Producer(answer)) => answer,
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(error) => Err(error.into()),
    };
    let mut answer = ask(None).await;
    if answer == Err(Refusal::NeedsProducerId) {
        let fresh = call.broker.producer_ids.next(&call.broker.metadata).await?;
        answer = ask(Some(fresh)).await;
    }
    answer.map_err(|refusal| match refusal {
        Refusal::Error(error) => error,
        Refusal::NeedsProducerId => ErrorCode::UnknownServerError,
    })
}

/// Old clients do not know that there are producers that are fenced.
pub(super) fn for_version(error: ErrorCode, version: i16, knows_fencing_from: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < knows_fencing_from => ErrorCode::InvalidProducerEpoch,
        other => other,
    }
}

/// What a request with records does about its partitions in the transaction (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// It adds them.
    Added,
    /// They must have been added; the client understands that it has to abort otherwise.
    Verified,
    /// They must have been added.
    VerifiedSilently,
}

impl Membership {
    /// What a request of this version does, whose versions learned to understand aborts at `abortable`, and to add
    /// partitions by the way after that.
    pub(super) fn of(version: i16, abortable: i16) -> Self {
        match version - abortable {
            ..0 => Self::VerifiedSilently,
            0 => Self::Verified,
            _ => Self::Added,
        }
    }

    /// Asks the coordinator.
    pub(super) fn ask(
        self,
        transactions: &Transactions,
        transactional_id: &ByteString,
        producer: Producer,
        partitions: Partitions,
    ) -> Asked {
        let id = transactional_id.clone();
        let request = match self {
            Self::Added => Request::AddPartitions { transactional_id: id, producer, partitions, client_version: 2 },
            _ => Request::VerifyPartitions { transactional_id: id, producer, partitions },
        };
        transactions.ask_anywhere(transactional_id, request)
    }

    /// Which partitions the transaction does not have, and the error that says so; or why it is not known.
    pub(super) fn missing(self, outcome: Outcome) -> Result<(Partitions, ErrorCode), ErrorCode> {
        let answer = match outcome {
            Ok(Answer::Added(added)) => added.map(|()| Partitions::new()),
            Ok(Answer::Verified(verified)) => verified,
            Ok(_) => Err(ErrorCode::UnknownServerError),
            Err(ErrorCode::NotCoordinator) => Err(ErrorCode::CoordinatorNotAvailable),
            Err(error) => Err(error),
        };
        // Producers that write expect this one.
        let answer = answer.map_err(|error| for_version(error, 0, 1));
        let error = if self == Self::Verified { ErrorCode::TransactionAbortable } else { ErrorCode::InvalidTxnState };
        answer.map(|missing| (missing, error))
    }
}
