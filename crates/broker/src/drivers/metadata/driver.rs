//! The one owner of the metadata quorum: a task that takes decisions one after the other, makes them durable together, and
//! publishes them when they are committed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_base::metrics::Spans;
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, Timestamp};
use thalweg_controller::{Controller, Refusal, Sessions};
use thalweg_metadata::{MetadataImage, MetadataRecord, Provenance};
use thalweg_raft::{Effect, ElectionState, LocalLog, OffsetAndEpoch, Peer, Quorum, Settings, Start, Voter, Voters};
use thalweg_sys::closing::Closing;
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::{Duration, Instant, sleep_until, wall_clock_ms};
use thalweg_wire::ErrorCode;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::handle::{Answer, COMMANDS_MAX, Command, Decide, Decided, Published, QuorumView};
use super::load_error::LoadError;
use super::log::{Loaded, MetadataLog, WriteError};
use super::snapshots::{self, Retention, Snapshot};
use super::{MetadataHandle, control};
use crate::drivers::groups::Groups;
use crate::drivers::partitions::Partitions;
use crate::drivers::transactions::Transactions;
use crate::format::SnapshotContent;

/// How often is looked for snapshots that are older, or more, than is to be kept: as in Kafka.
const CLEANING_INTERVAL: Duration = Duration::from_secs(60);

/// So many decisions share one sync of the log.
const DECISIONS_PER_FLUSH: usize = 256;

/// What the quorum is told about this node.
pub(crate) struct QuorumSettings {
    pub(crate) local: Voter,
    pub(crate) static_voters: Voters,
    pub(crate) times: Settings,
    /// `broker.session.timeout.ms`.
    pub(crate) session_timeout_ms: i64,
    pub(crate) snapshots: SnapshotPolicy,
}

/// When the metadata is written into a snapshot, so that its log does not grow for ever (KIP-630).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotPolicy {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub(crate) bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` is never.
    pub(crate) interval: Option<Duration>,
    /// How long older ones are kept.
    pub(crate) retention: Retention,
}

/// Decisions that are in the log and not committed yet.
struct Waiting {
    /// The offset after the last record that their answers reveal.
    end: Offset,
    image: MetadataImage,
    /// How many bytes of records the image has seen.
    appended: u64,
    answers: Vec<Answer>,
    since: Instant,
}

/// What is committed.
struct Committed {
    image: MetadataImage,
    /// How many bytes of records the image has seen.
    appended: u64,
}

/// A snapshot that is being written, while decisions go on, and how many bytes of records it has seen.
struct Writing {
    task: JoinHandle<io::Result<Result<Snapshot, LoadError>>>,
    appended: u64,
}

/// See the module.
pub(crate) struct Driver {
    quorum: Quorum,
    log: MetadataLog,
    controller: Controller,
    sessions: Sessions,
    bootstrap: Vec<MetadataRecord>,
    /// Everything that is in the log, committed or not.
    image: MetadataImage,
    waiting: VecDeque<Waiting>,
    high_watermark: Offset,
    /// Where the log ended when this node was elected; `None` while another one leads.
    elected_at: Option<Offset>,
    /// The controller has written its first records.
    active: bool,
    committed: Option<Committed>,
    snapshots: SnapshotPolicy,
    last_snapshot: Instant,
    last_cleaned: Instant,
    writing: Option<Writing>,
    /// The offset after the last record by which the quorum has changed itself.
    reconfigured: Offset,
    commits: Spans,
    unclean_elections: u64,
    started: Instant,
    published: Arc<RwLock<Published>>,
    changes: watch::Sender<()>,
    commands: mpsc::Receiver<Command>,
    acting: Acting,
}

/// What acts on the metadata on this node, before anybody is told of it.
pub(crate) struct Acting {
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Arc<Transactions>,
}

impl Acting {
    async fn apply(&self, image: &Arc<MetadataImage>) {
        self.partitions.apply(Arc::clone(image)).await;
        self.groups.apply(Arc::clone(image));
        self.transactions.apply(Arc::clone(image));
    }
}

