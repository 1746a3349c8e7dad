//! Log lines that would repeat themselves: the first is written, the following ones are counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::Moment;

/// After so long a line is written again, with the number of those that were left out.
const PERIOD_MS: i64 = 60_000;
/// So many subjects are told apart; further ones count as one. Whoever causes the lines may choose their texts.
const SUBJECTS_MAX: usize = 100;
/// Under this subject all further ones are counted.
const OTHERS: &str = "";

/// Decides which of many lines about the same subject are written: the first at once, then one a minute.
#[derive(Debug, Default)]
pub struct Repeats {
    subjects: BTreeMap<Box<str>, Subject>,
}

#[derive(Debug)]
struct Subject {
    written: Moment,
    left_out: u64,
}

/// How many lines were left out since the last one about the same. As a text it goes to the end of a line: empty, or
/// ` (and 17 more in the last minutes)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(pub u64);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " (and {count} more in the last minutes)"),
        }
    }
}

impl Repeats {
    /// Something is to be logged about `subject`: `Some` if the line is to be written now.
    pub fn note(&mut self, subject: &str, now: Moment) -> Option<LeftOut> {
        let is_known = self.subjects.contains_key(subject);
        if !is_known && self.subjects.len() >= SUBJECTS_MAX {
            self.subjects.retain(|_, known| now.since(known.written).as_millis() < PERIOD_MS.unsigned_abs().into());
        }
        let subject = if is_known || self.subjects.len() < SUBJECTS_MAX { subject } else { OTHERS };
        let Some(known) = self.subjects.get_mut(subject) else {
            self.subjects.insert(subject.into(), Subject { written: now, left_out: 0 });
            return Some(LeftOut(0));
        };
        if now.since(known.written).as_millis() < PERIOD_MS.unsigned_abs().into() {
            known.left_out += 1;
            return None;
        }
        known.written = now;
        Some(LeftOut(std::mem::take(&mut known.left_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_written_and_the_next_ones_are_counted() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.note("disk", Moment(0)), Some(LeftOut(0)));
        assert_eq!(repeats.note("disk", Moment(1)), None);
        assert_eq!(repeats.note("disk", Moment(59_999)), None);
        assert_eq!(repeats.note("clock", Moment(59_999)), Some(LeftOut(0)));
        assert_eq!(repeats.note("disk", Moment(60_000)), Some(LeftOut(2)));
        assert_eq!(repeats.note("disk", Moment(60_001)), None);
        assert_eq!(format!("x{}{}", LeftOut(0), LeftOut(2)), "x (and 2 more in the last minutes)");
    }

    #[test]
    fn subjects_are_bounded_and_come_back_after_a_while() {
        let mut repeats = Repeats::default();
        let written = (0..1000).filter(|n| repeats.note(&n.to_string(), Moment(5)).is_some()).count();
        assert_eq!(written, SUBJECTS_MAX + 1);
        assert!(repeats.subjects.len() <= SUBJECTS_MAX + 1);
        assert_eq!(repeats.note("new", Moment(60_005)), Some(LeftOut(0)));
        assert_eq!(repeats.subjects.len(), 1);
    }
}
