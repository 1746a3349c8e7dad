//! Java's regular expressions that choose topics.

use regex::Regex;
use thalweg_metadata::topic_name;

use crate::thrown::Thrown;

/// Topics whose whole name matches a pattern.
#[derive(Clone, Debug)]
pub struct IncludeList {
    pattern: Regex,
}

impl IncludeList {
    /// Reads a pattern. A comma separates alternatives, blanks and quotes around it are dropped, as Kafka does.
    ///
    /// # Errors
    /// `RuntimeException`, when it is none.
    pub fn new(text: &str) -> Result<Self, Thrown> {
        let quotes = ['"', '\''];
        let cleaned = text.trim().replace(',', "|").replace(' ', "");
        let cleaned = cleaned.trim_matches(quotes);
        match Regex::new(&format!("^(?:{cleaned})$")) {
            Ok(pattern) => Ok(Self { pattern }),
            Err(_) => Err(Thrown::new("java.lang.RuntimeException", format!("{cleaned} is an invalid regex."))),
        }
    }

    /// Reads a pattern as it stands.
    ///
    /// # Errors
    /// `PatternSyntaxException`, when it is none.
    pub fn pattern(text: &str) -> Result<Self, Thrown> {
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(pattern) => Ok(Self { pattern }),
            Err(e) => {
                let what = if e.to_string().contains("unclosed group") { "Unclosed group" } else { "Illegal pattern" };
                let text = format!("{what} near index {}\n{text}", text.chars().count());
                Err(Thrown::new("java.util.regex.PatternSyntaxException", text))
            }
        }
    }

    /// Whether a topic is chosen.
    #[must_use]
    pub fn allows(&self, topic: &str, excludes_internal: bool) -> bool {
        self.pattern.is_match(topic) && !(excludes_internal && topic_name::is_internal(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match_one_alternative() -> Result<(), Thrown> {
        let list = IncludeList::new(" 'a.*, b' ")?;
        assert!(list.allows("abc", false) && list.allows("b", false) && !list.allows("bc", false));
        assert!(!IncludeList::new(".*")?.allows("__consumer_offsets", true));
        assert_eq!(IncludeList::new("a(").unwrap_err().text(), "a( is an invalid regex.");
        Ok(())
    }
}
