//! What leader and follower decide about logs that have diverged (KIP-101, KIP-279, and in the fetch itself KIP-595).

use thalweg_base::{LeaderEpoch, Offset};

use crate::leader::Refusal;

/// The end of an epoch in one log: the offset after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch. It is the largest one in that log that is not larger than the one asked for.
    pub epoch: LeaderEpoch,
    /// The start of the next larger epoch, or the log's end if there is none.
    pub end: Offset,
}

/// Leader: whether a follower that fetches at `fetch_offset`, its last record being of `last_fetched_epoch`, has records
/// that the leader lacks. `own` is the end of that epoch in the leader's log, `None` if the log knows no such epoch.
///
/// `Ok(None)`: the logs agree so far, records may follow. `Ok(Some(..))`: the follower must truncate, and gets this as the
/// diverging epoch.
pub fn diverging(
    fetch_offset: Offset,
    last_fetched_epoch: LeaderEpoch,
    own: Option<EpochEnd>,
    log_start: Offset,
) -> Result<Option<EpochEnd>, Refusal> {
    let own = own.ok_or(Refusal::OffsetOutOfRange)?;
    if fetch_offset < log_start {
        return Err(Refusal::OffsetOutOfRange);
    }
    Ok((own.epoch < last_fetched_epoch || own.end < fetch_offset).then_some(own))
}

/// Follower: how much of its log to keep after the leader has named `leaders` as the diverging epoch. `own` is the end of
/// that epoch in the follower's log, `None` if the log has no epoch as small; `log_end` is where the follower's log ends.
///
/// If the follower does not have that very epoch, it keeps the one before and the next fetch finds the next divergence.
#[must_use]
pub fn keep_to(leaders: EpochEnd, own: Option<EpochEnd>, log_end: Offset) -> Offset {
    let common = match own {
        Some(own) if own.epoch == leaders.epoch => own.end.min(leaders.end),
        Some(own) => own.end,
        None => leaders.end,
    };
    common.min(log_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(epoch: i32, end: i64) -> EpochEnd {
        EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }
    }

    fn leader_says(fetch_offset: i64, epoch: i32, own: Option<EpochEnd>) -> Result<Option<EpochEnd>, Refusal> {
        diverging(Offset(fetch_offset), LeaderEpoch(epoch), own, Offset(5))
    }

    #[test]
    fn logs_that_agree_do_not_diverge() {
        assert_eq!(leader_says(10, 2, Some(end(2, 10))), Ok(None));
        assert_eq!(leader_says(10, 2, Some(end(2, 12))), Ok(None));
    }

    #[test]
    fn a_longer_or_unknown_epoch_diverges() {
        assert_eq!(leader_says(13, 2, Some(end(2, 12))), Ok(Some(end(2, 12))));
        assert_eq!(leader_says(10, 3, Some(end(2, 12))), Ok(Some(end(2, 12))));
    }

    #[test]
    fn deleted_or_unknown_history_is_out_of_range() {
        assert_eq!(leader_says(4, 2, Some(end(2, 12))), Err(Refusal::OffsetOutOfRange));
        assert_eq!(leader_says(10, 2, None), Err(Refusal::OffsetOutOfRange));
    }

    #[test]
    fn the_follower_keeps_what_both_have() {
        assert_eq!(keep_to(end(2, 12), Some(end(2, 15)), Offset(20)), Offset(12));
        assert_eq!(keep_to(end(2, 12), Some(end(2, 10)), Offset(20)), Offset(10));
        assert_eq!(keep_to(end(2, 12), Some(end(1, 7)), Offset(20)), Offset(7), "it lacks epoch 2: the one before");
        assert_eq!(keep_to(end(2, 12), None, Offset(20)), Offset(12));
        assert_eq!(keep_to(end(2, 12), None, Offset(9)), Offset(9));
    }
}
