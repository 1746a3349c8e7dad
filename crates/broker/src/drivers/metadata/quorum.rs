//! The one owner of the metadata log and its quorum: a task that takes part in elections, serves and sends what replicas say
//! to each other, and has the active controller decide while this node leads.
//!
//! It awaits its own disk where the protocol says so, and nothing else of the node: what is committed goes to the publisher,
//! what is to be sent to the transport, and neither is waited for.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::RwLock;
use thalweg_access::quotas::{MutationQuotas, Windows};
use thalweg_base::metrics::Spans;
#[cfg(sim)]
use thalweg_base::planted::{self, Bug};
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, Repeats};
use thalweg_controller::{Controller, SessionTimes};
use thalweg_metadata::MetadataRecord;
use thalweg_raft::{
    ControlRecord, Effect, ElectionState, LocalLog, OffsetAndEpoch, Peer, Quorum, QuorumError, Response, Settings,
    Start, Voter, Voters,
};
use thalweg_storage::{Fault, FlushPlan};
use thalweg_sys::task::{self, JoinHandle};
use thalweg_sys::time::{Duration, Instant, sleep, sleep_until, timeout};
use thalweg_sys::watch;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::MetadataHandle;
use super::active::{Active, ElectionTimes};
use super::ended::Ended;
use super::forward::Forwarder;
use super::handle::{Leadership, QuorumView};
use super::images::Images;
use super::inbox::{Event, INBOX_MAX};
use super::log::{Loaded, MetadataLog};
use super::parked::ParkedFetch;
use super::publisher::{Acting, Outlet, Publisher};
use super::snapshots::FetchedSnapshot;

use super::transport::{Answered, Transport, TransportSettings};
use super::voters::VoterRules;
use super::writing::{CLEANING_INTERVAL, SnapshotPolicy, Writing, written};
use crate::drivers::clock::timestamp;
use thalweg_sys::closing::Closing;

/// So many requests are taken before the log is synced and others have their turn.
const EVENTS_PER_TURN: usize = 256;

/// How long a leader that stops waits for the others to have heard of it.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// How long to wait before asking again for records that could not be read.
const UNREADABLE_PAUSE: Duration = Duration::from_millis(500);

/// How much later than answered a vote is written with the planted bug.
#[cfg(sim)]
const PLANTED_DELAY: Duration = Duration::from_secs(2);

/// What the quorum needs to know about this node.
pub(crate) struct QuorumSettings {
    pub(crate) local: Voter,
    /// Whether this node may ever vote: it is a controller.
    pub(crate) may_become_voter: bool,
    /// `controller.quorum.auto.join.enable`.
    pub(crate) joins_by_itself: bool,
    pub(crate) static_voters: Voters,
    /// Whom to ask for the leader.
    pub(crate) bootstrap: Vec<Peer>,
    pub(crate) times: Settings,
    pub(crate) session_times: SessionTimes,
    pub(crate) election_times: ElectionTimes,
    /// `delegation.token.expiry.check.interval.ms`.
    pub(crate) tokens_every: Duration,
    /// `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub(crate) mutation_windows: Windows,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) voter_rules: VoterRules,
    /// `controller.quorum.fetch.max.bytes`: so much of the log is sent at once.
    pub(crate) fetch_bytes_max: usize,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub(crate) snapshot_bytes_max: usize,
}

/// A sync of the log that is on its way, and where the log ended when it began.
struct Flushing {
    task: JoinHandle<io::Result<(FlushPlan, Result<(), Fault>)>>,
    end: Offset,
}

