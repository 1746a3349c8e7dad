//! Stories of cleanings.

mod harness;
mod model;
mod transactions;

use std::collections::BTreeMap;

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchOptions, Compression};

use super::{Cleaning, Progress};
use crate::OpenHints;
use crate::{Fault, LogConfig, Origin, names};
use harness::{DAY, LIMITS, NOW, Rig, compacted, keyed};

#[test]
fn the_last_record_of_each_key_stays_where_it_was() {
    let mut rig = Rig::new(compacted());
    for round in 0..30 {
        for key in ["a", "b", "c"] {
            rig.put(key, &format!("{key}{round}"));
        }
        rig.put(&format!("only{round}"), "once");
    }
    rig.log.roll(rig.log.log_end(), NOW).unwrap();
    let size = rig.log.size();
    let cleaned = rig.clean(None, NOW);
    assert_eq!((cleaned.from, cleaned.to), (Offset(0), Offset(120)));
    assert_eq!((cleaned.keys, cleaned.records_read, cleaned.records_written), (33, 120, 33));
    let live: Vec<String> = (0..30).map(|round| format!("{}=only{round}:once", round * 4 + 3)).collect();
    let mut expected = live;
    for (at, record) in [(116, "a:a29"), (117, "b:b29"), (118, "c:c29")] {
        expected.insert(expected.len() - 1, format!("{at}={record}"));
    }
    assert_eq!(rig.records(), expected);
    assert!(rig.log.size() < size / 2);
    rig.reads_from_every_offset();
    rig.reopens_the_same();
}

#[test]
fn what_was_cleaned_is_not_dirty() {
    let mut rig = Rig::new(compacted());
    for n in 0..60 {
        rig.put(["x", "y"][n % 2], "value");
    }
    let dirt = rig.log.dirt(None, rig.log.log_end(), NOW).unwrap();
    assert_eq!((dirt.ratio(), dirt.clean_bytes), (1.0, 0));
    assert!(dirt.is_worth_cleaning(0.5));
    let to = rig.clean(None, NOW).to;
    let dirt = rig.log.dirt(Some(to), rig.log.log_end(), NOW).unwrap();
    assert_eq!((dirt.first_dirty, dirt.cleanable_bytes, dirt.ratio()), (to, 0, 0.0));
    assert!(rig.log.clean_plan(dirt, rig.log.log_end()).unwrap().is_none());
    for n in 0..20 {
        rig.put(["x", "y"][n % 2], "again");
    }
    let dirt = rig.log.dirt(Some(to), rig.log.log_end(), NOW).unwrap();
    assert!(dirt.clean_bytes > 0 && dirt.ratio() > 0.5 && !dirt.checkpoint_invalid, "{dirt:?}");
    let beyond = rig.log.dirt(Some(Offset(1000)), rig.log.log_end(), NOW).unwrap();
    assert!(beyond.checkpoint_invalid && beyond.first_dirty == Offset(0));
}

#[test]
fn young_records_wait_and_old_ones_are_overdue() {
    let lag = LogConfig { min_compaction_lag_ms: 1000, ..compacted() };
    let mut rig = Rig::new(lag);
    for n in 0..40 {
        rig.append(keyed(BatchOptions::default(), Timestamp(NOW.0 + n * 100), &[("k", Some("v"))]));
    }
    let at = |now: i64| rig.log.dirt(None, Offset(40), Timestamp(NOW.0 + now)).unwrap().first_uncleanable;
    let bases = rig.log.segment_bases();
    assert_eq!(at(0), Offset(0));
    assert!(at(3000) > Offset(0) && at(3000) <= Offset(21) && bases.contains(&at(3000)));
    assert_eq!(at(100_000), *bases.last().unwrap());
    rig.log.set_config(LogConfig { max_compaction_lag_ms: 5000, ..compacted() });
    let overdue = |now: i64| rig.log.dirt(None, Offset(40), Timestamp(NOW.0 + now)).unwrap();
    assert_eq!((overdue(5000).overdue_ms, overdue(5250).overdue_ms), (0, 250));
    assert!(overdue(5250).is_worth_cleaning(1.0));
}

