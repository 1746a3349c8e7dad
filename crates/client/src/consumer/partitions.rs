//! What a consumer knows about the partitions that it reads.

use std::collections::{BTreeMap, VecDeque};

use thalweg_base::{LeaderEpoch, NodeId, Offset, Timestamp, TopicPartition};
use thalweg_sys::time::Instant;

use super::chunk::{Chunk, Drained, Reading};
use crate::Error;

/// From where a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the committed offset of the group; as `auto.offset.reset` says if there is none.
    Committed,
    /// As `auto.offset.reset` says.
    Reset,
    /// From the first record.
    Beginning,
    /// From behind the last record.
    End,
    /// From an offset.
    At(Offset),
    /// From the first record that is not older; from the end if there is none.
    Time(Timestamp),
}

/// One partition that is read.
#[derive(Debug)]
pub(super) struct Assigned {
    /// How the position will be found, while it is not known.
    pub(super) start: Option<Start>,
    /// The offset of the next record for the application.
    pub(super) position: Offset,
    /// The epoch of the leader that appended the record before the position; [`LeaderEpoch::NONE`] if it is not known.
    pub(super) position_epoch: LeaderEpoch,
    /// The newest epoch of the partition's leader whose log is known to have what is before the next fetch.
    pub(super) validated: LeaderEpoch,
    /// Counts what made earlier fetches worthless: seeks.
    pub(super) seeks: u64,
    pub(super) paused: bool,
    /// What was fetched and not read, in order.
    pub(super) chunks: VecDeque<Chunk>,
    /// A replica that the leader sent this consumer to, and until when (KIP-392).
    pub(super) replica: Option<(NodeId, Instant)>,
    /// After an error nothing is fetched before.
    pub(super) not_before: Option<Instant>,
    pub(super) high_watermark: Option<Offset>,
    pub(super) log_start: Option<Offset>,
}

impl Assigned {
    pub(super) fn new(start: Start) -> Self {
        let mut assigned = Self {
            start: None,
            position: Offset::ZERO,
            position_epoch: LeaderEpoch::NONE,
            validated: LeaderEpoch::NONE,
            seeks: 0,
            paused: false,
            chunks: VecDeque::new(),
            replica: None,
            not_before: None,
            high_watermark: None,
            log_start: None,
        };
        assigned.seek(start);
        assigned
    }

    /// Reads on from somewhere else.
    pub(super) fn seek(&mut self, start: Start) {
        self.seeks += 1;
        self.chunks.clear();
        self.not_before = None;
        self.position_epoch = LeaderEpoch::NONE;
        self.validated = LeaderEpoch::NONE;
        match start {
            Start::At(offset) => {
                self.position = offset;
                self.start = None;
            }
            start => self.start = Some(start),
        }
    }

    /// Where the next fetch begins.
    pub(super) fn fetch_offset(&self) -> Offset {
        self.chunks.back().map_or(self.position, |chunk| chunk.end.max(self.position))
    }

    /// Reads on behind a record that a leader of this epoch had appended.
    pub(super) fn seek_behind(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.seek(Start::At(offset));
        self.position_epoch = epoch;
    }

    /// The epoch of the leader that appended the record before the next fetch.
    pub(super) fn fetch_epoch(&self) -> LeaderEpoch {
        self.chunks.back().map_or(self.position_epoch, |chunk| chunk.end_epoch)
    }

    /// Whether a leader of this epoch has to be asked if its log has what is before the next fetch (KIP-320).
    pub(super) fn is_unvalidated(&self, leader_epoch: LeaderEpoch) -> bool {
        self.start.is_none() && self.fetch_epoch() >= LeaderEpoch(0) && leader_epoch > self.validated
    }

    /// How many bytes wait for the application.
    pub(super) fn buffered(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }
}

/// The partitions that a consumer reads.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    pub(super) assigned: BTreeMap<TopicPartition, Assigned>,
    /// The partition whose records are handed out next, so that all have their turn.
    next: Option<TopicPartition>,
}

impl Partitions {
    /// Moves up to `limit` records to the application. An error comes only when there is no record before it.
    pub(super) fn drain(&mut self, reading: Reading, limit: usize) -> Result<Drained, Error> {
        let mut out = Drained::default();
        for partition in self.in_turn() {
            if out.records.len() >= limit {
                self.next = Some(partition);
                break;
            }
            let Some(assigned) = self.assigned.get_mut(&partition) else { continue };
            while let Some(chunk) = assigned.chunks.front_mut() {
                let read = chunk.read(&partition, &mut assigned.position, reading, limit, &mut out);
                assigned.position_epoch = chunk.read_epoch.unwrap_or(assigned.position_epoch);
                match read {
                    Ok(true) => {
                        assigned.chunks.pop_front();
                    }
                    Ok(false) => break,
                    Err(_) if !out.records.is_empty() || !out.passed.is_empty() => {
                        // The next fetch brings it again, and then it is the first.
                        assigned.chunks.clear();
                        return Ok(out);
                    }
                    Err(source) => {
                        assigned.chunks.clear();
                        let offset = assigned.position;
                        return Err(Error::Batch { partition, offset, source: Box::new(source) });
                    }
                }
            }
        }
        Ok(out)
    }

    /// The partitions that have records for the application, from the one whose turn it is.
    fn in_turn(&self) -> Vec<TopicPartition> {
        let has_records =
            |(_, assigned): &(&TopicPartition, &Assigned)| !assigned.paused && !assigned.chunks.is_empty();
        let mut order: Vec<TopicPartition> =
            self.assigned.iter().filter(has_records).map(|(partition, _)| partition.clone()).collect();
        if let Some(next) = &self.next {
            let first = order.iter().position(|partition| partition >= next).unwrap_or(0);
            order.rotate_left(first);
        }
        order
    }

    /// How many bytes wait for the application.
    pub(super) fn buffered(&self) -> usize {
        self.assigned.values().map(Assigned::buffered).sum()
    }
}
