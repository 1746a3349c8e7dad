//! `/consumer`: groups.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use thalweg_base::TopicPartition;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::console::Shared;
use crate::kafdrop::Consumer;
use crate::kafka::{Committed, Range};
use crate::pages::{GroupPage, GroupsPage, ListQuery};
use crate::text;
use crate::trouble::Trouble;

/// All groups.
pub(super) async fn list(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let snapshot = shared.kafka.snapshot().await?;
        let (groups, troubles) = shared.kafka.groups(&snapshot).await?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let entry = |group: &crate::kafka::GroupListing| {
                serde_json::json!({
                    "groupId": group.id,
                    "type": group.kind,
                    "state": group.state,
                    "protocol": group.protocol,
                    "coordinator": group.coordinator,
                })
            };
            return Ok(Answer::json(&groups.iter().map(entry).collect::<Vec<_>>()));
        }
        let frame = shared.frame(&headers).at("groups");
        let frame = frame.with_tool("kafka-consumer-groups.sh", "--list --state").with_curl("/consumer");
        Ok(Answer::page(&GroupsPage::new(frame, &groups, &troubles, &queried(query)?)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// A group.
pub(super) async fn one(State(shared): Console, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        let group = shared.kafka.group(&id).await?;
        let committed = shared.kafka.committed(&id).await?;
        if group.is_none() && committed.is_empty() {
            return Err(Trouble::NotFound(format!("there is no group {id}")));
        }
        let ranges = ranges_of(&shared, &committed).await?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            return Ok(Answer::json(&Consumer::new(&id, &committed, &ranges)));
        }
        let frame = shared
            .frame(&headers)
            .at("groups")
            .with_tool("kafka-consumer-groups.sh", &format!("--describe --group {}", text::shell(&id)))
            .with_curl(&format!("/consumer/{}", text::part(&id)));
        Ok(Answer::page(&GroupPage::new(frame, &id, group, &committed, &ranges)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// The offsets of the partitions that a group has committed, of those that are known.
async fn ranges_of(shared: &Shared, committed: &Committed) -> Result<BTreeMap<TopicPartition, Range>, Trouble> {
    let snapshot = shared.kafka.snapshot().await?;
    let is_led = |partition: &&TopicPartition| {
        let topic = snapshot.topics.get(&partition.topic);
        let known = topic.and_then(|topic| topic.partitions.iter().find(|known| known.id == partition.partition));
        known.is_some_and(|known| known.leader.is_some())
    };
    let asked: Vec<TopicPartition> = committed.keys().filter(is_led).cloned().collect();
    let ranges = shared.kafka.ranges(&asked).await?;
    Ok(asked.into_iter().zip(ranges).filter_map(|(partition, range)| Some((partition, range?))).collect())
}
