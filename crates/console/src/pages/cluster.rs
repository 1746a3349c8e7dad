//! The cluster, and its topics as a list.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use serde::Deserialize;

use super::{Charts, Frame, PageOf, ROWS_MAX};
use crate::kafka::{Leaders, Snapshot, Topic};
use crate::text;

/// What of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    /// Only what has this in its name, in any case.
    filter: Option<String>,
    /// Whether Kafka's own topics are shown.
    internal: Option<String>,
    sort: Option<String>,
    page: Option<usize>,
}

impl ListQuery {
    /// What a name must have in it, in lower case.
    pub(crate) fn needle(&self) -> String {
        self.filter.as_deref().unwrap_or_default().trim().to_lowercase()
    }

    /// What a name must have in it, as it was typed.
    pub(crate) fn filter(&self) -> &str {
        self.filter.as_deref().unwrap_or_default()
    }

    /// Which page.
    pub(crate) fn page(&self) -> usize {
        self.page.unwrap_or(1)
    }
}

/// The first page.
#[derive(Template)]
#[template(path = "cluster.html")]
pub(crate) struct ClusterPage {
    frame: Frame,
    cluster_id: String,
    brokers: Vec<BrokerRow>,
    topics: String,
    partitions: String,
    under_replicated: String,
    without_leader: String,
    missing: String,
    /// What the node beside the console did in the last hour.
    charts: Option<Charts>,
    list: TopicList,
}

struct BrokerRow {
    id: i32,
    host: String,
    rack: String,
    leads: String,
    preferred: String,
    is_controller: bool,
}

/// The topics alone.
#[derive(Template)]
#[template(path = "topics.html")]
pub(crate) struct TopicsPage {
    frame: Frame,
    list: TopicList,
}

/// Topics as a table, with what leads to others.
pub(crate) struct TopicList {
    action: String,
    filter: String,
    internal: bool,
    sort: &'static str,
    rows: Vec<TopicRow>,
    found: String,
    all: String,
    hidden: String,
    page: usize,
    pages: usize,
    at: PageOf,
}

struct TopicRow {
    name: String,
    part: String,
    is_internal: bool,
    partitions: String,
    replication: usize,
    preferred: String,
    under_replicated: String,
}

impl ClusterPage {
    pub(crate) fn new(frame: Frame, snapshot: &Snapshot, charts: Option<Charts>, list: TopicList) -> Self {
        let Leaders { led, preferred } = snapshot.leaders();
        let count = |counts: &BTreeMap<i32, usize>, id: i32| text::count(counts.get(&id).copied().unwrap_or(0));
        let row = |broker: &crate::kafka::Broker| BrokerRow {
            id: broker.id,
            host: format!("{}:{}", broker.host, broker.port),
            rack: broker.rack.clone().unwrap_or_default(),
            leads: count(&led, broker.id),
            preferred: count(&preferred, broker.id),
            is_controller: snapshot.controller == Some(broker.id),
        };
        let is_up = |id: &i32| snapshot.brokers.iter().any(|broker| broker.id == *id);
        let missing: Vec<String> = preferred.keys().filter(|id| !is_up(id)).map(ToString::to_string).collect();
        let sum = |of: fn(&Topic) -> usize| text::count(snapshot.topics.values().map(of).sum());
        Self {
            frame,
            cluster_id: snapshot.cluster_id.clone().unwrap_or_default(),
            brokers: snapshot.brokers.iter().map(row).collect(),
            topics: text::count(snapshot.topics.len()),
            partitions: text::count(snapshot.partition_count()),
            under_replicated: sum(Topic::under_replicated),
            without_leader: sum(Topic::without_leader),
            missing: missing.join(", "),
            charts,
            list,
        }
    }
}

impl TopicsPage {
    pub(crate) fn new(frame: Frame, list: TopicList) -> Self {
        Self { frame, list }
    }
}

impl TopicList {
    const SORTS: [(&'static str, &'static str); 4] = [
        ("name", "name"),
        ("partitions", "most partitions"),
        ("replicas", "most replicas"),
        ("under", "most under-replicated"),
    ];

    /// The topics that are asked for, under this address.
    pub(crate) fn new(action: String, snapshot: &Snapshot, query: &ListQuery) -> Self {
        let needle = query.needle();
        let internal = query.internal.is_some();
        let fits = |(name, _): &(&Arc<str>, &Topic)| needle.is_empty() || name.to_lowercase().contains(&needle);
        let (shown, hidden): (Vec<_>, Vec<_>) =
            snapshot.topics.iter().filter(fits).partition(|(_, topic)| internal || !topic.is_internal);
        let mut shown = shown;
        let sort = Self::SORTS.iter().find(|(word, _)| query.sort.as_deref() == Some(word)).map_or("name", |it| it.0);
        match sort {
            "partitions" => shown.sort_by_key(|(_, topic)| Reverse(topic.partitions.len())),
            "replicas" => shown.sort_by_key(|(_, topic)| Reverse(topic.replication_factor())),
            "under" => shown.sort_by_key(|(_, topic)| Reverse(topic.under_replicated())),
            _ => {}
        }
        let at = PageOf::new(query.page(), shown.len());
        Self {
            action,
            filter: query.filter().to_owned(),
            internal,
            sort,
            found: text::count(shown.len()),
            all: text::count(snapshot.topics.len()),
            hidden: text::count(hidden.len()),
            rows: shown
                .iter()
                .skip(at.before())
                .take(ROWS_MAX)
                .map(|(name, topic)| TopicRow::new(name, topic))
                .collect(),
            page: at.page,
            pages: at.pages,
            at,
        }
    }

    fn sorts(&self) -> &'static [(&'static str, &'static str)] {
        &Self::SORTS
    }

    fn previous(&self) -> Option<String> {
        self.at.previous().map(|page| self.link(page))
    }

    fn next(&self) -> Option<String> {
        self.at.next().map(|page| self.link(page))
    }

    fn link(&self, page: usize) -> String {
        let (action, filter, sort) = (&self.action, text::part(&self.filter), self.sort);
        let internal = if self.internal { "&internal=true" } else { "" };
        format!("{action}?filter={filter}&sort={sort}{internal}&page={page}")
    }
}

impl TopicRow {
    fn new(name: &str, topic: &Topic) -> Self {
        let preferred = topic.partitions.iter().filter(|partition| partition.is_leader_preferred()).count();
        let percent = (preferred * 100).checked_div(topic.partitions.len()).unwrap_or(0);
        Self {
            name: name.to_owned(),
            part: text::part(name),
            is_internal: topic.is_internal,
            partitions: text::count(topic.partitions.len()),
            replication: topic.replication_factor(),
            preferred: format!("{percent} %"),
            under_replicated: text::count(topic.under_replicated()),
        }
    }
}
