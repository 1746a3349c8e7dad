//! Where reads and appends ended lately: who reads on from there needs no index and no scan.

use thalweg_base::Offset;

/// So many places are remembered: the newest appends, and one for each of some readers that follow the log.
const HINTS_MAX: usize = 32;

/// A place in a log where a batch ends and the next begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// The base offset of its segment.
    pub(crate) base: Offset,
    /// The position in that segment's file.
    pub(crate) position: u64,
}

/// A small ring of places. Every one was true when it was entered; truncation empties the ring.
#[derive(Debug, Default)]
pub(crate) struct PositionHints {
    /// Nothing until something is entered: most logs are idle.
    ring: Vec<(Offset, LogPosition)>,
    next: usize,
}

impl PositionHints {
    /// Enters that the batch with `offset` begins at `position`. The oldest entry goes away, unless the offset is known.
    pub(crate) fn remember(&mut self, offset: Offset, position: LogPosition) {
        if let Some(known) = self.ring.iter_mut().find(|(known, _)| *known == offset) {
            known.1 = position;
            return;
        }
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = (offset, position),
            None => self.ring.push((offset, position)),
        }
        self.next = (self.next + 1) % HINTS_MAX;
    }

    /// Where the batch with `offset` begins, if that is known.
    pub(crate) fn recall(&self, offset: Offset) -> Option<LogPosition> {
        self.ring.iter().find(|(known, _)| *known == offset).map(|(_, position)| *position)
    }
}