/// Why the driver has ended before it was asked to. The node cannot go on without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the metadata log has failed: {0}")]
    Write(#[from] WriteError),
    #[error("the metadata log has failed: {0}")]
    Fault(#[from] thalweg_storage::Fault),
    #[error("the metadata log could not be synced: {0}")]
    Sync(#[from] std::io::Error),
}

impl Driver {
    /// Starts the quorum on a log that was opened. The driver runs when [`Driver::run`] does.
    pub(crate) fn new(
        loaded: Loaded,
        controller: Controller,
        settings: QuorumSettings,
        acting: Acting,
        started: Instant,
    ) -> Result<(Self, MetadataHandle), Ended> {
        let Loaded { log, image, local: local_log, election, bootstrap } = loaded;
        let bootstrap_peers = settings.static_voters.ids().map(Peer::Node).collect();
        let start = start(settings.local, election, local_log, settings.static_voters, bootstrap_peers, settings.times);
        let now = Timestamp(wall_clock_ms());
        let mut sessions = Sessions::begin(settings.session_timeout_ms, &image, now);
        // The run of this node's own broker that registered before has ended: it was this process's predecessor.
        sessions.end(controller.settings().node_id);
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (quorum, effects) = Quorum::start(start, Moment(0));
        let first = Published { image: Arc::default(), quorum: view(&quorum, Spans::default(), 0) };
        let published = Arc::new(RwLock::new(first));
        let (changes, changed) = watch::channel(());
        let handle = MetadataHandle { commands: sender, published: Arc::clone(&published), changes: changed };
        let mut this = Self {
            quorum,
            log,
            controller,
            sessions,
            bootstrap,
            image,
            waiting: VecDeque::new(),
            high_watermark: Offset::ZERO,
            elected_at: None,
            active: false,
            committed: None,
            snapshots: settings.snapshots,
            last_snapshot: started,
            last_cleaned: started,
            writing: None,
            reconfigured: Offset::ZERO,
            commits: Spans::default(),
            unclean_elections: 0,
            started,
            published,
            changes,
            commands,
            acting,
        };
        this.carry_out(effects)?;
        Ok((this, handle))
    }

    /// Serves decisions until `closing` says so, then closes the log.
    pub(crate) async fn run(mut self, mut closing: Closing) -> Result<(), Ended> {
        loop {
            self.commit().await?;
            let deadline = self.deadline();
            tokio::select! {
                biased;
                written = written(&mut self.writing) => self.snapshot_written(written?)?,
                Some(command) = self.commands.recv(), if self.active => self.decide_all(command)?,
                () = sleep_until(deadline) => self.tick()?,
                () = closing.begun() => break,
            }
        }
        if self.writing.is_some() {
            let written = written(&mut self.writing).await?;
            self.snapshot_written(written)?;
        }
        let effects = self.quorum.shut_down(self.moment());
        self.carry_out(effects)?;
        self.log.close()?;
        Ok(())
    }

    fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// When something is due without an event.
    fn deadline(&self) -> Instant {
        const FAR: Duration = Duration::from_secs(3600);
        let quorum = self.quorum.deadline().map_or(FAR, |at| at.since(self.moment()));
        let now = Timestamp(wall_clock_ms());
        let sessions = self
            .sessions
            .next_deadline()
            .filter(|_| self.active)
            .map_or(FAR, |at| Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0)));
        let now = thalweg_sys::time::now();
        let grown = self.log.appended() > self.log.snapshotted() && self.writing.is_none();
        let snapshot = self.snapshots.interval.filter(|_| grown);
        let snapshot = snapshot.map_or(now + FAR, |interval| self.last_snapshot + interval);
        let cleaning = self.last_cleaned + CLEANING_INTERVAL;
        (now + quorum.min(sessions)).min(snapshot.max(now)).min(cleaning.max(now))
    }

    fn tick(&mut self) -> Result<(), Ended> {
        let effects = self.quorum.tick(self.moment());
        self.carry_out(effects)?;
        if self.active {
            for broker in self.sessions.expired(Timestamp(wall_clock_ms())) {
                info!(%broker, "the broker is fenced: its heartbeats have stopped");
                self.sessions.end(broker);
                let records = self.controller.fence(&self.image, broker);
                self.append(&records)?;
            }
        }
        Ok(())
    }

    /// Does what the quorum says, in order.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), Ended> {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Persist(state) => self.persist(&state)?,
                Effect::Append(records) => {
                    let now = Timestamp(wall_clock_ms());
                    let end = self.log.append_control(&records, self.quorum.epoch(), now)?;
                    self.reconfigured = end;
                    self.note(end, now);
                    effects.extend(self.quorum.appended(end, self.moment()));
                }
                Effect::HighWatermark(offset) => self.high_watermark = offset,
                Effect::BecameLeader { epoch, start } => {
                    info!(%epoch, "this node leads the metadata quorum");
                    self.elected_at = Some(start);
                }
                Effect::LostLeadership => {
                    self.elected_at = None;
                    self.active = false;
                }
                // A quorum of one sends nothing and copies nothing. A configuration with more voters is refused at start.
                Effect::Send { .. }
                | Effect::AppendFetched(_)
                | Effect::Truncate(_)
                | Effect::WriteSnapshot { .. }
                | Effect::InstallSnapshot(_)
                | Effect::NewLeader { .. } => error!("a quorum of one has asked for another node"),
            }
        }
        Ok(())
    }

    fn persist(&self, state: &ElectionState) -> Result<(), Ended> {
        Ok(self.log.persist(state, self.quorum.kraft_version(), self.quorum.voters())?)
    }

    /// The log has grown: what is decided from now on is revealed when all of it is committed.
    fn note(&mut self, end: Offset, now: Timestamp) {
        let provenance = Provenance { offset: Offset(end.0 - 1), epoch: self.quorum.epoch(), timestamp: now };
        self.image.set_provenance(provenance);
        self.waiting.push_back(Waiting {
            end,
            image: self.image.clone(),
            appended: self.log.appended(),
            answers: Vec::new(),
            since: thalweg_sys::time::now(),
        });
    }

    /// Appends records and replays them.
    fn append(&mut self, records: &[MetadataRecord]) -> Result<(), Ended> {
        if records.is_empty() {
            return Ok(());
        }
        let now = Timestamp(wall_clock_ms());
        let base = self.log.end();
        let epoch: LeaderEpoch = self.quorum.epoch();
        // Records of a decision are encoded at the version that counted before it.
        let version = match self.image.features().metadata_version() {
            Some(version) => version,
            None => bootstrap_version(records),
        };
        let end = self.log.append(records, version, epoch, now)?;
        self.unclean_elections += records.iter().filter(|record| is_unclean_election(record)).count() as u64;
        for (record, offset) in records.iter().zip(base.0..) {
            self.image.replay(record, Offset(offset));
        }
        self.note(end, now);
        let effects = self.quorum.appended(end, self.moment());
        self.carry_out(effects)
    }

    /// Takes a decision and those that wait behind it.
    fn decide_all(&mut self, first: Command) -> Result<(), Ended> {
        self.decide(first)?;
        for _ in 1..DECISIONS_PER_FLUSH {
            match self.commands.try_recv() {
                Ok(command) => self.decide(command)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn decide(&mut self, command: Command) -> Result<(), Ended> {
        let moment = self.moment();
        let mut context = Decide {
            controller: &self.controller,
            image: &self.image,
            sessions: &mut self.sessions,
            now: Timestamp(wall_clock_ms()),
            next_offset: self.log.end(),
            kraft_version: self.quorum.kraft_version().0.cast_signed(),
            quorum: &mut self.quorum,
            effects: Vec::new(),
            moment,
        };
        let Decided { records, answer } = command(&mut context);
        let effects = context.effects;
        self.carry_out(effects)?;
        match self.append(&records) {
            Ok(()) => {}
            // Nothing was written: only this decision fails.
            Err(Ended::Write(e @ (WriteError::TooLarge | WriteError::Encode(_) | WriteError::Batch(_)))) => {
                error!(error = %e, "a decision of the controller cannot be written");
                answer(Err(Refusal::usual(ErrorCode::UnknownServerError)));
                return Ok(());
            }
            Err(e) => return Err(e),
        }
        match self.waiting.back_mut() {
            Some(waiting) => waiting.answers.push(answer),
            None => answer(Ok(())),
        }
        Ok(())
    }

    /// Makes the log durable, and publishes what is committed by that.
    async fn commit(&mut self) -> Result<(), Ended> {
        loop {
            if let Some(plan) = self.log.flush_plan()? {
                let end = self.log.end();
                let (plan, done) = task::blocking(move || {
                    let done = plan.execute();
                    (plan, done)
                })
                .await?;
                done?;
                self.log.flushed(&plan, Timestamp(wall_clock_ms()));
                let effects = self.quorum.flushed(end, self.moment());
                self.carry_out(effects)?;
            }
            self.publish().await;
            self.snapshot_if_due();
            self.clean_if_due().await?;
            if self.active || self.elected_at.is_none_or(|start| self.high_watermark <= start) {
                return Ok(());
            }
            // What was committed by earlier leaders is known now: the controller may begin.
            self.active = true;
            let records = self.controller.activate(&self.image, &self.bootstrap);
            self.append(&records)?;
        }
    }

    /// Begins to write a snapshot of what is committed when the log has grown enough, or when the last one is old.
    fn snapshot_if_due(&mut self) {
        let Some(Committed { image, appended }) = &self.committed else { return };
        let (appended, grown) = (*appended, appended.saturating_sub(self.log.snapshotted()));
        let old = self.snapshots.interval.is_some_and(|interval| self.last_snapshot.elapsed() >= interval);
        let Provenance { offset, epoch, timestamp } = image.provenance();
        let id = OffsetAndEpoch { offset: offset.next(), epoch };
        // Voters that are not committed are in no snapshot.
        let whole = !image.in_transaction() && id.offset >= self.reconfigured;
        let due = grown >= self.snapshots.bytes || old && grown > 0;
        if !due || !whole || !self.active || self.writing.is_some() {
            return;
        }
        let (image, dir) = (image.clone(), self.log.dir().to_owned());
        let quorum = control::in_snapshot(self.quorum.kraft_version(), self.quorum.voters());
        let task = task::spawn(task::blocking(move || {
            let (records, version) = (image.to_records(), image.metadata_version());
            let content = SnapshotContent { last: timestamp, epoch, quorum: &quorum, records: &records, version };
            snapshots::write(&dir, id, &content, Timestamp(wall_clock_ms()))
        }));
        self.writing = Some(Writing { task, appended });
        self.last_snapshot = thalweg_sys::time::now();
    }

    fn snapshot_written(&mut self, (snapshot, appended): (Snapshot, u64)) -> Result<(), Ended> {
        info!(offset = %snapshot.id.offset, epoch = %snapshot.id.epoch, "wrote a snapshot of the metadata");
        self.log.snapshot_written(snapshot, appended);
        self.snapshots_changed()
    }

    /// Lets go of old snapshots, and of the log before them, as often as Kafka does.
    async fn clean_if_due(&mut self) -> Result<(), Ended> {
        if self.last_cleaned.elapsed() < CLEANING_INTERVAL {
            return Ok(());
        }
        self.last_cleaned = thalweg_sys::time::now();
        let Some(cleaned) = self.log.clean(self.snapshots.retention, Timestamp(wall_clock_ms()))? else {
            return Ok(());
        };
        info!(log_start = %self.log.start(), "old snapshots of the metadata go, and the log before the oldest that is left");
        task::blocking(move || cleaned.remove()).await??;
        self.snapshots_changed()
    }

    fn snapshots_changed(&mut self) -> Result<(), Ended> {
        let Some((oldest, newest)) = self.log.kept() else { return Ok(()) };
        let effects = self.quorum.snapshot_written(oldest, newest, self.log.start(), self.moment());
        self.carry_out(effects)
    }

    fn view(&self) -> QuorumView {
        view(&self.quorum, self.commits, self.unclean_elections)
    }

    async fn publish(&mut self) {
        let mut answers = Vec::new();
        let mut newest = None;
        while self.waiting.front().is_some_and(|first| first.end <= self.high_watermark) {
            if let Some(committed) = self.waiting.pop_front() {
                answers.extend(committed.answers);
                self.commits.record(committed.since.elapsed());
                newest = Some(Committed { image: committed.image, appended: committed.appended });
            }
        }
        if let Some(newest) = newest {
            let image = Arc::new(newest.image.visible().clone());
            self.committed = Some(newest);
            // This node acts first, then clients are told.
            self.acting.apply(&image).await;
            *self.published.write() = Published { image, quorum: self.view() };
            self.changes.send_replace(());
        }
        for answer in answers {
            answer(Ok(()));
        }
    }
}

/// Waits for the snapshot that is being written, if there is one.
async fn written(writing: &mut Option<Writing>) -> Result<(Snapshot, u64), Ended> {
    let Some(Writing { task, appended }) = writing else { return std::future::pending().await };
    let (done, appended) = (task.await, *appended);
    *writing = None;
    let snapshot = done.map_err(io::Error::other)???;
    Ok((snapshot, appended))
}

fn view(quorum: &Quorum, commits: Spans, unclean_elections: u64) -> QuorumView {
    QuorumView {
        leader: quorum.leader().unwrap_or(NodeId::NONE),
        epoch: quorum.epoch(),
        high_watermark: quorum.high_watermark(),
        log_end: quorum.log_end(),
        voters: quorum.voters().iter().cloned().collect(),
        kraft_version: quorum.kraft_version().0.cast_signed(),
        commits,
        unclean_elections,
    }
}

/// Whether a partition was given a leader that may lack records: it is said to recover from that.
fn is_unclean_election(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::PartitionChange(change) if change.leader_recovery_state == 1)
}

fn start(
    local: Voter,
    election: Option<ElectionState>,
    log: LocalLog,
    static_voters: Voters,
    bootstrap: Vec<Peer>,
    settings: Settings,
) -> Start {
    let seed = thalweg_sys::random::u64();
    Start { local, may_become_voter: true, election, log, static_voters, bootstrap, settings, seed }
}

/// The metadata version that bootstrap records set, which they are themselves written at.
fn bootstrap_version(records: &[MetadataRecord]) -> thalweg_metadata::MetadataVersion {
    let mut image = MetadataImage::default();
    for record in records {
        image.replay(record, Offset::ZERO);
    }
    image.metadata_version()
}
