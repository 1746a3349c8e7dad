//! Groups, and one group.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use thalweg_base::TopicPartition;

use super::{Frame, ListQuery, PageOf, ROWS_MAX};
use crate::kafka::{Group, GroupListing, Member, Progress};
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
    part: String,
    kind: &'static str,
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
    rack: String,
    epoch: String,
    partitions: usize,
    assignment: Vec<String>,
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
    kind: String,
    state: String,
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
    /// A group and how far it has come.
    pub(crate) fn new(frame: Frame, id: &str, group: Option<Group>, progress: &Progress) -> Self {
        let group = group.unwrap_or_else(Group::unknown);
        let assigned = group.members.iter().flat_map(|member| &member.assigned);
        let mut topics: BTreeMap<&str, BTreeSet<&TopicPartition>> = BTreeMap::new();
        for partition in progress.committed.keys().chain(assigned) {
            topics.entry(&partition.topic).or_default().insert(partition);
        }
        let topic = |(name, partitions): (&&str, &BTreeSet<&TopicPartition>)| TopicOffsets {
            name: (*name).to_owned(),
            part: text::part(name),
            lag: text::number(progress.topic_lag(name)),
            rows: partitions.iter().map(|it| OffsetRow::new(it, progress, &group)).collect(),
        };
        Self {
            frame,
            id: id.to_owned(),
            part: text::part(id),
            lag: text::number(progress.total_lag()),
            topics: topics.iter().map(topic).collect(),
            members: group.members.iter().map(MemberRow::new).collect(),
            kind: group.kind.name(),
            state: group.state,
            assignor: group.assignor,
            epoch: group.epoch,
        }
    }
}

impl OffsetRow {
    fn new(partition: &TopicPartition, progress: &Progress, group: &Group) -> Self {
        let unknown = || "unknown".to_owned();
        let range = progress.ranges.get(partition);
        let offset = progress.committed.get(partition).copied();
        let member = group.members.iter().find(|member| member.assigned.contains(partition));
        Self {
            partition: partition.partition,
            offset: offset.map_or("none".to_owned(), text::number),
            offset_link: offset.or(range.map(|range| range.first)).unwrap_or(0),
            first: range.map_or_else(unknown, |range| text::number(range.first)),
            end: range.map_or_else(unknown, |range| text::number(range.end)),
            lag: progress.lag(partition).map_or_else(unknown, text::number),
            member: member.map(|member| format!("{} {}", member.client, member.host)).unwrap_or_default(),
        }
    }
}

impl MemberRow {
    fn new(member: &Member) -> Self {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for partition in &member.assigned {
            topics.entry(&partition.topic).or_default().push(partition.partition);
        }
        let of_topic = |(topic, ids): (&str, Vec<i32>)| format!("{topic}: {}", text::ranges(&ids));
        let mut assignment: Vec<String> = topics.into_iter().map(of_topic).collect();
        if !member.tasks.is_empty() {
            assignment.push(format!("tasks {}", member.tasks.join(", ")));
        }
        Self {
            id: member.id.clone(),
            client: member.client.clone(),
            host: member.host.clone(),
            instance: member.instance.clone().unwrap_or_default(),
            rack: member.rack.clone().unwrap_or_default(),
            epoch: member.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            partitions: member.assigned.len(),
            assignment,
        }
    }
}

impl TopicGroupsPage {
    /// `progress` says how far each group has come in the topic.
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        groups: &[GroupListing],
        progress: &BTreeMap<String, Progress>,
        troubles: &[Trouble],
    ) -> Self {
        let row = |(id, progress): (&String, &Progress)| {
            let listed = groups.iter().find(|group| group.id == *id);
            TopicGroupRow {
                id: id.clone(),
                part: text::part(id),
                kind: listed.map(|group| group.kind.clone()).unwrap_or_default(),
                state: listed.map(|group| group.state.clone()).unwrap_or_default(),
                partitions: progress.committed.len(),
                lag: text::number(progress.total_lag()),
            }
        };
        Self {
            frame,
            name: name.to_owned(),
            part: text::part(name),
            troubles: troubles.iter().map(ToString::to_string).collect(),
            rows: progress.iter().map(row).collect(),
        }
    }
}
