//! What clients have pushed, as it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thalweg_base::{Moment, Uuid};

use super::otlp::{Attribute, Kind, Point, Sink};
use super::subscriptions::Client;

/// So many numbers of one client are shown: a Java consumer of 1,000 partitions has some 5,000.
const SERIES_OF_CLIENT_MAX: usize = 10_000;
/// And so many of all: 100,000 take about 30 MB.
const SERIES_MAX: usize = 100_000;
/// So many things are shown that are told of a client as a whole.
const FACTS_MAX: usize = 16;
/// The name of a number with its attributes takes no more than this.
const LABELS_BYTES_MAX: usize = 1024;

/// One number of a client: its name, and its attributes as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// How a number stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) is_counter: bool,
    pub(crate) value: f64,
}

/// A client that is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) client: Client,
    /// What it tells of itself besides, such as its group.
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) numbers: BTreeMap<Series, Number>,
    expires: Moment,
}

/// See the module.
///
/// Invariant: `series` is how many numbers all clients have together, [`SERIES_MAX`] at most.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    clients: BTreeMap<Uuid, Shown>,
    series: usize,
    /// How many numbers were not taken: there were too many, their names were too long, or of an unknown kind.
    dropped: u64,
}

impl Pushed {
    /// What a client has pushed counts until then.
    pub(crate) fn begin(&mut self, client: Client, expires: Moment) -> Push<'_> {
        let new = || Shown { client: client.clone(), facts: BTreeMap::new(), numbers: BTreeMap::new(), expires };
        let shown = self.clients.entry(client.instance_id).or_insert_with(new);
        shown.expires = expires;
        shown.client = client;
        Push { shown, series: &mut self.series, dropped: &mut self.dropped }
    }

    /// What is too old is shown no more.
    pub(crate) fn expire(&mut self, now: Moment) {
        self.clients.retain(|_, shown| shown.expires > now);
        self.series = self.clients.values().map(|shown| shown.numbers.len()).sum();
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Shown> {
        self.clients.values()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// A push that is being read.
pub(crate) struct Push<'a> {
    shown: &'a mut Shown,
    series: &'a mut usize,
    dropped: &'a mut u64,
}

impl Sink for Push<'_> {
    fn resource(&mut self, name: &str, value: Attribute<'_>) {
        let (name, value) = (label(name), value.to_string());
        let has_room = self.shown.facts.len() < FACTS_MAX || self.shown.facts.contains_key(&name);
        if has_room && name.len() + value.len() <= LABELS_BYTES_MAX {
            self.shown.facts.insert(name, value);
        }
    }

    fn point(&mut self, point: &Point<'_>) {
        let is_counter = point.kind != Kind::Gauge && point.monotonic;
        let bytes: usize = point.attributes.iter().map(|(name, value)| name.len() + length(value)).sum();
        if point.name.len() + bytes > LABELS_BYTES_MAX {
            *self.dropped += 1;
            return;
        }
        let series = Series { name: metric(point.name, is_counter), labels: labels(&point.attributes) };
        if let Some(number) = self.shown.numbers.get_mut(&series) {
            number.value = if point.kind == Kind::Delta { number.value + point.value } else { point.value };
        } else if self.shown.numbers.len() >= SERIES_OF_CLIENT_MAX || *self.series >= SERIES_MAX {
            *self.dropped += 1;
        } else {
            self.shown.numbers.insert(series, Number { is_counter, value: point.value });
            *self.series += 1;
        }
    }

    fn skipped(&mut self) {
        *self.dropped += 1;
    }
}

fn length(value: &Attribute<'_>) -> usize {
    match value {
        Attribute::Text(text) => text.len(),
        _ => 24,
    }
}

/// `org.apache.kafka.producer.x` is shown as `org_apache_kafka_producer_x`, a counter with `_total` behind it. Names that
/// might be the node's own begin with `client_`.
fn metric(name: &str, is_counter: bool) -> String {
    let mut shown = String::with_capacity(name.len() + 16);
    if !name.starts_with("org.apache.kafka.") {
        shown.push_str("client_");
    }
    shown.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    if is_counter && !shown.ends_with("_total") {
        shown.push_str("_total");
    }
    shown
}

fn label(name: &str) -> String {
    let mut shown = String::with_capacity(name.len() + 1);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        shown.push('_');
    }
    shown.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    shown
}

/// Sorted, each name once, and none that says who the client is.
fn labels(attributes: &[(&str, Attribute<'_>)]) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::with_capacity(attributes.len());
    for (name, value) in attributes {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{value}");
        labels.push((label(name), text));
    }
    labels.retain(|(name, _)| name != "client_instance_id" && name != "client_id");
    labels.sort();
    labels.dedup_by(|a, b| a.0 == b.0);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otlp::read;
    use crate::telemetry::otlp::tests::push;
    use crate::telemetry::subscriptions::tests::client;

    fn shown(pushed: &Pushed) -> Vec<String> {
        let of = |shown: &Shown| {
            let numbers = shown.numbers.iter();
            let text = |(series, number): (&Series, &Number)| {
                format!("{}{:?} {} {}", series.name, series.labels, number.is_counter, number.value)
            };
            numbers.map(text).collect::<Vec<_>>()
        };
        pushed.clients().flat_map(of).collect()
    }

    fn pushing(pushed: &mut Pushed, bytes: &[u8], expires: i64) {
        read(bytes, &mut pushed.begin(client(1), Moment(expires))).expect("it is well formed");
    }

    #[test]
    fn what_was_counted_since_the_last_push_is_added_and_the_rest_is_replaced() {
        let mut pushed = Pushed::default();
        for value in [2.0, 3.0] {
            pushing(&mut pushed, &push("org.apache.kafka.a.b", value, Some(1)), 10);
            pushing(&mut pushed, &push("org.apache.kafka.c", value, Some(2)), 10);
            pushing(&mut pushed, &push("kafka.server-x", value, None), 10);
        }
        let labels = "[(\"topic\", \"t\")]";
        let expected = [
            format!("client_kafka_server_x{labels} false 3"),
            format!("org_apache_kafka_a_b_total{labels} true 5"),
            format!("org_apache_kafka_c_total{labels} true 3"),
        ];
        assert_eq!(shown(&pushed), expected);
        let facts: Vec<_> = pushed.clients().flat_map(|shown| shown.facts.clone()).collect();
        assert_eq!(facts, [("group_id".to_owned(), "g".to_owned())]);
    }

    #[test]
    fn a_client_shows_no_more_numbers_than_it_may_and_none_that_are_old() {
        let mut pushed = Pushed::default();
        for index in 0..SERIES_OF_CLIENT_MAX + 5 {
            pushing(&mut pushed, &push(&format!("m{index}"), 1.0, None), 10);
        }
        assert_eq!((shown(&pushed).len(), pushed.dropped()), (SERIES_OF_CLIENT_MAX, 5));
        pushing(&mut pushed, &push(&"n".repeat(2000), 1.0, None), 10);
        assert_eq!(pushed.dropped(), 6);
        pushed.expire(Moment(9));
        assert_eq!(pushed.series, SERIES_OF_CLIENT_MAX);
        pushed.expire(Moment(10));
        assert_eq!((pushed.series, shown(&pushed).len()), (0, 0));
    }
}
