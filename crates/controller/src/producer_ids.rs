//! AllocateProducerIds.

use thalweg_base::{BrokerEpoch, NodeId};
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerIdsRecord};

use crate::brokers::check_broker_epoch;
use crate::{Controller, Outcome, Refusal};

/// How many producer ids a broker gets at once.
const BLOCK: i32 = 1000;

impl Controller {
    /// Gives a broker the next block of producer ids. No id is ever in two blocks.
    ///
    /// # Errors
    /// If the broker is not registered with that epoch, or no ids are left.
    pub fn allocate_producer_ids(
        &self,
        image: &MetadataImage,
        request: &AllocateProducerIdsRequest,
    ) -> Result<Outcome<AllocateProducerIdsResponse>, Refusal> {
        check_broker_epoch(image, NodeId(request.broker_id), BrokerEpoch(request.broker_epoch))?;
        let first = image.next_producer_id().0;
        let Some(next) = first.checked_add(i64::from(BLOCK)) else {
            return Err(Refusal::bare(ErrorCode::UnknownServerError));
        };
        let record = ProducerIdsRecord {
            broker_id: request.broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id: next,
        };
        let response =
            AllocateProducerIdsResponse { producer_id_start: first, producer_id_len: BLOCK, ..Default::default() };
        Ok(Outcome { records: vec![record.into()], response })
    }
}

#[cfg(test)]
mod tests;
