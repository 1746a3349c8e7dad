//! What is left after crashes, cut files and flipped bits.

use std::path::Path;

use thalweg_base::{Offset, ProducerId};
use thalweg_sys::fs;

use super::harness::{NOW, Rig, produced, small_segments};
use crate::{FirstBatch, LogConfig, OpenHints, Origin, Recovered, names};

/// A log of some segments, crashed; returns the ends of its batches as (segment base, position, offset after it).
fn crashed(rig: &Rig, batches: i32) -> Vec<(Offset, u64, i64)> {
    let mut log = rig.open(small_segments());
    let mut ends = Vec::new();
    for i in 0..batches {
        let mut batch = [produced(1, 0, i, 1)];
        log.append(&mut batch, thalweg_base::LeaderEpoch(i / 10), Origin::Client, NOW).unwrap();
        let segment = log.segments().last().unwrap();
        ends.push((segment.base(), segment.size(), log.log_end().0));
    }
    ends
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        fs::write(&to.join(&entry.name), &fs::read(&from.join(&entry.name)).unwrap()).unwrap();
    }
}

/// Opens a log that holds the first `count` batches of [`crashed`], and appends to it.
fn check(rig: &Rig, count: i64, hints: OpenHints, context: &str) {
    let (mut log, _) = rig.open_with(small_segments(), hints);
    assert_eq!(log.log_end(), Offset(count), "{context}");
    assert_eq!(rig.offsets(&log), (0..count).collect::<Vec<i64>>(), "{context}");
    let sequence = log.producer(ProducerId(1)).map(|p| i64::from(p.last_sequence()));
    assert_eq!(sequence.unwrap_or(-1), count - 1, "{context}");
    let epochs: Vec<(i64, i64)> =
        log.leader_epochs().entries().iter().map(|e| (i64::from(e.epoch.0), e.start_offset.0)).collect();
    let expected: Vec<(i64, i64)> = (0..).map(|e| (e, e * 10)).take_while(|(_, start)| *start < count).collect();
    assert_eq!(epochs, expected, "{context}");
    assert_eq!(rig.append(&mut log, 1), Offset(count), "{context}");
    let plan = log.read(Offset(count), Offset(count + 1), 100, FirstBatch::Whole).unwrap();
    assert!(!plan.is_empty(), "{context}");
}

#[test]
fn a_crash_at_any_byte_keeps_every_whole_batch() {
    let rig = Rig::new();
    let ends = crashed(&rig, 25);
    let (last_base, last_size, _) = *ends.last().unwrap();
    let flushed_base = ends[12].0;
    for size in 0..=last_size {
        let cut = Rig::new();
        copy(&rig.dir, &cut.dir);
        let path = names::file_at(&cut.dir, last_base, names::LOG);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..size as usize]).unwrap();
        let before = ends.iter().filter(|(base, end, _)| *base < last_base || *end <= size).count() as i64;
        let hints = if size % 2 == 0 { Offset(0) } else { flushed_base };
        check(&cut, before, OpenHints { recovery_point: hints, ..OpenHints::UNKNOWN }, &format!("cut at {size}"));
    }
}

#[test]
fn any_flipped_byte_ends_the_log_before_its_batch() {
    let rig = Rig::new();
    let ends = crashed(&rig, 25);
    let base = ends[12].0;
    let size = ends.iter().filter(|(b, ..)| *b == base).map(|(_, end, _)| *end).max().unwrap();
    for at in 0..size {
        // The leader epoch is not part of the checksum.
        let start =
            ends.iter().filter(|(b, end, _)| *b == base && *end <= at).map(|(_, end, _)| *end).max().unwrap_or(0);
        if (12..16).contains(&(at - start)) {
            continue;
        }
        let broken = Rig::new();
        copy(&rig.dir, &broken.dir);
        let path = names::file_at(&broken.dir, base, names::LOG);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at as usize] ^= 0x80;
        fs::write(&path, &bytes).unwrap();
        let before = ends.iter().filter(|(b, end, _)| *b < base || (*b == base && *end <= at)).count() as i64;
        check(&broken, before, OpenHints::UNKNOWN, &format!("flipped at {at}"));
    }
}

#[test]
fn damaged_side_files_lose_no_batch() {
    let rig = Rig::new();
    crashed(&rig, 25);
    let files: Vec<String> = fs::read_dir(&rig.dir).unwrap().into_iter().map(|e| e.name).collect();
    let side = files.iter().filter(|f| !f.ends_with(names::LOG) && *f != names::PARTITION_METADATA);
    for name in side {
        let whole = fs::read(&rig.dir.join(name)).unwrap();
        let lengths = [0, 1, whole.len() / 2, whole.len().saturating_sub(1)];
        let mut forms: Vec<Option<Vec<u8>>> =
            lengths.iter().map(|l| Some(whole[..(*l).min(whole.len())].to_vec())).collect();
        forms.push(None);
        forms.push(Some(vec![0xff; whole.len() + 24]));
        forms.push(Some(vec![0; 10_000]));
        for form in forms {
            let broken = Rig::new();
            copy(&rig.dir, &broken.dir);
            match &form {
                Some(bytes) => fs::write(&broken.dir.join(name), bytes).unwrap(),
                None => fs::remove_file(&broken.dir.join(name)).unwrap(),
            }
            check(&broken, 25, OpenHints::UNKNOWN, &format!("{name} as {:?}", form.map(|f| f.len())));
        }
    }
}

