//! What happens to logs without being asked for by a client: flushes, checkpoints, retention, expiry of producers.

use std::sync::Arc;

use thalweg_storage::Flush;
use thalweg_sys::closing::Closing;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now, sleep_until};
use tokio::sync::mpsc;
use tracing::{error, info};

use super::cleaning;
use super::partition::Partition;
use super::partitions::Partitions;
use crate::drivers::clock::timestamp;

/// So many partitions may wait for their flush. One that finds no room is flushed when its next segment is finished, or
/// by the next round.
const FLUSHES_MAX: usize = 10_000;

/// How often each thing is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    /// `log.initial.task.delay.ms`: after so long the first round begins, but for producers.
    pub(crate) first: Duration,
    /// `log.flush.offset.checkpoint.interval.ms` and its kin: the smallest of them.
    pub(crate) checkpoint: Duration,
    /// `log.retention.check.interval.ms`.
    pub(crate) retention: Duration,
    /// `log.flush.scheduler.interval.ms`.
    pub(crate) flush: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub(crate) producers: Duration,
}

/// A handle on the task that maintains logs.
#[derive(Clone, Debug)]
pub(crate) struct Maintenance {
    flushes: mpsc::Sender<(Arc<Partition>, Flush)>,
}

impl Maintenance {
    /// A handle, and what starts the task when the logs are open.
    pub(crate) fn new() -> (Self, FlushQueue) {
        let (flushes, queue) = mpsc::channel(FLUSHES_MAX);
        (Self { flushes }, FlushQueue(queue))
    }

    /// The partition is flushed in the background.
    pub(crate) fn flush_soon(&self, partition: &Arc<Partition>, what: Flush) {
        // A full queue is no loss: see `FLUSHES_MAX`.
        let _ = self.flushes.try_send((Arc::clone(partition), what));
    }
}

/// The flushes that wait for the task to start.
pub(crate) struct FlushQueue(mpsc::Receiver<(Arc<Partition>, Flush)>);

impl FlushQueue {
    /// Starts the task; it ends when `closing` says so. All logs must have been opened: what is not open is entered in no
    /// checkpoint.
    pub(crate) fn start(
        self,
        partitions: Arc<Partitions>,
        intervals: Intervals,
        closing: Closing,
    ) -> task::JoinHandle<()> {
        let cleaner = cleaning::run(Arc::clone(&partitions), closing.clone());
        let worker = Worker { partitions, intervals };
        task::spawn(async move {
            tokio::join!(worker.run(self.0, closing), cleaner);
        })
    }
}

struct Worker {
    partitions: Arc<Partitions>,
    intervals: Intervals,
}

impl Worker {
    async fn run(self, mut queue: mpsc::Receiver<(Arc<Partition>, Flush)>, mut closing: Closing) {
        let begin = now() + self.intervals.first;
        // Producers expire from the start on: only what reads or writes files waits until the node has settled.
        let mut next = [begin, begin, begin + self.intervals.flush, now() + self.intervals.producers];
        let every =
            [self.intervals.checkpoint, self.intervals.retention, self.intervals.flush, self.intervals.producers];
        loop {
            let (due, at) = earliest(&next);
            tokio::select! {
                biased;
                () = closing.begun() => return,
                Some((partition, what)) = queue.recv() => {
                    blocking(move || partition.flush(what)).await;
                }
                () = sleep_until(at) => {
                    next[due] = now() + every[due];
                    let partitions = Arc::clone(&self.partitions);
                    blocking(move || match due {
                        0 => {
                            partitions.look_at_disks();
                            partitions.checkpoint();
                        }
                        1 => each(&partitions, retain),
                        2 => each(&partitions, flush_if_due),
                        _ => each(&partitions, expire_producers),
                    }).await;
                }
            }
        }
    }
}

fn earliest(next: &[Instant; 4]) -> (usize, Instant) {
    let mut first = (0, next[0]);
    for (index, at) in next.iter().enumerate() {
        if *at < first.1 {
            first = (index, *at);
        }
    }
    first
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    if task::blocking(work).await.is_err() {
        error!("maintenance of the logs was interrupted");
    }
}

fn each(partitions: &Partitions, work: impl Fn(&Partition)) {
    for partition in partitions.all() {
        work(&partition);
    }
}

fn flush_if_due(partition: &Partition) {
    if partition.with_log(|log| Ok(log.is_flush_due(timestamp()))) == Some(true) {
        partition.flush(Flush::All);
    }
}

fn expire_producers(partition: &Partition) {
    partition.with_log(|log| {
        log.remove_expired_producers(timestamp());
        Ok(())
    });
}

/// Deletes old segments. The files themselves are removed outside of the lock.
fn retain(partition: &Partition) {
    if partition.is_being_cleaned() {
        return;
    }
    let Some(high_watermark) = partition.high_watermark() else { return };
    let deleted = partition.with_log(|log| {
        let count = log.delete_old_segments(high_watermark, timestamp())?;
        Ok((count, log.take_doomed()))
    });
    let Some((count, doomed)) = deleted else { return };
    if count > 0 {
        info!(partition = %partition.id, segments = count, "deleted old segments");
        partition.log_start_moved();
    }
    if let Err(fault) = doomed.sync_and_remove() {
        error!(partition = %partition.id, error = %fault, "files of deleted segments cannot be removed");
    }
}
