//! Which values of its type a config takes, with Kafka's messages.

use super::ConfigError;
use super::value::Value;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The number that values are compared with.
    pub value: f64,
    /// How messages write it.
    pub text: &'static str,
}

/// Which values of its type a config takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validator {
    /// All of them.
    Any,
    /// Numbers within bounds, both included.
    Range {
        /// The least value.
        min: Option<Bound>,
        /// The greatest value.
        max: Option<Bound>,
    },
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in upper or lower case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list without repeated or empty elements.
    List {
        /// Whether a list without elements will do.
        empty_allowed: bool,
        /// Whether no list at all will do.
        null_allowed: bool,
        /// What elements may be; nothing here means anything.
        of: &'static [&'static str],
    },
    /// Anything but no value.
    NonNull,
    /// Any text but the empty one.
    NonEmptyString,
    /// A level of gzip, or -1.
    GzipLevel,
    /// `*`, or pairs of partition and broker.
    ThrottledReplicas,
    /// Voters as `id@host:port`.
    QuorumVoters,
    /// Addresses as `host:port`.
    QuorumBootstrapServers,
    /// `latest`, `earliest` or `by_duration:` with an ISO 8601 duration.
    ShareOffsetReset,
}

/// Lists with a validator lose repeated elements before they are checked.
pub(super) fn without_repeats(validator: Validator, value: Value) -> Value {
    match (validator, value) {
        (Validator::List { .. }, Value::List(elements)) => {
            let mut kept: Vec<String> = Vec::with_capacity(elements.len());
            for element in elements {
                if !kept.contains(&element) {
                    kept.push(element);
                }
            }
            Value::List(kept)
        }
        (_, value) => value,
    }
}

