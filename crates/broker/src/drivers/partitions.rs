//! Every partition on this node: found by handlers, opened and removed as the metadata says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use thalweg_base::metrics::Times;
use thalweg_base::{Moment, Offset, TopicPartition, Uuid};
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, TopicConfig};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType, PartitionRegistration, TopicImage};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_replica::TopicRef;
use thalweg_storage::names::{self, DirKind};
use thalweg_storage::{Fault, Log, OpenHints};
use thalweg_sys::{fs, task};
use thalweg_wire::ErrorCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{error, info, warn};

use super::cleaner_settings::CleanerSettings;
use super::found::Opened;
use super::leaderships::Leaderships;
use super::log_dirs::{LogDir, LogDirs, Offsets};
use super::moves::Moves;
use super::partition::{BeforeNext, FollowedUp, Local, Partition, View};
use super::removing::Removals;
use super::replication::{FetchingConfig, Replication, WhenCut};
use super::settings::{BrokerLimits, Settings, value};
use crate::drivers::clock::timestamp;
use crate::live_properties::LiveProperties;
use crate::metrics::{Replicated, Total};

/// More logs than this are synced all at once when the node stops.
const SYNCS_MAX: usize = 100;

/// The partitions of one topic.
#[derive(Debug, Default)]
struct Topic {
    partitions: BTreeMap<i32, Arc<Partition>>,
}

/// What handlers look up. The maps are never iterated where the order could show.
#[derive(Debug, Default)]
struct Tables {
    by_id: HashMap<Uuid, Topic>,
    ids: HashMap<Arc<str>, Uuid>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partitions {
    local: Local,
    dirs: LogDirs,
    properties: Arc<LiveProperties>,
    limits: BrokerLimits,
    tables: RwLock<Tables>,
    /// Where each partition's log is, by index in `dirs`.
    places: Mutex<BTreeMap<(Uuid, i32), usize>>,
    /// The traffic of partitions that are gone: the node's counters never fall.
    departed: Mutex<Total>,
    removals: Arc<Removals>,
    /// What the checkpoint files of each directory say.
    checkpointed: Mutex<Vec<Offsets>>,
    cleaner: RwLock<CleanerSettings>,
    /// `transaction.partition.verification.enable`
    verification: AtomicBool,
    /// Replicas of which the controller does not know yet in which directory they are.
    misplaced: Mutex<BTreeSet<(Uuid, i32)>>,
    /// Copies of logs that are being made.
    moves: Moves,
    /// The image that this node has acted upon; `None` until the logs were opened.
    applied: tokio::sync::Mutex<Option<Arc<MetadataImage>>>,
    /// The newest image of which this node has heard: it acts upon it, or has.
    known: Arc<RwLock<Arc<MetadataImage>>>,
    /// What is fetched from other brokers.
    replication: Replication,
    /// When this node began to lead.
    pub(crate) leaderships: Leaderships,
    /// Look-ups by time take turns: they read and decompress.
    searches: Semaphore,
}

/// So many look-ups by time run at once in a node: each takes a thread and up to a batch of memory.
const SEARCHES_MAX: usize = 4;

/// A partition's log and its size, for whoever asks what lies where.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) partition: TopicPartition,
    /// In bytes.
    pub(crate) size: u64,
    /// It is a copy that is still being made.
    pub(crate) is_future: bool,
    /// How many records the copy lacks.
    pub(crate) lag: i64,
}

/// A replica, and the directory that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placement {
    pub(crate) directory: Uuid,
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
}

/// What lies in one log directory.
#[derive(Debug)]
pub(crate) struct DirContent {
    pub(crate) path: PathBuf,
    /// `None` when its disk has failed.
    pub(crate) placed: Option<Vec<Placed>>,
}

