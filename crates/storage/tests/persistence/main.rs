//! Every change of a log that takes more than one operation of the disk, ended at each of them: by kill -9, or by a power
//! failure that leaves any allowed part of what was not synced. What was acknowledged can be read afterwards.

#![cfg(sim)]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use harness::{Appender, Known, LOG_DIR, NOW, clean, compacted, deleting, open_as_left, open_at, small, start};
use thalweg_base::{Offset, TopicPartition};
use thalweg_storage::checkpoints::{RECOVERY_POINTS, mark_clean_shutdown, read_offsets, write_offsets};
use thalweg_storage::{Flush, Log};
use thalweg_sys::power::{MANY_WAYS, Story, seeds};

/// Everything is durable: nothing may change for a reader, whatever a cleaning has come to.
#[test]
fn a_compaction_that_ends_anywhere_loses_nothing() {
    for seed in seeds(1) {
        let mut log = start(compacted());
        let mut appender = Appender::new(seed);
        for _ in 0..36 {
            appender.append(&mut log);
        }
        log.replicated(log.log_end());
        log.flush(Flush::All, NOW).expect("a flush");
        let known = Known::of(&log);
        let story = Story::begin(known.clone());
        clean(&mut log);
        known.check_last_values(&log, "cleaned");
        let operations = story.fail_everywhere(seed, MANY_WAYS, |known, how| {
            let mut log = open_at(known.recovery_point, compacted(), how);
            known.check_last_values(&log, how);
            clean(&mut log);
            known.check_last_values(&log, how);
        });
        assert!(operations > 40, "{operations}");
    }
}

/// Appends batches, some of which finish a segment, and flushes after each.
fn append_and_flush(log: &mut Log, appender: &mut Appender, story: &mut Story<Known>, count: usize) {
    for _ in 0..count {
        appender.append(log);
        log.flush(Flush::All, NOW).expect("a flush");
        story.now(Known::of(log));
    }
}

#[test]
fn what_was_flushed_is_there_whatever_follows() {
    for seed in seeds(1) {
        let mut log = start(small());
        let mut appender = Appender::new(seed);
        let mut story = Story::begin(Known::of(&log));
        append_and_flush(&mut log, &mut appender, &mut story, 12);
        // Without a flush, which comes only for finished segments.
        for _ in 0..12 {
            appender.append(&mut log);
            log.flush(Flush::Finished, NOW).expect("a flush");
            story.now(Known::up_to(&log, log.recovery_point()));
        }
        log.close().expect("a close");
        story.fail_everywhere(seed, MANY_WAYS, |known, how| {
            let mut log = open_at(known.recovery_point, small(), how);
            known.check_beginning(&log, how);
            let mut appender = Appender::new(seed + 1000);
            for _ in 0..4 {
                appender.append(&mut log);
            }
            log.flush(Flush::All, NOW).expect("a flush");
            let now = Known::of(&log);
            drop(log);
            now.check_beginning(&open_at(now.recovery_point, small(), how), how);
        });
    }
}

#[test]
fn segments_that_are_deleted_take_nothing_along() {
    for seed in seeds(1) {
        let mut log = start(deleting());
        let mut appender = Appender::new(seed);
        for _ in 0..40 {
            appender.append(&mut log);
        }
        log.flush(Flush::All, NOW).expect("a flush");
        let mut story = Story::begin(Known::of(&log));
        let end = log.log_end();
        let bases = log.segment_bases();
        log.advance_log_start(bases[bases.len() / 2]).expect("an advance");
        story.now(Known::of(&log));
        log.delete_old_segments(end, NOW).expect("a deletion");
        log.take_doomed().sync_and_remove().expect("a removal");
        append_and_flush(&mut log, &mut appender, &mut story, 6);
        story.fail_everywhere(seed, MANY_WAYS, |known, how| {
            known.check_beginning(&open_at(known.recovery_point, deleting(), how), how);
        });
    }
}

#[test]
fn a_truncation_leaves_what_it_keeps_and_nothing_comes_back_beside_what_follows() {
    for seed in seeds(2) {
        let mut log = start(small());
        let mut appender = Appender::new(seed);
        for _ in 0..30 {
            appender.append(&mut log);
        }
        log.flush(Flush::All, NOW).expect("a flush");
        let bases = log.segment_bases();
        let cut = Offset(bases[bases.len() / 2].0 + seed as i64 % 2);
        let mut kept = Known::up_to(&log, cut);
        // As a broker has it: the checkpoint is lowered after the truncation, and before anything is appended.
        kept.recovery_point = log.recovery_point();
        let mut story = Story::begin(kept);
        log.truncate_to(cut, NOW).expect("a truncation");
        story.now(Known::up_to(&log, cut));
        appender.after_truncation(cut);
        append_and_flush(&mut log, &mut appender, &mut story, 10);
        story.fail_everywhere(seed, MANY_WAYS, |known, how| {
            known.check_beginning(&open_at(known.recovery_point, small(), how), how);
        });
    }
}

#[test]
fn the_mark_of_a_clean_shutdown_never_stands_beside_a_log_that_was_not_closed() {
    for seed in seeds(2) {
        let mut log = start(small());
        let mut appender = Appender::new(seed);
        let mut story = Story::begin(Known::of(&log));
        for _ in 0..3 {
            append_and_flush(&mut log, &mut appender, &mut story, 3);
            // The last ones are synced by the close.
            appender.append(&mut log);
            let mut known = Known::of(&log);
            let end = log.close().expect("a close");
            known.recovery_point = end;
            story.now(known.clone());
            mark_clean_shutdown(Path::new(LOG_DIR), 7).expect("a mark");
            log = open_as_left(end, small(), "again");
            known.check_beginning(&log, "again");
        }
        append_and_flush(&mut log, &mut appender, &mut story, 3);
        story.fail_everywhere(seed, MANY_WAYS, |known, how| {
            known.check_beginning(&open_as_left(known.recovery_point, small(), how), how);
        });
    }
}

#[test]
fn a_checkpoint_is_the_old_one_or_the_new_one() {
    drop(start(small()));
    let path = Path::new(LOG_DIR).join(RECOVERY_POINTS);
    let offsets = |offset: i64| BTreeMap::from([(TopicPartition::new("t", 0), Offset(offset))]);
    let mut story = Story::begin(vec![BTreeMap::new()]);
    for offset in 1..4 {
        story.now(vec![if offset > 1 { offsets(offset - 1) } else { BTreeMap::new() }, offsets(offset)]);
        write_offsets(&path, &offsets(offset)).expect("a checkpoint");
        story.now(vec![offsets(offset)]);
    }
    story.fail_everywhere(1, MANY_WAYS, |known, how| {
        let found = read_offsets(&path).unwrap_or_else(|fault| panic!("{how}: {fault}"));
        assert!(known.contains(&found), "{how}: {found:?} is none of {known:?}");
    });
}
