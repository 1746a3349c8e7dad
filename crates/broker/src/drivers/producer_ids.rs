//! Producer ids: handed out one by one from blocks that the controller gives (KIP-730).

use std::sync::atomic::{AtomicI64, Ordering};

use thalweg_base::{BrokerEpoch, NodeId, ProducerId};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::AllocateProducerIdsRequest;
use tokio::sync::Mutex;

use super::metadata::{Asker, MetadataHandle};

/// The rest of the block that this broker was given last.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    broker: NodeId,
    /// The epoch that the controller gave this broker; -1 before.
    broker_epoch: AtomicI64,
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    pub(crate) fn new(broker: NodeId) -> Self {
        Self { broker, broker_epoch: AtomicI64::new(-1), block: Mutex::new(0..0) }
    }

    /// The broker was registered: the controller knows it by this epoch.
    pub(crate) fn registered(&self, epoch: BrokerEpoch) {
        self.broker_epoch.store(epoch.0, Ordering::Relaxed);
    }

    /// An id that nobody ever had.
    pub(crate) async fn next(&self, metadata: &MetadataHandle) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let broker_epoch = self.broker_epoch.load(Ordering::Relaxed);
            let request = AllocateProducerIdsRequest { broker_id: self.broker.0, broker_epoch };
            let decided = metadata.ask(Asker::ThisNode, metadata.context(0), request).await;
            let given = decided.map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            *block = given.producer_id_start..given.producer_id_start + i64::from(given.producer_id_len);
        }
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}
