//! Appends that wait for the disk or for replicas.

use std::sync::Arc;

use thalweg_base::Offset;
use thalweg_replica::{Ack, Acks};
use thalweg_storage::Flush;
use thalweg_sys::task;
use thalweg_sys::time::Instant;
use thalweg_wire::ErrorCode;

use super::maintenance::flush;
use super::parked::Parked;
use super::partition::Partition;

/// An append that waits.
pub(crate) struct Awaited {
    pub(crate) place: Arc<Partition>,
    /// The offset after its last record.
    pub(crate) end: Offset,
    pub(crate) acks: Acks,
    /// It has to be on the disk first.
    pub(crate) flush: bool,
}

impl Awaited {
    /// Waits until it is on the disk, if the topic asks for that, and until every replica in sync has it, if the producer
    /// does; gives the error to answer with, if any.
    pub(crate) async fn acknowledged(&self, deadline: Instant) -> ErrorCode {
        if self.flush {
            let place = Arc::clone(&self.place);
            let flushed = task::blocking(move || flush(&place, Flush::All)).await;
            if flushed.is_err() || self.place.high_watermark().is_none() {
                return ErrorCode::KafkaStorageError;
            }
        }
        if self.acks == Acks::Leader {
            return ErrorCode::None;
        }
        let parked = Parked::new();
        self.place.park(&parked);
        loop {
            parked.begin();
            match self.place.ack(self.end) {
                Ok(Ack::Committed) => return ErrorCode::None,
                Ok(Ack::NotEnoughReplicasAfterAppend) => return ErrorCode::NotEnoughReplicasAfterAppend,
                Ok(Ack::Waiting) => {}
                Err(error) => return error,
            }
            parked.expect(1);
            if !parked.woken_before(deadline).await {
                return ErrorCode::RequestTimedOut;
            }
        }
    }
}
