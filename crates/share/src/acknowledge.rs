//! Acknowledgement: a member says what shall become of the records that it holds.

use thalweg_base::Moment;

use crate::ack_type::AckType;
use crate::acquire::Span;
use crate::partition::{Limits, RunState, SharePartition, Write};

/// What a member says of neighbouring records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckBatch {
    /// Which records.
    pub span: Span,
    /// What shall become of them: one for all, or one for each.
    pub types: Vec<AckType>,
}

/// Why an acknowledgement is refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckRefusal {
    /// The records begin behind everything that was ever delivered.
    FirstPastAcquired,
    /// The records end behind everything that was ever delivered.
    LastPastAcquired,
    /// They were never delivered.
    NotFound,
    /// They are not held by anybody.
    NotAcquired,
    /// Another member holds them.
    NotOwner,
    /// They were acknowledged, and that is being written.
    Settling,
    /// The group does not let members ask for more time.
    RenewDisabled,
    /// The number of types fits no records.
    Types,
}

impl AckRefusal {
    /// What the client is told, in Kafka's words.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::FirstPastAcquired => "Batch record not found. The first offset in request is past acquired records.",
            Self::LastPastAcquired => "Batch record not found. The last offset in request is past acquired records.",
            Self::NotFound => "Batch record not found. The request batch offsets are not found in the cache.",
            Self::NotAcquired => "The batch cannot be acknowledged. The batch is not in the acquired state.",
            Self::NotOwner => "Member is not the owner of batch record",
            Self::Settling => "The record state is invalid. The acknowledgement of delivery could not be completed.",
            Self::RenewDisabled => "Renewing acquisition locks is not enabled for the group.",
            Self::Types => "Invalid acknowledge type",
        }
    }

    /// Whether the request contradicts itself; otherwise the records are not in the right state.
    #[must_use]
    pub fn is_invalid_request(self) -> bool {
        matches!(self, Self::FirstPastAcquired | Self::LastPastAcquired | Self::Types)
    }
}

impl SharePartition {
    /// A member acknowledges records, all of them or none. What is to be kept is reported with
    /// [`SharePartition::written`]; until then the records stay with the member.
    ///
    /// # Errors
    /// If the member does not hold one of them.
    pub fn acknowledge(
        &mut self,
        now: Moment,
        member: &str,
        batches: &[AckBatch],
        limits: Limits,
    ) -> Result<Option<Write>, AckRefusal> {
        let mut settled = Vec::new();
        for batch in batches.iter().filter(|batch| batch.span.last >= self.start) {
            self.check_range(batch.span)?;
            for (span, ack) in pieces(batch, self.start)? {
                if ack == AckType::Renew && !limits.renew {
                    return Err(AckRefusal::RenewDisabled);
                }
                self.check_held(span, member)?;
                settled.push((span.first, span.last, ack));
            }
        }
        settled.sort_by_key(|(first, ..)| *first);
        if settled.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
            return Err(AckRefusal::Settling);
        }
        for (first, last, _) in settled.iter().filter(|(.., ack)| *ack == AckType::Renew) {
            self.renew(now, *first, *last, limits);
        }
        let write = self.settle(settled, limits);
        self.prune();
        self.check();
        Ok(write)
    }

    fn check_range(&self, span: Span) -> Result<(), AckRefusal> {
        match span {
            _ if self.runs.is_empty() => Err(AckRefusal::NotFound),
            Span { first, .. } if first >= self.next => Err(AckRefusal::FirstPastAcquired),
            Span { last, .. } if last >= self.next => Err(AckRefusal::LastPastAcquired),
            _ => Ok(()),
        }
    }

    fn check_held(&self, span: Span, member: &str) -> Result<(), AckRefusal> {
        let before = self.runs.range(..span.first).next_back().filter(|(_, run)| run.last >= span.first);
        for (_, run) in before.into_iter().chain(self.runs.range(span.first..=span.last)) {
            match &run.state {
                RunState::Acquired(lock) if &*lock.member == member => {}
                RunState::Acquired(_) => return Err(AckRefusal::NotOwner),
                RunState::Settling(..) => return Err(AckRefusal::Settling),
                RunState::At(_) => return Err(AckRefusal::NotAcquired),
            }
        }
        Ok(())
    }

    fn renew(&mut self, now: Moment, first: i64, last: i64, limits: Limits) {
        self.split(first);
        self.split(last + 1);
        let due = now.after(limits.lock_duration);
        for (_, run) in self.runs.range_mut(first..=last) {
            if let RunState::Acquired(lock) = &mut run.state {
                lock.due = due;
            }
        }
        // An earlier look finds nothing to do and sets the next one.
        self.check_at = Some(self.check_at.map_or(due, |at| at.min(due)));
    }
}

/// The records from `start` on, taken apart by what shall become of them.
fn pieces(batch: &AckBatch, start: i64) -> Result<Vec<(Span, AckType)>, AckRefusal> {
    let Span { first, last } = batch.span;
    if let [ack] = *batch.types {
        return Ok(vec![(Span { first: first.max(start), last }, ack)]);
    }
    if last.checked_sub(first).and_then(|more| usize::try_from(more).ok()) != batch.types.len().checked_sub(1) {
        return Err(AckRefusal::Types);
    }
    let mut pieces: Vec<(Span, AckType)> = Vec::new();
    for (offset, ack) in (first..=last).zip(&batch.types).filter(|(offset, _)| *offset >= start) {
        match pieces.last_mut() {
            Some((span, before)) if before == ack => span.last = offset,
            _ => pieces.push((Span { first: offset, last: offset }, *ack)),
        }
    }
    Ok(pieces)
}
