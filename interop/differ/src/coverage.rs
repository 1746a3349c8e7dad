//! Whether the scenarios ask everything that the node says it serves.

use std::collections::{BTreeMap, BTreeSet};

use crate::play::Pair;
use crate::schema::{Schema, served};
use crate::value::Value;

/// What a listener of the node advertises, and what it has answered. The two kinds of listeners are looked at apart.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    listeners: BTreeMap<&'static str, Listener>,
}

/// Versions by the key of their API.
type Versions = BTreeMap<i16, BTreeSet<i16>>;

#[derive(Debug, Default)]
struct Listener {
    advertised: Versions,
    answered: Versions,
}

impl Coverage {
    /// Takes in one request and what the node answered.
    pub(crate) fn add(&mut self, schema: &Schema, found: &Pair) {
        let (connection, request) = match found.request.strip_prefix('@') {
            Some(named) => named.split_once(' ').unwrap_or_default(),
            None => ("", found.request.as_str()),
        };
        let place = if connection.starts_with("controller") { "controllers" } else { "brokers" };
        let listener = self.listeners.entry(place).or_default();
        let name = request.split(' ').next().unwrap_or_default();
        let key = schema.message(&format!("{name}Request")).ok().and_then(|message| message.key);
        // What is no struct is a closed connection, or bytes under another version.
        let (Some(key), Some(version), Value::Struct(_)) = (key, found.version, &found.answer) else { return };
        listener.answered.entry(key).or_default().insert(version);
        if name == "ApiVersions" {
            listener.advertise(&found.answer);
        }
    }

    /// A line for each API of which an advertised version was never answered.
    pub(crate) fn missing(&self, schema: &Schema) -> Vec<String> {
        let mut lines = Vec::new();
        for (place, listener) in &self.listeners {
            for (key, advertised) in &listener.advertised {
                // Kafka advertises versions of Produce that it does not serve, for clients that look for them.
                let served = schema.request(*key).map(served);
                let answered = listener.answered.get(key);
                let missing: Vec<String> = advertised
                    .iter()
                    .filter(|version| served.as_ref().is_none_or(|served| served.contains(version)))
                    .filter(|version| answered.is_none_or(|answered| !answered.contains(version)))
                    .map(i16::to_string)
                    .collect();
                if !missing.is_empty() {
                    let name = schema.request(*key).map_or("an unknown API", |m| m.name().trim_end_matches("Request"));
                    lines.push(format!("{name} on the listener of {place}: version {}", missing.join(" ")));
                }
            }
        }
        lines
    }
}

impl Listener {
    fn advertise(&mut self, answer: &Value) {
        let Some(Value::List(apis)) = answer.field("apiKeys") else { return };
        let number = |api: &Value, name: &str| api.field(name).map_or(Ok(0), |value| value.line().parse::<i16>());
        for api in apis {
            if let (Ok(key), Ok(low), Ok(high)) =
                (number(api, "apiKey"), number(api, "minVersion"), number(api, "maxVersion"))
            {
                self.advertised.entry(key).or_default().extend(low..=high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;
    use crate::play::Pair;
    use crate::schema::Schema;
    use crate::value::parse;

    #[test]
    fn a_version_that_is_advertised_must_be_answered_on_the_same_kind_of_listener() {
        let schema = Schema::load(&crate::home().join("../..")).expect("the schema files");
        let mut coverage = Coverage::default();
        let mut play = |request: &str, version, answer: &str| {
            let answer = parse(answer).expect("a value");
            coverage.add(&schema, &Pair { turn: 0, request: request.to_owned(), version: Some(version), answer });
        };
        play("ApiVersions", 0, "{apiKeys=[{apiKey=18} {apiKey=3 minVersion=4 maxVersion=6}]}");
        play("@controller ApiVersions", 0, "{apiKeys=[{apiKey=18} {apiKey=43 maxVersion=1}]}");
        play("@b Metadata topics=[]", 4, "{}");
        play("Metadata topics=[]", 5, "<closed>");
        play("ElectLeaders", 0, "{}");
        play("@controller ElectLeaders", 1, "{}");
        let missing = coverage.missing(&schema);
        assert_eq!(
            missing,
            [
                "Metadata on the listener of brokers: version 5 6",
                "ElectLeaders on the listener of controllers: version 0"
            ]
        );
    }
}
