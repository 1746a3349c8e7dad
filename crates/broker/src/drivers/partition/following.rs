//! A partition that another broker leads: what it is asked for, and what its answers do to the log here.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, NodeId, Offset};
use thalweg_records::BatchHeader;
use thalweg_replica::epochs::EpochEnd;
use thalweg_replica::{FetchFrom, Follower, FollowerEffects, LeaderAnswer};
use thalweg_storage::{AppendError, Fault, Log};
use thalweg_wire::ErrorCode;
use tracing::{info, warn};

use super::followed::{BeforeNext, Fetched, FollowedUp};
use super::role::Role;
use super::{Partition, State};
use crate::drivers::clock::timestamp;

impl State {
    /// The metadata says that `leader` leads. Gives what to ask it for.
    pub(super) fn follow(&mut self, leader: NodeId, leader_epoch: LeaderEpoch) -> Result<FollowedUp, Fault> {
        let Self { log: Some(log), role, .. } = self else { return Ok(FollowedUp::Stop) };
        if let Role::Follower(follower) = role {
            follower.led_by(leader, leader_epoch);
            return Ok(FollowedUp::after(follower.next_fetch(), BeforeNext::Nothing));
        }
        let mut was_cut = false;
        let mut high_watermark = role.high_watermark().max(log.log_start());
        if log.latest_epoch().is_none() && log.log_end() > high_watermark {
            // Nothing tells where it parts from the leader's: what is committed is the same (KIP-101).
            was_cut = log.truncate_to(high_watermark, timestamp())?;
        }
        high_watermark = high_watermark.min(log.log_end());
        *role = Role::Idle { high_watermark };
        let ends = role.ends(log.log_start(), log.log_end());
        let follower = Follower::start(leader, leader_epoch, ends, log.latest_epoch());
        let next = follower.next_fetch();
        *role = Role::Follower(follower);
        self.wake_all();
        Ok(FollowedUp::after(next, if was_cut { BeforeNext::Checkpoint } else { BeforeNext::Nothing }))
    }
}

impl Partition {
    /// Does what the leader's answer to `asked` says.
    pub(crate) fn follow_up(&self, asked: &FetchFrom, fetched: Fetched) -> FollowedUp {
        let mut state = self.lock();
        let State { log: Some(log), role: Role::Follower(follower), .. } = &mut *state else {
            return FollowedUp::Stop;
        };
        if !follower.is_current(asked) {
            return FollowedUp::after(follower.next_fetch(), BeforeNext::Nothing);
        }
        let done = match fetched {
            Fetched::Records { bytes, high_watermark, log_start } => {
                let effects = follower.answered(LeaderAnswer::Records { high_watermark, log_start });
                assert!(effects.append, "records are appended");
                append(log, follower, bytes, asked)
            }
            Fetched::Diverging(leaders) => {
                let own = log.end_offset_for_epoch(leaders.epoch).map(|(epoch, end)| EpochEnd { epoch, end });
                let effects = follower.answered(LeaderAnswer::Diverging { leaders, own });
                info!(partition = %self.id, from = asked.fetch_offset.0, ?effects.truncate_to, "the log has parted from the leader's and is truncated");
                cut(log, follower, effects)
            }
            Fetched::OutOfRange { start, end } => {
                let effects = follower.answered(LeaderAnswer::OutOfRange { start, end });
                warn!(partition = %self.id, from = asked.fetch_offset.0, leaders_start = start.0, leaders_end = end.0, "the log ends outside of the leader's");
                cut(log, follower, effects)
            }
            Fetched::Failed(ErrorCode::OffsetOutOfRange) => return FollowedUp::AskForEnds,
            Fetched::Failed(ErrorCode::FencedLeaderEpoch) => {
                let _ = follower.answered(LeaderAnswer::Fenced);
                return FollowedUp::Stop;
            }
            Fetched::Failed(_) => return FollowedUp::Later,
        };
        let effects = match done {
            Ok(effects) => effects,
            Err(AppendError::Refused(refusal)) => {
                warn!(partition = %self.id, at = asked.fetch_offset.0, error = %refusal, "what the leader sent cannot be appended");
                return FollowedUp::Later;
            }
            Err(AppendError::Fault(fault)) => {
                self.fail(&mut state, &fault);
                return FollowedUp::Stop;
            }
        };
        let next = follower.next_fetch();
        let was_cut = effects.truncate_to.is_some() || effects.start_over_at.is_some();
        let before_next = match log.is_flush_due(timestamp()) {
            _ if was_cut => BeforeNext::Checkpoint,
            true => BeforeNext::Flush,
            false => BeforeNext::Nothing,
        };
        self.take_follower_effects(&mut state, effects);
        FollowedUp::after(next, before_next)
    }

    fn take_follower_effects(&self, state: &mut State, effects: FollowerEffects) {
        state.touch();
        let Some(log) = state.log.as_mut() else { return };
        if let Some(start) = effects.log_start
            && let Err(fault) = log.advance_log_start(start)
        {
            return self.fail(state, &fault);
        }
        if let Some(high_watermark) = effects.high_watermark {
            log.replicated(high_watermark);
            state.wake_all();
        }
    }
}

/// Appends what the leader sent, as it is.
fn append(
    log: &mut Log,
    follower: &mut Follower,
    bytes: Bytes,
    asked: &FetchFrom,
) -> Result<FollowerEffects, AppendError> {
    if bytes.is_empty() {
        return Ok(follower.appended(log.log_end(), log.latest_epoch()));
    }
    match first_across_start(log, &bytes) {
        None => {
            log.append_as_follower(bytes, asked.leader_epoch, timestamp())?;
        }
        Some(first) => append_across_start(log, first, bytes, asked.leader_epoch)?,
    }
    Ok(follower.appended(log.log_end(), log.latest_epoch()))
}

/// Where the first batch begins, if the leader's log begins inside of it: an empty log takes all of it.
fn first_across_start(log: &Log, bytes: &Bytes) -> Option<Offset> {
    let start = log.log_start();
    let first = BatchHeader::parse(bytes).ok()?;
    let is_whole = bytes.len() >= first.size();
    let is_across = Offset::ZERO <= first.base_offset && first.base_offset < start && start <= first.last_offset();
    (start == log.log_end() && is_whole && is_across).then_some(first.base_offset)
}

fn append_across_start(log: &mut Log, first: Offset, bytes: Bytes, epoch: LeaderEpoch) -> Result<(), AppendError> {
    let start = log.log_start();
    log.truncate_fully_and_start_at(first, timestamp())?;
    let appended = log.append_as_follower(bytes, epoch, timestamp());
    if !matches!(appended, Ok(Some(_))) {
        log.truncate_fully_and_start_at(start, timestamp())?;
    }
    appended?;
    log.advance_log_start(start)?;
    Ok(())
}

/// Cuts the log as the follower has decided.
fn cut(log: &mut Log, follower: &mut Follower, effects: FollowerEffects) -> Result<FollowerEffects, AppendError> {
    if let Some(to) = effects.truncate_to {
        log.truncate_to(to, timestamp())?;
    }
    if let Some(at) = effects.start_over_at {
        log.truncate_fully_and_start_at(at, timestamp())?;
    }
    follower.truncated(log.latest_epoch());
    Ok(effects)
}
