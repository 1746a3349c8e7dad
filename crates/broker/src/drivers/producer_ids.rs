//! Producer ids: handed out one by one from blocks that the controller gives (KIP-730).

use thalweg_base::{BrokerEpoch, NodeId, ProducerId};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::AllocateProducerIdsRequest;
use tokio::sync::Mutex;

use super::metadata::MetadataHandle;

/// The rest of the block that this broker was given last.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    broker: NodeId,
    broker_epoch: BrokerEpoch,
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    pub(crate) fn new(broker: NodeId, broker_epoch: BrokerEpoch) -> Self {
        Self { broker, broker_epoch, block: Mutex::new(0..0) }
    }

    /// An id that nobody ever had.
    pub(crate) async fn next(&self, metadata: &MetadataHandle) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let request = AllocateProducerIdsRequest { broker_id: self.broker.0, broker_epoch: self.broker_epoch.0 };
            let decided = metadata.decide(move |d| d.controller.allocate_producer_ids(d.image, &request)).await;
            let given = decided.map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            *block = given.producer_id_start..given.producer_id_start + i64::from(given.producer_id_len);
        }
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}
