//! Compaction of the node's logs: which one is cleaned next, how fast, and what becomes of a failure.

use std::sync::Arc;

use thalweg_base::Offset;
use thalweg_storage::{Cleaned, CleanedGroup, Cleaning, Dirt, Fault, Progress};
use thalweg_sys::closing::Closing;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::cleaner_settings::THREADS_MAX;
use super::partition::Partition;
use super::partitions::Partitions;
use crate::drivers::clock::timestamp;

/// A log that is to be cleaned; it holds the right to do so.
struct Chosen {
    partition: Arc<Partition>,
    dirt: Dirt,
    high_watermark: Offset,
}

/// Cleans logs until the node closes.
pub(crate) async fn run(partitions: Arc<Partitions>, mut closing: Closing) {
    let (done, mut finished) = mpsc::channel::<()>(THREADS_MAX);
    let mut running = 0;
    loop {
        let settings = partitions.cleaner_settings();
        let mut rest = settings.backoff;
        if settings.enabled && running < settings.threads {
            let looking = Arc::clone(&partitions);
            let chosen = task::blocking(move || dirtiest(&looking)).await.unwrap_or_default();
            if let Some(chosen) = chosen {
                running += 1;
                let (partitions, closing, done) = (Arc::clone(&partitions), closing.clone(), done.clone());
                task::spawn(async move {
                    clean(&partitions, chosen, closing).await;
                    let _ = done.send(()).await;
                });
                rest = Duration::ZERO;
            }
        }
        tokio::select! {
            biased;
            () = closing.begun() => break,
            Some(()) = finished.recv() => running -= 1,
            () = sleep(rest) => {}
        }
    }
    while running > 0 && finished.recv().await.is_some() {
        running -= 1;
    }
}

/// The log that needs cleaning most.
fn dirtiest(partitions: &Partitions) -> Option<Chosen> {
    let now = timestamp();
    let mut best: Option<Chosen> = None;
    for partition in partitions.all() {
        let settings = partition.settings();
        if !settings.log.compact || partition.is_being_cleaned() {
            continue;
        }
        let Some((place, high_watermark)) = partitions.dir_of(&partition).zip(partition.high_watermark()) else {
            continue;
        };
        let cleaned_to = place.cleaned_to(&partition.id);
        let Some(dirt) = partition.with_log(|log| log.dirt(cleaned_to, high_watermark, now)) else { continue };
        if dirt.checkpoint_invalid {
            place.set_cleaned(&partition.id, Some(dirt.first_dirty));
        }
        let dirtier = best.as_ref().is_none_or(|best| dirt.ratio() > best.dirt.ratio());
        if dirtier && dirt.is_worth_cleaning(settings.log.min_cleanable_ratio) {
            best = Some(Chosen { partition, dirt, high_watermark });
        }
    }
    best.filter(|chosen| chosen.partition.begin_cleaning())
}

async fn clean(partitions: &Arc<Partitions>, chosen: Chosen, closing: Closing) {
    let Chosen { partition, dirt, high_watermark } = chosen;
    let outcome = clean_all(partitions, &partition, dirt, high_watermark, closing).await;
    if let Some(cleaned) = outcome
        && let Some(dir) = partitions.dir_of(&partition)
    {
        dir.set_cleaned(&partition.id, Some(cleaned.to));
        if cleaned.records_invalid > 0 {
            warn!(partition = %partition.id, records = cleaned.records_invalid, "records without a key were dropped");
        }
        info!(
            partition = %partition.id,
            from = cleaned.from.0,
            to = cleaned.to.0,
            bytes_before = cleaned.bytes_read,
            bytes_after = cleaned.bytes_written,
            records_before = cleaned.records_read,
            records_after = cleaned.records_written,
            "the log was compacted"
        );
    }
    partition.end_cleaning();
}

/// What a step of a cleaning leads to.
enum Next {
    Step(Box<Cleaning>, u64),
    Done(Cleaned),
    /// The log has changed or is gone, or it cannot be cleaned.
    Ended,
}

