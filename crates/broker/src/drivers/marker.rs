//! A marker: how a transaction has ended, as a control batch of one partition.

use thalweg_base::Timestamp;
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch};
use thalweg_transactions::{Markers, Producer, Written};
use thalweg_wire::ErrorCode;
use tracing::error;

/// The end of one transaction in one partition.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    pub(crate) topic: Box<str>,
    pub(crate) partition: i32,
    pub(crate) producer: Producer,
    pub(crate) committed: bool,
    pub(crate) coordinator_epoch: i32,
    pub(crate) transaction_version: i16,
}

impl Marker {
    /// One for each partition.
    pub(super) fn all(markers: &Markers) -> Vec<Self> {
        let places =
            markers.partitions.iter().flat_map(|(topic, indexes)| indexes.iter().map(move |index| (&**topic, *index)));
        let marker = |(topic, partition): (&str, i32)| Self {
            topic: topic.into(),
            partition,
            producer: markers.producer,
            committed: markers.committed,
            coordinator_epoch: markers.coordinator_epoch,
            transaction_version: markers.transaction_version,
        };
        places.map(marker).collect()
    }

    /// The batch that says so.
    pub(crate) fn batch(&self, now: Timestamp) -> Result<PreparedBatch, ErrorCode> {
        let (producer_id, producer_epoch) = (self.producer.id, self.producer.epoch);
        if producer_id.0 < 0 || producer_epoch.0 < 0 {
            // What Kafka answers when it has run into its own check.
            return Err(ErrorCode::UnknownServerError);
        }
        let options =
            BatchOptions { producer_id, producer_epoch, transactional: true, control: true, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let control = if self.committed { ControlType::Commit } else { ControlType::Abort };
        let value = EndTxnMarker { coordinator_epoch: self.coordinator_epoch };
        builder.append_control(now, control, &value.to_bytes());
        builder.build().and_then(|bytes| PreparedBatch::parse(&bytes)).map_err(|e| {
            error!(topic = %self.topic, partition = self.partition, error = %e, "a marker cannot be made");
            ErrorCode::UnknownServerError
        })
    }

    /// What became of it.
    pub(super) fn written(&self, result: Result<(), ErrorCode>) -> Written {
        Written { topic: self.topic.clone(), partition: self.partition, result }
    }
}
