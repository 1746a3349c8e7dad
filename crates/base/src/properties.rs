//! The text format of `server.properties` and `meta.properties`, as `java.util.Properties` reads it.

/// Reads a properties text into its entries, in the order of the text. A key that stands twice appears twice: the last
/// one counts.
///
/// The rules are Java's: `#` and `!` begin comments, `=`, `:` or white space end a key, a backslash at the end of a line
/// joins it with the next, and `\n`, `\t`, `\uXXXX` and the like are escapes. No text is refused; a malformed `\u`
/// escape is kept as it stands.
#[must_use]
pub fn parse(text: &str) -> Vec<(String, String)> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Writes one entry as a line that [`parse`] and Java read back, without the line end.
#[must_use]
pub fn entry(key: &str, value: &str) -> String {
    let key = escape(key).replace(' ', "\\ ").replace('=', "\\=").replace(':', "\\:");
    let mut value = escape(value);
    if value.starts_with(' ') {
        value.insert(0, '\\');
    }
    format!("{key}={value}")
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// Joins continued lines; drops comments and empty lines.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut continued = false;
    for natural in text.split(['\n', '\r']) {
        let line = natural.trim_start_matches([' ', '\t', '\u{c}']);
        if !continued && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let open = line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1;
        let body = if open { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some(last) if continued => last.push_str(body),
            _ => lines.push(body.to_owned()),
        }
        continued = open;
    }
    lines
}

/// Splits a logical line at the first unescaped `=`, `:` or white space.
fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let mut end = line.len();
    for (i, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}') {
            end = i;
            break;
        }
    }
    let blank = [' ', '\t', '\u{c}'];
    let rest = line[end..].trim_start_matches(blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(blank);
    (unescape(&line[..end]), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => match unicode(chars.as_str()) {
                Some(c) => {
                    out.push(c);
                    chars.nth(3);
                }
                None => out.push_str("\\u"),
            },
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn unicode(rest: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(rest.get(..4)?, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(entries: &[(&str, &str)]) -> Vec<(String, String)> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn reads_what_java_reads() {
        let text = "# comment\n! too\n a=1\nb : 2\nc 3\n\nd=x \\\n   y\ne\\ f=g\\=h\nempty=\nalone\ntab=\\t\\u0041\\\\\nk=a=b:c\r\n";
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "x y"),
            ("e f", "g=h"),
            ("empty", ""),
            ("alone", ""),
            ("tab", "\tA\\"),
            ("k", "a=b:c"),
        ];
        assert_eq!(parse(text), pairs(&expected));
    }

    #[test]
    fn a_comment_is_no_comment_inside_a_continued_line() {
        assert_eq!(parse("a=1\\\n#2\n"), pairs(&[("a", "1#2")]));
    }

    #[test]
    fn a_bad_escape_does_not_lose_the_text() {
        assert_eq!(parse("a=\\uZZ"), pairs(&[("a", "\\uZZ")]));
    }

    #[test]
    fn an_entry_is_read_back() {
        for (key, value) in [("a b=c:d", " x\\y\tz\nw"), ("plain", "1,2")] {
            assert_eq!(parse(&entry(key, value)), pairs(&[(key, value)]));
        }
    }
}
