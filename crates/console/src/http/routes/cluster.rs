//! `/`: the cluster.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::kafdrop::ClusterInfo;
use crate::pages::{Charts, ClusterPage, ListQuery, TopicList};

pub(super) async fn overview(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let snapshot = shared.kafka.snapshot().await?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let mut configs = shared.kafka.configs_of_topics(&snapshot).await?;
            return Ok(Answer::json(&ClusterInfo::new(&snapshot, &mut configs)));
        }
        let list = TopicList::new(format!("{}/", shared.base), &snapshot, &queried(query)?);
        let frame = shared.frame(&headers).at("cluster").with_tool("kafka-topics.sh", "--describe").with_curl("/");
        let charts = shared.history.as_ref().and_then(|history| Charts::new(&history.lock().hour()));
        Ok(Answer::page(&ClusterPage::new(frame, &snapshot, charts, list)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
