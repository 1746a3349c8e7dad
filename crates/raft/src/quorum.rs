//! The machine itself: its life, its transitions between roles, and what happens when time passes.

use std::time::Duration;

use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};

use crate::election_state::ElectionState;
use crate::leading::{Leading, Progress};
use crate::links::Links;
use crate::log_view::{Change, EpochStart, LocalLog, LogView, OffsetAndEpoch};
use crate::messages::{Peer, Request, RequestId};
use crate::role::{Following, Prospecting, Role, Votes};
use crate::voters::{Endpoint, KRaftVersion, ReplicaKey, Voter, Voters};

/// The times that the quorum obeys (`controller.quorum.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `controller.quorum.election.timeout.ms`: an election takes this long, up to twice as long.
    pub election_timeout: Duration,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout: Duration,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max: Duration,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout: Duration,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff: Duration,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_secs(1),
            fetch_timeout: Duration::from_secs(2),
            election_backoff_max: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            retry_backoff: Duration::from_millis(20),
        }
    }
}

/// What a replica starts with.
#[derive(Clone, Debug)]
pub struct Start {
    /// This replica: its id and directory, its endpoints, the versions it supports.
    pub local: Voter,
    /// Whether it may become a voter (a controller) or never does (a broker).
    pub may_become_voter: bool,
    /// What `quorum-state` says, `None` if there is no such file.
    pub election: Option<ElectionState>,
    /// The log. All of it must have been flushed.
    pub log: LocalLog,
    /// The voters of `controller.quorum.voters`, used until the log names others.
    pub static_voters: Voters,
    /// Whom to ask for the leader: `controller.quorum.bootstrap.servers`, or the static voters.
    pub bootstrap: Vec<Peer>,
    /// The times.
    pub settings: Settings,
    /// Random bits: election timeouts are drawn from them.
    pub seed: u64,
}

/// A control record that the leader writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// `LeaderChangeMessage`.
    LeaderChange {
        /// The new leader.
        leader: NodeId,
        /// The voters.
        voters: Vec<NodeId>,
        /// Those that voted for it.
        granting: Vec<NodeId>,
    },
    /// `KRaftVersionRecord`.
    KRaftVersion(KRaftVersion),
    /// `VotersRecord`.
    Voters(Voters),
}

/// What the driver must do, one after the other. An effect must be complete before the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write `quorum-state` so that it survives a crash. Nothing that follows may happen before that.
    Persist(ElectionState),
    /// Send a request. Its answer, or that there is none, comes back by [`Quorum::answered`].
    Send {
        /// To whom.
        to: Peer,
        /// Tells the answer apart.
        id: RequestId,
        /// The request.
        request: Request,
    },
    /// As leader, append one batch of control records, and report by [`Quorum::appended`] at once.
    Append(Vec<ControlRecord>),
    /// Append the records that came with the fetch response being handled, dropping batches of later epochs than this
    /// one, and report by [`Quorum::replicated`] at once, also if nothing could be appended.
    AppendFetched(LeaderEpoch),
    /// Drop every record from this offset on. Never below the high watermark.
    Truncate(Offset),
    /// Write the bytes that came with the snapshot response being handled, at this position of the snapshot's file.
    WriteSnapshot {
        /// The snapshot.
        snapshot: OffsetAndEpoch,
        /// Where the piece belongs.
        position: u64,
    },
    /// The snapshot is complete: replace the whole log by it, durably, and report by [`Quorum::snapshot_installed`] at once.
    InstallSnapshot(OffsetAndEpoch),
    /// Records before this offset are committed. It never moves back.
    HighWatermark(Offset),
    /// This node leads. It may serve writes once the high watermark has passed `start`: then all of earlier epochs is here.
    BecameLeader {
        /// In this epoch.
        epoch: LeaderEpoch,
        /// Where the log ended at the election.
        start: Offset,
    },
    /// This node does not lead any longer: parked requests are answered with `NOT_LEADER_OR_FOLLOWER`.
    LostLeadership,
    /// Another node leads.
    NewLeader {
        /// In this epoch.
        epoch: LeaderEpoch,
        /// The node.
        leader: NodeId,
    },
}

