//! A partition's leader.

use std::time::Duration;

#[cfg(sim)]
use thalweg_base::planted::{self, Bug};
use thalweg_base::{BrokerEpoch, LeaderEpoch, Moment, NodeId, Offset};

#[cfg(test)]
mod tests;

/// How often the controller has changed a partition's registration. Compared and swapped by `AlterPartition` (KIP-497).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionEpoch(pub i32);

/// What the metadata says about a partition that this node leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The epoch in which this node leads.
    pub leader_epoch: LeaderEpoch,
    /// The version of this assignment.
    pub partition_epoch: PartitionEpoch,
    /// Every replica, the leader among them.
    pub replicas: Vec<NodeId>,
    /// The replicas that are in sync, as the controller has committed it.
    pub isr: Vec<NodeId>,
}

/// Where a partition's log begins and ends on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// The offset of the first record kept.
    pub start: Offset,
    /// The offset that the next record gets (LEO).
    pub end: Offset,
    /// The high watermark that was last written to disk. It is clamped to lie between `start` and `end`.
    pub high_watermark: Offset,
}

/// The settings that the leader obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `min.insync.replicas`. More than there are replicas counts as all of them.
    pub min_isr: usize,
    /// `replica.lag.time.max.ms`.
    pub lag_max: Duration,
}

impl Default for Limits {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { min_isr: 1, lag_max: Duration::from_secs(30) }
    }
}

/// Who must have a batch before its producer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// `acks=-1`: every replica in sync.
    All,
    /// `acks=0` and `acks=1`: nobody but the leader.
    Leader,
}

/// What the leader refuses, as the protocol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `NOT_ENOUGH_REPLICAS`: fewer replicas are in sync than `acks=-1` needs.
    NotEnoughReplicas,
    /// `FENCED_LEADER_EPOCH`: the request knows an older leader epoch.
    FencedLeaderEpoch,
    /// `UNKNOWN_LEADER_EPOCH`: the request knows a newer leader epoch than this node.
    UnknownLeaderEpoch,
    /// `OFFSET_OUT_OF_RANGE`.
    OffsetOutOfRange,
    /// A node fetches as a follower that is not among the replicas: `UNKNOWN_LEADER_EPOCH` if the request named a leader
    /// epoch (this node may not know the newest assignment yet), else `NOT_LEADER_OR_FOLLOWER`.
    NotAReplica,
    /// `NOT_LEADER_OR_FOLLOWER`: the follower was restarted since it sent this fetch (KIP-903).
    StaleBrokerEpoch,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The leader's own disk does not have it yet, and the topic asks for that: stay parked, whatever the time limit of
    /// the request is.
    Unsynced,
    /// Not every replica in sync has it yet: stay parked.
    Waiting,
    /// It is committed.
    Committed,
    /// `NOT_ENOUGH_REPLICAS_AFTER_APPEND`: it is committed, but by fewer replicas than `min.insync.replicas`.
    NotEnoughReplicasAfterAppend,
}

/// What is known about a broker from its registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerState {
    /// Not registered, or fenced.
    #[default]
    Unavailable,
    /// Unfenced, but leaving: it may not join an ISR.
    ShuttingDown(BrokerEpoch),
    /// Unfenced, registered with this epoch.
    Active(BrokerEpoch),
}

impl BrokerState {
    fn epoch(self) -> Option<BrokerEpoch> {
        match self {
            Self::Unavailable => None,
            Self::ShuttingDown(epoch) | Self::Active(epoch) => Some(epoch),
        }
    }
}

/// A follower's fetch, after the leader has read what it asked for and found no divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedBy {
    /// Who fetched.
    pub follower: NodeId,
    /// The follower's broker epoch, `None` if the request's version has none or it is -1.
    pub broker_epoch: Option<BrokerEpoch>,
    /// Where it fetches, which is where its log ends.
    pub fetch_offset: Offset,
    /// Where its log begins.
    pub log_start: Offset,
}

/// One member of a proposed ISR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsrMember {
    /// The broker.
    pub broker: NodeId,
    /// The epoch it last fetched with. `None` for the leader itself (the driver knows its own) and for a follower that
    /// names none: `AlterPartition` carries -1 then.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// A new ISR that the controller is to be asked for with `AlterPartition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The version of the assignment that this proposal is based on.
    pub partition_epoch: PartitionEpoch,
    /// The proposed in-sync replicas.
    pub isr: Vec<IsrMember>,
}