impl Partitions {
    pub(crate) fn new(
        local: Local,
        dirs: LogDirs,
        properties: Arc<LiveProperties>,
        limits: BrokerLimits,
        fetching: FetchingConfig,
    ) -> Arc<Self> {
        let none = ConfigMap::new();
        let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &properties.get() };
        let cleaner = RwLock::new(CleanerSettings::of(&broker));
        let verification = AtomicBool::new(verifies(&broker));
        let moves = Moves::new(&broker);
        let checkpointed = Mutex::new(dirs.iter().map(|dir| dir.checkpoints.offsets.clone()).collect());
        let known = Arc::new(RwLock::new(Arc::new(MetadataImage::default())));
        let checkpoint = |this: Weak<Self>| {
            WhenCut(Arc::new(move || {
                if let Some(partitions) = this.upgrade() {
                    partitions.checkpoint();
                }
            }))
        };
        Arc::new_cyclic(|this| Self {
            replication: Replication::new(local.clone(), fetching, Arc::clone(&known), checkpoint(Weak::clone(this))),
            local,
            dirs,
            properties,
            limits,
            tables: RwLock::default(),
            places: Mutex::default(),
            departed: Mutex::default(),
            removals: Arc::default(),
            checkpointed,
            cleaner,
            verification,
            misplaced: Mutex::default(),
            moves,
            applied: tokio::sync::Mutex::new(None),
            known,
            leaderships: Leaderships::new(),
            searches: Semaphore::new(SEARCHES_MAX),
        })
    }

    /// This node, as its partitions see it.
    pub(super) fn local(&self) -> Local {
        self.local.clone()
    }

    /// The turn of a look-up by time.
    pub(crate) async fn search_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.searches.acquire().await.ok()
    }

    fn moment(&self) -> Moment {
        self.local.moment()
    }

    /// The partition, or Kafka's error for why it is not here.
    pub(crate) fn find(&self, topic: TopicRef<'_>, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
        let tables = self.tables.read();
        let id = match topic {
            TopicRef::Id(id) => Some(id),
            TopicRef::Name(name) => tables.ids.get(name).copied(),
        };
        let found = id.and_then(|id| tables.by_id.get(&id)).and_then(|topic| topic.partitions.get(&partition));
        found.cloned().ok_or_else(|| self.absent(topic, partition))
    }

    /// The newest image of which this node has heard. Its partitions act on it now, or have.
    pub(crate) fn newest_image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.known.read())
    }

    /// Why a partition is not here: others have it, or nobody.
    fn absent(&self, topic: TopicRef<'_>, partition: i32) -> ErrorCode {
        let known = self.known.read();
        let (image, unknown) = match topic {
            TopicRef::Id(id) => (known.topics().by_id(id), ErrorCode::UnknownTopicId),
            TopicRef::Name(name) => (known.topics().by_name(name), ErrorCode::UnknownTopicOrPartition),
        };
        match image.map(|topic| topic.partition(partition)) {
            None => unknown,
            Some(None) => ErrorCode::UnknownTopicOrPartition,
            Some(Some(_)) => ErrorCode::NotLeaderOrFollower,
        }
    }

    /// The fetchers of this broker.
    pub(crate) fn replication(&self) -> &Replication {
        &self.replication
    }

    /// Counts what is copied between brokers.
    pub(crate) fn replicated(&self) -> &Replicated {
        &self.local.replicated
    }

    /// How long it took to sync logs, of all directories.
    pub(crate) fn flush_times(&self) -> Times {
        let all = Times::default();
        self.dirs.iter().for_each(|dir| all.add(&dir.health.flushes));
        all
    }

    /// The quantiles of those times begin a new period.
    pub(crate) fn turn_flush_times(&self) {
        self.dirs.iter().for_each(|dir| dir.health.flushes.turn());
    }

    /// Every partition, in a fixed order.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let tables = self.tables.read();
        let mut all: Vec<_> = tables.by_id.values().flat_map(|topic| topic.partitions.values().cloned()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Opens the logs of every partition that the metadata gives to this node, recovering those that need it, then leads
    /// them. Logs of topics that are gone are put aside.
    pub(crate) async fn load(self: &Arc<Self>, image: Arc<MetadataImage>) {
        let mut applied = self.applied.lock().await;
        *self.known.write() = Arc::clone(&image);
        let (opened, copies) = self.open_all(&image).await;
        let this = Arc::clone(self);
        let all = Arc::clone(&image);
        let created = task::blocking(move || {
            for Opened { partition, dir } in &opened {
                this.insert(Arc::clone(partition), Some(*dir));
            }
            // Recovery may have left a log shorter than its recovery point, or put a log aside whose name a new topic has:
            // the files must not vouch for what is appended from here on.
            this.checkpoint();
            for Opened { partition, dir } in opened {
                if let Some(registration) = all.topics().partition(partition.topic_id, partition.id.partition) {
                    this.assign(&partition, registration, &all);
                    this.note_place(&partition, registration, dir);
                }
            }
            // What the metadata knows and the disks do not: created while this node was down, or on a disk that was replaced.
            if this.dirs.is_any_offline() {
                this.mark_missing(&all);
            }
            this.act(&MetadataImage::default(), &all);
            this.resume_all(&all, copies);
        });
        if created.await.is_err() {
            error!("opening the partitions was interrupted");
        }
        *applied = Some(image);
    }

    /// While a directory cannot be read, a log that is nowhere else is there: it must not be begun anew.
    fn mark_missing(&self, image: &MetadataImage) {
        for topic in image.topics().iter() {
            for (&index, registration) in &topic.partitions {
                let here = registration.replicas.contains(&self.local.id);
                if !here || self.find(TopicRef::Id(topic.id), index).is_ok() {
                    continue;
                }
                let id = TopicPartition::new(Arc::clone(&topic.name), index);
                let settings = self.settings(image, &topic.name, &id);
                self.insert(Partition::offline(id, topic.id, settings, self.local()), None);
            }
        }
    }

    /// Does what a new image asks for: opens, removes and leads partitions, and tells them their configuration.
    pub(crate) async fn apply(self: &Arc<Self>, image: Arc<MetadataImage>) {
        let mut applied = self.applied.lock().await;
        let Some(before) = applied.clone() else { return };
        *self.known.write() = Arc::clone(&image);
        let this = Arc::clone(self);
        let after = Arc::clone(&image);
        if task::blocking(move || this.act(&before, &after)).await.is_err() {
            error!("a change of the cluster could not be carried out on this node");
        }
        *applied = Some(image);
    }

    fn act(&self, before: &MetadataImage, after: &MetadataImage) {
        let changes = Changes::between(before, after);
        for topic in &changes.topics_deleted {
            self.remove_topic(topic);
        }
        if !changes.topics_deleted.is_empty() {
            // A topic that is created anew under the same name must not find the recovery point of the old one.
            self.checkpoint();
        }
        for diff in &changes.partitions_changed {
            let Some(registration) = &diff.after else { continue };
            if registration.replicas.contains(&self.local.id) {
                self.host(after, &diff.topic, diff.partition, registration);
            } else {
                self.leave(&diff.topic, diff.partition);
            }
        }
        self.leaderships.follow(self.local.id, &changes);
        if !changes.brokers_changed.is_empty() {
            self.all().iter().for_each(|partition| partition.brokers_changed(after.cluster()));
            self.replication.brokers_changed();
        }
        self.reconfigure(after, &changes.configs_changed);
    }

    /// This node has a replica: opens its log if it is new, and leads it if the metadata says so.
    fn host(&self, image: &MetadataImage, topic: &TopicImage, index: i32, registration: &PartitionRegistration) {
        let known = self.find(TopicRef::Id(topic.id), index).ok();
        let partition = match known {
            Some(partition) => partition,
            None => match self.create(image, topic, index, registration) {
                Ok(partition) => partition,
                Err(fault) => {
                    error!(topic = %topic.name, partition = index, error = %fault, "the log cannot be created; the partition is offline here");
                    let id = TopicPartition::new(Arc::clone(&topic.name), index);
                    let settings = self.settings(image, &topic.name, &id);
                    self.insert(Partition::offline(id, topic.id, settings, self.local()), None);
                    return;
                }
            },
        };
        self.assign(&partition, registration, image);
    }

    fn create(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        index: i32,
        registration: &PartitionRegistration,
    ) -> Result<Arc<Partition>, Fault> {
        let id = TopicPartition::new(Arc::clone(&topic.name), index);
        let settings = self.settings(image, &topic.name, &id);
        let hints = OpenHints { clean_shutdown: true, ..OpenHints::UNKNOWN };
        let mut failure = None;
        // A directory that fails now is not the last one that is tried.
        while let Some(dir) = self.place(registration, &id) {
            let place = &self.dirs[dir];
            let path = place.path.join(names::dir_name(&id));
            match Log::open(&path, Some(topic.id), settings.log.clone(), &hints, timestamp()) {
                Ok((log, _)) => {
                    let log = (log, &place.health);
                    let partition = Partition::new(id, topic.id, log, Offset::ZERO, settings, self.local());
                    self.moves.made(&partition.id);
                    self.insert(Arc::clone(&partition), Some(dir));
                    self.note_place(&partition, registration, dir);
                    return Ok(partition);
                }
                Err(fault @ Fault::Io { .. }) => {
                    place.health.fail(&fault);
                    failure = Some(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        let offline = || Fault::Offline { dir: PathBuf::from(names::dir_name(&id)) };
        Err(failure.unwrap_or_else(offline))
    }

    /// The controller is told where the replica is, unless it knows.
    fn note_place(&self, partition: &Partition, registration: &PartitionRegistration, dir: usize) {
        if registration.directory(self.local.id) != Some(self.dirs[dir].id) {
            self.misplaced.lock().insert((partition.topic_id, partition.id.partition));
            self.dirs.noticed().notify_one();
        }
    }

    /// The replicas that the controller is to be told of, and where they are now.
    pub(crate) fn take_misplaced(&self) -> Vec<Placement> {
        let misplaced = std::mem::take(&mut *self.misplaced.lock());
        let places = self.places.lock();
        let placement = |(topic, partition): (Uuid, i32)| {
            let directory = self.dirs[*places.get(&(topic, partition))?].id;
            Some(Placement { directory, topic, partition })
        };
        let mut placements: Vec<Placement> = misplaced.into_iter().filter_map(placement).collect();
        placements.sort_unstable();
        placements
    }

    /// The controller has not taken what it was told of these replicas, and is to be told again.
    pub(crate) fn still_misplaced(&self, placements: &[Placement]) {
        self.misplaced.lock().extend(placements.iter().map(|placement| (placement.topic, placement.partition)));
    }

    /// The directory for a new log: the one that the metadata names, else the one that a client has named beforehand, else
    /// the one with the fewest partitions; `None` when all have failed.
    fn place(&self, registration: &PartitionRegistration, id: &TopicPartition) -> Option<usize> {
        let assigned = registration.directory(self.local.id);
        let usable = |dir: &usize| !self.dirs[*dir].health.is_failed();
        if let Some(dir) = self.dirs.iter().position(|dir| Some(dir.id) == assigned).filter(usable) {
            return Some(dir);
        }
        if self.dirs.len() == 1 {
            return Some(0).filter(usable);
        }
        if let Some(dir) = self.moves.wanted(id).filter(usable) {
            return Some(dir);
        }
        let places = self.places.lock();
        let mut counts = vec![0usize; self.dirs.len()];
        for dir in places.values() {
            counts[*dir] += 1;
        }
        (0..counts.len()).filter(usable).min_by_key(|dir| counts[*dir])
    }

    fn insert(&self, partition: Arc<Partition>, dir: Option<usize>) {
        if let Some(dir) = dir {
            self.places.lock().insert((partition.topic_id, partition.id.partition), dir);
            self.dirs[dir].health.touch();
        }
        let mut tables = self.tables.write();
        tables.ids.insert(Arc::clone(&partition.id.topic), partition.topic_id);
        tables.by_id.entry(partition.topic_id).or_default().partitions.insert(partition.id.partition, partition);
    }

    /// The partition takes the part that the metadata gives to this node.
    fn assign(&self, partition: &Arc<Partition>, registration: &PartitionRegistration, image: &MetadataImage) {
        match partition.assign(registration, image.cluster()) {
            FollowedUp::Next(from, before) => {
                if before == BeforeNext::Checkpoint {
                    self.checkpoint();
                }
                self.replication.follow(partition, from);
            }
            FollowedUp::AskForEnds | FollowedUp::Later | FollowedUp::Stop => self.replication.unfollow(partition),
        }
    }

    /// This node is to have no replica of a partition any more.
    fn leave(&self, topic: &TopicImage, index: i32) {
        let left = self.tables.write().by_id.get_mut(&topic.id).and_then(|topic| topic.partitions.remove(&index));
        let Some(partition) = left else { return };
        self.remove(&partition, Partition::take_log);
        // A replica that comes back must not find the recovery point of the old one.
        self.checkpoint();
        info!(partition = %partition.id, "the replica was removed: other brokers have the partition");
    }

    fn remove_topic(&self, topic: &TopicImage) {
        let removed = {
            let mut tables = self.tables.write();
            if tables.ids.get(&topic.name) == Some(&topic.id) {
                tables.ids.remove(&topic.name);
            }
            tables.by_id.remove(&topic.id)
        };
        for partition in removed.into_iter().flat_map(|topic| topic.partitions.into_values()) {
            self.remove(&partition, Partition::remove);
        }
        info!(topic = %topic.name, "the topic was deleted");
    }

    /// Removes what a partition has on this node; `take` takes its log out.
    fn remove(&self, partition: &Arc<Partition>, take: impl FnOnce(&Partition) -> Option<Log>) {
        self.replication.unfollow(partition);
        let place = self.places.lock().remove(&(partition.topic_id, partition.id.partition));
        if let Some(dir) = place {
            self.dirs[dir].set_cleaned(&partition.id, None);
            self.dirs[dir].health.touch();
        }
        *self.departed.lock() += partition.traffic.total();
        let Some(mut log) = take(partition) else { return };
        let name = names::renamed_dir_name(&partition.id, DirKind::Deleted, thalweg_sys::random::bytes16());
        match log.rename_dir(&name) {
            Ok(()) => {
                let path = log.dir().to_owned();
                drop(log);
                self.removals.add(path);
            }
            Err(fault) => {
                error!(partition = %partition.id, error = %fault, "the log of a partition that has left cannot be removed");
            }
        }
    }

    /// Leaders look which of their followers lag.
    pub(crate) fn tick(&self) {
        self.all().iter().for_each(|partition| partition.tick());
    }

    fn reconfigure(&self, image: &MetadataImage, changed: &[ConfigResource]) {
        for resource in changed {
            let everybody = resource.kind == ConfigResourceType::Broker;
            if everybody {
                self.with_broker_configs(image, |broker| {
                    *self.cleaner.write() = CleanerSettings::of(broker);
                    self.verification.store(verifies(broker), Ordering::Relaxed);
                    self.moves.configure(broker);
                    self.local.throttles.configure(broker);
                });
            }
            if !everybody && resource.kind != ConfigResourceType::Topic {
                continue;
            }
            let concerned = |partition: &Arc<Partition>| everybody || partition.id.topic == resource.name;
            for partition in self.all().iter().filter(|partition| concerned(partition)) {
                let settings = self.settings(image, &partition.id.topic, &partition.id);
                partition.set_settings(settings, self.moment());
            }
        }
    }

    /// The node's own defaults for topics have changed. Before the logs are opened there is nothing to do.
    pub(crate) async fn defaults_changed(self: &Arc<Self>) {
        // Under this lock, so that no older image overwrites what a newer one says.
        let applied = self.applied.lock().await;
        let Some(image) = applied.clone() else { return };
        let this = Arc::clone(self);
        if task::blocking(move || this.reconfigure(&image, &[ConfigResource::cluster()])).await.is_err() {
            error!("the node's new defaults could not be applied to its partitions");
        }
    }

    fn with_broker_configs<T>(&self, image: &MetadataImage, look: impl FnOnce(&BrokerConfigs<'_>) -> T) -> T {
        let none = ConfigMap::new();
        let node = ConfigResource { kind: ConfigResourceType::Broker, name: self.local.id.to_string().into() };
        let configs = image.configs();
        look(&BrokerConfigs {
            dynamic_node: configs.get(&node).unwrap_or(&none),
            dynamic_cluster: configs.get(&ConfigResource::cluster()).unwrap_or(&none),
            static_node: &self.properties.get(),
        })
    }

    /// Whether the coordinator is asked about records of older clients' transactions.
    pub(crate) fn verifies_transactions(&self) -> bool {
        self.verification.load(Ordering::Relaxed)
    }

    /// How the cleaner works now.
    pub(crate) fn cleaner_settings(&self) -> CleanerSettings {
        *self.cleaner.read()
    }

    pub(super) fn settings(&self, image: &MetadataImage, topic: &str, id: &TopicPartition) -> Arc<Settings> {
        let none = ConfigMap::new();
        let own = ConfigResource { kind: ConfigResourceType::Topic, name: topic.into() };
        let own = image.configs().get(&own).unwrap_or(&none);
        let resolved = self.with_broker_configs(image, |broker| {
            TopicConfig::resolve(own, broker).or_else(|e| {
                // Only another program can have stored it; the topic works with what the brokers say.
                warn!(topic, error = %e, "a stored configuration of the topic is invalid; all of them are passed over");
                TopicConfig::resolve(&none, broker)
            })
        });
        match resolved {
            Ok(topic) => Settings::new(self.local.id, id, &topic, &self.limits),
            Err(e) => {
                error!(error = %e, "the broker's defaults for topics are invalid");
                Settings::fallback(id, &self.limits)
            }
        }
    }

    /// A directory that nobody writes to has failed all the same when its disk is gone or takes nothing any more.
    pub(crate) fn look_at_disks(&self) {
        for dir in self.dirs.iter().filter(|dir| !dir.health.is_failed()) {
            if let Err(fault) = fs::check_writable(&dir.path) {
                dir.health.fail(&fault);
            }
        }
    }

    /// Brings the checkpoint files up to date. While nothing changes, nothing is written.
    pub(crate) fn checkpoint(&self) {
        let mut last = self.checkpointed.lock();
        // All of them are asked, so that what changes from now on counts for the next time.
        if self.dirs.iter().filter(|dir| dir.health.take_touched()).count() == 0 {
            return;
        }
        for ((dir, offsets), last) in self.offsets().into_iter().zip(last.iter_mut()) {
            if offsets == *last || dir.health.is_failed() {
                continue;
            }
            match dir.write(&offsets) {
                Ok(()) => *last = offsets,
                Err(fault) => dir.health.fail(&fault),
            }
        }
    }

    /// What the checkpoint files of each directory should say now.
    fn offsets(&self) -> Vec<(&LogDir, Offsets)> {
        let mut by_dir: Vec<Offsets> = self.dirs.iter().map(|_| Offsets::default()).collect();
        for partition in self.all() {
            let Some(dir) = self.places.lock().get(&(partition.topic_id, partition.id.partition)).copied() else {
                continue;
            };
            let Some((recovery_point, log_start)) =
                partition.with_log(|log| Ok((log.recovery_point(), log.log_start())))
            else {
                continue;
            };
            let offsets = &mut by_dir[dir];
            offsets.recovery_points.insert(partition.id.clone(), recovery_point);
            if log_start > Offset::ZERO {
                offsets.log_starts.insert(partition.id.clone(), log_start);
            }
            if let Some(high_watermark) = partition.high_watermark() {
                offsets.high_watermarks.insert(partition.id.clone(), high_watermark);
            }
        }
        self.dirs.iter().zip(by_dir).collect()
    }

    /// Closes every log and marks each directory as cleanly shut down. Where a log cannot be closed, its directory is not
    /// marked, so that it is recovered.
    pub(crate) fn close(&self, broker_epoch: i64) {
        self.replication.close();
        self.moves.close();
        let mut offsets = self.offsets();
        let mut failed = vec![false; self.dirs.len()];
        let all = self.all();
        let sync_each = all.len() <= SYNCS_MAX;
        for partition in all {
            let Some(dir) = self.places.lock().get(&(partition.topic_id, partition.id.partition)).copied() else {
                continue;
            };
            let Some(log) = partition.take_log() else {
                failed[dir] = true;
                continue;
            };
            match if sync_each { log.close() } else { log.close_unsynced() } {
                Ok(end) => {
                    offsets[dir].1.recovery_points.insert(partition.id.clone(), end);
                }
                Err(fault) => {
                    error!(partition = %partition.id, error = %fault, "the log cannot be closed; it is recovered at the next start");
                    failed[dir] = true;
                }
            }
        }
        for dir in self.dirs.iter().filter(|_| !sync_each) {
            // Without it the recovery points must stay what they were.
            if let Err(e) = fs::sync_file_system(&dir.path) {
                dir.health.fail(&format!("the logs cannot be synced: {e}"));
            }
        }
        for ((dir, offsets), failed) in offsets.into_iter().zip(failed) {
            if dir.health.is_failed() {
                continue;
            }
            let written = dir.write(&offsets).and_then(|()| if failed { Ok(()) } else { dir.mark_clean(broker_epoch) });
            if let Err(fault) = written {
                error!(dir = %dir.path.display(), error = %fault, "the directory cannot be marked as cleanly shut down");
            }
        }
    }

    /// What lies in each log directory.
    pub(crate) fn placed(&self) -> Vec<DirContent> {
        let mut found: Vec<_> = self.dirs.iter().map(|_| Vec::new()).collect();
        for partition in self.all() {
            let place = self.places.lock().get(&(partition.topic_id, partition.id.partition)).copied();
            let Some(dir) = place else { continue };
            let Some(size) = partition.with_log(|log| Ok(log.size())) else { continue };
            found[dir].push(Placed { partition: partition.id.clone(), size, is_future: false, lag: 0 });
            let copy = self.moves.of(partition.topic_id, partition.id.partition);
            if let (Some(copy), Some(end)) = (copy, partition.with_log(|log| Ok(log.log_end()))) {
                let lag = end.0.saturating_sub(copy.log_end().0).max(0);
                let (partition, size) = (partition.id.clone(), copy.size());
                found[copy.dir].push(Placed { partition, size, is_future: true, lag });
            }
        }
        let online = self.dirs.iter().zip(found).map(|(dir, placed)| DirContent {
            path: dir.path.clone(),
            placed: (!dir.health.is_failed()).then_some(placed),
        });
        let lost = self.dirs.lost().iter().map(|path| DirContent { path: path.clone(), placed: None });
        online.chain(lost).collect()
    }

    /// Every partition as it is now, in a fixed order, and the traffic of those that are gone.
    pub(crate) fn views(&self) -> (Vec<View>, Total) {
        let departed = *self.departed.lock();
        (self.all().iter().map(|partition| partition.view()).collect(), departed)
    }

    /// Every log directory, and whether it is offline.
    pub(crate) fn dir_states(&self) -> Vec<(PathBuf, bool)> {
        let opened = self.dirs.iter().map(|dir| (dir.path.clone(), dir.health.is_failed()));
        opened.chain(self.dirs.lost().iter().map(|path| (path.clone(), true))).collect()
    }

    /// The ids of the log directories.
    pub(crate) fn dir_ids(&self) -> Vec<Uuid> {
        self.dirs.iter().filter(|dir| !dir.health.is_failed()).map(|dir| dir.id).collect()
    }

    /// The log directories.
    pub(crate) fn dirs(&self) -> &LogDirs {
        &self.dirs
    }

    /// The directory that a partition's log is in.
    pub(crate) fn dir_of(&self, partition: &Partition) -> Option<&LogDir> {
        let dir = self.places.lock().get(&(partition.topic_id, partition.id.partition)).copied();
        dir.map(|dir| &self.dirs[dir])
    }

    pub(super) fn moves(&self) -> &Moves {
        &self.moves
    }

    /// A partition's log is in another directory now.
    pub(super) fn set_place(&self, partition: &Partition, dir: usize) {
        let before = self.places.lock().insert((partition.topic_id, partition.id.partition), dir);
        for touched in before.into_iter().chain([dir]) {
            self.dirs[touched].health.touch();
        }
        self.misplaced.lock().insert((partition.topic_id, partition.id.partition));
        self.dirs.noticed().notify_one();
    }

    pub(super) fn limits(&self) -> &BrokerLimits {
        &self.limits
    }

    /// Lets go of the logs in directories that have failed, so that those who wait for them are answered.
    pub(crate) fn drop_failed(&self) {
        // A look is enough: see `Partition::is_offline`.
        let offline = self.all().iter().filter(|partition| partition.is_offline()).count();
        warn!(partitions = offline, "partitions are offline");
    }
}

fn verifies(broker: &BrokerConfigs<'_>) -> bool {
    value(broker, "transaction.partition.verification.enable").and_then(|value| value.as_bool()).unwrap_or(true)
}
