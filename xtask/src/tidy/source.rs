//! One Rust file, as the rules look at it: the code without comments and literals, split into tests and the rest.

/// A file with its text in three forms. All have the same lines, so that a position in one is a line in each.
pub struct Source<'a> {
    /// The path from the root of the repository.
    pub path: &'a str,
    /// The text as it is.
    pub text: &'a str,
    /// Comments, strings and characters blanked.
    pub code: String,
    /// `code` with test modules blanked as well; empty for a file that holds only tests.
    pub shipped: String,
    /// The comments alone.
    pub comments: String,
}

impl<'a> Source<'a> {
    /// Reads a file.
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let (code, comments) = split(text);
        let shipped = if only_tests(path) { String::new() } else { without_test_modules(&code) };
        Self { path, text, code, shipped, comments }
    }

    /// The crate that the file belongs to: `wire` for `crates/wire/src/lib.rs`.
    pub fn krate(&self) -> &'a str {
        let path = self.path.strip_prefix("crates/").unwrap_or(self.path);
        path.split('/').next().unwrap_or(path)
    }

    /// Functions with a body: name, line, and how many lines they take.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let code = self.code.as_bytes();
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let name: String =
                self.code[at + 2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(open) = body_of(code, at) else { continue };
            let close = matching_brace(code, open);
            if !name.is_empty() {
                found.push((name, line_of(&self.code, at), lines_between(code, at, close)));
            }
        }
        found
    }
}

/// Where `word` stands in `code` as a word of its own. It may hold `::`, `!`, `(` and the like.
pub fn words(code: &str, word: &str) -> Vec<usize> {
    let part_of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (bytes, starts, ends) = (code.as_bytes(), word.as_bytes().first(), word.as_bytes().last());
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !part_of_word(starts) || *at == 0 || !part_of_word(bytes.get(at - 1)))
        .filter(|at| !part_of_word(ends) || !part_of_word(bytes.get(at + word.len())))
        .collect()
}

/// The line of a position, counted from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a file holds tests, or measures, and nothing that is shipped.
pub fn only_tests(path: &str) -> bool {
    let folders = ["/tests/", "/examples/", "/benches/"];
    folders.iter().any(|folder| path.contains(folder)) || path.ends_with("tests.rs") || path.starts_with("crates/sim/")
}

fn lines_between(code: &[u8], from: usize, to: usize) -> usize {
    code[from..to].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The opening brace of the function whose `fn` is at `at`, unless it has no body.
fn body_of(code: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0;
    for (offset, byte) in code[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at + offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The end of the block that opens at `open`.
fn matching_brace(code: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    code.len()
}

/// Blanks every `#[cfg(test)] mod name { .. }`, also with further conditions.
pub fn without_test_modules(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    let attributes = ["#[cfg(test)]", "#[cfg(all(test"];
    for (at, attribute) in attributes.iter().flat_map(|attribute| code.match_indices(attribute)) {
        let after = at + attribute.len() + code[at + attribute.len()..].find('\n').unwrap_or(0);
        let Some(open) = body_of(code.as_bytes(), after) else { continue };
        let end = (matching_brace(code.as_bytes(), open) + 1).min(bytes.len());
        blank(&mut bytes[at..end]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// The code with everything else blanked, and the comments with everything else blanked.
fn split(text: &str) -> (String, String) {
    let mut code = text.as_bytes().to_vec();
    let mut comments = vec![b' '; code.len()];
    let mut at = 0;
    while at < code.len() {
        let (end, comment) = literal_or_comment(text.as_bytes(), at);
        if comment {
            comments[at..end].copy_from_slice(&text.as_bytes()[at..end]);
        }
        blank(&mut code[at..end]);
        at = end.max(at + 1);
    }
    for (comment, byte) in comments.iter_mut().zip(text.as_bytes()) {
        if *byte == b'\n' {
            *comment = b'\n';
        }
    }
    (String::from_utf8_lossy(&code).into_owned(), String::from_utf8_lossy(&comments).into_owned())
}

/// The end of the comment or literal that begins at `at` (`at` itself when none does), and whether it is a comment.
fn literal_or_comment(text: &[u8], at: usize) -> (usize, bool) {
    let rest = &text[at..];
    if rest.starts_with(b"//") {
        (at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()), true)
    } else if rest.starts_with(b"/*") {
        (at + block_comment(rest), true)
    } else if let Some(length) = raw_string(text, at) {
        (at + length, false)
    } else if rest[0] == b'"' {
        (at + quoted(rest), false)
    } else if rest[0] == b'\'' {
        (at + character(rest), false)
    } else {
        (at, false)
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a raw string that begins at `at`: `r"..."`, `br#"..."#`.
fn raw_string(text: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|before| text[before]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let rest = &text[at..];
    let start =
        if rest.starts_with(b"br") || rest.starts_with(b"cr") { 2 } else { usize::from(rest.starts_with(b"r")) };
    let hashes = rest.get(start..)?.iter().take_while(|byte| **byte == b'#').count();
    if start == 0 || rest.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = start + hashes + 1;
    let length = rest[body..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| body + length + end.len()))
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character literal; 1 for the quote of a lifetime.
fn character(rest: &[u8]) -> usize {
    let text = String::from_utf8_lossy(&rest[..rest.len().min(16)]).into_owned();
    let mut inner = text.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) => rest
            .iter()
            .skip(2)
            .position(|byte| *byte == b'\'')
            .map_or(1, |at| if rest[2] == b'\'' { 4 } else { at + 3 }),
        (Some(one), Some('\'')) if one != '\'' => 2 + one.len_utf8(),
        _ => 1,
    }
}