/// One replica of the metadata quorum (KIP-595, 853, 996): takes part in elections if it is a voter, and copies the log.
///
/// Every event returns what the driver must do, in order. Events are handed in one after the other, with a clock that does
/// not go back; after each one, [`Quorum::deadline`] says when [`Quorum::tick`] is due.
///
/// Invariants:
/// - The epoch never goes back, and there is at most one vote in each; both are persisted before anyone hears of them.
/// - The high watermark never moves back, and the log is never truncated below it.
/// - Only a voter is Prospective, Candidate or elected Leader. (A leader that was removed leads until that is committed.)
#[derive(Clone, Debug)]
pub struct Quorum {
    pub(crate) local: Voter,
    pub(crate) may_become_voter: bool,
    pub(crate) auto_join: bool,
    pub(crate) settings: Settings,
    pub(crate) bootstrap: Vec<Peer>,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) role: Role,
    pub(crate) log: LogView,
    pub(crate) high_watermark: Offset,
    pub(crate) links: Links,
    /// Control records that the driver was told to append and has not reported.
    appending: Option<Vec<ControlRecord>>,
    persisted: ElectionState,
    pub(crate) shutting_down: bool,
    random: u64,
    pub(crate) effects: Vec<Effect>,
}

/// The outcome of events that cannot be refused.
pub type Effects = Vec<Effect>;

impl Quorum {
    /// The replica comes up. A single voter is the leader at once.
    pub fn start(start: Start, now: Moment) -> (Self, Effects) {
        assert!(
            start.local.key.id.0 >= 0 && start.local.key.directory.is_some(),
            "a replica has an id and a directory"
        );
        let Settings { election_timeout, request_timeout, retry_backoff, .. } = start.settings;
        assert!(election_timeout >= Duration::from_millis(1), "elections take time");
        let log = LogView::new(start.log, start.static_voters);
        let election = start.election.unwrap_or_default();
        let mut quorum = Self {
            local: start.local,
            may_become_voter: start.may_become_voter,
            auto_join: false,
            settings: start.settings,
            bootstrap: start.bootstrap,
            epoch: LeaderEpoch(0),
            role: Role::Unattached { leader: None, voted: None, election_at: None },
            high_watermark: log.start,
            log,
            links: Links::new(request_timeout, retry_backoff),
            appending: None,
            persisted: election.clone(),
            shutting_down: false,
            random: start.seed,
            effects: Vec::new(),
        };
        quorum.first_role(election, now);
        quorum.persist();
        if quorum.log.voters().is_only(&quorum.local.key) && !matches!(quorum.role, Role::Candidate { .. }) {
            quorum.become_prospective(now);
        }
        quorum.elect(now);
        let effects = quorum.finish(now);
        (quorum, effects)
    }

    /// What it was when it went down it is again, except that a leader has resigned: it may have lost records that it had
    /// not flushed, and must not write others at the same offsets in the same epoch.
    fn first_role(&mut self, election: ElectionState, now: Moment) {
        let in_log = self.log.end_and_epoch().epoch;
        let unattached = |leader, voted, at| Role::Unattached { leader, voted, election_at: at };
        self.epoch = election.epoch.max(in_log);
        let election_at = self.is_voter().then(|| self.random_election(now));
        let voted_for_self = election.voted.is_some_and(|voted| self.is_local(&voted));
        self.role = if election.epoch < in_log {
            unattached(None, None, election_at)
        } else if election.leader == Some(self.local.key.id) {
            let unacknowledged = self.log.voters().ids().filter(|id| *id != self.local.key.id).collect();
            let election_at = self.random_election(now);
            Role::Resigned { election_at, unacknowledged, preferred: Vec::new() }
        } else if voted_for_self && self.is_voter() {
            let votes = Votes::new(self.log.voters(), self.local.key.id);
            Role::Candidate { votes, election_at: self.random_election(now) }
        } else if let Some(leader) = election.leader
            && let Some(voter) = self.log.voters().get(leader)
        {
            let endpoints = voter.endpoints.clone();
            self.following(leader, endpoints, election.voted, now)
        } else {
            unattached(election.leader, election.voted, election_at)
        };
    }

    /// From now on this replica asks to be made a voter (`controller.quorum.auto.join.enable`, KIP-1186).
    pub fn join_by_itself(&mut self) {
        self.auto_join = true;
    }

