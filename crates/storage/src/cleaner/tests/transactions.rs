//! Transactions under the cleaner (KIP-98).

use thalweg_base::{Offset, Timestamp};
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch};

use super::harness::{DAY, NOW, Rig, compacted, keyed, producer};
use crate::{FirstBatch, LogConfig, OpenHints, Origin};

const COORDINATOR: Origin = Origin::Coordinator { transaction_version: 0 };

fn marker(id: i64, control: ControlType) -> PreparedBatch {
    let mut builder = BatchBuilder::new(BatchOptions { control: true, ..producer(id, 0, -1, true) });
    builder.append_control(NOW, control, &EndTxnMarker { coordinator_epoch: 1 }.to_bytes());
    PreparedBatch::parse(&builder.build().unwrap()).unwrap()
}

impl Rig {
    pub(super) fn write(&mut self, id: i64, sequence: i32, key: &str, value: &str) {
        self.append(keyed(producer(id, 0, sequence, true), NOW, &[(key, Some(value))]));
    }

    pub(super) fn end(&mut self, id: i64, control: ControlType) {
        self.append_by(marker(id, control), COORDINATOR);
    }

    /// The aborted transactions that a reader of everything is told.
    pub(super) fn aborted(&self) -> Vec<(i64, i64, i64)> {
        let mut found = Vec::new();
        for base in self.log.segment_bases() {
            let plan = self.log.read(base, self.log.log_end(), 1 << 20, FirstBatch::Whole).unwrap();
            let txns = self.log.aborted_txns(base, &plan).unwrap();
            found.extend(txns.iter().map(|t| (t.producer_id.0, t.first_offset.0, t.last_offset.0)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[test]
fn aborted_records_go_at_once_and_hide_nothing() {
    let mut rig = Rig::new(compacted());
    rig.put("a", "kept");
    rig.write(1, 0, "a", "aborted");
    rig.write(2, 0, "b", "committed");
    rig.end(1, ControlType::Abort);
    rig.end(2, ControlType::Commit);
    rig.fill();
    rig.clean(None, NOW);
    let records = rig.records();
    // The last batch of producer 1 stays, without its record, so that its sequence number is known.
    assert_eq!(&records[..4], ["0=a:kept", "2=b:committed", "3!1", "4!2"]);
    assert_eq!(rig.aborted(), [(1, 1, 3)]);
    rig.reads_from_every_offset();
    rig.reopens_the_same();
}

#[test]
fn a_marker_goes_when_its_transaction_is_gone_and_its_horizon_has_come() {
    let mut rig = Rig::new(LogConfig { delete_retention_ms: DAY, ..compacted() });
    rig.write(1, 0, "a", "old");
    rig.end(1, ControlType::Commit);
    rig.write(2, 0, "b", "never");
    rig.end(2, ControlType::Abort);
    // The producers go on, so that these batches need not stay for them.
    rig.write(1, 1, "a", "new");
    rig.end(1, ControlType::Commit);
    rig.write(2, 1, "b", "new");
    rig.end(2, ControlType::Commit);
    rig.fill();
    let to = rig.clean(None, NOW).to;
    assert_eq!(&rig.records()[..6], ["1!1", "3!2", "4=a:new", "5!1", "6=b:new", "7!2"]);
    assert_eq!(rig.aborted(), [(2, 2, 3)], "its batch was there in this round");
    rig.fill();
    let to = rig.clean(Some(to), NOW).to;
    assert_eq!(&rig.records()[..2], ["1!1", "3!2"], "now they have a horizon");
    let horizons: Vec<_> = rig.batches().iter().take(2).map(|b| b.header().delete_horizon()).collect();
    assert_eq!(horizons, [Some(Timestamp(NOW.0 + DAY)); 2]);
    assert_eq!(rig.aborted(), []);
    rig.fill();
    rig.clean(Some(to), Timestamp(NOW.0 + DAY));
    assert_eq!(&rig.records()[..4], ["4=a:new", "5!1", "6=b:new", "7!2"]);
    rig.reopens_the_same();
}

#[test]
fn an_open_transaction_stops_the_cleaner() {
    let mut rig = Rig::new(compacted());
    for _ in 0..30 {
        rig.put("k", "v");
    }
    rig.write(5, 0, "k", "open");
    for _ in 0..30 {
        rig.put("k", "v");
    }
    rig.fill();
    let dirt = rig.log.dirt(None, rig.log.log_end(), NOW).unwrap();
    assert!(dirt.first_uncleanable <= Offset(30), "{dirt:?}");
    rig.clean(None, NOW);
    assert!(rig.records().contains(&"30=k:open".to_owned()));
    rig.end(5, ControlType::Commit);
    rig.fill();
    let dirt = rig.log.dirt(None, rig.log.log_end(), NOW).unwrap();
    assert_eq!(dirt.first_uncleanable, *rig.log.segment_bases().last().unwrap());
}

#[test]
fn a_producer_that_only_has_a_marker_is_still_fenced() {
    let mut rig = Rig::new(LogConfig { delete_retention_ms: 0, ..compacted() });
    rig.end(9, ControlType::Abort);
    rig.fill();
    let to = rig.clean(None, NOW).to;
    rig.fill();
    let to = rig.clean(Some(to), Timestamp(NOW.0 + 1)).to;
    rig.fill();
    rig.clean(Some(to), Timestamp(NOW.0 + 2));
    let first = *rig.batches()[0].header();
    assert!(first.producer_id.0 == 9 && first.attributes.is_control(), "{first:?}");
    for snapshot in rig.snapshots() {
        thalweg_sys::fs::remove_file(&snapshot).unwrap();
    }
    rig.reopen(OpenHints::UNKNOWN);
    rig.reads_from_every_offset();
}