#[test]
fn a_tombstone_stays_for_delete_retention_after_it_was_first_cleaned() {
    let mut rig = Rig::new(LogConfig { delete_retention_ms: DAY, ..compacted() });
    rig.put("a", "1");
    rig.put("b", "1");
    rig.delete("a");
    rig.fill();
    let to = rig.clean(None, NOW).to;
    assert_eq!(&rig.records()[..2], ["1=b:1", "2=a:-"]);
    let horizon = rig.batches().iter().find_map(|b| b.header().delete_horizon());
    assert_eq!(horizon, Some(Timestamp(NOW.0 + DAY)));
    rig.fill();
    let to = rig.clean(Some(to), Timestamp(NOW.0 + DAY - 1)).to;
    assert_eq!(rig.records()[1], "2=a:-", "its time is set once");
    assert_eq!(rig.batches().iter().find_map(|b| b.header().delete_horizon()), horizon);
    rig.fill();
    rig.clean(Some(to), Timestamp(NOW.0 + DAY));
    assert_eq!(rig.records()[0], "1=b:1");
    assert!(!rig.records().contains(&"2=a:-".to_owned()));
    rig.reads_from_every_offset();
}

#[test]
fn every_codec_is_written_as_it_was_and_timestamps_stay() {
    let mut rig = Rig::new(compacted());
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (at, compression) in codecs.into_iter().enumerate() {
        let options = BatchOptions { codec: compression.into(), ..BatchOptions::default() };
        let time = Timestamp(NOW.0 + at as i64);
        let only = format!("only-{compression}");
        rig.append(keyed(options, time, &[("k", Some("old")), (&only, Some("stays")), ("k", Some("v"))]));
    }
    let append_time = BatchOptions { log_append_time: Some(Timestamp(NOW.0 + 77)), ..BatchOptions::default() };
    rig.append(keyed(append_time, NOW, &[("k", Some("old")), ("timed", Some("stays"))]));
    rig.put("k", "new");
    rig.fill();
    rig.clean(None, NOW);
    let found: Vec<_> = rig
        .batches()
        .iter()
        .take(6)
        .map(|b| {
            let h = b.header();
            (h.attributes.compression().unwrap(), h.base_offset.0, h.last_offset().0, h.max_timestamp.0 - NOW.0)
        })
        .collect();
    let mut expected: Vec<_> =
        codecs.iter().enumerate().map(|(at, c)| (*c, 3 * at as i64, 3 * at as i64 + 2, at as i64)).collect();
    expected.push((Compression::None, 15, 16, 77));
    assert_eq!(found, expected);
    rig.reads_from_every_offset();
}

#[test]
fn a_full_table_ends_a_round_and_the_next_one_goes_on() {
    let mut rig = Rig::new(compacted());
    for n in 0..100 {
        rig.put(&format!("k{}", n % 50), &format!("{n}"));
    }
    rig.fill();
    let few = super::CleanerLimits { dedupe_buffer_bytes: 24 * 20, load_factor: 0.9 };
    let (mut to, mut rounds) = (None, 0);
    while rig.log.dirt(to, rig.log.log_end(), NOW).unwrap().cleanable_bytes > 0 && rounds < 100 {
        let cleaned = rig.clean_with(to, NOW, few).unwrap();
        assert!(cleaned.keys <= 18 && Some(cleaned.to) > to, "{cleaned:?}");
        to = Some(cleaned.to);
        rounds += 1;
    }
    assert!(rounds > 3, "{rounds}");
    let records = rig.records();
    let live = records.iter().filter(|r| r.contains("=k")).count();
    assert_eq!(live, 50, "{records:?}");
    rig.reads_from_every_offset();
}

#[test]
fn nothing_is_cleaned_beyond_the_high_watermark_and_the_last_batch_below_it_stays() {
    let mut rig = Rig::new(compacted());
    for _ in 0..60 {
        rig.put("k", "v");
    }
    let bases = rig.log.segment_bases();
    let inside = Offset(bases[2].0 + 1);
    let dirt = rig.log.dirt(None, inside, NOW).unwrap();
    assert_eq!(dirt.first_uncleanable, bases[2]);
    let mut cleaning = Cleaning::begin(rig.log.clean_plan(dirt, bases[2]).unwrap().unwrap(), LIMITS, NOW);
    rig.finish(&mut cleaning).unwrap();
    let first = rig.batches()[0].header().to_owned();
    assert_eq!((first.last_offset(), first.count), (Offset(bases[2].0 - 1), 1), "the newest of what was mapped");
    rig.reads_from_every_offset();
}