/// The task's state.
///
/// Invariants:
/// - `active` exists only while the quorum's role is leader.
/// - An effect of the quorum is complete before the next one begins.
/// - The log is never truncated while a sync of it is on its way.
pub(crate) struct QuorumDriver {
    pub(super) quorum: Quorum,
    pub(super) log: MetadataLog,
    pub(super) images: Images,
    pub(super) controller: Controller,
    /// What users may still create and delete.
    pub(super) mutations: MutationQuotas,
    pub(super) settings: QuorumSettings,
    pub(super) bootstrap: Vec<MetadataRecord>,
    pub(super) effects: VecDeque<Effect>,
    pub(super) active: Option<Active>,
    /// Where the log ended when this node was elected; `None` while another one leads.
    pub(super) elected_at: Option<Offset>,
    /// The leader whose connection has ended, until another one is followed: its broker is on the same node.
    pub(super) leader_lost: Option<NodeId>,
    /// The leader that the log of this node named last.
    announced: Option<(LeaderEpoch, NodeId)>,
    pub(super) high_watermark: Offset,
    flushing: Option<Flushing>,
    /// The records, or the piece of a snapshot, that came with the answer that is being handled.
    pub(super) received: Bytes,
    pub(super) fetching: Option<FetchedSnapshot>,
    pub(super) parked: Vec<ParkedFetch>,
    /// The end of the log, the high watermark and the epoch when parked fetches were looked at.
    pub(super) parked_saw: (Offset, Offset, i32),
    pub(super) last_snapshot: Instant,
    /// No snapshot is begun before, since the last one could not be written.
    pub(super) snapshot_after: Option<Instant>,
    pub(super) last_cleaned: Instant,
    pub(super) writing: Option<Writing>,
    /// What could not be written, so that each error is logged once a minute.
    pub(super) repeats: Repeats,
    /// The offset after the last record by which the quorum has changed itself.
    pub(super) reconfigured: Offset,
    pub(super) commits: Spans,
    pub(super) unclean_elections: u64,
    pub(super) started: Instant,
    pub(super) outlet: Outlet,
    pub(super) view: Arc<RwLock<QuorumView>>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) inbox: mpsc::Receiver<Event>,
    pub(super) transport: Transport,
    pub(super) answered: mpsc::Receiver<Answered>,
}

impl QuorumDriver {
    /// Starts the quorum on a log that was opened. It runs when [`QuorumDriver::run`] does, and what it commits is published
    /// while the publisher runs.
    pub(crate) fn new(
        loaded: Loaded,
        controller: Controller,
        settings: QuorumSettings,
        transport: TransportSettings,
        acting: Acting,
        started: Instant,
    ) -> (Self, Publisher, MetadataHandle) {
        let Loaded { log, image, local, election, bootstrap } = loaded;
        let forwarder = Arc::new(Forwarder::new(&transport));
        let (transport, answered) = Transport::new(transport);
        let images = Images::restored(image, local.end, log.appended());
        let reconfigured = local.changes.last().map_or(Offset::ZERO, |(offset, _)| offset.next());
        let (quorum, effects) = start_quorum(&settings, election, local);
        let (inbox_sender, inbox) = mpsc::channel(INBOX_MAX);
        let outlet = Outlet::default();
        let published = Arc::new(RwLock::new(Arc::default()));
        let (changes, changed) = watch::channel(());
        let view = Arc::new(RwLock::new(view(&quorum, Spans::default(), 0)));
        let (leadership, leads) = watch::channel(Leadership::default());
        let handle = MetadataHandle {
            exchanged: transport.meter(),
            inbox: inbox_sender,
            published: Arc::clone(&published),
            changes: changed,
            quorum: Arc::clone(&view),
            leadership: leads,
            node: settings.local.key.id,
            forwarder,
            started,
        };
        let publisher = Publisher { outlet: outlet.clone(), acting, published, changes };
        let this = Self {
            quorum,
            log,
            images,
            controller,
            mutations: MutationQuotas::new(settings.mutation_windows),
            settings,
            bootstrap,
            effects: effects.into(),
            active: None,
            elected_at: None,
            leader_lost: None,
            announced: None,
            high_watermark: Offset::ZERO,
            flushing: None,
            received: Bytes::new(),
            fetching: None,
            parked: Vec::new(),
            parked_saw: Default::default(),
            last_snapshot: started,
            snapshot_after: None,
            last_cleaned: started,
            writing: None,
            repeats: Repeats::default(),
            reconfigured,
            commits: Spans::default(),
            unclean_elections: 0,
            started,
            outlet,
            view,
            leadership,
            inbox,
            transport,
            answered,
        };
        (this, publisher, handle)
    }

