//! Opening the logs that lie in the log directories when the node starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::TopicImage;
use thalweg_replica::TopicRef;
use thalweg_storage::names::{self, DirKind};
use thalweg_storage::{Fault, Flush, Log};
use thalweg_sys::{fs, task};
use tracing::{error, warn};

use super::found::{Found, Opened};
use super::partition::Partition;
use super::partitions::Partitions;
use super::removing::remove;
use crate::drivers::clock::timestamp;
use crate::format::METADATA_LOG;

/// What lies in a log directory.
#[derive(Default)]
struct Listed {
    logs: Vec<Found>,
    /// Copies of logs that were moving when the node ended.
    copies: Vec<Found>,
}

/// A log that is in two directories was about to move when the node ended. The one that reaches further stays, and it has
/// all that the other one has.
fn without_twins(opened: Vec<Opened>) -> Vec<Opened> {
    let mut kept: Vec<Opened> = Vec::with_capacity(opened.len());
    for one in opened {
        let Some(twin) = kept.pop_if(|last| last.partition.id == one.partition.id) else {
            kept.push(one);
            continue;
        };
        let reach = |opened: &Opened| opened.partition.with_log(|log| Ok((log.log_end(), log.size())));
        let (stays, goes) = if reach(&twin) >= reach(&one) { (twin, one) } else { (one, twin) };
        let name = names::renamed_dir_name(&goes.partition.id, DirKind::Stray, thalweg_sys::random::bytes16());
        warn!(partition = %goes.partition.id, "the log is in two directories: the shorter one is put aside as {name}");
        if let Some(mut log) = goes.partition.take_log()
            && let Err(fault) = log.rename_dir(&name)
        {
            error!(partition = %goes.partition.id, error = %fault, "the log cannot be put aside");
        }
        kept.push(stays);
    }
    kept
}

