//! EndTxn: a transaction is committed or aborted.

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_transactions::{Producer, Request};
use thalweg_wire::messages::{EndTxnRequest, EndTxnResponse};

use super::transactions::{for_version, producer};
use crate::call::Call;

/// From this version on clients know that producers are fenced (KIP-588).
const FENCED: i16 = 2;
/// From this version on each transaction has an epoch of its own (KIP-890).
const EPOCH_BUMPS: i16 = 5;

pub(crate) async fn handle(call: Call, request: EndTxnRequest) -> EndTxnResponse {
    let ask = |fresh| Request::EndTxn {
        transactional_id: request.transactional_id.clone(),
        producer: Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) },
        committed: request.committed,
        client_version: if call.version >= EPOCH_BUMPS { 2 } else { 0 },
        fresh,
    };
    match producer(&call, &request.transactional_id, ask).await {
        Ok(Producer { id, epoch }) => {
            EndTxnResponse { producer_id: id.0, producer_epoch: epoch.0, ..EndTxnResponse::default() }
        }
        Err(error) => {
            EndTxnResponse { error_code: for_version(error, call.version, FENCED).code(), ..EndTxnResponse::default() }
        }
    }
}
