//! Which records of a log belong to aborted transactions, and which markers nobody needs any more (KIP-98).

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{Offset, ProducerId};
use thalweg_records::BatchHeader;

use crate::AbortedTxn;
use crate::producer_entry::Marker;

/// A transaction whose abort marker lies ahead.
#[derive(Debug)]
struct Aborting {
    txn: AbortedTxn,
    /// A batch of it was seen: as long as there is one, its marker stays.
    has_batches: bool,
}

/// Follows the transactions of a log from its beginning on, batch by batch.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// The aborted transactions that were not reached yet, by their first offset.
    ahead: BTreeMap<(Offset, ProducerId), AbortedTxn>,
    aborting: BTreeMap<ProducerId, Aborting>,
    /// Producers with batches of which no marker was seen yet, and that were not aborted.
    committing: BTreeSet<ProducerId>,
}

/// What becomes of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkerFate {
    /// Its transaction still has batches, or it is a control record of another kind.
    Needed,
    /// As `Needed`, and the aborted transaction stays in the index.
    NeededAbort(AbortedTxn),
    /// Nothing is left of its transaction: it may go when its delete horizon has come.
    Empty,
}

impl Transactions {
    /// Transactions that were aborted and have records in what comes next. Saying so twice does no harm.
    pub(crate) fn expect(&mut self, aborted: Vec<AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| ((txn.first_offset, txn.producer_id), txn)));
    }

    /// A batch of records. Says whether it was aborted, so that no consumer may see it.
    pub(crate) fn batch(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborting.get_mut(&header.producer_id) {
            Some(aborting) => {
                aborting.has_batches = true;
                true
            }
            None => {
                self.committing.insert(header.producer_id);
                false
            }
        }
    }

    /// A control batch, with its marker. `None` is one that was emptied before.
    pub(crate) fn control(&mut self, header: &BatchHeader, marker: Option<ControlKind>) -> MarkerFate {
        self.advance(header.last_offset());
        match marker {
            None => MarkerFate::Empty,
            Some(ControlKind::Other) => MarkerFate::Needed,
            Some(ControlKind::EndTxn(Marker { aborted: true, .. })) => {
                match self.aborting.remove(&header.producer_id) {
                    Some(Aborting { txn, has_batches: true }) => MarkerFate::NeededAbort(txn),
                    _ => MarkerFate::Empty,
                }
            }
            Some(ControlKind::EndTxn(_)) => {
                if self.committing.remove(&header.producer_id) {
                    MarkerFate::Needed
                } else {
                    MarkerFate::Empty
                }
            }
        }
    }

    /// Enters the transactions that begin at or before `offset`.
    fn advance(&mut self, offset: Offset) {
        while let Some(entry) = self.ahead.first_entry().filter(|entry| entry.key().0 <= offset) {
            let txn = entry.remove();
            self.aborting.entry(txn.producer_id).or_insert(Aborting { txn, has_batches: false });
        }
    }
}

/// What the first record of a control batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlKind {
    /// A transaction marker.
    EndTxn(Marker),
    /// A record of the metadata quorum.
    Other,
}
