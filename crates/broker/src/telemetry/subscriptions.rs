//! Which metrics are wanted of which clients: the client-metrics configs of the cluster (KIP-714).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytestring::ByteString;
use regex::bytes::{Regex, RegexBuilder};
use thalweg_base::Uuid;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{ConfigMap, ConfigTable};
use thalweg_metadata::image::ConfigResourceType;

/// How often a client pushes that no subscription wants anything of.
pub(super) const INTERVAL_MS_DEFAULT: i32 = 300_000;
/// Stands for all metrics.
const ALL: &str = "*";
/// How large a compiled expression may be: far above what names of clients take. Java knows no such limit.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A client, by what subscriptions tell clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) instance_id: Uuid,
    /// What its requests call themselves.
    pub(crate) id: Option<ByteString>,
    pub(crate) software_name: ByteString,
    pub(crate) software_version: ByteString,
    pub(crate) address: SocketAddr,
}

impl Client {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "client_instance_id" => Some(self.instance_id.to_string()),
            "client_id" => self.id.as_ref().map(ToString::to_string),
            "client_software_name" => Some(self.software_name.to_string()),
            "client_software_version" => Some(self.software_version.to_string()),
            "client_source_address" => Some(self.address.ip().to_canonical().to_string()),
            "client_source_port" => Some(self.address.port().to_string()),
            _ => None,
        }
    }
}

/// One subscription.
#[derive(Clone, Debug)]
struct Subscription {
    metrics: Vec<String>,
    interval_ms: i32,
    /// What the client must match, all of it. An expression that this node cannot compile matches nobody.
    patterns: Vec<(String, Option<Regex>)>,
}

/// Every subscription, in the order of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions {
    /// As they were configured: says whether others are the same.
    configs: Vec<(Arc<str>, ConfigMap)>,
    all: Vec<Subscription>,
}

/// What is wanted of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) metrics: Vec<String>,
    pub(super) interval_ms: i32,
}

impl Subscriptions {
    /// Those of the cluster, and the expressions that cannot be compiled.
    pub(crate) fn read(image: &MetadataImage) -> (Self, Vec<String>) {
        let mut this = Self::default();
        let mut odd = Vec::new();
        let configs = image.configs().iter().filter(|(resource, _)| resource.kind == ConfigResourceType::ClientMetrics);
        for (resource, configs) in configs {
            this.all.push(Subscription::read(configs, &mut odd));
            this.configs.push((Arc::clone(&resource.name), configs.clone()));
        }
        (this, odd)
    }

    /// Whether these are the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.configs == other.configs
    }

    /// What all of them together want of a client.
    pub(super) fn wanted(&self, client: &Client) -> Wanted {
        let mut metrics = BTreeSet::new();
        let mut interval_ms = INTERVAL_MS_DEFAULT;
        for subscription in self.all.iter().filter(|subscription| subscription.matches(client)) {
            metrics.extend(subscription.metrics.iter().cloned());
            interval_ms = interval_ms.min(subscription.interval_ms);
        }
        if metrics.contains(ALL) {
            metrics = BTreeSet::from([ALL.to_owned()]);
        }
        Wanted { metrics: metrics.into_iter().collect(), interval_ms }
    }
}

impl Subscription {
    fn read(configs: &ConfigMap, odd: &mut Vec<String>) -> Self {
        let value = |name: &str| {
            let def = ConfigTable::CLIENT_METRICS.get(name)?;
            def.parse(configs.get(name)?).ok()
        };
        let list = |name: &str| -> Vec<String> {
            let value = value(name);
            let list = value.as_ref().and_then(|value| value.as_list());
            list.map(|list| list.iter().map(ToString::to_string).collect()).unwrap_or_default()
        };
        let mut pattern = |text: &String| {
            let (name, expression) = text.split_once('=').unwrap_or((text, ""));
            let expression = expression.trim_end_matches('=').trim();
            let compiled = compile(expression);
            if compiled.is_none() {
                odd.push(expression.to_owned());
            }
            (name.trim().to_owned(), compiled)
        };
        let interval = value("interval.ms").and_then(|value| value.as_i64()).and_then(|ms| i32::try_from(ms).ok());
        Self {
            metrics: list("metrics"),
            interval_ms: interval.unwrap_or(INTERVAL_MS_DEFAULT),
            patterns: list("match").iter().map(&mut pattern).collect(),
        }
    }

    fn matches(&self, client: &Client) -> bool {
        self.patterns.iter().all(|(name, pattern)| {
            let attribute = client.attribute(name);
            attribute.zip(pattern.as_ref()).is_some_and(|(text, pattern)| pattern.is_match(text.as_bytes()))
        })
    }
}

/// An expression that all of a text must match. Java's classes are those of ASCII, too.
fn compile(expression: &str) -> Option<Regex> {
    let whole = format!("\\A(?:{expression})\\z");
    let mut builder = RegexBuilder::new(&whole);
    builder.unicode(false).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use thalweg_base::Offset;
    use thalweg_wire::messages::ConfigRecord;

    use super::*;

    /// The subscriptions of a cluster with these configs: the subscription's name, the config's, and its text.
    pub(in crate::telemetry) fn subscriptions(configs: &[(&str, &str, &str)]) -> Subscriptions {
        let mut image = MetadataImage::default();
        for (resource, name, value) in configs {
            let record = ConfigRecord {
                resource_type: ConfigResourceType::ClientMetrics.id(),
                resource_name: (*resource).into(),
                name: (*name).into(),
                value: Some((*value).into()),
            };
            image.replay(&record.into(), Offset::ZERO);
        }
        Subscriptions::read(&image).0
    }

    pub(in crate::telemetry) fn client(instance: u8) -> Client {
        Client {
            instance_id: Uuid([instance; 16]),
            id: Some("app-1".into()),
            software_name: "apache-kafka-java".into(),
            software_version: "4.3.1".into(),
            address: "127.0.0.1:5000".parse().expect("an address"),
        }
    }

    fn wanted(configs: &[(&str, &str, &str)]) -> (Vec<String>, i32) {
        let Wanted { metrics, interval_ms } = subscriptions(configs).wanted(&client(7));
        (metrics, interval_ms)
    }

    #[test]
    fn a_client_is_asked_for_what_the_subscriptions_that_match_it_want_together() {
        let two = [
            ("a", "metrics", "org.apache.kafka.producer.,other."),
            ("a", "interval.ms", "20000"),
            ("a", "match", "client_software_name=apache-.*,client_source_port=5[0-9]{3}"),
            ("b", "metrics", "other."),
            ("b", "match", "client_source_address=127\\.0\\.0\\.1"),
        ];
        assert_eq!(wanted(&two), (vec!["org.apache.kafka.producer.".to_owned(), "other.".to_owned()], 20_000));
        assert_eq!(wanted(&[("a", "metrics", "x,*"), ("b", "metrics", "y")]), (vec!["*".to_owned()], 300_000));
        assert_eq!(wanted(&[]), (Vec::new(), 300_000));
    }

    #[test]
    fn an_expression_has_to_match_all_of_an_attribute() {
        for (pattern, matches) in [
            ("client_id=app", false),
            ("client_id=app.*", true),
            ("client_id=(?i)APP-\\d", true),
            ("client_software_version=4.3.1", true),
            ("client_instance_id=BwcHBwcHBwcHBwcHBwcHBw", true),
            ("client_id=(?=app).*", false),
        ] {
            let metrics = wanted(&[("a", "metrics", "m"), ("a", "match", pattern)]).0;
            assert_eq!(!metrics.is_empty(), matches, "{pattern}");
        }
    }
}