impl Partitions {
    /// Opens every log of the cluster that lies here; `num.recovery.threads.per.data.dir` of them at once in each
    /// directory. A directory whose disk fails meanwhile goes offline, with what was opened in it. Gives the copies of
    /// logs that were being made, too.
    pub(super) async fn open_all(self: &Arc<Self>, image: &Arc<MetadataImage>) -> (Vec<Opened>, Vec<Found>) {
        let (mut workers, mut copies) = (Vec::new(), Vec::new());
        let opened = Arc::new(Mutex::new(Vec::new()));
        for dir in 0..self.dirs().len() {
            let this = Arc::clone(self);
            let listed = task::blocking(move || this.list(dir)).await.unwrap_or_default();
            copies.extend(listed.copies);
            let found = Arc::new(listed.logs);
            let next = Arc::new(AtomicUsize::new(0));
            for _ in 0..self.limits().recovery_threads.clamp(1, found.len().max(1)) {
                let (this, image, opened) = (Arc::clone(self), Arc::clone(image), Arc::clone(&opened));
                let (found, next) = (Arc::clone(&found), Arc::clone(&next));
                workers.push(task::spawn(async move {
                    task::blocking(move || {
                        while let Some(one) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                            if let Some(one) = this.open_found(&image, one) {
                                opened.lock().push(one);
                            }
                        }
                    })
                    .await
                }));
            }
        }
        for worker in workers {
            match worker.await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => error!(error = %e, "opening the logs was interrupted"),
                Err(e) => error!(error = %e, "opening the logs was interrupted"),
            }
        }
        let mut opened = std::mem::take(&mut *opened.lock());
        opened.retain(|one| !self.dirs()[one.dir].health.is_failed());
        opened.sort_by(|a, b| (&a.partition.id, a.dir).cmp(&(&b.partition.id, b.dir)));
        (without_twins(opened), copies)
    }

    /// The logs in a directory. What is left of deleted ones is removed.
    fn list(&self, dir: usize) -> Listed {
        let log_dir = &self.dirs()[dir];
        let entries = match fs::read_dir(&log_dir.path) {
            Ok(entries) => entries,
            Err(source) => {
                log_dir.health.fail(&Fault::Io { doing: "list", file: log_dir.path.clone(), source });
                return Listed::default();
            }
        };
        let mut found = Listed::default();
        for entry in entries.into_iter().filter(|entry| entry.is_dir && entry.name != METADATA_LOG) {
            let path = log_dir.path.join(&entry.name);
            match names::parse_dir_name(&entry.name) {
                Some((id, DirKind::Current)) => found.logs.push(Found { id, path, dir }),
                Some((id, DirKind::Future)) => found.copies.push(Found { id, path, dir }),
                Some((_, DirKind::Deleted)) => remove(&path),
                _ => {}
            }
        }
        found
    }

    /// Opens one log; a fault takes its directory offline.
    fn open_found(&self, image: &MetadataImage, found: &Found) -> Option<Opened> {
        let health = &self.dirs()[found.dir].health;
        if health.is_failed() {
            return None;
        }
        let opened = self.open(image, found);
        opened.inspect_err(|fault| health.fail(fault)).ok().flatten()
    }

    /// The topic that a directory belongs to. What belongs to none is put aside: the topic was deleted, or created anew,
    /// or the replica went to other brokers, while this node was down.
    fn topic_of<'a>(node: NodeId, image: &'a MetadataImage, found: &Found) -> Result<Option<&'a TopicImage>, Fault> {
        let Found { id, path, .. } = found;
        let has_replica = |topic: &&Arc<TopicImage>| {
            topic.partition(id.partition).is_some_and(|registration| registration.replicas.contains(&node))
        };
        let topic = image.topics().by_name(&id.topic).filter(has_replica);
        let stored = thalweg_storage::checkpoints::read_topic_id(path)?;
        let topic = topic.filter(|topic| stored.is_none_or(|stored| stored == topic.id));
        if topic.is_none() {
            let name = names::renamed_dir_name(id, DirKind::Stray, thalweg_sys::random::bytes16());
            warn!(partition = %id, "the log belongs to no topic of the cluster and is put aside as {name}; remove it if nobody misses it");
            let renamed = fs::rename(path, &path.with_file_name(&name));
            renamed.map_err(|source| Fault::Io { doing: "rename", file: path.clone(), source })?;
        }
        Ok(topic.map(AsRef::as_ref))
    }

    /// The logs that were moving go on, unless their disks have failed: then what was copied stays for another start.
    pub(super) fn resume_all(self: &Arc<Self>, image: &MetadataImage, copies: Vec<Found>) {
        for copy in copies {
            let health = &self.dirs()[copy.dir].health;
            if health.is_failed() {
                continue;
            }
            match Self::topic_of(self.local().id, image, &copy) {
                Ok(Some(topic)) => {
                    if let Ok(partition) = self.find(TopicRef::Id(topic.id), copy.id.partition) {
                        self.resume(&partition, copy);
                    }
                }
                Ok(None) => {}
                Err(fault) => health.fail(&fault),
            }
        }
    }

    /// Opens one log that was found, if its topic is still there.
    fn open(&self, image: &MetadataImage, found: &Found) -> Result<Option<Opened>, Fault> {
        let Some(topic) = Self::topic_of(self.local().id, image, found)? else { return Ok(None) };
        let Found { id, path, dir } = found;
        let settings = self.settings(image, &topic.name, id);
        let log_dir = &self.dirs()[*dir];
        let hints = log_dir.checkpoints.hints(id);
        let (mut log, recovered) = Log::open(path, Some(topic.id), settings.log.clone(), &hints, timestamp())?;
        if recovered.truncated_bytes > 0 || recovered.removed_segments > 0 {
            warn!(partition = %id, bytes = recovered.truncated_bytes, segments = recovered.removed_segments, "cut off what was not whole at the end of the log");
        }
        // What a killed process left unsynced is shown only once it is as durable as the topic asks.
        if log.is_flush_due(timestamp()) {
            log.flush(Flush::All, timestamp())?;
        }
        let high_watermark = log_dir.checkpoints.high_watermark(id);
        let log = (log, &log_dir.health);
        let partition = Partition::new(id.clone(), topic.id, log, high_watermark, settings, self.local());
        Ok(Some(Opened { partition, dir: *dir }))
    }
}
