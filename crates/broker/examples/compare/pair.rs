//! Asks both nodes and compares.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::RangeInclusive;

use thalweg_wire::Request;
use thalweg_wire::messages as m;

use crate::side::{Answer, Side};

/// The two nodes.
pub(crate) struct Pair {
    reference: Side,
    tested: Side,
    pub(crate) compared: u32,
    pub(crate) differing: u32,
    /// Differences that were printed already.
    seen: BTreeSet<String>,
}

impl Pair {
    pub(crate) fn new(reference: &str, tested: &str) -> Self {
        let (reference, tested) = (Side::new(reference), Side::new(tested));
        Self { reference, tested, compared: 0, differing: 0, seen: BTreeSet::new() }
    }

    /// Asks at every version that Kafka 4.3 serves and that can say it.
    pub(crate) fn all<Q: Request>(&mut self, what: &str, build: impl Fn(&Side) -> Q)
    where
        Q::Response: Debug,
    {
        self.at(what, versions::<Q>(), build);
    }

    /// Asks at some versions.
    pub(crate) fn at<Q: Request>(&mut self, what: &str, versions: RangeInclusive<i16>, build: impl Fn(&Side) -> Q)
    where
        Q::Response: Debug,
    {
        for version in versions {
            self.one(what, version, &build, |_, _| {});
        }
    }

    /// Asks at the latest version.
    pub(crate) fn last<Q: Request>(&mut self, what: &str, build: impl Fn(&Side) -> Q)
    where
        Q::Response: Debug,
    {
        self.one(what, *versions::<Q>().end(), build, |_, _| {});
    }

    /// Asks once; `note` sees each answer.
    pub(crate) fn one<Q: Request>(
        &mut self,
        what: &str,
        version: i16,
        build: impl Fn(&Side) -> Q,
        note: impl Fn(&mut Side, &Q::Response),
    ) where
        Q::Response: Debug,
    {
        let mut shown = Vec::new();
        for side in [&mut self.reference, &mut self.tested] {
            let request = build(side);
            shown.push(match side.ask(&request, version) {
                Answer::Decoded(response) => {
                    note(side, &response);
                    normalized(side, &format!("{response:#?}"))
                }
                Answer::Broken(why) => vec![why],
                Answer::Unsaid => return,
            });
        }
        self.compare(&format!("{} {what}", Q::API.name()), version, &shown[0], &shown[1]);
    }

    /// Sends the same bytes to both.
    pub(crate) fn raw(&mut self, what: &str, frame: &[u8]) {
        let show = |side: &mut Side| match side.raw(frame) {
            Ok(bytes) => vec![format!("{bytes:?}")],
            Err(why) => vec![why],
        };
        let (reference, tested) = (show(&mut self.reference), show(&mut self.tested));
        self.compare(what, -1, &reference, &tested);
    }

    /// Learns a topic's id.
    pub(crate) fn learn(&mut self, name: &str) {
        for side in [&mut self.reference, &mut self.tested] {
            let topic = m::metadata_request::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
            let request = m::MetadataRequest {
                topics: Some(vec![topic]),
                allow_auto_topic_creation: false,
                ..Default::default()
            };
            // A topic that was created a moment ago may take another moment to be seen.
            for _ in 0..100 {
                let Answer::Decoded(response) = side.ask(&request, 12) else { continue };
                let Some(topic) = response.topics.first().filter(|topic| topic.error_code == 0) else { continue };
                if topic.partitions.iter().all(|partition| partition.error_code == 0) {
                    side.ids.insert(name.to_owned(), topic.topic_id);
                    break;
                }
            }
        }
    }

    fn compare(&mut self, what: &str, version: i16, reference: &[String], tested: &[String]) {
        self.compared += 1;
        if reference == tested {
            return;
        }
        self.differing += 1;
        let lines = difference(reference, tested);
        let changed: Vec<&str> = lines.iter().filter(|line| !line.starts_with(' ')).map(String::as_str).collect();
        let api = what.split(' ').next().unwrap_or_default();
        if self.seen.insert(format!("{api}{}", changed.join("\n"))) {
            println!("== {what}, version {version}\n{}", lines.join("\n"));
        } else {
            println!("== {what}, version {version}: as above");
        }
    }
}