    /// Serves until `closing` says so, then hands leadership over and closes the log.
    pub(crate) async fn run(mut self, mut closing: Closing) -> Result<(), Ended> {
        self.carry_out_effects().await?;
        while self.turn(Some(&mut closing)).await? {}
        info!(epoch = %self.quorum.epoch(), "this node takes leave of the metadata quorum");
        let effects = self.quorum.shut_down(self.moment());
        self.add_effects(effects).await?;
        let farewell = async {
            while !self.quorum.is_quiet() {
                self.turn(None).await?;
            }
            Ok::<(), Ended>(())
        };
        if let Ok(ended) = timeout(FAREWELL_MAX, farewell).await {
            ended?;
        }
        if let Some(flushing) = self.flushing.take() {
            self.flush_ended(flushing.task.await.map_err(io::Error::other)??, flushing.end).await?;
        }
        if let Some(Writing { task, appended }) = self.writing.take() {
            let result = task.await.map_err(io::Error::other)??;
            self.snapshot_ended(result, appended).await?;
        }
        self.log.close()?;
        Ok(())
    }

    /// Does what is due, and waits for one event. Returns whether there is to be another turn.
    async fn turn(&mut self, closing: Option<&mut Closing>) -> Result<bool, Ended> {
        self.advance().await?;
        let deadline = self.deadline();
        tokio::select! {
            biased;
            flushed = flushed(&mut self.flushing) => {
                let (done, end) = flushed?;
                self.flush_ended(done, end).await?;
            }
            written = written(&mut self.writing) => {
                let (result, appended) = written?;
                self.snapshot_ended(result, appended).await?;
            }
            Some(answered) = self.answered.recv() => self.peer_answered(answered).await?,
            Some(event) = self.inbox.recv() => self.handle_events(event).await?,
            () = sleep_until(deadline) => {}
            () = begun(closing) => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    pub(super) fn instant(&self, moment: Moment) -> Instant {
        self.started + Duration::from_millis(u64::try_from(moment.0).unwrap_or(0))
    }

    /// When something is due without an event.
    fn deadline(&self) -> Instant {
        const FAR: Duration = Duration::from_secs(3600);
        let moments = [
            self.quorum.deadline(),
            self.active.as_ref().and_then(Active::deadline),
            self.parked.iter().map(|parked| parked.fetch.deadline).min(),
        ];
        let now = thalweg_sys::time::now();
        let moment = moments.into_iter().flatten().min().map_or(now + FAR, |at| self.instant(at));
        let grown = self.log.appended() > self.log.snapshotted() && self.writing.is_none();
        let snapshot = self.settings.snapshots.interval.filter(|_| grown);
        let snapshot = snapshot.map_or(now + FAR, |interval| self.last_snapshot + interval);
        let cleaning = self.last_cleaned + CLEANING_INTERVAL;
        moment.min(snapshot.max(now)).min(cleaning.max(now))
    }

    /// Does what is due: time passes for the quorum and the controller, what is committed is published, the log is synced.
    async fn advance(&mut self) -> Result<(), Ended> {
        let effects = self.quorum.tick(self.moment());
        self.add_effects(effects).await?;
        self.activate_if_elected().await?;
        self.pass_time_for_controller().await?;
        self.reveal();
        self.serve_parked().await?;
        self.snapshot_if_due();
        self.clean_if_due().await?;
        self.flush_if_needed()?;
        self.show();
        Ok(())
    }

    /// Publishes what is committed, and answers those that waited for it.
    fn reveal(&mut self) {
        let high_watermark = self.high_watermark;
        let revealed = self.images.commit(high_watermark);
        let image = revealed.map(|prefix| Arc::new(prefix.image.visible().clone()));
        let (answers, took) = self.active.as_mut().map(|active| active.committed(high_watermark)).unwrap_or_default();
        for time in took {
            self.commits.record(time);
        }
        self.outlet.publish(image, answers);
    }

    /// Shows the rest of the node how the quorum is.
    fn show(&self) {
        let view = view(&self.quorum, self.commits, self.unclean_elections);
        *self.view.write() = view;
        self.leadership.send_if_modified(|shown| {
            let leadership = Leadership {
                epoch: self.quorum.epoch(),
                leader: self.quorum.leader(),
                endpoints: self.quorum.leader_endpoints().to_vec(),
                active_here: self.active.is_some(),
            };
            let news = *shown != leadership;
            *shown = leadership;
            news
        });
    }

    // Effects of the quorum.

    pub(super) async fn add_effects(&mut self, effects: Vec<Effect>) -> Result<(), Ended> {
        self.effects.extend(effects);
        self.carry_out_effects().await
    }

    /// Does what the quorum says, in order.
    async fn carry_out_effects(&mut self) -> Result<(), Ended> {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Persist(state) => self.persist(&state).await?,
                Effect::Append(records) => self.append_control(&records)?,
                Effect::HighWatermark(offset) => {
                    assert!(self.high_watermark <= offset, "the high watermark never moves back");
                    self.high_watermark = offset;
                }
                Effect::BecameLeader { epoch, start } => {
                    info!(%epoch, "this node leads the metadata quorum");
                    self.elected_at = Some(start);
                }
                Effect::LostLeadership => {
                    info!(epoch = %self.quorum.epoch(), "this node leads the metadata quorum no longer");
                    self.elected_at = None;
                    // A leader that removed itself steps down because that is committed, and says so to who asked for it.
                    self.reveal();
                    if let Some(active) = self.active.take() {
                        active.end();
                    }
                }
                Effect::NewLeader { epoch, leader } => {
                    self.leader_lost = None;
                    // A node that is cut off loses sight of the same leader again and again.
                    if self.announced.replace((epoch, leader)) != Some((epoch, leader)) {
                        info!(%epoch, %leader, "this node follows the metadata quorum");
                    }
                }
                Effect::Send { to, id, request } => {
                    let address = self.transport.address(to, &self.quorum);
                    self.transport.send(to, address, id, request);
                }
                Effect::AppendFetched(epoch) => self.append_fetched(epoch).await?,
                Effect::Truncate(to) => self.truncate(to).await?,
                Effect::WriteSnapshot { snapshot, position } => self.write_snapshot(snapshot, position).await?,
                Effect::InstallSnapshot(snapshot) => self.install_snapshot(snapshot).await?,
            }
        }
        Ok(())
    }

