//! Appends that wait for the disk or for replicas.

use std::sync::Arc;

use thalweg_base::{LeaderEpoch, Offset};
use thalweg_replica::{Ack, Acks};
use thalweg_sys::time::Instant;
use thalweg_wire::ErrorCode;

use super::parked::Parked;
use super::partition::Partition;

/// An append that waits.
pub(crate) struct Awaited {
    pub(crate) place: Arc<Partition>,
    /// The offset after its last record.
    pub(crate) end: Offset,
    /// The leader epoch in which it was appended.
    pub(crate) epoch: LeaderEpoch,
    pub(crate) acks: Acks,
}

impl Awaited {
    /// Waits until it is on the disk, if the topic asks for that, and until every replica in sync has it, if the producer
    /// does; gives the error to answer with, if any. The deadline is for the replicas: the disk is waited for, as in Kafka.
    pub(crate) async fn acknowledged(&self, deadline: Instant) -> ErrorCode {
        let parked = Parked::new();
        self.place.park(&parked);
        loop {
            parked.begin();
            let ack = match self.place.ack(self.end, self.epoch, self.acks) {
                Ok(ack) => ack,
                Err(error) => return error,
            };
            parked.expect(1);
            match ack {
                Ack::Committed => return ErrorCode::None,
                Ack::NotEnoughReplicasAfterAppend => return ErrorCode::NotEnoughReplicasAfterAppend,
                Ack::Unsynced => parked.woken().await,
                Ack::Waiting if parked.woken_before(deadline).await => {}
                Ack::Waiting => return ErrorCode::RequestTimedOut,
            }
        }
    }
}