    /// Time has passed. Call it when [`Quorum::deadline`] has come; earlier does no harm.
    #[must_use]
    pub fn tick(&mut self, now: Moment) -> Effects {
        self.finish(now)
    }

    /// When [`Quorum::tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let own = match &self.role {
            _ if self.shutting_down => None,
            Role::Unattached { election_at, .. } => *election_at,
            Role::Follower(following) if self.is_voter() => Some(following.fetch_deadline),
            Role::Follower(_) => None,
            Role::Prospective(Prospecting { election_at, .. })
            | Role::Candidate { election_at, .. }
            | Role::Resigned { election_at, .. } => Some(*election_at),
            Role::Leader(_) if self.log.voters().is_only(&self.local.key) => None,
            Role::Leader(leading) if self.log.voters().len() == 1 => Some(leading.begin_at),
            Role::Leader(leading) => Some(leading.begin_at.min(leading.check_quorum_at)),
        };
        [own, self.links.deadline()].into_iter().flatten().min()
    }

    /// As leader: the log has grown to `end`, by the driver's own records or by those of [`Effect::Append`].
    #[must_use]
    pub fn appended(&mut self, end: Offset, now: Moment) -> Effects {
        let base = self.log.end;
        assert!(matches!(self.role, Role::Leader(_)) && base <= end, "only a leader appends");
        if base < end {
            self.log.append(end, &[EpochStart { epoch: self.epoch, start: base }]);
        }
        for (index, record) in self.appending.take().into_iter().flatten().enumerate() {
            let offset = base.plus(i64::try_from(index).unwrap_or(i64::MAX));
            assert!(offset < end, "the control records are appended as one batch");
            match record {
                ControlRecord::LeaderChange { .. } => {}
                ControlRecord::KRaftVersion(version) => self.log.change(offset, Change::KRaftVersion(version)),
                ControlRecord::Voters(voters) => self.log.change(offset, Change::Voters(voters)),
            }
        }
        self.advance_high_watermark();
        self.finish(now)
    }

    /// As follower: what came of [`Effect::AppendFetched`]. `epochs` are those that begin in the appended batches, and
    /// `changes` the control records in them that change the quorum.
    #[must_use]
    pub fn replicated(
        &mut self,
        end: Offset,
        epochs: &[EpochStart],
        changes: Vec<(Offset, Change)>,
        now: Moment,
    ) -> Effects {
        self.log.append(end, epochs);
        for (offset, change) in changes {
            assert!(offset < end, "a control record lies within the log");
            self.log.change(offset, change);
        }
        self.end_busy();
        self.follow_high_watermark();
        self.finish(now)
    }

    /// As follower: what came of [`Effect::InstallSnapshot`], with the quorum's own records in the snapshot.
    #[must_use]
    pub fn snapshot_installed(&mut self, snapshot: OffsetAndEpoch, changes: Vec<Change>, now: Moment) -> Effects {
        assert!(snapshot.offset >= self.high_watermark, "a snapshot holds all that is committed here");
        self.log.start_over(snapshot, changes);
        self.end_busy();
        self.raise_high_watermark(snapshot.offset);
        self.finish(now)
    }

    /// As follower: the snapshot of [`Effect::InstallSnapshot`] is damaged, and the log is as it was. It is fetched again.
    #[must_use]
    pub fn snapshot_unusable(&mut self, now: Moment) -> Effects {
        self.end_busy();
        self.finish(now)
    }

    /// A snapshot was written here: the oldest and the newest one kept, and where the log begins now.
    #[must_use]
    pub fn snapshot_written(
        &mut self,
        earliest: OffsetAndEpoch,
        latest: OffsetAndEpoch,
        log_start: Offset,
        now: Moment,
    ) -> Effects {
        assert!(latest.offset <= self.high_watermark, "only committed records go into a snapshot");
        assert!(log_start <= latest.offset, "what a snapshot lacks stays in the log");
        self.log.snapshot_written(earliest, latest, log_start);
        self.finish(now)
    }

    /// The log is durable up to `end`. A flush that began before a truncation must not be reported.
    #[must_use]
    pub fn flushed(&mut self, end: Offset, now: Moment) -> Effects {
        assert!(end <= self.log.end, "only what is in the log is durable");
        self.log.flushed = self.log.flushed.max(end);
        self.advance_high_watermark();
        self.finish(now)
    }

    /// Steps down if it leads: the log or the controller above it is out of order. Others may be elected at once.
    #[must_use]
    pub fn resign(&mut self, epoch: LeaderEpoch, now: Moment) -> Effects {
        if self.epoch == epoch {
            self.step_down(now);
        }
        self.finish(now)
    }

    /// The node is shutting down: a leader steps down, and nobody is elected here any longer. It may stop when
    /// [`Quorum::is_quiet`], or when it has waited long enough.
    #[must_use]
    pub fn shut_down(&mut self, now: Moment) -> Effects {
        self.shutting_down = true;
        self.step_down(now);
        self.finish(now)
    }

    /// Whether nobody needs to hear from this node any longer before it stops.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match &self.role {
            Role::Leader(_) | Role::Candidate { .. } => false,
            Role::Resigned { unacknowledged, .. } => unacknowledged.is_empty(),
            Role::Unattached { .. } | Role::Follower(_) | Role::Prospective(_) => true,
        }
    }

    /// Does what is due, and hands out what has gathered.
    pub(crate) fn finish(&mut self, now: Moment) -> Effects {
        self.drive(now);
        self.check();
        std::mem::take(&mut self.effects)
    }

    fn check(&self) {
        assert!(self.high_watermark <= self.log.end, "only what is in the log is committed");
        assert!(self.log.start <= self.high_watermark, "a log begins with committed records");
        if matches!(self.role, Role::Prospective(_) | Role::Candidate { .. }) {
            assert!(self.is_voter(), "only voters are elected");
        }
    }

    // Transitions.

    /// What must be remembered in the current role.
    pub(crate) fn election_state(&self) -> ElectionState {
        let (leader, voted) = match &self.role {
            Role::Unattached { leader, voted, .. } => (*leader, *voted),
            Role::Follower(following) => (Some(following.leader), following.voted),
            Role::Prospective(prospecting) => (prospecting.leader, prospecting.voted),
            Role::Candidate { .. } => (None, Some(self.local.key)),
            Role::Leader(_) | Role::Resigned { .. } => (Some(self.local.key.id), None),
        };
        ElectionState { epoch: self.epoch, leader, voted }
    }

    pub(crate) fn persist(&mut self) {
        let state = self.election_state();
        if self.persisted != state {
            self.persisted = state.clone();
            self.effects.push(Effect::Persist(state));
        }
    }

    /// Enters a role: what is to be remembered is persisted first, and answers to the old role's requests are ignored.
    fn enter(&mut self, epoch: LeaderEpoch, role: Role) {
        assert!(epoch >= self.epoch, "the epoch never goes back");
        let led = matches!(self.role, Role::Leader(_));
        self.epoch = epoch;
        self.role = role;
        self.persist();
        self.links.reset();
        if led {
            self.appending = None;
            self.effects.push(Effect::LostLeadership);
        }
    }

    pub(crate) fn become_unattached(&mut self, epoch: LeaderEpoch, leader: Option<NodeId>, now: Moment) {
        let remaining = match &self.role {
            Role::Unattached { election_at, .. } => *election_at,
            Role::Candidate { election_at, .. } | Role::Resigned { election_at, .. } => Some(*election_at),
            Role::Prospective(p) if !p.votes.is_lost() => Some(p.election_at),
            Role::Prospective(_) | Role::Follower(_) | Role::Leader(_) => None,
        };
        let remaining = remaining.filter(|at| *at > now);
        let election_at = self.is_voter().then(|| remaining.unwrap_or_else(|| self.random_election(now)));
        let voted = self.election_state().voted.filter(|_| epoch == self.epoch);
        self.enter(epoch, Role::Unattached { leader, voted, election_at });
    }

    pub(crate) fn become_follower(
        &mut self,
        epoch: LeaderEpoch,
        leader: NodeId,
        endpoints: Vec<Endpoint>,
        now: Moment,
    ) {
        assert!(leader != self.local.key.id, "a replica does not follow itself");
        let voted = self.election_state().voted.filter(|_| epoch == self.epoch);
        let role = self.following(leader, endpoints, voted, now);
        self.enter(epoch, role);
        self.effects.push(Effect::NewLeader { epoch, leader });
    }

    fn following(&self, leader: NodeId, endpoints: Vec<Endpoint>, voted: Option<ReplicaKey>, now: Moment) -> Role {
        Role::Follower(Following {
            leader,
            endpoints,
            voted,
            fetch_deadline: now.after(self.settings.fetch_timeout),
            has_fetched: false,
            snapshot: None,
            leaders_high_watermark: None,
            busy: false,
            update_voter_at: now.after(self.settings.fetch_timeout * 2),
            has_updated_leader: false,
        })
    }

    pub(crate) fn become_prospective(&mut self, now: Moment) {
        let ElectionState { leader, voted, .. } = self.election_state();
        let leader = leader.filter(|id| *id != self.local.key.id);
        let endpoints = match &self.role {
            Role::Follower(following) => following.endpoints.clone(),
            _ => Vec::new(),
        };
        let votes = Votes::new(self.log.voters(), self.local.key.id);
        let election_at = self.random_election(now);
        // Nothing new is to be remembered: the role alone changes.
        self.role = Role::Prospective(Prospecting { leader, endpoints, voted, votes, election_at });
        self.links.reset();
    }

    pub(crate) fn become_candidate(&mut self, now: Moment) {
        let votes = Votes::new(self.log.voters(), self.local.key.id);
        let election_at = self.random_election(now);
        self.enter(LeaderEpoch(self.epoch.0 + 1), Role::Candidate { votes, election_at });
    }

    fn become_leader(&mut self, granting: Vec<NodeId>, now: Moment) {
        let start = self.log.end;
        let told = self.log.voters().updated_by_id(self.local.clone()).unwrap_or_default();
        let leading = Leading::new(start, now.after(self.check_quorum_timeout()), told, now);
        self.enter(self.epoch, Role::Leader(leading));
        self.effects.push(Effect::BecameLeader { epoch: self.epoch, start });
        let voters = self.log.voters().ids().collect();
        let mut records = vec![ControlRecord::LeaderChange { leader: self.local.key.id, voters, granting }];
        if let Some(voters) = self.voters_to_write() {
            records.push(ControlRecord::KRaftVersion(self.log.kraft_version()));
            records.push(ControlRecord::Voters(voters));
        }
        self.append_control(records);
    }

    /// The voters that a new leader writes: if they never stood in the log, or if it has moved itself.
    fn voters_to_write(&self) -> Option<Voters> {
        if !self.log.kraft_version().supports_reconfiguration() {
            return None;
        }
        let voters = self.log.voters();
        let moved = voters.get(self.local.key.id) != Some(&self.local);
        (moved || self.log.voters_offset() < Offset::ZERO).then(|| voters.updated(self.local.clone())).flatten()
    }

    pub(crate) fn append_control(&mut self, records: Vec<ControlRecord>) {
        assert!(self.appending.is_none(), "control records are appended one batch at a time");
        self.appending = Some(records.clone());
        self.effects.push(Effect::Append(records));
    }

    /// Whether control records wait to be appended by the driver.
    pub(crate) fn is_appending(&self) -> bool {
        self.appending.is_some()
    }

    pub(crate) fn step_down(&mut self, now: Moment) {
        let Role::Leader(leading) = &self.role else { return };
        let voters = self.log.voters();
        let others = voters.iter().map(|voter| voter.key).filter(|key| key.id != self.local.key.id);
        let end_of = |key: &ReplicaKey| leading.progress(key, voters).map(|progress| progress.log_end);
        let mut preferred: Vec<ReplicaKey> = others.collect();
        preferred.sort_by(|a, b| end_of(b).cmp(&end_of(a)).then(a.cmp(b)));
        let unacknowledged = preferred.iter().map(|key| key.id).collect();
        let election_at = self.random_election(now);
        self.enter(self.epoch, Role::Resigned { election_at, unacknowledged, preferred });
    }

    /// Goes on from one stage of an election to the next while it is won.
    pub(crate) fn elect(&mut self, now: Moment) {
        if let Role::Prospective(prospecting) = &self.role
            && prospecting.votes.is_won()
        {
            self.become_candidate(now);
        }
        if let Role::Candidate { votes, .. } = &self.role
            && votes.is_won()
        {
            let granting = votes.granting();
            self.become_leader(granting, now);
        }
    }

    /// Nobody wants this election: back to the leader that is known, or look for one.
    pub(crate) fn give_up_prospects(&mut self, now: Moment) {
        let Role::Prospective(prospecting) = &self.role else { return };
        match prospecting.leader {
            Some(leader) if !prospecting.endpoints.is_empty() => {
                let endpoints = prospecting.endpoints.clone();
                self.become_follower(self.epoch, leader, endpoints, now);
            }
            leader => self.become_unattached(self.epoch, leader, now),
        }
    }

    // The high watermark.

    /// As leader: what a majority has is committed, once a record of this epoch is among it.
    pub(crate) fn advance_high_watermark(&mut self) {
        let local = self.local.key;
        let Role::Leader(leading) = &mut self.role else { return };
        let Some(end) = leading.majority_end(&self.log, &local).filter(|end| *end > leading.epoch_start) else {
            return;
        };
        if leading.high_watermark.is_none_or(|old| end > old) {
            leading.high_watermark = Some(end);
            self.raise_high_watermark(end);
        }
    }

    /// As follower: what the leader says is committed and is here.
    pub(crate) fn follow_high_watermark(&mut self) {
        let Role::Follower(following) = &self.role else { return };
        if let Some(leaders) = following.leaders_high_watermark {
            self.raise_high_watermark(leaders.min(self.log.end));
        }
    }

    fn raise_high_watermark(&mut self, to: Offset) {
        if to > self.high_watermark {
            self.high_watermark = to;
            self.effects.push(Effect::HighWatermark(to));
        }
    }

    fn end_busy(&mut self) {
        if let Role::Follower(following) = &mut self.role {
            following.busy = false;
        }
    }

    // Small questions.

    /// Whether this replica is a voter, as the log has it.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.log.voters().contains(&self.local.key)
    }

    /// Whether it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Who leads in this epoch, if it is known; a node that has resigned says itself.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.election_state().leader
    }

    /// Where the leader listens, if it is known.
    #[must_use]
    pub fn leader_endpoints(&self) -> &[Endpoint] {
        match &self.role {
            Role::Follower(following) => &following.endpoints,
            Role::Prospective(prospecting) => &prospecting.endpoints,
            Role::Leader(_) | Role::Resigned { .. } => &self.local.endpoints,
            Role::Unattached { .. } | Role::Candidate { .. } => &[],
        }
    }

    /// The role's name, as the metric `current-state` has it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match &self.role {
            Role::Unattached { voted: Some(_), .. } => "unattached-voted",
            Role::Unattached { .. } => "unattached",
            Role::Follower(_) if self.is_voter() => "follower",
            Role::Follower(_) => "observer",
            Role::Prospective(prospecting) if prospecting.voted.is_some() => "prospective-voted",
            Role::Prospective(_) => "prospective",
            Role::Candidate { .. } => "candidate",
            Role::Leader(_) => "leader",
            Role::Resigned { .. } => "resigned",
        }
    }

    /// Records before this offset are committed, as far as this replica knows.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log.end
    }

    /// The voters, as the log has them.
    #[must_use]
    pub fn voters(&self) -> &Voters {
        self.log.voters()
    }

    /// The level of `kraft.version`, as the log has it.
    #[must_use]
    pub fn kraft_version(&self) -> KRaftVersion {
        self.log.kraft_version()
    }

    /// As leader: how far each replica is that has fetched in this epoch (DescribeQuorum).
    pub fn replicas(&self) -> impl Iterator<Item = (&ReplicaKey, &Progress)> {
        let leading = match &self.role {
            Role::Leader(leading) => Some(leading),
            _ => None,
        };
        leading.into_iter().flat_map(Leading::replicas)
    }

    pub(crate) fn is_local(&self, key: &ReplicaKey) -> bool {
        key.id == self.local.key.id && (key.directory.is_none() || key.directory == self.local.key.directory)
    }

    /// Half as long again as a fetch may take, for what the network needs.
    pub(crate) fn check_quorum_timeout(&self) -> Duration {
        self.settings.fetch_timeout * 3 / 2
    }

    /// When an election that begins now ends: between one and two election timeouts.
    pub(crate) fn random_election(&mut self, now: Moment) -> Moment {
        let timeout = self.settings.election_timeout;
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        now.after(timeout + Duration::from_millis(self.next_random() % millis))
    }

    /// SplitMix64.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
