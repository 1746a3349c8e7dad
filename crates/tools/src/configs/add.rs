//! Configs to set and to remove, as they stand on the line.

use crate::admin;
use crate::jopt::Line;
use crate::thrown::Thrown;

/// The configs to set, each name once.
pub(super) fn added(line: &Line) -> Result<Vec<(String, String)>, Thrown> {
    let mut added: Vec<(String, String)> = Vec::new();
    let mut set = |name: String, value: String| {
        added.retain(|(other, _)| *other != name);
        added.push((name, value));
    };
    if let Some(path) = line.value("add-config-file")? {
        for (name, value) in thalweg_base::properties::parse(&admin::read_file(path)?) {
            set(name, value);
        }
    }
    if let Some(text) = line.value("add-config")? {
        for part in split_outside(text, ',') {
            let [name, value] = split_outside(part, '=')[..] else {
                return Err(Thrown::illegal_argument(
                    "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
                     \"key=[val1,val2]\" to group values which contain commas.",
                ));
            };
            set(name.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned());
        }
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-$".contains(c);
    match added.iter().find(|(name, _)| !name.chars().all(is_legal)) {
        Some((name, _)) => Err(Thrown::illegal_argument(format!("Invalid character found for config key: {name}"))),
        None => Ok(added),
    }
}

/// The configs to remove.
pub(super) fn deleted(line: &Line) -> Vec<String> {
    line.values("delete-config").iter().map(|name| name.trim().to_owned()).collect()
}

/// Splits a text where a character stands outside of brackets.
fn split_outside(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (index, _) in text.char_indices().filter(|(_, c)| *c == at) {
        let next_bracket = text[index + 1..].chars().find(|c| matches!(c, '[' | ']'));
        if next_bracket != Some(']') {
            parts.push(&text[from..index]);
            from = index + 1;
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_keep_commas_and_signs_together() {
        assert_eq!(split_outside("a=[b,c],d=e", ','), ["a=[b,c]", "d=e"]);
        assert_eq!(split_outside("S=[iterations=1,password=x]", '='), ["S", "[iterations=1,password=x]"]);
        assert_eq!(split_outside("a=b=c", '='), ["a", "b", "c"]);
        assert_eq!(split_outside("a=", '='), ["a", ""]);
    }
}
