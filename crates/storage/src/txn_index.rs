//! `.txnindex`: the transactions that were aborted by markers in one segment (KIP-98).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_base::{Offset, ProducerId};
use thalweg_sys::fs::File;

use crate::Fault;
use crate::open_files::{ClosableFile, FileRef, OpenFiles, SegmentFile};

/// A version of two bytes, then four numbers of eight.
const ENTRY: usize = 34;
const VERSION: i16 = 0;
/// So many entries are read at once.
const BLOCK: usize = 256;

/// A transaction whose records no consumer with `read_committed` is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose transaction it was.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its abort marker.
    pub last_offset: Offset,
    /// The last stable offset after the marker: no earlier transaction was open below it.
    pub last_stable_offset: Offset,
}

/// One segment's aborted transactions, ordered by their markers. The file exists only when there are some.
#[derive(Debug)]
pub(crate) struct TxnIndex {
    path: PathBuf,
    handle: FileRef,
    len: u64,
    /// The length with which the file is durable; another one than `len` if it is not.
    durable_len: u64,
}

impl TxnIndex {
    /// An index without entries; nothing is created.
    pub(crate) fn absent(path: PathBuf, files: &OpenFiles) -> Self {
        Self::existing(path, 0, files)
    }

    /// Takes over a file of `len` bytes; a partial entry at its end is ignored.
    pub(crate) fn existing(path: PathBuf, len: u64, files: &OpenFiles) -> Self {
        let len = len - len % ENTRY as u64;
        Self { path, handle: FileRef::new(files), len, durable_len: len }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.len
    }

    /// Closes the file until it is needed again.
    pub(crate) fn rest(&self) {
        self.handle.close();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The open file, if it exists.
    pub(crate) fn file(&self) -> Result<Option<Arc<SegmentFile>>, Fault> {
        if self.is_empty() { Ok(None) } else { self.opened().map(Some) }
    }

    /// The file, if it exists, for one who needs it later.
    pub(crate) fn closable(&self) -> Option<ClosableFile> {
        (!self.is_empty()).then(|| self.handle.closable(&self.path))
    }

    pub(crate) fn append(&mut self, txn: &AbortedTxn) -> Result<(), Fault> {
        self.opened()?.file().write_all_at(&encode(txn), self.len).map_err(Fault::io("write", &self.path))?;
        self.len += ENTRY as u64;
        Ok(())
    }

    /// Hands the entries to `visit`, in order, until it returns false.
    pub(crate) fn scan(&self, mut visit: impl FnMut(u64, AbortedTxn) -> bool) -> Result<(), Fault> {
        let mut at = 0;
        let mut block = [[0; ENTRY]; BLOCK];
        while at < self.len {
            let entries = usize::try_from((self.len - at) / ENTRY as u64).unwrap_or(BLOCK).min(BLOCK);
            let block = &mut block[..entries];
            self.opened()?.file().read_exact_at(block.as_flattened_mut(), at).map_err(Fault::io("read", &self.path))?;
            for entry in block {
                let txn =
                    decode(entry).ok_or_else(|| Fault::corrupt(&self.path, format!("unknown version at {at}")))?;
                if !visit(at, txn) {
                    return Ok(());
                }
                at += ENTRY as u64;
            }
        }
        Ok(())
    }

    /// Whether every entry can be one of a segment that begins with `base`.
    pub(crate) fn is_sane(&self, base: Offset) -> Result<bool, Fault> {
        let mut previous = None;
        let mut sane = true;
        let scanned = self.scan(|_, txn| {
            sane = txn.last_offset >= base && txn.first_offset <= txn.last_offset && previous < Some(txn.last_offset);
            previous = Some(txn.last_offset);
            sane
        });
        match scanned {
            Ok(()) => Ok(sane),
            Err(Fault::Corrupt { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Adds to `found` the transactions that touch `from..to`. True when no later segment can hold more of them.
    pub(crate) fn collect(&self, from: Offset, to: Offset, found: &mut Vec<AbortedTxn>) -> Result<bool, Fault> {
        let mut complete = false;
        self.scan(|_, txn| {
            if txn.last_offset >= from && txn.first_offset < to {
                found.push(txn);
            }
            complete = txn.last_stable_offset >= to;
            !complete
        })?;
        Ok(complete)
    }

    /// Drops the entries whose marker is at or above `offset`.
    pub(crate) fn truncate_to(&mut self, offset: Offset) -> Result<(), Fault> {
        let mut keep = self.len;
        self.scan(|at, txn| {
            let stays = txn.last_offset < offset;
            if !stays {
                keep = at;
            }
            stays
        })?;
        self.cut(keep)
    }

    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        self.cut(0)
    }

    fn cut(&mut self, len: u64) -> Result<(), Fault> {
        if len < self.len {
            self.opened()?.file().set_len(len).map_err(Fault::io("truncate", &self.path))?;
            self.len = len;
            self.durable_len = u64::MAX;
        }
        Ok(())
    }

    /// Whether entries may be lost, or come back, in a power failure.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.len != self.durable_len
    }

    /// The file was synced when it had `len` bytes.
    pub(crate) fn synced(&mut self, len: u64) {
        self.durable_len = len;
    }

    fn opened(&self) -> Result<Arc<SegmentFile>, Fault> {
        self.handle.get(&self.path, File::open_rw)
    }
}

fn encode(txn: &AbortedTxn) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..2].copy_from_slice(&VERSION.to_be_bytes());
    let numbers = [txn.producer_id.0, txn.first_offset.0, txn.last_offset.0, txn.last_stable_offset.0];
    for (bytes, number) in entry[2..].chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    entry
}

fn decode(entry: &[u8; ENTRY]) -> Option<AbortedTxn> {
    if entry[..2] != VERSION.to_be_bytes() {
        return None;
    }
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(entry[2..].chunks_exact(8)) {
        *number = i64::from_be_bytes(bytes.try_into().ok()?);
    }
    let [producer_id, first_offset, last_offset, last_stable_offset] = numbers;
    Some(AbortedTxn {
        producer_id: ProducerId(producer_id),
        first_offset: Offset(first_offset),
        last_offset: Offset(last_offset),
        last_stable_offset: Offset(last_stable_offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txn(producer: i64, first: i64, last: i64, stable: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn transactions_that_touch_a_range_are_collected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let mut index = TxnIndex::absent(path.clone(), &OpenFiles::default());
        assert!(index.is_sane(Offset(0)).unwrap());
        assert!(!thalweg_sys::fs::exists(&path));
        let txns = [txn(1, 5, 10, 3), txn(2, 3, 15, 16), txn(3, 20, 30, 31)];
        for t in &txns {
            index.append(t).unwrap();
        }
        let collect = |from, to| {
            let mut found = Vec::new();
            let complete = index.collect(Offset(from), Offset(to), &mut found).unwrap();
            (found, complete)
        };
        assert_eq!(collect(11, 16), (vec![txns[1]], true));
        assert_eq!(collect(0, 100), (txns.to_vec(), false));
        assert!(index.is_sane(Offset(3)).unwrap());
        assert!(!index.is_sane(Offset(11)).unwrap());
        index.truncate_to(Offset(15)).unwrap();
        let again = TxnIndex::existing(path, 34 + 20, &OpenFiles::default());
        let mut found = Vec::new();
        again
            .scan(|_, t| {
                found.push(t);
                true
            })
            .unwrap();
        assert_eq!(found, [txns[0]]);
    }
}
