//! What a log remembers of one idempotent or transactional producer, and which of its batches may come next (KIP-98).

use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::{BatchHeader, sequence_after};

/// So many of a producer's last batches are remembered: as many as it may have in flight.
const BATCHES_MAX: usize = 5;

const NO_EPOCH: ProducerEpoch = ProducerEpoch(-1);
const NO_SEQUENCE: i32 = -1;

/// A batch that a producer wrote before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenBatch {
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// The last offset minus the first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

impl WrittenBatch {
    /// The offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    fn first_sequence(&self) -> i32 {
        match i64::from(self.last_sequence) - i64::from(self.offset_delta) {
            // Sequences wrap from the largest number to 0.
            first if first < 0 => i32::try_from(first + i64::from(i32::MAX) + 1).unwrap_or(NO_SEQUENCE),
            first => i32::try_from(first).unwrap_or(NO_SEQUENCE),
        }
    }
}

/// Who asks for an append: it decides which checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer, by Produce: sequences are checked and duplicates found.
    Client,
    /// A coordinator, which also writes transaction markers.
    Coordinator {
        /// The transaction protocol's version (KIP-890): since 2, a marker's epoch must be above the last one seen.
        transaction_version: i16,
    },
    /// A leader elsewhere, or a log being loaded: what was accepted there is accepted here.
    Replication,
}

/// Why a producer's batch is not appended. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerRefusal {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`: records before this one are missing.
    #[error(
        "Out of order sequence number for producer {producer} at offset {offset}: {sequence} (incoming seq. number), \
         {current} (current end sequence number)"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// Where the batch would have gone.
        offset: Offset,
        /// The batch's first sequence number.
        sequence: i32,
        /// The last one that is in the log.
        current: i32,
    },
    /// `INVALID_PRODUCER_EPOCH`: a newer instance of the producer has written.
    #[error(
        "Epoch of producer {producer} at offset {offset} is {epoch}, which is smaller than the last seen epoch {current}"
    )]
    InvalidProducerEpoch {
        /// The producer.
        producer: ProducerId,
        /// Where the batch would have gone.
        offset: Offset,
        /// The batch's epoch.
        epoch: i16,
        /// The last one seen.
        current: i16,
    },
    /// `INVALID_TXN_STATE`: a record outside a transaction while one is open.
    #[error("Expected transactional write from producer {producer} at offset {offset}")]
    InvalidTxnState {
        /// The producer.
        producer: ProducerId,
        /// Where the batch would have gone.
        offset: Offset,
    },
    /// `TRANSACTION_COORDINATOR_FENCED`: a newer coordinator has written a marker.
    #[error(
        "Invalid coordinator epoch for producerId {producer} at offset {offset}: {epoch} (zombie), {current} (current)"
    )]
    CoordinatorFenced {
        /// The producer.
        producer: ProducerId,
        /// Where the marker would have gone.
        offset: Offset,
        /// The marker's coordinator epoch.
        epoch: i32,
        /// The last one seen.
        current: i32,
    },
}

/// The end of a transaction that had records in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedTxn {
    pub(crate) producer_id: ProducerId,
    pub(crate) first_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) aborted: bool,
}

/// A transaction marker, as its control record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) aborted: bool,
    pub(crate) coordinator_epoch: i32,
    pub(crate) timestamp: Timestamp,
}

/// One producer. A copy of it is advanced by the batches of an append, and takes its place once they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    last_timestamp: Timestamp,
    txn_first_offset: Option<Offset>,
    /// The newest is at `count - 1`.
    batches: [WrittenBatch; BATCHES_MAX],
    count: usize,
}

