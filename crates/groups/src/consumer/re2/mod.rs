//! Regular expressions in RE2's syntax, matched in linear time.
//!
//! The engine is the crate `regex`, whose syntax is nearly RE2's. Where they differ, an expression is rewritten: see
//! [`translate`]. What is no expression is refused in the words of RE2/J, which Kafka's clients show to their users.

mod translate;

use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled expression may be, in bytes: far above what names of topics take. RE2/J knows no such limit.
const SIZE_MAX: usize = 1 << 20;

/// How long an expression may be, in bytes: what a record of the log can hold.
const LEN_MAX: usize = i16::MAX as usize;

/// A compiled regular expression that whole names match.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// If it is none, or takes too much memory, which says why.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() > LEN_MAX {
            return Err("expression is too long");
        }
        let whole = format!("\\A(?:{})\\z", translate::translate(text)?);
        let built = RegexBuilder::new(&whole).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build();
        // What is left to go wrong: the size, and how deep groups are nested.
        built.map(Self).map_err(|_| "expression is too large")
    }

    /// Whether all of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that expressions are held against; then expressions with what RE2/J 1.8 makes of them, as Kafka 4.3.1
    /// uses it: `error` and why, or `ok` and a digit for each name.
    const GOLDEN: &str = include_str!("golden.txt");

    #[test]
    fn expressions_mean_what_they_mean_to_kafka() {
        let (names, lines) = GOLDEN.split_once('\n').unwrap();
        let names: Vec<&str> = names.split(' ').collect();
        for line in lines.lines() {
            let (text, expected) = line.split_once('\t').unwrap();
            let got = match Pattern::new(text) {
                Ok(pattern) => {
                    let digit = |name: &&str| if pattern.matches(name) { '1' } else { '0' };
                    format!("ok {}", names.iter().map(digit).collect::<String>())
                }
                Err(why) => format!("error {why}"),
            };
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn an_expression_has_its_limits() {
        assert_eq!(Pattern::new("((a{1000}){1000}){1000}").err(), Some("expression is too large"));
        assert_eq!(Pattern::new(&"(".repeat(10_000)).err(), Some("missing closing )"));
        let deep = format!("{}{}", "(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(Pattern::new(&deep).err(), Some("expression is too large"));
        assert_eq!(Pattern::new(&"a".repeat(40_000)).err(), Some("expression is too long"));
    }
}