/// Checks a value that is there: the absence of a value only ever comes from a default.
pub(super) fn check(name: &str, validator: Validator, value: &Value) -> Result<(), ConfigError> {
    let refuse = |why: &str| Err(ConfigError::invalid(name, &value.to_string(), why));
    match validator {
        Validator::Any | Validator::NonNull => Ok(()),
        Validator::Range { min, max } => {
            let Some(n) = value.as_f64() else { return Ok(()) };
            match (min, max) {
                (Some(min), _) if n < min.value => refuse(&format!("Value must be at least {}", min.text)),
                (_, Some(max)) if n > max.value => refuse(&format!("Value must be no more than {}", max.text)),
                _ => Ok(()),
            }
        }
        Validator::OneOf(texts) => match value.as_str() {
            Some(text) if !texts.contains(&text) => refuse(&format!("String must be one of: {}", texts.join(", "))),
            _ => Ok(()),
        },
        Validator::OneOfIgnoringCase(texts) => match value.as_str() {
            Some(text) if !texts.iter().any(|t| t.eq_ignore_ascii_case(text)) => {
                refuse(&format!("String must be one of (case insensitive): {}", texts.join(", ")))
            }
            _ => Ok(()),
        },
        Validator::List { empty_allowed, of, .. } => list(name, empty_allowed, of, value.as_list().unwrap_or_default()),
        Validator::NonEmptyString => match value.as_str() {
            Some("") => refuse("String must be non-empty"),
            _ => Ok(()),
        },
        Validator::GzipLevel => match value.as_i64() {
            Some(-1 | 1..=9) => Ok(()),
            _ => refuse("Value must be between 1 and 9 or equal to -1"),
        },
        Validator::ThrottledReplicas if throttled_replicas(value.as_list().unwrap_or_default()) => Ok(()),
        Validator::ThrottledReplicas => refuse(&format!(
            "{name} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        )),
        Validator::QuorumVoters => value.as_list().unwrap_or_default().iter().try_for_each(|voter| {
            parse_voter(voter)?;
            Ok(())
        }),
        Validator::QuorumBootstrapServers => value.as_list().unwrap_or_default().iter().try_for_each(|server| {
            parse_bootstrap_server(server)?;
            Ok(())
        }),
        Validator::ShareOffsetReset => share_offset_reset(name, value),
    }
}

fn list(name: &str, empty_allowed: bool, of: &[&str], elements: &[String]) -> Result<(), ConfigError> {
    if elements.is_empty() && !empty_allowed {
        let valid = if of.is_empty() { "any non-empty value".to_owned() } else { format!("[{}]", of.join(", ")) };
        return Err(ConfigError::new(format!(
            "Configuration '{name}' must not be empty. Valid values include: {valid}"
        )));
    }
    for element in elements {
        if element.is_empty() {
            return Err(ConfigError::new(format!("Configuration '{name}' values must not be empty.")));
        }
        if !of.is_empty() && !of.contains(&element.as_str()) {
            return Err(ConfigError::invalid(name, element, &format!("String must be one of: {}", of.join(", "))));
        }
    }
    Ok(())
}

/// `*` alone, or pairs of numbers; an empty element is passed over, as Kafka does.
fn throttled_replicas(elements: &[String]) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let pair = |text: &String| text.is_empty() || text.split_once(':').is_some_and(|(p, b)| number(p) && number(b));
    elements.iter().all(pair) || elements.concat() == "*"
}

/// A voter of the static quorum: `id@host:port`.
///
/// # Errors
/// Kafka's message, when a part is missing or no number.
pub fn parse_voter(entry: &str) -> Result<(i32, String, u16), ConfigError> {
    const FORM: &str = "Each entry should be in the form `{id}@{host}:{port}`.";
    let parts: Vec<&str> = entry.trim_end_matches('@').split('@').collect();
    let [id, address] = parts[..] else {
        return Err(ConfigError::new(format!("Invalid configuration value for controller.quorum.voters. {FORM}")));
    };
    let id = id.parse().map_err(|_| ConfigError::new(format!("Failed to parse voter ID as an integer from {id}")))?;
    let part = |what: &str| {
        ConfigError::new(format!(
            "Failed to parse host {what} from entry {entry} for the configuration controller.quorum.voters. {FORM}"
        ))
    };
    let (host, port) = host_port(address).ok_or_else(|| part("name"))?;
    Ok((id, host.to_owned(), port.ok_or_else(|| part("port"))?))
}

/// A controller to ask first: `host:port`.
///
/// # Errors
/// Kafka's message, when a part is missing or no number.
pub fn parse_bootstrap_server(entry: &str) -> Result<(String, u16), ConfigError> {
    let part = |what: &str| {
        ConfigError::new(format!(
            "Failed to parse host {what} from {entry} for the configuration controller.quorum.bootstrap.servers. \
             Each entry should be in the form \"{{host}}:{{port}}\""
        ))
    };
    let (host, port) = host_port(entry).ok_or_else(|| part("name"))?;
    Ok((host.to_owned(), port.ok_or_else(|| part("port"))?))
}

/// The host and the port at the end of an address, which may begin with a protocol and have brackets around an IPv6
/// address. `None` when there is no host; a port out of range is none.
fn host_port(address: &str) -> Option<(&str, Option<u16>)> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, port) = address.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
    host.chars().all(letter).then(|| (host, port.parse().ok()))
}

fn share_offset_reset(name: &str, value: &Value) -> Result<(), ConfigError> {
    let text = value.as_str().unwrap_or_default();
    let refuse = |why: String| Err(ConfigError::invalid(name, text, &why));
    if matches!(text, "latest" | "earliest") {
        return Ok(());
    }
    match text.strip_prefix("by_duration:") {
        Some(duration) if iso_duration(&duration.to_ascii_lowercase()) => Ok(()),
        _ => refuse(format!(
            "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of the \
             format 'by_duration:<PnDTnHnMn.nS>'."
        )),
    }
}

/// An ISO 8601 duration of days, hours, minutes and seconds, in lower case, not negative.
fn iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('p') else { return false };
    let (days, time) = rest.split_once('t').map_or((rest, None), |(days, time)| (days, Some(time)));
    let parts = |text: &str, units: &str| -> Option<usize> {
        let mut count = 0;
        let mut units = units.chars();
        let mut digits = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() || c == '.' && !digits.is_empty() && !digits.contains('.') {
                digits.push(c);
            } else {
                let fits = !digits.is_empty() && units.any(|unit| unit == c) && (c == 's' || !digits.contains('.'));
                if !fits {
                    return None;
                }
                digits.clear();
                count += 1;
            }
        }
        digits.is_empty().then_some(count)
    };
    match (parts(days, "d"), time.map(|time| parts(time, "hms"))) {
        (Some(days), None) => days > 0,
        (Some(_), Some(Some(time))) => time > 0,
        _ => false,
    }
}