impl Producer {
    /// A producer of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self::loaded(NO_EPOCH, -1, Timestamp::NONE, None)
    }

    /// A producer as a snapshot describes it, without batches.
    pub(crate) fn loaded(
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        last_timestamp: Timestamp,
        txn_first_offset: Option<Offset>,
    ) -> Self {
        let batches = [WrittenBatch::default(); BATCHES_MAX];
        Self { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches, count: 0 }
    }

    /// The epoch of its last batch or marker.
    #[must_use]
    pub fn epoch(&self) -> ProducerEpoch {
        self.epoch
    }

    /// The epoch of the coordinator that wrote its last marker; -1 for none.
    #[must_use]
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// The largest timestamp of its last batch or marker.
    #[must_use]
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// The first offset of its open transaction.
    #[must_use]
    pub fn txn_first_offset(&self) -> Option<Offset> {
        self.txn_first_offset
    }

    /// Its last batch in its current epoch.
    #[must_use]
    pub fn last_batch(&self) -> Option<&WrittenBatch> {
        self.batches[..self.count].last()
    }

    /// The sequence number of its last record; -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |b| b.last_sequence)
    }

    /// The remembered batch that `header` repeats.
    pub(crate) fn duplicate_of(&self, header: &BatchHeader) -> Option<WrittenBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (header.base_sequence, last_sequence_of(header));
        let mut batches = self.batches[..self.count].iter();
        batches.find(|b| b.first_sequence() == first && b.last_sequence == last).copied()
    }

    pub(crate) fn add(&mut self, epoch: ProducerEpoch, batch: WrittenBatch) {
        self.enter_epoch(epoch);
        if self.count == BATCHES_MAX {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[self.count] = batch;
        self.count += 1;
        self.last_timestamp = batch.timestamp;
    }

    /// Checks a batch of records and enters it. Returns the first offset of the transaction that it begins.
    pub(crate) fn append(&mut self, header: &BatchHeader, origin: Origin) -> Result<Option<Offset>, ProducerRefusal> {
        let (producer, offset) = (header.producer_id, header.base_offset);
        if origin != Origin::Replication && header.producer_epoch < self.epoch {
            let (epoch, current) = (header.producer_epoch.0, self.epoch.0);
            return Err(ProducerRefusal::InvalidProducerEpoch { producer, offset, epoch, current });
        }
        if origin == Origin::Client {
            self.check_sequence(header)?;
        }
        let batch = WrittenBatch {
            last_sequence: last_sequence_of(header),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        };
        let transactional = header.attributes.is_transactional();
        if self.txn_first_offset.is_some() && !transactional && origin != Origin::Replication {
            return Err(ProducerRefusal::InvalidTxnState { producer, offset });
        }
        self.add(header.producer_epoch, batch);
        if self.txn_first_offset.is_some() || !transactional {
            return Ok(None);
        }
        self.txn_first_offset = Some(offset);
        Ok(Some(offset))
    }

    /// Checks a transaction marker and enters it. Returns the transaction that it ends, if that had records here.
    pub(crate) fn end_txn(
        &mut self,
        header: &BatchHeader,
        marker: Marker,
        origin: Origin,
    ) -> Result<Option<CompletedTxn>, ProducerRefusal> {
        let (producer, offset) = (header.producer_id, header.base_offset);
        let strict = matches!(origin, Origin::Coordinator { transaction_version: 2.. });
        let epoch = header.producer_epoch;
        // A marker that was written before, whose answer got lost, is written again (KAFKA-19999).
        let repeated = epoch == self.epoch && (self.txn_first_offset.is_none() || epoch.0 == i16::MAX);
        let stale = epoch < self.epoch || (strict && epoch == self.epoch && !repeated);
        if stale && origin != Origin::Replication {
            let (epoch, current) = (epoch.0, self.epoch.0);
            return Err(ProducerRefusal::InvalidProducerEpoch { producer, offset, epoch, current });
        }
        if self.coordinator_epoch > marker.coordinator_epoch && origin != Origin::Replication {
            let (epoch, current) = (marker.coordinator_epoch, self.coordinator_epoch);
            return Err(ProducerRefusal::CoordinatorFenced { producer, offset, epoch, current });
        }
        let first_offset = self.txn_first_offset.take();
        self.enter_epoch(epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = marker.timestamp;
        let aborted = marker.aborted;
        Ok(first_offset.map(|first| CompletedTxn {
            producer_id: producer,
            first_offset: first,
            last_offset: offset,
            aborted,
        }))
    }

    /// In an epoch that is known, sequences have no gaps; a new epoch begins with 0; after nothing, anything goes.
    fn check_sequence(&self, header: &BatchHeader) -> Result<(), ProducerRefusal> {
        let sequence = header.base_sequence;
        let current = self.last_sequence();
        let follows = if self.epoch == NO_EPOCH {
            true
        } else if header.producer_epoch != self.epoch {
            sequence == 0
        } else {
            i64::from(sequence) == i64::from(current) + 1 || (sequence == 0 && current == i32::MAX)
        };
        if follows {
            return Ok(());
        }
        let (producer, offset) = (header.producer_id, header.base_offset);
        Err(ProducerRefusal::OutOfOrderSequence { producer, offset, sequence, current })
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.count = 0;
        }
    }
}

fn last_sequence_of(header: &BatchHeader) -> i32 {
    match header.base_sequence {
        NO_SEQUENCE => NO_SEQUENCE,
        first => sequence_after(first, header.last_offset_delta),
    }
}