#[test]
fn indexes_that_lie_below_the_recovery_point_lose_no_batch() {
    let rig = Rig::new();
    let ends = crashed(&rig, 25);
    let flushed = OpenHints { recovery_point: ends.last().unwrap().0, ..OpenHints::UNKNOWN };
    for kind in [names::OFFSET_INDEX, names::TIME_INDEX, names::TXN_INDEX] {
        for form in [None, Some(vec![]), Some(vec![0; 24]), Some(vec![0xff; 48]), Some(vec![1; 13])] {
            let broken = Rig::new();
            copy(&rig.dir, &broken.dir);
            drop(broken.open(small_segments()));
            let path = names::file_at(&broken.dir, Offset(0), kind);
            match &form {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
            check(&broken, 25, flushed, &format!("{kind} as {form:?}"));
        }
    }
}

#[test]
fn a_clean_shutdown_needs_no_recovery() {
    let rig = Rig::new();
    crashed(&rig, 25);
    let log = rig.reopen_clean(small_segments());
    assert_eq!(log.recovery_point(), Offset(25));
    assert_eq!(rig.offsets(&log).len(), 25);
}

#[test]
fn bytes_after_a_clean_shutdown_are_noticed() {
    let rig = Rig::new();
    let ends = crashed(&rig, 25);
    drop(rig.reopen_clean(small_segments()));
    let path = names::file_at(&rig.dir, ends.last().unwrap().0, names::LOG);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 100]);
    fs::write(&path, &bytes).unwrap();
    let hints = OpenHints { recovery_point: Offset(25), clean_shutdown: true, ..OpenHints::UNKNOWN };
    let (log, recovered) = rig.open_with(small_segments(), hints);
    assert_eq!((log.log_end(), recovered.truncated_bytes), (Offset(25), 100));
}

#[test]
fn a_crash_between_the_steps_of_a_deletion_is_finished() {
    let rig = Rig::new();
    crashed(&rig, 25);
    let first = names::file_at(&rig.dir, Offset(0), names::LOG);
    fs::rename(&first, &first.with_extension("log.deleted")).unwrap();
    fs::write(&rig.dir.join("00000000000000000003.log.cleaned"), b"x").unwrap();
    let log = rig.open(small_segments());
    assert!(log.log_start() > Offset(0));
    let names: Vec<String> = fs::read_dir(&rig.dir).unwrap().into_iter().map(|e| e.name).collect();
    assert!(!names.iter().any(|n| n.ends_with(".deleted") || n.ends_with(".cleaned")), "{names:?}");
    assert!(!names.iter().any(|n| n.starts_with("00000000000000000000.")), "{names:?}");
}

#[test]
fn a_swap_that_was_interrupted_is_finished() {
    let rig = Rig::new();
    crashed(&rig, 25);
    let before: Vec<String> = fs::read_dir(&rig.dir).unwrap().into_iter().map(|e| e.name).collect();
    for kind in [names::LOG, names::OFFSET_INDEX, names::TIME_INDEX] {
        let path = names::file_at(&rig.dir, Offset(0), kind);
        let swap = rig.dir.join(format!("{:020}{kind}.swap", 0));
        fs::write(&swap, &fs::read(&path).unwrap()).unwrap();
        fs::write(&path, b"old").unwrap();
    }
    check(&rig, 25, OpenHints::UNKNOWN, "swap");
    let after: Vec<String> = fs::read_dir(&rig.dir).unwrap().into_iter().map(|e| e.name).collect();
    assert!(before.iter().all(|n| after.contains(n) || n.ends_with(names::PRODUCER_SNAPSHOT)), "{after:?}");
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew() {
    let rig = Rig::new();
    crashed(&rig, 5);
    let hints = OpenHints { log_start_offset: Offset(50), recovery_point: Offset(60), clean_shutdown: false };
    let (mut log, _) = rig.open_with(LogConfig::default(), hints);
    assert_eq!((log.log_start(), log.log_end(), log.recovery_point()), (Offset(50), Offset(50), Offset(50)));
    assert_eq!(rig.append(&mut log, 1), Offset(50));
}

#[test]
fn only_segments_from_the_recovery_point_on_are_read() {
    let rig = Rig::new();
    let ends = crashed(&rig, 25);
    drop(rig.open(small_segments()));
    let hints = OpenHints { recovery_point: ends.last().unwrap().0, ..OpenHints::UNKNOWN };
    let (log, recovered) = rig.open_with(small_segments(), hints);
    assert_eq!(recovered, Recovered { segments: 1, ..Recovered::default() });
    assert_eq!(log.log_end(), Offset(25));
}
