//! What the configs of a client metrics subscription must fulfil (KIP-714).

use super::table::ConfigTable;
use super::{ConfigError, ConfigMap};

/// What clients may be told apart by.
const MATCHED: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Why a subscription is refused: Kafka gives the two kinds different error codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubscription {
    /// `INVALID_REQUEST`
    #[error("{0}")]
    Request(String),
    /// `INVALID_CONFIG`
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Checks everything that a subscription would have set.
///
/// # Errors
/// Kafka's message about the first thing that is wrong.
pub fn validate_client_metrics(name: &str, subscription: &ConfigMap) -> Result<(), InvalidSubscription> {
    if name.is_empty() {
        return Err(InvalidSubscription::Request("Subscription name can't be empty".to_owned()));
    }
    if let Some(unknown) = subscription.keys().find(|name| ConfigTable::CLIENT_METRICS.get(name).is_none()) {
        return Err(InvalidSubscription::Request(format!("Unknown client metrics configuration: {unknown}")));
    }
    for (name, text) in subscription {
        let Some(value) = ConfigTable::CLIENT_METRICS.get(name).map(|def| def.parse(text)).transpose()? else {
            continue;
        };
        match (&**name, value.as_i64(), value.as_list()) {
            ("interval.ms", Some(ms), _) if !(100..=3_600_000).contains(&ms) => {
                return Err(InvalidSubscription::Request(format!(
                    "Invalid value {ms} for {name}, interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            ("match", _, Some(patterns)) => {
                if let Some(pattern) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
                    return Err(ConfigError::new(format!("Illegal client matching pattern: {pattern}")).into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `what=regular expression`, without another `=`. Kafka compiles the expression as well.
fn is_pattern(pattern: &str) -> bool {
    let mut parts = pattern.trim_end_matches('=').split('=');
    let (Some(what), Some(expression), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    MATCHED.contains(&what.trim()) && is_balanced(expression)
}

/// Whether brackets close: what is wrong with most expressions that Java does not compile.
fn is_balanced(expression: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0_i32, false, false);
    for c in expression.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '[' if !class => class = true,
            ']' if class => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && !class && !escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(name: &str, configs: &[(&str, &str)]) -> Result<(), String> {
        let configs = configs.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))).collect();
        validate_client_metrics(name, &configs).map_err(|error| error.to_string())
    }

    #[test]
    fn subscriptions_are_checked_as_kafka_does() {
        assert_eq!(
            check("m", &[("match", "client_id=a.*,client_source_port=9[0-9]+"), ("interval.ms", "100")]),
            Ok(())
        );
        let cases = [
            ("", "match", "client_id=a", "Subscription name can't be empty"),
            ("m", "none", "1", "Unknown client metrics configuration: none"),
            ("m", "match", "bad", "Illegal client matching pattern: bad"),
            ("m", "match", "who=a", "Illegal client matching pattern: who=a"),
            ("m", "match", "client_id=a=b", "Illegal client matching pattern: client_id=a=b"),
            ("m", "match", "client_id=(a", "Illegal client matching pattern: client_id=(a"),
            (
                "m",
                "interval.ms",
                "10",
                "Invalid value 10 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
            ),
        ];
        for (name, config, value, message) in cases {
            assert_eq!(check(name, &[(config, value)]), Err(message.to_owned()));
        }
    }
}