    async fn persist(&mut self, state: &ElectionState) -> Result<(), Ended> {
        let write = self.log.persist(state, self.quorum.kraft_version(), self.quorum.voters());
        #[cfg(sim)]
        if planted::has(Bug::AnswersVoteBeforeDurable) {
            task::spawn(async move {
                sleep(PLANTED_DELAY).await;
                task::blocking(write).await
            });
            return Ok(());
        }
        Ok(task::blocking(write).await??)
    }

    /// Appends the quorum's own records, unless it has stepped down since it asked for that.
    fn append_control(&mut self, records: &[ControlRecord]) -> Result<(), Ended> {
        if !self.quorum.is_leader() {
            return Ok(());
        }
        let now = timestamp();
        let epoch = self.quorum.epoch();
        let end = self.log.append_control(records, epoch, now)?;
        self.reconfigured = end;
        self.images.note(end, epoch, now, self.log.appended());
        let effects = self.quorum.appended(end, self.moment());
        self.effects.extend(effects);
        Ok(())
    }

    async fn append_fetched(&mut self, epoch: LeaderEpoch) -> Result<(), Ended> {
        let bytes = std::mem::take(&mut self.received);
        let (now, appended_before) = (timestamp(), self.log.appended());
        let mut image = self.images.newest().clone();
        let fetched = match self.log.append_fetched(&bytes, epoch, &mut image, now) {
            Ok(fetched) => fetched,
            Err(e) if e.is_refusal() => {
                error!(error = %e, leader = ?self.quorum.leader(), "what was fetched of the metadata log is not appended");
                sleep(UNREADABLE_PAUSE).await;
                Default::default()
            }
            Err(e) => return Err(e.into()),
        };
        let end = self.log.end();
        if self.log.appended() > appended_before {
            self.images.follow(image, end, fetched.epoch, fetched.timestamp, self.log.appended());
        }
        if let Some((offset, _)) = fetched.changes.last() {
            self.reconfigured = offset.next();
        }
        let effects = self.quorum.replicated(end, &fetched.epochs, fetched.changes, self.moment());
        self.effects.extend(effects);
        Ok(())
    }