/// The versions that Kafka 4.3 serves.
pub(crate) fn versions<Q: Request>() -> RangeInclusive<i16> {
    let advertised = Q::API.advertised_versions(thalweg_wire::Unstable::Hidden);
    (*advertised.start()).max(Q::LOW)..=*advertised.end()
}

/// The answer's lines, without what must differ.
fn normalized(side: &Side, text: &str) -> Vec<String> {
    let name = |value: &str| side.ids.iter().find(|(_, id)| id.to_string() == value).map(|(name, _)| name.clone());
    let line = |line: &str| {
        let Some((field, value)) = line.split_once(": ") else {
            // The cluster's id stands alone on its line.
            return if is_cluster_id(line.trim()) { "<cluster>".to_owned() } else { line.to_owned() };
        };
        let value = value.trim_end_matches(',');
        let shown = match field.trim() {
            "topic_id" if value.chars().all(|c| c == 'A') => None,
            "topic_id" => Some(name(value).unwrap_or_else(|| "some".to_owned())),
            "port" | "log_append_time_ms" | "session_id" | "finalized_features_epoch" | "producer_id" => {
                let number: i64 = value.parse().unwrap_or(0);
                (number > 0).then(|| "some".to_owned())
            }
            _ => None,
        };
        shown.map_or_else(|| line.to_owned(), |shown| format!("{field}: <{shown}>"))
    };
    sorted(&text.lines().map(line).collect::<Vec<_>>())
}

fn is_cluster_id(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix("\","));
    inner.is_some_and(|id| id.parse::<thalweg_base::Uuid>().is_ok())
}

/// The lines with the elements of every list in order: Kafka keeps many of them in hash tables.
fn sorted(lines: &[String]) -> Vec<String> {
    let indent = |line: &String| line.len() - line.trim_start().len();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        out.push(line.clone());
        at += 1;
        if !line.ends_with('[') {
            continue;
        }
        let outer = indent(line);
        let end = at + lines[at..].iter().position(|line| indent(line) <= outer).unwrap_or(0);
        let mut elements: Vec<Vec<String>> = Vec::new();
        for line in &lines[at..end] {
            let begins = indent(line) == outer + 4 && !line.trim_start().starts_with(['}', ']', ')']);
            match elements.last_mut().filter(|_| !begins) {
                Some(element) => element.push(line.clone()),
                None => elements.push(vec![line.clone()]),
            }
        }
        let mut elements: Vec<Vec<String>> = elements.iter().map(|element| sorted(element)).collect();
        elements.sort();
        out.extend(elements.into_iter().flatten());
        at = end;
    }
    out
}

/// The lines that differ, after the nearest lines above that tell where they are.
fn difference(reference: &[String], tested: &[String]) -> Vec<String> {
    let head = reference.iter().zip(tested).take_while(|(a, b)| a == b).count();
    let tail = reference[head..].iter().rev().zip(tested[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut lines: Vec<String> =
        reference[head.saturating_sub(6)..head].iter().map(|line| format!("  {line}")).collect();
    let same_length = reference.len() == tested.len();
    if same_length {
        for (a, b) in reference[head..].iter().zip(&tested[head..]).filter(|(a, b)| a != b) {
            lines.extend([format!("- {a}"), format!("+ {b}")]);
        }
    } else {
        let cut = |lines: &[String], sign: &str| -> Vec<String> {
            lines[head..lines.len() - tail].iter().map(|line| format!("{sign} {line}")).collect()
        };
        lines.extend(cut(reference, "-"));
        lines.extend(cut(tested, "+"));
    }
    lines.truncate(60);
    lines
}
