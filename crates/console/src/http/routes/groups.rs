//! `/consumer`: groups.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::kafdrop::Consumer;
use crate::kafka::GroupKind;
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
        let progress = shared.kafka.progress(&id, group.as_ref()).await?;
        if group.is_none() && progress.committed.is_empty() {
            return Err(Trouble::NotFound(format!("there is no group {id}")));
        }
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            return Ok(Answer::json(&Consumer::new(&id, &progress)));
        }
        let tool = group.as_ref().map_or(GroupKind::Classic, |group| group.kind).tool();
        let frame = shared
            .frame(&headers)
            .at("groups")
            .with_tool(tool, &format!("--describe --group {}", text::shell(&id)))
            .with_curl(&format!("/consumer/{}", text::part(&id)));
        Ok(Answer::page(&GroupPage::new(frame, &id, group, &progress)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
