//! What was recorded, and whether what is counted now is still that.

use std::fmt;

use crate::counted::Figure;

/// A figure may differ by so much from what was recorded.
const OFF: f64 = 0.10;
/// Where a count is small, so much is nothing: a tenth of one system call.
const LEAST: f64 = 0.1;

/// What to do about figures that are off.
pub const ADVICE: &str = "Some work is more than 10% off what was recorded. If it has grown, make it cheaper again, or say in \
the commit why it is worth it; in both cases, and when it has shrunk, record what it costs now: cargo xtask work --record";

const HEAD: &str =
    "# What the pieces that decide, and whole requests to a node, cost: counted by `cargo xtask work`, which fails when
# something is 10% dearer, or 10% cheaper without being recorded. Written by `cargo xtask work --record`.
";

/// What was recorded of one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    of: String,
    what: String,
    count: f64,
}

/// The file: a line for each figure.
pub fn print(figures: &[Figure]) -> String {
    let line = |figure: &Figure| format!("{:<24} {:>12} {}\n", figure.of, short(figure.count), figure.what);
    HEAD.to_owned() + &figures.iter().map(line).collect::<String>()
}

/// As many digits as mean something.
fn short(count: f64) -> String {
    if count >= 100.0 { format!("{count:.0}") } else { format!("{count:.2}") }
}

/// The other way.
pub fn parse(text: &str) -> Result<Vec<Recorded>, String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let of = format!("{} {}", words.next()?, words.next()?);
        let count = words.next()?.parse().ok()?;
        let what: Vec<&str> = words.collect();
        Some(Recorded { of, what: what.join(" "), count })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|text| line(text).ok_or_else(|| format!("the baseline says {text:?}"))).collect()
}

/// One figure beside what was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    of: String,
    what: String,
    recorded: Option<f64>,
    counted: Option<f64>,
}

impl Verdict {
    /// Whether it is not what was recorded.
    pub fn is_off(&self) -> bool {
        match (self.recorded, self.counted) {
            (Some(recorded), Some(counted)) => (counted - recorded).abs() > (recorded * OFF).max(LEAST),
            _ => true,
        }
    }

    fn distance(&self) -> f64 {
        match (self.recorded, self.counted) {
            (Some(recorded), Some(counted)) => (counted - recorded).abs(),
            _ => f64::MAX,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_off() { "FAIL" } else { "ok  " };
        let number = |count: Option<f64>| count.map_or_else(|| "none".to_owned(), short);
        let (counted, recorded) = (number(self.counted), number(self.recorded));
        write!(f, "{word} {:<24} {counted:>10} {:<13} recorded {recorded:>10}", self.of, self.what)?;
        match (self.recorded, self.counted) {
            (Some(recorded), Some(counted)) if recorded > 0.0 => {
                write!(f, "  {:+.1}%", (counted / recorded - 1.0) * 100.0)
            }
            _ => Ok(()),
        }
    }
}

/// Every figure that was recorded or counted.
pub fn compare(recorded: &[Recorded], counted: &[Figure]) -> Vec<Verdict> {
    let of_recorded = |old: &Recorded| Verdict {
        of: old.of.clone(),
        what: old.what.clone(),
        recorded: Some(old.count),
        counted: counted.iter().find(|new| new.of == old.of && new.what == old.what).map(|new| new.count),
    };
    let of_new = |new: &Figure| Verdict {
        of: new.of.clone(),
        what: new.what.to_owned(),
        recorded: None,
        counted: Some(new.count),
    };
    let is_new = |new: &&Figure| !recorded.iter().any(|old| new.of == old.of && new.what == old.what);
    recorded.iter().map(of_recorded).chain(counted.iter().filter(is_new).map(of_new)).collect()
}

/// Of two counts of the same figures, whichever is nearer to what was recorded.
pub fn calmer(first: Vec<Verdict>, second: Vec<Verdict>) -> Vec<Verdict> {
    let nearer = |(a, b): (Verdict, Verdict)| if b.distance() < a.distance() { b } else { a };
    first.into_iter().zip(second).map(nearer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(instructions: f64, calls: f64) -> Vec<Figure> {
        let figure = |what, count| Figure { of: "request produce-1".to_owned(), what, count };
        vec![figure("instructions", instructions), figure("system calls", calls)]
    }

    fn off(recorded: &[Figure], counted: &[Figure]) -> Vec<bool> {
        let recorded = parse(&print(recorded)).unwrap();
        compare(&recorded, counted).iter().map(Verdict::is_off).collect()
    }

    #[test]
    fn work_that_grows_or_shrinks_by_more_than_a_tenth_is_off() {
        let recorded = counted(10_000.0, 5.0);
        assert_eq!(off(&recorded, &counted(10_900.0, 5.4)), [false, false]);
        assert_eq!(off(&recorded, &counted(11_100.0, 5.6)), [true, true]);
        assert_eq!(off(&recorded, &counted(8_900.0, 4.4)), [true, true]);
    }

    #[test]
    fn what_was_never_recorded_and_what_is_gone_are_off() {
        let recorded = counted(10_000.0, 5.0);
        assert_eq!(off(&recorded[..1], &recorded), [false, true]);
        assert_eq!(off(&recorded, &recorded[..1]), [false, true]);
    }

    #[test]
    fn a_tenth_of_a_call_is_nothing() {
        assert_eq!(off(&counted(0.0, 0.2), &counted(0.0, 0.28)), [false, false]);
    }
}
