//! A partition's follower.

#[cfg(sim)]
use thalweg_base::planted::{self, Bug};
use thalweg_base::{LeaderEpoch, NodeId, Offset};

use crate::epochs::{EpochEnd, keep_to};
use crate::leader::{LogEnds, Refusal, check_epoch};

#[cfg(test)]
mod tests;

/// What a follower asks its leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// Whom to ask.
    pub leader: NodeId,
    /// The epoch in which it leads.
    pub leader_epoch: LeaderEpoch,
    /// From where: the follower's log end.
    pub fetch_offset: Offset,
    /// The epoch of the follower's last record, so that the leader notices a divergence.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Where the follower's log begins.
    pub log_start: Offset,
}

/// What the leader's answer says beside the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderAnswer {
    /// Records follow, perhaps none.
    Records {
        /// The leader's high watermark.
        high_watermark: Offset,
        /// Where the leader's log begins.
        log_start: Offset,
    },
    /// The follower has records that the leader lacks. `own` is the end of that epoch in the follower's log.
    Diverging {
        /// What the leader says.
        leaders: EpochEnd,
        /// What the follower's log says about the same epoch.
        own: Option<EpochEnd>,
    },
    /// `OFFSET_OUT_OF_RANGE`, after the driver has asked (ListOffsets) where the leader's log begins and ends.
    OutOfRange {
        /// Where the leader's log begins.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// `FENCED_LEADER_EPOCH`: there is a newer leader that the metadata will name.
    Fenced,
}

/// What the driver must do, in the order of the fields.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerEffects {
    /// Drop every record from this offset on.
    pub truncate_to: Option<Offset>,
    /// Drop the whole log and begin again at this offset.
    pub start_over_at: Option<Offset>,
    /// Records of the answer may be appended; report by [`Follower::appended`].
    pub append: bool,
    /// The log begins here now: older segments may go.
    pub log_start: Option<Offset>,
    /// The high watermark has this value now. It moves back only with a truncation below it.
    pub high_watermark: Option<Offset>,
}

/// A partition's follower: fetches from one leader in one epoch, and keeps its log a prefix of the leader's.
///
/// The order of one round: [`Follower::next_fetch`], the answer's [`Follower::answered`], the append's
/// [`Follower::appended`]. Answers to another fetch than the current one must be dropped: [`Follower::is_current`].
///
/// Invariants:
/// - `log_start <= high_watermark <= log_end` after every event.
/// - It never truncates unless the leader said that the logs have diverged, or that its own is out of range.
#[derive(Clone, Debug)]
pub struct Follower {
    leader: NodeId,
    leader_epoch: LeaderEpoch,
    log_start: Offset,
    log_end: Offset,
    last_epoch: Option<LeaderEpoch>,
    high_watermark: Offset,
    /// What the leader said last; more may be committed than is here yet.
    leaders_high_watermark: Offset,
    leaders_log_start: Offset,
    fenced: bool,
}

impl Follower {
    /// This node follows `leader` in `leader_epoch`. `last_epoch` is the epoch of the log's last record, if there is one.
    #[must_use]
    pub fn start(leader: NodeId, leader_epoch: LeaderEpoch, log: LogEnds, last_epoch: Option<LeaderEpoch>) -> Self {
        assert!(log.start <= log.end, "a log begins before it ends");
        Self {
            leader,
            leader_epoch,
            log_start: log.start,
            log_end: log.end,
            last_epoch,
            high_watermark: log.high_watermark.clamp(log.start, log.end),
            leaders_high_watermark: Offset::ZERO,
            leaders_log_start: Offset::ZERO,
            fenced: false,
        }
    }

    /// The metadata names a leader in a newer epoch. An older or equal epoch changes nothing.
    pub fn led_by(&mut self, leader: NodeId, leader_epoch: LeaderEpoch) {
        if leader_epoch > self.leader_epoch {
            self.leader = leader;
            self.leader_epoch = leader_epoch;
            self.leaders_high_watermark = Offset::ZERO;
            self.leaders_log_start = Offset::ZERO;
            self.fenced = false;
        }
    }

    /// What to ask for next, `None` while the metadata has to name a newer leader first.
    #[must_use]
    pub fn next_fetch(&self) -> Option<FetchFrom> {
        (!self.fenced).then_some(FetchFrom {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            fetch_offset: self.log_end,
            last_fetched_epoch: self.last_epoch,
            log_start: self.log_start,
        })
    }

