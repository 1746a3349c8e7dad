//! A topic.

use askama::Template;

use super::{ConfigTable, Frame};
use crate::kafka::{Partition, Range, Topic};
use crate::text;

/// A topic: its partitions and configs.
#[derive(Template)]
#[template(path = "topic.html")]
pub(crate) struct TopicPage {
    frame: Frame,
    name: String,
    part: String,
    is_internal: bool,
    error: Option<String>,
    records: String,
    total: String,
    replication: usize,
    under_replicated: usize,
    rows: Vec<PartitionRow>,
    configs: ConfigTable,
}

struct PartitionRow {
    id: i32,
    first: String,
    first_link: i64,
    end: String,
    records: String,
    leader: Option<i32>,
    is_preferred: bool,
    replicas: String,
    in_sync: String,
    is_under_replicated: bool,
    offline: String,
}

impl TopicPage {
    /// A topic with the offsets of its partitions. `error` is why something that was to be done with it was not.
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        topic: &Topic,
        ranges: &[Option<Range>],
        configs: ConfigTable,
        error: Option<String>,
    ) -> Self {
        let known = || ranges.iter().flatten();
        Self {
            frame,
            part: text::part(name),
            name: name.to_owned(),
            is_internal: topic.is_internal,
            error,
            records: text::number(known().map(|range| range.len()).sum::<i64>()),
            total: text::number(known().map(|range| range.end).sum::<i64>()),
            replication: topic.replication_factor(),
            under_replicated: topic.under_replicated(),
            rows: topic.partitions.iter().zip(ranges).map(|(it, range)| PartitionRow::new(it, *range)).collect(),
            configs,
        }
    }
}

impl PartitionRow {
    fn new(partition: &Partition, range: Option<Range>) -> Self {
        let offset = |of: fn(Range) -> i64| range.map_or("unknown".to_owned(), |range| text::number(of(range)));
        Self {
            id: partition.id,
            first: offset(|range| range.first),
            first_link: range.map_or(0, |range| range.first),
            end: offset(|range| range.end),
            records: offset(Range::len),
            leader: partition.leader,
            is_preferred: partition.is_leader_preferred(),
            replicas: listed(&partition.replicas),
            in_sync: listed(&partition.in_sync),
            is_under_replicated: partition.is_under_replicated(),
            offline: listed(&partition.offline),
        }
    }
}

fn listed(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}