/// Why the controller did not take a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsrRefusal {
    /// `INELIGIBLE_REPLICA` or `OPERATION_NOT_ATTEMPTED`: certainly not applied, now or later.
    NotApplied,
    /// This node's view is out of date (`FENCED_LEADER_EPOCH`, `INVALID_UPDATE_VERSION`, `UNKNOWN_TOPIC_ID`,
    /// `UNKNOWN_TOPIC_OR_PARTITION`, `INVALID_REQUEST`, `NEW_LEADER_ELECTED`): wait for newer metadata.
    OutOfDate,
    /// Anything else, lost connections among it: it may have been applied, so the same is asked for again.
    Unknown,
}

/// What the driver must do after an event, in the order of the fields.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The high watermark has advanced to here: wake parked produces and fetches.
    pub high_watermark: Option<Offset>,
    /// Every live replica's log now begins here or later: wake parked `DeleteRecords`.
    pub low_watermark: Option<Offset>,
    /// Ask the controller for this ISR; report back by [`Leader::isr_committed`] or [`Leader::isr_refused`].
    pub propose_isr: Option<IsrProposal>,
}

/// What the leader knows of one follower.
#[derive(Clone, Debug)]
struct Progress {
    id: NodeId,
    /// `None` until it has fetched from this leader.
    log_end: Option<Offset>,
    log_start: Option<Offset>,
    broker_epoch: Option<BrokerEpoch>,
    has_fetched: bool,
    broker: BrokerState,
    /// The leader's log end at the follower's last fetch, and when that was.
    last_fetch: Option<(Offset, Moment)>,
    /// The last moment at which it had everything that the leader had then. `None`: never in this epoch.
    caught_up_at: Option<Moment>,
}

impl Progress {
    fn new(id: NodeId) -> Self {
        Self {
            id,
            log_end: None,
            log_start: None,
            broker_epoch: None,
            has_fetched: false,
            broker: BrokerState::default(),
            last_fetch: None,
            caught_up_at: None,
        }
    }

    fn is_caught_up(&self, leader_end: Offset, lag_max: Duration, now: Moment) -> bool {
        self.log_end == Some(leader_end) || self.caught_up_at.is_some_and(|at| now.since(at) <= lag_max)
    }

    /// Whether the controller would take it into the ISR (KIP-903).
    fn is_eligible(&self) -> bool {
        match self.broker {
            BrokerState::Active(epoch) => self.has_fetched && self.broker_epoch.is_none_or(|own| own == epoch),
            BrokerState::ShuttingDown(_) | BrokerState::Unavailable => false,
        }
    }
}

/// A proposal that the controller has not answered.
#[derive(Clone, Debug)]
struct Pending {
    proposal: IsrProposal,
    /// The follower that is to join. It counts as in sync already: that only makes the high watermark stricter, and is
    /// needed as the controller may have committed it. A follower that is to leave counts until the controller says so.
    joining: Option<NodeId>,
}

/// Records that the leader's own disk must have before they are committed or acknowledged (`flush.messages`, `flush.ms`).
#[derive(Clone, Copy, Debug)]
struct Unsynced {
    /// The first of them.
    from: Offset,
    /// The end of the last one that must be synced. What was appended after it is held back only by those before it.
    to: Offset,
}

/// A partition's leader: knows how far each replica has fetched, and from that how far consumers may read.
///
/// It touches no disk, socket or clock: its driver feeds it what happened and carries out the effects, in order. One
/// `Leader` serves a node as long as it leads the partition without a break; newer epochs come by [`Leader::assigned`].
///
/// Invariants, checked after every event:
/// - `log_start <= high_watermark <= log_end`, and the high watermark never moves back.
/// - The high watermark never passes records that have to be synced first, and were not.
/// - No replica in sync, or about to be, is known to end before the high watermark, unless it was so in an older epoch.
/// - The leader is never among its own followers, and always in the ISR that it proposes.
#[derive(Clone, Debug)]
pub struct Leader {
    local: NodeId,
    leader_epoch: LeaderEpoch,
    /// The epoch in which this node began to lead: it has led without a break since.
    led_since: LeaderEpoch,
    /// Where the log ended when this epoch began. Who has less cannot join the ISR.
    epoch_start: Offset,
    partition_epoch: PartitionEpoch,
    log_start: Offset,
    log_end: Offset,
    unsynced: Option<Unsynced>,
    high_watermark: Offset,
    low_watermark: Option<Offset>,
    limits: Limits,
    isr: Vec<NodeId>,
    pending: Option<Pending>,
    followers: Vec<Progress>,
}