#[test]
fn a_truncation_or_deletion_meanwhile_ends_the_cleaning() {
    let mut rig = Rig::new(LogConfig { delete: true, ..compacted() });
    for steps in 0..6 {
        for n in 0..30 {
            rig.put(["x", "y"][n % 2], "value");
        }
        let dirt = rig.log.dirt(None, rig.log.log_end(), NOW).unwrap();
        let plan = rig.log.clean_plan(dirt, rig.log.log_end()).unwrap().unwrap();
        let mut cleaning = Cleaning::begin(plan, LIMITS, NOW);
        let mut group = None;
        for _ in 0..steps {
            if let Progress::Swap(ready) = cleaning.step().unwrap() {
                group = Some(ready);
                break;
            }
        }
        assert!(rig.log.is_current(cleaning.plan()));
        let bases = rig.log.segment_bases();
        rig.log.advance_log_start(bases[1]).unwrap();
        rig.log.delete_old_segments(rig.log.log_end(), NOW).unwrap();
        assert!(!rig.log.is_current(cleaning.plan()));
        cleaning.abandon().unwrap();
        if let Some(group) = group {
            rig.log.begin_swap(group).unwrap().unwrap_err().discard().unwrap();
        }
        assert_eq!(rig.files_with(names::CLEANED) + rig.files_with(names::SWAP), 0);
    }
    rig.reads_from_every_offset();
}

#[test]
fn a_damaged_segment_is_not_cleaned() {
    let mut rig = Rig::new(compacted());
    for n in 0..60 {
        rig.put(["x", "y"][n % 2], "value");
    }
    let path = names::file_at(rig.log.dir(), rig.log.segment_bases()[1], names::LOG);
    let bytes = thalweg_sys::fs::read(&path).unwrap();
    let before = rig.log.segment_bases();
    // In its offset, in its records, and without its end.
    for (at, len) in [(6, bytes.len()), (70, bytes.len()), (0, bytes.len() - 1)] {
        let mut damaged = bytes.clone();
        damaged[at] ^= u8::from(at > 0);
        thalweg_sys::fs::write(&path, &damaged[..len]).unwrap();
        let fault = rig.clean_with(None, NOW, LIMITS).unwrap_err();
        let named = matches!(&fault, Fault::Corrupt { file, .. } | Fault::Io { file, .. } if *file == path);
        assert!(named, "{fault}");
        assert_eq!(rig.log.segment_bases(), before);
    }
    thalweg_sys::fs::write(&path, &bytes).unwrap();
    rig.clean(None, NOW);
}

#[test]
fn a_read_that_was_planned_before_still_works() {
    let mut rig = Rig::new(compacted());
    for n in 0..60 {
        rig.put(["x", "y"][n % 2], "value");
    }
    let plan = rig.log.read(Offset(3), Offset(60), 300, crate::FirstBatch::Whole).unwrap();
    let before = plan.read().unwrap();
    rig.clean(None, NOW);
    let bytes = plan.read().unwrap();
    assert_eq!(bytes, before);
    rig.log.has_read(&plan, &bytes);
    rig.reads_from_every_offset();
}

#[test]
fn segments_are_merged_as_far_as_one_may_grow_and_offsets_reach() {
    let mut rig = Rig::new(compacted());
    for n in 0..200 {
        rig.put(&format!("{}", n % 100), "value");
    }
    rig.clean(None, NOW);
    let sizes = rig.sizes();
    let (_, finished) = sizes.split_last().unwrap();
    let max = u64::from(compacted().segment_bytes);
    assert!(finished.iter().all(|size| *size <= max), "{sizes:?}");
    // A follower's gap: the offsets of both segments do not fit into one.
    let mut rig = Rig::new(compacted());
    rig.put("a", "1");
    let far = Offset(i64::from(i32::MAX) + 10);
    let mut batch = keyed(BatchOptions::default(), NOW, &[("b", Some("2"))]);
    batch.assign(far, LeaderEpoch(0));
    rig.log.append_as_follower(batch.to_bytes(), LeaderEpoch(0), NOW).unwrap();
    rig.fill();
    rig.clean(None, NOW);
    assert_eq!(&rig.log.segment_bases()[..2], [Offset(0), far]);
    assert_eq!(&rig.records()[..2], ["0=a:1".to_owned(), format!("{far}=b:2")]);
}

