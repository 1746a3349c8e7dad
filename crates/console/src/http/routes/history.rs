//! `/history`: what the node beside the console did lately.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::pages::{Charts, HistoryPage, history_document};

/// Which time is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct HistoryQuery {
    span: Option<String>,
}

/// The last hour, or with `span=day` the last day.
pub(super) async fn page(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let is_day = queried(query)?.span.as_deref() == Some("day");
        let kept = shared.history.as_ref();
        let points = kept.map(|history| {
            let history = history.lock();
            if is_day { history.day() } else { history.hour() }
        });
        let points = points.unwrap_or_default();
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            return Ok(Answer::json(&history_document(&points)));
        }
        Ok(Answer::page(&HistoryPage {
            frame: shared.frame(&headers).at("history").with_curl("/history"),
            span: if is_day { "day" } else { "hour" },
            is_kept: kept.is_some(),
            charts: Charts::new(&points),
        }))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