/// Cleans one log, step by step on threads that may block. `None` when that came to nothing.
async fn clean_all(
    partitions: &Partitions,
    partition: &Arc<Partition>,
    dirt: Dirt,
    high_watermark: Offset,
    mut closing: Closing,
) -> Option<Cleaned> {
    let plan = partition.with_log(|log| log.clean_plan(dirt, high_watermark))??;
    let now = timestamp();
    let mut cleaning = Box::new(Cleaning::begin(plan, partitions.cleaner_settings().limits(), now));
    loop {
        let log = Arc::clone(partition);
        match task::blocking(move || step(&log, cleaning)).await.ok()? {
            Next::Done(cleaned) => return Some(cleaned),
            Next::Ended => return None,
            Next::Step(back, bytes) => {
                cleaning = back;
                let pause = partitions.cleaner_settings().pause_after(bytes);
                tokio::select! {
                    biased;
                    () = closing.begun() => {
                        let _ = task::blocking(move || cleaning.abandon()).await;
                        return None;
                    }
                    () = sleep(pause), if !pause.is_zero() => {}
                    () = std::future::ready(()), if pause.is_zero() => {}
                }
            }
        }
    }
}

fn step(partition: &Partition, mut cleaning: Box<Cleaning>) -> Next {
    // A log that is gone, or that lost segments, is not cleaned to its end.
    let is_current = || partition.with_log(|log| Ok(log.is_current(cleaning.plan()))) == Some(true);
    if !is_current() {
        return abandon(partition, *cleaning);
    }
    let progress = cleaning.step();
    let is_current = || partition.with_log(|log| Ok(log.is_current(cleaning.plan()))) == Some(true);
    match progress {
        Ok(Progress::Worked { bytes }) => Next::Step(cleaning, bytes),
        Ok(Progress::Done(cleaned)) => Next::Done(cleaned),
        Ok(Progress::Swap(group)) => match swap(partition, group) {
            true => Next::Step(cleaning, 0),
            false => abandon(partition, *cleaning),
        },
        Err(_) if !is_current() => abandon(partition, *cleaning),
        Err(fault @ Fault::Corrupt { .. }) => {
            warn!(partition = %partition.id, error = %fault, "the log is damaged and is not compacted any more; it is looked at again when the node restarts");
            partition.give_up_cleaning();
            abandon(partition, *cleaning)
        }
        Err(fault) => {
            partition.failed(&fault);
            Next::Ended
        }
    }
}

/// Puts cleaned segments into their place. The partition's lock is held for renames only. False when the log is gone or
/// has changed.
fn swap(partition: &Partition, group: CleanedGroup) -> bool {
    let swap = match partition.with_log(|log| log.begin_swap(group)) {
        Some(Ok(swap)) => swap,
        Some(Err(group)) => return discard(partition, group),
        None => return false,
    };
    if let Err(fault) = swap.sync() {
        partition.failed(&fault);
        return false;
    }
    let replaced = match partition.with_log(|log| log.replace_segments(swap)) {
        Some(Ok(replaced)) => replaced,
        Some(Err(group)) => return discard(partition, group),
        None => return false,
    };
    if let Err(fault) = replaced.sync() {
        partition.failed(&fault);
        return false;
    }
    let Some(doomed) = partition.with_log(|log| log.end_swap(replaced)) else { return false };
    if let Err(fault) = doomed.sync_and_remove() {
        partition.failed(&fault);
        return false;
    }
    true
}

fn discard(partition: &Partition, group: CleanedGroup) -> bool {
    if let Err(fault) = group.discard() {
        error!(partition = %partition.id, error = %fault, "files of an interrupted compaction cannot be removed");
    }
    false
}

fn abandon(partition: &Partition, cleaning: Cleaning) -> Next {
    if let Err(fault) = cleaning.abandon() {
        error!(partition = %partition.id, error = %fault, "files of an interrupted compaction cannot be removed");
    }
    Next::Ended
}