    async fn truncate(&mut self, to: Offset) -> Result<(), Ended> {
        info!(from = %self.log.end(), %to, "the metadata log is cut back to what its leader has");
        self.finish_flush().await?;
        self.log.truncate(to, timestamp())?;
        self.reconfigured = self.reconfigured.min(to);
        if !self.images.truncate(to) {
            let image = self.log.read_image()?;
            self.images.restore(image, to, self.log.appended());
        }
        Ok(())
    }

    async fn write_snapshot(&mut self, snapshot: OffsetAndEpoch, position: u64) -> Result<(), Ended> {
        let bytes = std::mem::take(&mut self.received);
        let mut fetching = match self.fetching.take().filter(|fetching| position > 0 && fetching.id() == snapshot) {
            Some(fetching) => fetching,
            None => FetchedSnapshot::begin(self.log.dir(), snapshot)?,
        };
        let written = task::blocking(move || fetching.write(position, &bytes).map(|()| fetching)).await??;
        self.fetching = Some(written);
        Ok(())
    }

    async fn install_snapshot(&mut self, snapshot: OffsetAndEpoch) -> Result<(), Ended> {
        self.finish_flush().await?;
        let Some(fetched) = self.fetching.take().filter(|fetched| fetched.id() == snapshot) else {
            let effects = self.quorum.snapshot_unusable(self.moment());
            self.effects.extend(effects);
            return Ok(());
        };
        let Some((image, changes)) = self.log.install(fetched, timestamp())? else {
            warn!(offset = %snapshot.offset, epoch = %snapshot.epoch, "a fetched snapshot of the metadata is damaged: it is fetched again");
            let effects = self.quorum.snapshot_unusable(self.moment());
            self.effects.extend(effects);
            return Ok(());
        };
        info!(offset = %snapshot.offset, epoch = %snapshot.epoch, "a snapshot of the leader replaces the metadata log");
        let installed = self.images.install(image, snapshot.offset, self.log.appended());
        let image = Arc::new(installed.image.visible().clone());
        self.outlet.publish(Some(image), Vec::new());
        self.reconfigured = snapshot.offset;
        let effects = self.quorum.snapshot_installed(snapshot, changes, self.moment());
        self.effects.extend(effects);
        Ok(())
    }

    async fn peer_answered(&mut self, answered: Answered) -> Result<(), Ended> {
        let Answered { id, from, response, bytes } = answered;
        self.received = bytes;
        self.note_leader(from, &response);
        let effects = self.quorum.answered(id, response, self.moment());
        self.add_effects(effects).await?;
        self.received = Bytes::new();
        Ok(())
    }

    /// Notes whether the leader's connection has ended.
    fn note_leader(&mut self, from: Option<NodeId>, response: &Response) {
        if from.is_none() || from != self.quorum.leader() {
            return;
        }
        match response {
            Response::Failed(QuorumError::ConnectionLost) => self.leader_lost = from,
            Response::Failed(_) => {}
            _ => self.leader_lost = None,
        }
    }

