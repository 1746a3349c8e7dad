//! What `thalweg produce` and `thalweg consume` share: the cluster that they speak to, and how their words are read.

use bytes::Bytes;
use thalweg_base::Timestamp;
use thalweg_client::{Error, Peer, Properties};

use crate::admin;
use crate::argparse::{Opt, Parsed, value};
use crate::date;
use crate::failure::Failure;
use crate::jopt::key_values;
use crate::legacy::BOOTSTRAP_VARIABLE;

/// `--bootstrap-server`.
pub(crate) const BOOTSTRAP_SERVER: Opt = value(
    "bootstrap-server",
    "HOST:PORT[,...]",
    "The brokers to begin with. Default: those of the cluster in use (`thalweg cluster use`), $THALWEG_BOOTSTRAP_SERVERS, or \
    localhost:9092.",
)
.short('b');
/// `--command-config`.
pub(crate) const COMMAND_CONFIG: Opt =
    value("command-config", "FILE", "A properties file for the client, such as security settings.").short('F');
/// `--property`.
pub(crate) const PROPERTY: Opt =
    value("property", "KEY=VALUE", "A property of the client, by Kafka's name. May be repeated.").short('X').repeated();

/// How long an answer of the cluster is waited for, unless a property says so.
const API_TIMEOUT_MS: &str = "15000";

/// The client's properties.
pub(crate) fn properties(parsed: &Parsed, client_id: &str) -> Result<Properties, Failure> {
    let file = admin::properties_of(parsed.value(COMMAND_CONFIG.name));
    let mut properties = file.map_err(|e| Failure::Message(format!("--command-config: {e}")))?;
    for word in parsed.values(PROPERTY.name) {
        if !word.contains('=') {
            return Err(Failure::Message(format!("--property {word}: it is KEY=VALUE")));
        }
    }
    for (key, value) in key_values(parsed.values(PROPERTY.name)) {
        properties.set(&key, &value);
    }
    if let Some(servers) = parsed.value(BOOTSTRAP_SERVER.name) {
        properties.set("bootstrap.servers", servers);
    }
    let variable = std::env::var(BOOTSTRAP_VARIABLE).ok().filter(|servers| !servers.is_empty());
    properties.set_default("bootstrap.servers", variable.as_deref().unwrap_or("localhost:9092"));
    let servers = properties.get("bootstrap.servers").unwrap_or_default();
    Peer::parse_list(servers).map_err(|e| Failure::Message(format!("--bootstrap-server {servers}: {e}")))?;
    properties.set_default("client.id", client_id);
    properties.set_default("default.api.timeout.ms", API_TIMEOUT_MS);
    Ok(properties)
}

/// Says an error of the client in a line.
pub(crate) fn failed(error: &Error) -> Failure {
    Failure::Message(error.to_string())
}

/// Bytes with `\n`, `\t`, `\r`, `\0`, `\\` and `\xNN` in them.
pub(crate) fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match letters.next() {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = letters.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
                byte.ok_or_else(|| format!("\\x{digits}: two hexadecimal digits are needed"))?
            }
            Some(other) => return Err(format!("\\{other} stands for nothing; a backslash is \\\\")),
            None => return Err("a backslash at the end stands for nothing; a backslash is \\\\".to_owned()),
        });
    }
    Ok(bytes)
}

/// A time: milliseconds since 1970, `2026-12-01`, `2026-12-01T08:00:00Z`, or how long ago, as `-15m` or `-2h30m`.
pub(crate) fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("{text} is no time: milliseconds, 2026-12-01, 2026-12-01T08:00:00Z or -2h");
    if let Ok(ms) = text.parse::<i64>()
        && ms >= 0
    {
        return Ok(Timestamp(ms));
    }
    if let Some(ago) = text.strip_prefix('-') {
        return span_ms(ago).map(|ms| Timestamp(now.0.saturating_sub(ms))).ok_or_else(wrong);
    }
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00") };
    date::parse_iso(&whole).map_err(|_| wrong())
}

/// `2h30m` in milliseconds.
fn span_ms(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let number: i64 = rest[..digits].parse().ok()?;
        let (unit, behind) = ["ms", "s", "m", "h", "d"]
            .into_iter()
            .find_map(|unit| rest[digits..].strip_prefix(unit).map(|behind| (unit, behind)))?;
        let ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        total = total.checked_add(number.checked_mul(ms)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

/// `KEY=VALUE` of a header.
pub(crate) fn header(text: &str) -> Result<(Bytes, Option<Bytes>), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("--header {text}: it is KEY=VALUE"))?;
    Ok((Bytes::copy_from_slice(key.as_bytes()), Some(Bytes::copy_from_slice(value.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(unescaped(r"a\tb\n\x00\xff\\ü").as_deref(), Ok(&b"a\tb\n\0\xff\\\xc3\xbc"[..]));
        for wrong in [r"\q", r"\x1", "\\"] {
            assert!(unescaped(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_absolute_or_ago() {
        let now = Timestamp(1_000_000_000);
        for (text, ms) in [
            ("17", 17),
            ("-2h30m", 1_000_000_000 - 9_000_000),
            ("-1d", 1_000_000_000 - 86_400_000),
            ("-10ms", 999_999_990),
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:01:00Z", 60_000),
            ("1970-01-01T01:00:00.5+0100", 5),
        ] {
            assert_eq!(time(text, now), Ok(Timestamp(ms)), "{text}");
        }
        for wrong in ["", "-", "soon", "-2", "-2w", "2026-13"] {
            assert!(time(wrong, now).is_err(), "{wrong}");
        }
    }
}