/// The last record of each key, of records as the rig gives them.
fn last_of_each_key(records: &[String]) -> BTreeMap<String, String> {
    let keyed = records.iter().filter_map(|record| {
        let (key, _) = record.split_once('=')?.1.split_once(':')?;
        Some((key.to_owned(), record.clone()))
    });
    keyed.collect()
}

#[test]
fn what_a_crash_left_of_a_swap_is_completed_or_undone() {
    const KINDS: [&str; 4] = [names::LOG, names::OFFSET_INDEX, names::TIME_INDEX, names::TXN_INDEX];
    for (with_txn_index, kinds) in [(false, &KINDS[..3]), (true, &KINDS[..])] {
        // The renames of a swap, in their order: how many of them were done when the process ended.
        for done in 0..=3 * kinds.len() {
            let mut rig = Rig::new(compacted());
            for n in 0..60 {
                // Every segment holds a key that comes nowhere else, so that a segment that is gone is missed.
                if n % 4 == 0 {
                    rig.put(&format!("once{n}"), "value")
                } else {
                    rig.put(["x", "y"][n % 2], "value")
                }
                if n == 5 && with_txn_index {
                    rig.write(9, 0, "aborted", "value");
                    rig.end(9, ControlType::Abort);
                }
            }
            let end = rig.log.log_end();
            rig.log.replicated(end);
            let (before, aborted) = (rig.records(), rig.aborted());
            let dir = rig.log.dir().to_owned();
            drop(rig.first_group());
            assert_eq!(rig.files_with(".txnindex.cleaned") > 0, with_txn_index);
            let steps = [(names::CLEANED, names::SWAP), ("", names::DELETED), (names::SWAP, "")];
            let renames = steps.iter().flat_map(|(from, to)| kinds.iter().map(|kind| (*kind, *from, *to)));
            for (kind, from, to) in renames.take(done) {
                let path = |suffix: &str| names::file_at(&dir, Offset(0), &format!("{kind}{suffix}"));
                thalweg_sys::fs::rename(&path(from), &path(to)).unwrap();
            }
            rig.reopen(OpenHints { recovery_point: end, ..OpenHints::UNKNOWN });
            let after = rig.records();
            let mut expected = last_of_each_key(&before);
            // All files of the new segment are complete from then on.
            if done < kinds.len() {
                assert_eq!(after, before, "after {done} renames");
            } else {
                assert!(after.len() < before.len(), "after {done} renames: {after:?}");
                expected.remove("aborted");
            }
            assert_eq!(last_of_each_key(&after), expected, "after {done} renames of {kinds:?}");
            assert_eq!((rig.log.log_end(), rig.aborted()), (end, aborted));
            for suffix in [names::CLEANED, names::SWAP, names::DELETED] {
                assert_eq!(rig.files_with(suffix), 0);
            }
            rig.reads_from_every_offset();
            rig.clean(None, NOW);
            rig.reopens_the_same();
        }
    }
}

#[test]
fn idempotent_producers_are_known_after_their_records_are_gone() {
    let mut rig = Rig::new(compacted());
    for sequence in 0..20 {
        rig.append(keyed(harness::producer(7, 1, sequence, false), NOW, &[("k", Some("v"))]));
    }
    rig.append(keyed(harness::producer(8, 0, 0, false), NOW, &[("k", Some("last"))]));
    rig.fill();
    rig.clean(None, NOW);
    let kept: Vec<_> = rig
        .batches()
        .iter()
        .map(|b| (b.header().producer_id.0, b.header().last_sequence(), b.header().count))
        .filter(|(id, ..)| *id >= 0)
        .collect();
    assert_eq!(kept, [(7, 19, 0), (8, 0, 1)]);
    for snapshot in rig.snapshots() {
        thalweg_sys::fs::remove_file(&snapshot).unwrap();
    }
    rig.reopen(OpenHints::UNKNOWN);
    let next = keyed(harness::producer(7, 1, 20, false), NOW, &[("k", Some("v"))]);
    let repeated = keyed(harness::producer(7, 1, 19, false), NOW, &[("k", Some("v"))]);
    let outcome = rig.log.append(&mut [repeated], LeaderEpoch(0), Origin::Client, NOW).unwrap();
    assert!(matches!(outcome, crate::AppendOutcome::Duplicate(d) if d.last_offset == Offset(19)));
    rig.append(next);
}