    // The log and the disk.

    fn flush_if_needed(&mut self) -> Result<(), Ended> {
        if self.flushing.is_some() {
            return Ok(());
        }
        if let Some(plan) = self.log.flush_plan()? {
            let task = task::spawn(task::blocking(move || {
                let done = plan.execute();
                (plan, done)
            }));
            self.flushing = Some(Flushing { task, end: self.log.end() });
        }
        Ok(())
    }

    async fn flush_ended(&mut self, done: (FlushPlan, Result<(), Fault>), end: Offset) -> Result<(), Ended> {
        let (plan, result) = done;
        result?;
        self.log.flushed(&plan, timestamp());
        let effects = self.quorum.flushed(end, self.moment());
        self.add_effects(effects).await
    }

    /// Waits for a sync that is on its way, before the log is changed under it. It is not reported: what it has made durable
    /// is about to go.
    async fn finish_flush(&mut self) -> Result<(), Ended> {
        if let Some(flushing) = self.flushing.take() {
            let (plan, result) = flushing.task.await.map_err(io::Error::other)??;
            result?;
            self.log.flushed(&plan, timestamp());
        }
        Ok(())
    }

    // Requests.

    /// Takes an event and those that wait behind it, so that they share one sync of the log.
    async fn handle_events(&mut self, first: Event) -> Result<(), Ended> {
        self.handle_event(first).await?;
        for _ in 1..EVENTS_PER_TURN {
            match self.inbox.try_recv() {
                Ok(event) => self.handle_event(event).await?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn handle_event(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Asked(asked) => self.decide(*asked).await,
            Event::Rpc(rpc) => self.serve(rpc).await,
            Event::BrokerLost(broker) => {
                let now = self.moment();
                if let Some(active) = &mut self.active {
                    debug!(%broker, "the connection by which the broker reported has ended");
                    active.connection_lost(broker, now);
                }
                Ok(())
            }
        }
    }
}

async fn begun(closing: Option<&mut Closing>) {
    match closing {
        Some(closing) => closing.begun().await,
        None => std::future::pending().await,
    }
}

/// Waits for the sync that is on its way, if there is one.
async fn flushed(flushing: &mut Option<Flushing>) -> Result<((FlushPlan, Result<(), Fault>), Offset), Ended> {
    let Some(Flushing { task, end }) = flushing else { return std::future::pending().await };
    let (done, end) = (task.await, *end);
    *flushing = None;
    Ok((done.map_err(io::Error::other)??, end))
}

fn view(quorum: &Quorum, commits: Spans, unclean_elections: u64) -> QuorumView {
    QuorumView {
        leader: quorum.leader().unwrap_or(NodeId::NONE),
        epoch: quorum.epoch(),
        high_watermark: quorum.high_watermark(),
        log_end: quorum.log_end(),
        voters: quorum.voters().iter().cloned().collect(),
        kraft_version: quorum.kraft_version().0.cast_signed(),
        state: ByteString::from_static(quorum.state_name()),
        commits,
        unclean_elections,
    }
}

/// The quorum as this replica sees it when it starts, and what it is to do first.
fn start_quorum(settings: &QuorumSettings, election: Option<ElectionState>, log: LocalLog) -> (Quorum, Vec<Effect>) {
    let (mut quorum, effects) = Quorum::start(start(settings, election, log), Moment(0));
    if settings.joins_by_itself {
        quorum.join_by_itself();
    }
    (quorum, effects)
}

fn start(settings: &QuorumSettings, election: Option<ElectionState>, log: LocalLog) -> Start {
    Start {
        local: settings.local.clone(),
        may_become_voter: settings.may_become_voter,
        election,
        log,
        static_voters: settings.static_voters.clone(),
        bootstrap: settings.bootstrap.clone(),
        settings: settings.times,
        seed: thalweg_sys::random::u64(),
    }
}
