//! Groups, and one group.

use std::collections::BTreeMap;

use askama::Template;
use thalweg_base::TopicPartition;

use super::{Frame, ListQuery, PageOf, ROWS_MAX};
use crate::kafka::{Committed, Group, GroupListing, Range};
use crate::text;
use crate::trouble::Trouble;

/// All groups.
#[derive(Template)]
#[template(path = "groups.html")]
pub(crate) struct GroupsPage {
    frame: Frame,
    filter: String,
    rows: Vec<ListRow>,
    found: String,
    all: String,
    troubles: Vec<String>,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
}

struct ListRow {
    id: String,
    part: String,
    kind: String,
    state: String,
    protocol: String,
    coordinator: i32,
}

/// One group.
#[derive(Template)]
#[template(path = "group.html")]
pub(crate) struct GroupPage {
    frame: Frame,
    id: String,
    state: String,
    assignor: String,
    epoch: Option<i32>,
    lag: String,
    topics: Vec<TopicOffsets>,
    members: Vec<MemberRow>,
}

struct TopicOffsets {
    name: String,
    part: String,
    lag: String,
    rows: Vec<OffsetRow>,
}

struct OffsetRow {
    partition: i32,
    offset: String,
    offset_link: i64,
    first: String,
    end: String,
    lag: String,
    member: String,
}

struct MemberRow {
    id: String,
    client: String,
    host: String,
    instance: String,
    partitions: usize,
}

/// The groups that read a topic.
#[derive(Template)]
#[template(path = "topic_groups.html")]
pub(crate) struct TopicGroupsPage {
    frame: Frame,
    name: String,
    part: String,
    troubles: Vec<String>,
    rows: Vec<TopicGroupRow>,
}

struct TopicGroupRow {
    id: String,
    part: String,
    partitions: usize,
    lag: String,
}

impl GroupsPage {
    pub(crate) fn new(frame: Frame, groups: &[GroupListing], troubles: &[Trouble], query: &ListQuery) -> Self {
        let needle = query.needle();
        let fits = |group: &&GroupListing| needle.is_empty() || group.id.to_lowercase().contains(&needle);
        let found: Vec<&GroupListing> = groups.iter().filter(fits).collect();
        let at = PageOf::new(query.page(), found.len());
        let row = |group: &&GroupListing| ListRow {
            id: group.id.clone(),
            part: text::part(&group.id),
            kind: group.kind.clone(),
            state: group.state.clone(),
            protocol: group.protocol.clone(),
            coordinator: group.coordinator,
        };
        let link = |page: usize| format!("{}/consumer?filter={}&page={page}", frame.base, text::part(query.filter()));
        Self {
            filter: query.filter().to_owned(),
            rows: found.iter().skip(at.before()).take(ROWS_MAX).map(row).collect(),
            found: text::count(found.len()),
            all: text::count(groups.len()),
            troubles: troubles.iter().map(ToString::to_string).collect(),
            page: at.page,
            pages: at.pages,
            previous: at.previous().map(link),
            next: at.next().map(link),
            frame,
        }
    }
}

impl GroupPage {
    /// A group with what it has committed; `ranges` are the offsets of those partitions.
    pub(crate) fn new(
        frame: Frame,
        id: &str,
        group: Option<Group>,
        committed: &Committed,
        ranges: &BTreeMap<TopicPartition, Range>,
    ) -> Self {
        let unknown = Group { state: "unknown".to_owned(), assignor: String::new(), epoch: None, members: Vec::new() };
        let group = group.unwrap_or(unknown);
        let mut topics: BTreeMap<&str, Vec<(&TopicPartition, i64)>> = BTreeMap::new();
        for (partition, offset) in committed {
            topics.entry(&partition.topic).or_default().push((partition, *offset));
        }
        let lag_of = |offsets: &[(&TopicPartition, i64)]| -> i64 {
            let lags = offsets.iter().filter_map(|(it, offset)| Some(ranges.get(*it)?.lag_of(*offset).max(0)));
            lags.sum()
        };
        let topic = |(name, offsets): (&&str, &Vec<(&TopicPartition, i64)>)| TopicOffsets {
            name: (*name).to_owned(),
            part: text::part(name),
            lag: text::number(lag_of(offsets)),
            rows: offsets.iter().map(|(it, offset)| OffsetRow::new(it, *offset, ranges.get(*it), &group)).collect(),
        };
        Self {
            frame,
            id: id.to_owned(),
            lag: text::number(topics.values().map(|offsets| lag_of(offsets)).sum::<i64>()),
            topics: topics.iter().map(topic).collect(),
            members: group.members.iter().map(MemberRow::new).collect(),
            state: group.state,
            assignor: group.assignor,
            epoch: group.epoch,
        }
    }
}

impl OffsetRow {
    fn new(partition: &TopicPartition, offset: i64, range: Option<&Range>, group: &Group) -> Self {
        let known = |of: &dyn Fn(&Range) -> i64| range.map_or("unknown".to_owned(), |range| text::number(of(range)));
        let member = group.members.iter().find(|member| member.assigned.contains(partition));
        Self {
            partition: partition.partition,
            offset: text::number(offset),
            offset_link: offset,
            first: known(&|range| range.first),
            end: known(&|range| range.end),
            lag: known(&|range| range.lag_of(offset)),
            member: member.map(|member| format!("{} {}", member.client, member.host)).unwrap_or_default(),
        }
    }
}

impl MemberRow {
    fn new(member: &crate::kafka::Member) -> Self {
        Self {
            id: member.id.clone(),
            client: member.client.clone(),
            host: member.host.clone(),
            instance: member.instance.clone().unwrap_or_default(),
            partitions: member.assigned.len(),
        }
    }
}

impl TopicGroupsPage {
    /// `committed` has what each group has committed for the topic.
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        committed: &BTreeMap<String, Committed>,
        ranges: &BTreeMap<TopicPartition, Range>,
        troubles: &[Trouble],
    ) -> Self {
        let row = |(id, offsets): (&String, &Committed)| {
            let lags = offsets.iter().filter_map(|(it, offset)| Some(ranges.get(it)?.lag_of(*offset).max(0)));
            TopicGroupRow {
                id: id.clone(),
                part: text::part(id),
                partitions: offsets.len(),
                lag: text::number(lags.sum::<i64>()),
            }
        };
        Self {
            frame,
            name: name.to_owned(),
            part: text::part(name),
            troubles: troubles.iter().map(ToString::to_string).collect(),
            rows: committed.iter().map(row).collect(),
        }
    }
}