/// Compares a request's leader epoch with the one that this replica is in.
pub(crate) fn check_epoch(own: LeaderEpoch, current_leader_epoch: Option<LeaderEpoch>) -> Result<(), Refusal> {
    #[cfg(sim)]
    if planted::has(Bug::ForgetsEpochCheck) {
        return Ok(());
    }
    match current_leader_epoch {
        Some(epoch) if epoch < own => Err(Refusal::FencedLeaderEpoch),
        Some(epoch) if epoch > own => Err(Refusal::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

impl Leader {
    /// This node becomes the leader. The log must have been truncated to what it may keep; the epoch begins at its end.
    pub fn start(local: NodeId, assignment: &Assignment, log: LogEnds, limits: Limits, now: Moment) -> (Self, Effects) {
        assert!(log.start <= log.end, "a log begins before it ends");
        let mut leader = Self {
            local,
            leader_epoch: assignment.leader_epoch,
            led_since: assignment.leader_epoch,
            epoch_start: log.end,
            partition_epoch: assignment.partition_epoch,
            log_start: log.start,
            log_end: log.end,
            unsynced: None,
            high_watermark: log.high_watermark.clamp(log.start, log.end),
            low_watermark: None,
            limits,
            isr: Vec::new(),
            pending: None,
            followers: Vec::new(),
        };
        leader.take_assignment(assignment);
        leader.begin_epoch(now);
        let effects = leader.advance(now);
        (leader, effects)
    }

    /// The metadata has a newer assignment in which this node still leads. An older or equal one changes nothing.
    pub fn assigned(&mut self, assignment: &Assignment, now: Moment) -> Effects {
        let newer = assignment.partition_epoch > self.partition_epoch || assignment.leader_epoch > self.leader_epoch;
        if !newer || assignment.leader_epoch < self.leader_epoch {
            return Effects::default();
        }
        let new_leader_epoch = assignment.leader_epoch > self.leader_epoch;
        self.take_assignment(assignment);
        if new_leader_epoch {
            self.leader_epoch = assignment.leader_epoch;
            self.epoch_start = self.log_end;
            self.begin_epoch(now);
        }
        self.advance(now)
    }

    fn take_assignment(&mut self, assignment: &Assignment) {
        self.partition_epoch = assignment.partition_epoch;
        self.isr.clone_from(&assignment.isr);
        self.pending = None;
        let local = self.local;
        let others = || assignment.replicas.iter().copied().filter(|id| *id != local);
        self.followers.retain(|follower| others().any(|id| id == follower.id));
        for id in others() {
            if !self.followers.iter().any(|follower| follower.id == id) {
                self.followers.push(Progress::new(id));
            }
        }
    }

    /// Followers in sync get the whole lag time to show up again; the others do not hold back the high watermark.
    fn begin_epoch(&mut self, now: Moment) {
        for follower in &mut self.followers {
            let in_sync = self.isr.contains(&follower.id);
            follower.caught_up_at = in_sync.then_some(now);
            follower.last_fetch = in_sync.then_some((self.log_end, now));
        }
    }

    /// A broker has registered, was fenced or unfenced, or begins to shut down.
    pub fn broker_changed(&mut self, broker: NodeId, state: BrokerState, now: Moment) -> Effects {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.id == broker) else {
            return Effects::default();
        };
        follower.broker = state;
        let mut effects = self.advance(now);
        effects.propose_isr = self.expand(broker);
        effects
    }

    /// `min.insync.replicas` or `replica.lag.time.max.ms` has a new value.
    pub fn limits_changed(&mut self, limits: Limits, now: Moment) -> Effects {
        self.limits = limits;
        self.advance(now)
    }

    /// Whether a request that names this leader epoch is meant for this leader in this epoch. `None` is not checked.
    pub fn check_epoch(&self, current_leader_epoch: Option<LeaderEpoch>) -> Result<(), Refusal> {
        check_epoch(self.leader_epoch, current_leader_epoch)
    }

    /// Whether a batch may be appended: with `acks=-1`, only while enough replicas are in sync.
    pub fn may_append(&self, acks: Acks) -> Result<(), Refusal> {
        if acks == Acks::All && self.is_under_min_isr() { Err(Refusal::NotEnoughReplicas) } else { Ok(()) }
    }

    /// The log has grown to `log_end`.
    pub fn appended(&mut self, log_end: Offset, now: Moment) -> Effects {
        assert!(self.log_end <= log_end, "a leader's log only grows within an epoch");
        self.log_end = log_end;
        self.advance(now)
    }

    /// As [`Leader::appended`], where what was appended must be synced before it is committed: report by
    /// [`Leader::synced`]. Followers may have it earlier.
    pub fn appended_unsynced(&mut self, log_end: Offset, now: Moment) -> Effects {
        let from = self.unsynced.map_or(self.log_end, |unsynced| unsynced.from);
        self.unsynced = Some(Unsynced { from, to: log_end });
        self.appended(log_end, now)
    }

    /// The leader's disk has everything before `offset`.
    pub fn synced(&mut self, offset: Offset, now: Moment) -> Effects {
        let Some(unsynced) = self.unsynced else { return Effects::default() };
        let still = (offset < unsynced.to).then(|| Unsynced { from: unsynced.from.max(offset), ..unsynced });
        self.unsynced = still;
        self.advance(now)
    }

    /// Whether records wait for [`Leader::synced`].
    #[must_use]
    pub fn waits_for_sync(&self) -> bool {
        self.unsynced.is_some()
    }

    /// Whether nothing that this node appended as the leader in `epoch` can have been cut off its log since.
    #[must_use]
    pub fn has_led_since(&self, epoch: LeaderEpoch) -> bool {
        self.led_since <= epoch
    }

    /// What became of an append whose last record lies before `end`: one in an epoch since which this node
    /// [has led](Self::has_led_since).
    #[must_use]
    pub fn ack(&self, end: Offset, acks: Acks) -> Ack {
        if self.unsynced.is_some_and(|unsynced| unsynced.from < end) {
            return Ack::Unsynced;
        }
        if acks == Acks::Leader {
            return Ack::Committed;
        }
        if self.high_watermark < end {
            return Ack::Waiting;
        }
        let maximal = self.isr.len() + usize::from(self.joining().is_some());
        if maximal < self.min_isr_effective() { Ack::NotEnoughReplicasAfterAppend } else { Ack::Committed }
    }

    /// Where the log begins if `DeleteRecords` deletes up to `offset` (`None`: up to the high watermark).
    pub fn may_delete_to(&self, offset: Option<Offset>) -> Result<Offset, Refusal> {
        match offset {
            None => Ok(self.high_watermark),
            Some(offset) if (Offset::ZERO..=self.high_watermark).contains(&offset) => Ok(offset),
            Some(_) => Err(Refusal::OffsetOutOfRange),
        }
    }

    /// The log now begins later: old records were deleted. Never beyond the high watermark.
    pub fn log_start_moved(&mut self, log_start: Offset) -> Effects {
        assert!(log_start <= self.high_watermark, "uncommitted records are not deleted");
        self.log_start = self.log_start.max(log_start);
        Effects { low_watermark: self.raise_low_watermark(), ..Effects::default() }
    }

    /// A follower has fetched. Call it once per fetch, also when the fetch is then parked.
    pub fn fetched(&mut self, fetch: FetchedBy, now: Moment) -> Result<Effects, Refusal> {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.id == fetch.follower) else {
            return Err(Refusal::NotAReplica);
        };
        if fetch.broker_epoch.is_some_and(|own| follower.broker.epoch().is_some_and(|known| known > own)) {
            return Err(Refusal::StaleBrokerEpoch);
        }
        if fetch.fetch_offset > self.log_end {
            return Err(Refusal::OffsetOutOfRange);
        }
        if fetch.fetch_offset >= self.log_end {
            follower.caught_up_at = follower.caught_up_at.max(Some(now));
        } else if let Some((leader_end, at)) = follower.last_fetch
            && fetch.fetch_offset >= leader_end
        {
            // It has all that the leader had at its last fetch: small appends in quick succession are no lag.
            follower.caught_up_at = follower.caught_up_at.max(Some(at));
        }
        let moved = follower.log_end != Some(fetch.fetch_offset);
        follower.log_end = Some(fetch.fetch_offset);
        follower.log_start = Some(fetch.log_start);
        follower.broker_epoch = fetch.broker_epoch;
        follower.has_fetched = true;
        follower.last_fetch = Some((self.log_end, now));

        let propose_isr = self.expand(fetch.follower);
        let high_watermark = if moved { self.advance_high_watermark(now) } else { None };
        let low_watermark = self.raise_low_watermark();
        self.check();
        Ok(Effects { high_watermark, low_watermark, propose_isr })
    }

    /// The controller has answered a proposal: this ISR is now committed, at this version.
    pub fn isr_committed(
        &mut self,
        leader_epoch: LeaderEpoch,
        isr: &[NodeId],
        partition_epoch: PartitionEpoch,
        now: Moment,
    ) -> Effects {
        let waited_for = self.pending.is_some();
        if !waited_for || leader_epoch != self.leader_epoch || partition_epoch < self.partition_epoch {
            return Effects::default();
        }
        self.isr = isr.to_vec();
        self.partition_epoch = partition_epoch;
        self.pending = None;
        self.advance(now)
    }

    /// The controller did not take the proposal that was based on `partition_epoch`.
    pub fn isr_refused(&mut self, partition_epoch: PartitionEpoch, refusal: IsrRefusal, now: Moment) -> Effects {
        let Some(pending) = self.pending.as_ref().filter(|p| p.proposal.partition_epoch == partition_epoch) else {
            return Effects::default();
        };
        match refusal {
            IsrRefusal::Unknown => Effects { propose_isr: Some(pending.proposal.clone()), ..Effects::default() },
            IsrRefusal::OutOfDate => Effects::default(),
            IsrRefusal::NotApplied => {
                self.pending = None;
                self.advance(now)
            }
        }
    }

    /// Time has passed: followers that lag for longer than `replica.lag.time.max.ms` are to leave the ISR.
    pub fn tick(&mut self, now: Moment) -> Effects {
        let mut effects = self.advance(now);
        effects.propose_isr = self.shrink(now);
        effects
    }

    /// The moment from which [`Leader::tick`] may have something to do, if nothing else happens before: a follower in sync
    /// then lags for too long. A driver with many partitions may call `tick` of each every half of the lag time instead.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        if self.pending.is_some() {
            return None;
        }
        let in_sync = self.followers.iter().filter(|follower| self.isr.contains(&follower.id));
        let lagging = in_sync.filter(|follower| follower.log_end != Some(self.log_end));
        lagging.filter_map(|f| f.caught_up_at).min().map(|at| at.after(self.limits.lag_max + Duration::from_millis(1)))
    }

    /// Proposes that `id` joins the ISR, if it may: it has all that is committed, and all of older epochs.
    fn expand(&mut self, id: NodeId) -> Option<IsrProposal> {
        if self.pending.is_some() || self.isr.contains(&id) {
            return None;
        }
        let follower = self.followers.iter().find(|follower| follower.id == id)?;
        let in_sync = follower.log_end.is_some_and(|end| end >= self.high_watermark && end >= self.epoch_start);
        if !in_sync || !follower.is_eligible() {
            return None;
        }
        let mut isr = self.isr.clone();
        isr.push(id);
        Some(self.propose(&isr, Some(id)))
    }

    fn shrink(&mut self, now: Moment) -> Option<IsrProposal> {
        if self.pending.is_some() {
            return None;
        }
        let lags = |id: NodeId| {
            let follower = self.followers.iter().find(|follower| follower.id == id);
            !follower.is_some_and(|f| f.is_caught_up(self.log_end, self.limits.lag_max, now))
        };
        let stay: Vec<NodeId> = self.isr.iter().copied().filter(|&id| id == self.local || !lags(id)).collect();
        if stay.len() == self.isr.len() { None } else { Some(self.propose(&stay, None)) }
    }

    fn propose(&mut self, isr: &[NodeId], joining: Option<NodeId>) -> IsrProposal {
        assert!(isr.contains(&self.local), "a leader never proposes to leave its own ISR");
        let epoch_of = |id| self.followers.iter().find(|f| f.id == id).and_then(|f| f.broker_epoch);
        let isr = isr.iter().map(|&broker| IsrMember { broker, broker_epoch: epoch_of(broker) }).collect();
        let proposal = IsrProposal { leader_epoch: self.leader_epoch, partition_epoch: self.partition_epoch, isr };
        self.pending = Some(Pending { proposal: proposal.clone(), joining });
        proposal
    }

    fn advance(&mut self, now: Moment) -> Effects {
        let high_watermark = self.advance_high_watermark(now);
        let low_watermark = self.raise_low_watermark();
        self.check();
        Effects { high_watermark, low_watermark, propose_isr: None }
    }

    /// The high watermark is the smallest log end among the replicas that are in sync, are joining, or have caught up and
    /// will be allowed to join: without waiting for the latter, a quick leader would keep them out for ever.
    fn advance_high_watermark(&mut self, now: Moment) -> Option<Offset> {
        if self.is_under_min_isr() {
            return None;
        }
        let joining = self.joining();
        let mut committed = self.unsynced.map_or(self.log_end, |unsynced| unsynced.from);
        for follower in &self.followers {
            #[cfg(sim)]
            if planted::has(Bug::AdvancesHighWatermarkEarly) {
                break;
            }
            let counts = self.isr.contains(&follower.id) || joining == Some(follower.id);
            if counts || (follower.is_eligible() && follower.is_caught_up(self.log_end, self.limits.lag_max, now)) {
                // A follower that has not fetched yet ends nowhere known, so nothing new is committed.
                committed = committed.min(follower.log_end?);
            }
        }
        if committed <= self.high_watermark {
            return None;
        }
        self.high_watermark = committed;
        Some(committed)
    }

    fn raise_low_watermark(&mut self) -> Option<Offset> {
        let low = self.low_watermark();
        if low <= self.low_watermark {
            return None;
        }
        self.low_watermark = low;
        low
    }

    fn joining(&self) -> Option<NodeId> {
        self.pending.as_ref().and_then(|pending| pending.joining)
    }

    fn min_isr_effective(&self) -> usize {
        self.limits.min_isr.min(self.followers.len() + 1)
    }

    fn check(&self) {
        assert!(self.high_watermark <= self.log_end, "only what is in the log is committed");
        let unsynced_from = self.unsynced.map_or(self.log_end, |unsynced| unsynced.from);
        assert!(self.high_watermark <= unsynced_from, "what must be synced is committed only afterwards");
        assert!(self.log_start <= self.high_watermark, "uncommitted records are not deleted");
        assert!(self.followers.iter().all(|follower| follower.id != self.local), "a leader does not follow itself");
    }

    /// Whether fewer replicas are in sync than `min.insync.replicas` asks for (or than there are replicas at all).
    #[must_use]
    pub fn is_under_min_isr(&self) -> bool {
        self.isr.len() < self.min_isr_effective()
    }

    /// Where every live replica's log begins or has begun, `None` while one has not said so. `DeleteRecords` waits for it.
    #[must_use]
    pub fn low_watermark(&self) -> Option<Offset> {
        let live = self.followers.iter().filter(|follower| follower.broker.epoch().is_some());
        live.map(|follower| follower.log_start).try_fold(self.log_start, |low, start| Some(low.min(start?)))
    }

    /// How far consumers may read: every record before it is committed.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The offset of the first record kept.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Whether the high watermark may be behind what earlier leaders have committed: until everything from before this
    /// epoch is committed, nobody can say where committed records end (KIP-207).
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.high_watermark < self.epoch_start
    }

    /// The followers in sync whose log has `offset` or ends there, each with where it ends: consumers near them may read
    /// there (KIP-392).
    pub fn followers_with(&self, offset: Offset) -> impl Iterator<Item = (NodeId, Offset)> {
        let in_sync = self.followers.iter().filter(|follower| self.isr.contains(&follower.id));
        in_sync.filter_map(move |follower| {
            let (start, end) = follower.log_start.zip(follower.log_end)?;
            (start..=end).contains(&offset).then_some((follower.id, end))
        })
    }

    /// The brokers that follow.
    pub fn followers(&self) -> impl Iterator<Item = NodeId> {
        self.followers.iter().map(|follower| follower.id)
    }

    /// The epoch in which this node leads.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The version of the assignment that is obeyed.
    #[must_use]
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// The replicas in sync, as the controller has committed it.
    #[must_use]
    pub fn isr(&self) -> &[NodeId] {
        &self.isr
    }

    /// Whether the controller has not answered a proposal of this leader yet.
    #[must_use]
    pub fn is_proposing(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a broker is in sync, as the controller has committed it.
    #[must_use]
    pub fn is_in_sync(&self, id: NodeId) -> bool {
        self.isr.contains(&id)
    }

    /// A follower's log end as of its last fetch.
    #[must_use]
    pub fn follower_end(&self, id: NodeId) -> Option<Offset> {
        self.followers.iter().find(|follower| follower.id == id)?.log_end
    }
}
