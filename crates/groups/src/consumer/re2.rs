//! Regular expressions in RE2's syntax, matched in linear time.

use regex::{Regex, RegexBuilder};

/// How large a compiled expression may be, in bytes: far above what names of topics take.
const SIZE_MAX: usize = 1 << 20;

/// A compiled regular expression that whole names match.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// If it is none, which says why.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let whole = format!("\\A(?:{text})\\z");
        let built = RegexBuilder::new(&whole).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build();
        built.map(Self).map_err(|why| why.to_string())
    }

    /// Whether all of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
