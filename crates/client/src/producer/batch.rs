//! A batch on its way, and the records that wait for it.

use bytes::Bytes;
use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use thalweg_records::{BatchBuilder, BatchError, BatchOptions, BatchView, with_producer};
use thalweg_sys::time::Instant;
use thalweg_sys::watch;

use crate::Error;

/// Where a record was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset; `None` if the broker did not say: with `acks=0`, or of a record that a retry found written already.
    pub offset: Option<Offset>,
    /// The time that the broker gave the record, if it gives times itself.
    pub timestamp: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Written {
        base_offset: Option<Offset>,
        timestamp: Option<Timestamp>,
    },
    Failed(Error),
    /// It was too large: its first `at` records and the rest went on as batches of their own.
    Split {
        at: u32,
        left: watch::Receiver<Option<Outcome>>,
        right: watch::Receiver<Option<Outcome>>,
    },
}

/// A record that was handed to the producer.
///
/// Dropping it changes nothing for the record.
#[derive(Clone, Debug)]
#[must_use = "whether the record was written is known only when it was waited for"]
pub struct Delivery {
    pub(super) partition: TopicPartition,
    pub(super) index: u32,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
}

impl Delivery {
    /// Waits until the record is written.
    ///
    /// # Errors
    /// When it is not: the broker refused it, or `delivery.timeout.ms` has passed.
    pub async fn wait(mut self) -> Result<RecordMetadata, Error> {
        loop {
            let outcome = match self.outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => return Err(Error::Closed),
            };
            match outcome {
                Some(Outcome::Written { base_offset, timestamp }) => {
                    let offset = base_offset.map(|base| base.plus(self.index.into()));
                    return Ok(RecordMetadata { partition: self.partition, offset, timestamp });
                }
                Some(Outcome::Failed(error)) => return Err(error),
                Some(Outcome::Split { at, left, .. }) if self.index < at => self.outcome = left,
                Some(Outcome::Split { at, right, .. }) => {
                    self.index -= at;
                    self.outcome = right;
                }
                None => return Err(Error::Closed),
            }
        }
    }
}

/// The id and epoch under which an idempotent producer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// The records of a batch.
#[derive(Debug)]
enum Body {
    Open(Box<BatchBuilder>),
    Sealed(Bytes),
}

/// A batch, from its first record until it is written or given up.
#[derive(Debug)]
pub(super) struct Batch {
    /// Grows from batch to batch of a partition.
    pub(super) serial: u64,
    /// Grows from batch to batch of the producer.
    pub(super) id: u64,
    /// How often it was sent.
    pub(super) attempts: u32,
    body: Body,
    pub(super) count: u32,
    /// How much of `buffer.memory` it holds.
    pub(super) memory: usize,
    pub(super) created_at: Instant,
    /// Under whom it was sent, and the sequence number of its first record. Stays the same when it is sent again.
    pub(super) stamp: Option<(Identity, i32)>,
    /// What went wrong last.
    pub(super) last_error: Option<Error>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Batch {
    pub(super) fn new(serial: u64, options: BatchOptions, created_at: Instant) -> Self {
        Self {
            serial,
            id: 0,
            attempts: 0,
            body: Body::Open(Box::new(BatchBuilder::new(options))),
            count: 0,
            memory: 0,
            created_at,
            stamp: None,
            last_error: None,
            outcome: watch::Sender::new(None),
        }
    }

    /// Appends with `write`; gives what waits for the record. Only before the batch is sealed.
    pub(super) fn append(
        &mut self,
        partition: &TopicPartition,
        memory: usize,
        write: impl FnOnce(&mut BatchBuilder),
    ) -> Option<Delivery> {
        let Body::Open(builder) = &mut self.body else { return None };
        write(builder);
        let index = self.count;
        self.count += 1;
        self.memory += memory;
        Some(Delivery { partition: partition.clone(), index, outcome: self.outcome.subscribe() })
    }

    /// How many bytes it has without compression.
    pub(super) fn size(&self) -> usize {
        match &self.body {
            Body::Open(builder) => builder.uncompressed_size(),
            Body::Sealed(bytes) => bytes.len(),
        }
    }

    /// The bytes to send, under the stamp that it has. Compresses at the first call.
    pub(super) fn bytes(&mut self) -> Result<Bytes, BatchError> {
        if let Body::Open(builder) = &mut self.body {
            let builder = std::mem::replace(&mut **builder, BatchBuilder::new(BatchOptions::default()));
            self.body = Body::Sealed(builder.build()?);
        }
        let Body::Sealed(bytes) = &mut self.body else { return Ok(Bytes::new()) };
        if let Some((identity, sequence)) = self.stamp {
            *bytes = with_producer(std::mem::take(bytes), identity.id, identity.epoch, sequence);
        }
        Ok(bytes.clone())
    }

    /// Tells everybody who waits.
    pub(super) fn finish(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }

    /// Two batches of half the records each; `None` if there are fewer than two, or they cannot be read.
    pub(super) fn split(&mut self, options: BatchOptions, limit: usize) -> Option<(Self, Self)> {
        let bytes = self.bytes().ok()?;
        let batch = BatchView::parse(&bytes).ok()?;
        if self.count < 2 {
            return None;
        }
        let at = self.count / 2;
        let mut halves =
            (Self::new(self.serial, options, self.created_at), Self::new(self.serial, options, self.created_at));
        for record in batch.records(limit).ok()? {
            let record = record.ok()?;
            let half = if halves.0.count < at { &mut halves.0 } else { &mut halves.1 };
            let timestamp = batch.header().timestamp_of(record.timestamp_delta);
            let Body::Open(builder) = &mut half.body else { return None };
            builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
            half.count += 1;
        }
        halves.0.memory = self.memory / 2;
        halves.1.memory = self.memory - halves.0.memory;
        if let Some((identity, sequence)) = self.stamp {
            halves.0.stamp = Some((identity, sequence));
            halves.1.stamp = Some((identity, thalweg_records::sequence_after(sequence, at.cast_signed())));
        }
        let (left, right) = (halves.0.outcome.subscribe(), halves.1.outcome.subscribe());
        self.finish(Outcome::Split { at, left, right });
        Some(halves)
    }
}
