//! A topic.

use std::collections::BTreeMap;

use askama::Template;

use super::{ConfigTable, Frame};
use crate::kafka::{Acl, ActiveProducer, Partition, Range, Topic};
use crate::text;

/// What was found out about a topic.
pub(crate) struct TopicFound<'a> {
    /// The offsets of its partitions.
    pub(crate) ranges: &'a [Option<Range>],
    /// The bytes of its replicas, by partition and broker.
    pub(crate) sizes: &'a BTreeMap<(i32, i32), i64>,
    pub(crate) configs: ConfigTable,
    pub(crate) producers: &'a [ActiveProducer],
    /// The ACLs that concern it; `None` where the cluster has no authorizer.
    pub(crate) acls: Option<Vec<Acl>>,
    /// What could not be found out, and why.
    pub(crate) troubles: Vec<String>,
}

/// So many producers are shown.
const PRODUCERS_MAX: usize = 100;

/// A topic: its partitions and configs, who writes to it and who may.
#[derive(Template)]
#[template(path = "topic.html")]
pub(crate) struct TopicPage {
    frame: Frame,
    name: String,
    part: String,
    is_internal: bool,
    troubles: Vec<String>,
    size: String,
    records: String,
    total: String,
    replication: usize,
    under_replicated: usize,
    rows: Vec<PartitionRow>,
    configs: ConfigTable,
    producers: Vec<ProducerRow>,
    /// How many producers are not shown, if there are some.
    producers_hidden: Option<usize>,
    acls: Vec<Acl>,
    are_acls_checked: bool,
}

struct ProducerRow {
    partition: i32,
    id: i64,
    epoch: i32,
    sequence: i32,
    last: String,
    open_since: Option<i64>,
}

struct PartitionRow {
    id: i32,
    first: String,
    first_link: i64,
    end: String,
    records: String,
    size: String,
    leader: Option<i32>,
    is_preferred: bool,
    replicas: String,
    in_sync: String,
    is_under_replicated: bool,
    offline: String,
}

impl TopicPage {
    pub(crate) fn new(frame: Frame, name: &str, topic: &Topic, found: TopicFound<'_>) -> Self {
        let known = || found.ranges.iter().flatten();
        let shown = &found.producers[..found.producers.len().min(PRODUCERS_MAX)];
        let pairs = topic.partitions.iter().zip(found.ranges);
        Self {
            frame,
            part: text::part(name),
            name: name.to_owned(),
            is_internal: topic.is_internal,
            troubles: found.troubles,
            size: text::size(found.sizes.values().sum()),
            records: text::number(known().map(|range| range.len()).sum::<i64>()),
            total: text::number(known().map(|range| range.end).sum::<i64>()),
            replication: topic.replication_factor(),
            under_replicated: topic.under_replicated(),
            rows: pairs.map(|(it, range)| PartitionRow::new(it, *range, found.sizes)).collect(),
            configs: found.configs,
            producers: shown.iter().map(ProducerRow::new).collect(),
            producers_hidden: found.producers.len().checked_sub(shown.len()).filter(|hidden| *hidden > 0),
            are_acls_checked: found.acls.is_some(),
            acls: found.acls.unwrap_or_default(),
        }
    }
}

impl ProducerRow {
    fn new(producer: &ActiveProducer) -> Self {
        Self {
            partition: producer.partition,
            id: producer.id,
            epoch: producer.epoch,
            sequence: producer.last_sequence,
            last: text::time(producer.last_ms),
            open_since: producer.open_since,
        }
    }
}

impl PartitionRow {
    fn new(partition: &Partition, range: Option<Range>, sizes: &BTreeMap<(i32, i32), i64>) -> Self {
        let size = partition.leader.and_then(|leader| sizes.get(&(partition.id, leader)));
        let offset = |of: fn(Range) -> i64| range.map_or("unknown".to_owned(), |range| text::number(of(range)));
        Self {
            id: partition.id,
            first: offset(|range| range.first),
            first_link: range.map_or(0, |range| range.first),
            end: offset(|range| range.end),
            records: offset(Range::len),
            size: size.map_or("unknown".to_owned(), |bytes| text::size(*bytes)),
            leader: partition.leader,
            is_preferred: partition.is_leader_preferred(),
            replicas: text::listed(&partition.replicas),
            in_sync: text::listed(&partition.in_sync),
            is_under_replicated: partition.is_under_replicated(),
            offline: text::listed(&partition.offline),
        }
    }
}