    /// Whether an answer to `fetch` still counts: nothing was appended, truncated or newly elected since.
    #[must_use]
    pub fn is_current(&self, fetch: &FetchFrom) -> bool {
        !self.fenced
            && (self.leader, self.leader_epoch, self.log_end) == (fetch.leader, fetch.leader_epoch, fetch.fetch_offset)
    }

    /// The leader has answered the current fetch. After a truncation the driver reports by [`Follower::truncated`].
    pub fn answered(&mut self, answer: LeaderAnswer) -> FollowerEffects {
        match answer {
            LeaderAnswer::Records { high_watermark, log_start } => {
                self.leaders_high_watermark = high_watermark;
                self.leaders_log_start = log_start;
                FollowerEffects { append: true, ..FollowerEffects::default() }
            }
            #[cfg(sim)]
            LeaderAnswer::Diverging { .. } if planted::has(Bug::SkipsTruncation) => FollowerEffects::default(),
            LeaderAnswer::Diverging { leaders, own } => self.truncate(keep_to(leaders, own, self.log_end)),
            LeaderAnswer::OutOfRange { end, .. } if end < self.log_end => self.truncate(end),
            LeaderAnswer::OutOfRange { start, .. } if start > self.log_end => self.start_over(start),
            LeaderAnswer::OutOfRange { .. } => FollowerEffects::default(),
            LeaderAnswer::Fenced => {
                self.fenced = true;
                FollowerEffects::default()
            }
        }
    }

    /// Below its own start a log cannot be truncated: it is emptied then, and begins at that offset.
    fn truncate(&mut self, to: Offset) -> FollowerEffects {
        if to < self.log_start {
            return self.start_over(to);
        }
        self.log_end = to;
        let lowered = (to < self.high_watermark).then_some(to);
        self.high_watermark = self.high_watermark.min(to);
        self.check();
        FollowerEffects { truncate_to: Some(to), high_watermark: lowered, ..FollowerEffects::default() }
    }

    fn start_over(&mut self, at: Offset) -> FollowerEffects {
        self.log_start = at;
        self.log_end = at;
        self.last_epoch = None;
        self.high_watermark = at;
        self.check();
        FollowerEffects { start_over_at: Some(at), high_watermark: Some(at), ..FollowerEffects::default() }
    }

    /// The log was truncated as told; its last record is now of `last_epoch`.
    pub fn truncated(&mut self, last_epoch: Option<LeaderEpoch>) {
        self.last_epoch = last_epoch;
        #[cfg(sim)]
        if planted::has(Bug::SkipsTruncation) {
            self.last_epoch = None;
        }
    }

    /// The answer's records (perhaps none) were appended: the log ends at `log_end`, its last record is of `last_epoch`.
    pub fn appended(&mut self, log_end: Offset, last_epoch: Option<LeaderEpoch>) -> FollowerEffects {
        assert!(self.log_end <= log_end, "appending does not shorten the log");
        self.log_end = log_end;
        self.last_epoch = last_epoch;
        let committed = self.leaders_high_watermark.clamp(self.log_start, self.log_end);
        let high_watermark = (committed > self.high_watermark).then_some(committed);
        self.high_watermark = self.high_watermark.max(committed);
        let start = self.leaders_log_start.min(self.high_watermark);
        let log_start = (start > self.log_start).then_some(start);
        self.log_start = self.log_start.max(start);
        self.check();
        FollowerEffects { high_watermark, log_start, ..FollowerEffects::default() }
    }

    /// The log begins later: old records were deleted here. Never beyond the high watermark.
    pub fn log_start_moved(&mut self, log_start: Offset) {
        assert!(log_start <= self.high_watermark, "uncommitted records are not deleted");
        self.log_start = self.log_start.max(log_start);
    }

    /// Whether a request that names this leader epoch is meant for this follower in this epoch (KIP-392). `None` is not
    /// checked.
    pub fn check_epoch(&self, current_leader_epoch: Option<LeaderEpoch>) -> Result<(), Refusal> {
        check_epoch(self.leader_epoch, current_leader_epoch)
    }

    fn check(&self) {
        assert!(self.log_start <= self.high_watermark, "the log begins with committed records");
        assert!(self.high_watermark <= self.log_end, "only what is in the log is committed");
    }

    /// How far consumers may read here (KIP-392).
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// How many records between the end of the log here and the high watermark that the leader named last.
    #[must_use]
    pub fn lag(&self) -> u64 {
        u64::try_from(self.leaders_high_watermark.0 - self.log_end.0).unwrap_or(0)
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

    /// The leader that is followed.
    #[must_use]
    pub fn leader(&self) -> NodeId {
        self.leader
    }

    /// The epoch in which it leads.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }
}
