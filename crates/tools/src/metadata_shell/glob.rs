//! Paths with `*`, `?` and `{a,b}`.

use std::rc::Rc;

use regex::Regex;

use super::tree::Node;

/// A node that a path leads to.
pub(super) struct Found<'t, 'a> {
    /// The names on the way from the root.
    pub(super) path: Vec<String>,
    /// The node.
    pub(super) node: &'t Node<'a>,
}

impl Found<'_, '_> {
    /// The last name, or `/` of the root.
    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("/", String::as_str)
    }

    /// The path from the root on.
    pub(super) fn absolute(&self) -> String {
        format!("/{}", self.path.join("/"))
    }
}

/// All nodes that a path leads to, in the order of their names; a path that does not begin with `/` begins at `directory`.
pub(super) fn find<'t, 'a>(root: &'t Node<'a>, directory: &str, path: &str) -> Vec<Found<'t, 'a>> {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut found = Vec::new();
    descend(root, &parts, &mut Vec::new(), &mut found);
    found
}

fn descend<'t, 'a>(node: &'t Node<'a>, parts: &[&str], path: &mut Vec<String>, found: &mut Vec<Found<'t, 'a>>) {
    let Some((part, rest)) = parts.split_first() else {
        found.push(Found { path: path.clone(), node });
        return;
    };
    let Node::Directory(entries) = node else { return };
    let pattern = pattern(part);
    let matching: Vec<(&String, &'t Rc<Node<'a>>)> = match &pattern {
        Some(pattern) => entries.iter().filter(|(name, _)| pattern.is_match(name)).collect(),
        None => entries.get_key_value(*part).into_iter().collect(),
    };
    for (name, node) in matching {
        path.push(name.clone());
        descend(node, rest, path, found);
        path.pop();
    }
}

/// The pattern of a name; `None` for one that stands for itself, or whose groups do not close.
fn pattern(part: &str) -> Option<Regex> {
    let mut text = String::from("^(?s:");
    let (mut is_literal, mut in_group) = (true, false);
    let mut letters = part.chars();
    while let Some(letter) = letters.next() {
        is_literal &= !matches!(letter, '?' | '*' | '{');
        match letter {
            '?' => text.push('.'),
            '*' => text += ".*",
            '\\' => text += &regex::escape(letters.next().unwrap_or('\\').encode_utf8(&mut [0; 4])),
            '{' if in_group => return None,
            '{' => {
                text += "(?:(?:";
                in_group = true;
            }
            ',' if in_group => text += ")|(?:",
            '}' if in_group => {
                text += "))";
                in_group = false;
            }
            other => text += &regex::escape(other.encode_utf8(&mut [0; 4])),
        }
    }
    if is_literal || in_group {
        return None;
    }
    Regex::new(&format!("{text})$")).ok()
}
