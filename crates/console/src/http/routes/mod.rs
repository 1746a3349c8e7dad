//! The addresses. Those of Kafdrop are as Kafdrop has them.

mod access;
mod acls;
mod brokers;
mod change;
mod changes;
mod cluster;
mod described;
mod download;
mod group_changes;
mod groups;
mod history;
mod messages;
mod operations;
mod record;
mod replay;
mod search;
mod tail;
mod topic_changes;
mod topics;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{Answer, Wants, answer, assets};
use crate::console::Shared;
use crate::text;
use crate::trouble::Trouble;

/// What every handler gets.
type Console = State<Arc<Shared>>;

/// The addresses of a console.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/", get(cluster::overview))
        .route("/assets/{name}", get(|Path(name): Path<String>| async move { assets::asset(&name) }))
        .route("/health_check", get(|| async { "" }))
        .route("/topic", get(topics::list).post(changes::create))
        .route("/topic/create", get(changes::create_form))
        .route("/topic/{name}", get(topics::one))
        .route("/topic/{name}/messages", get(messages::of_partition))
        .route("/topic/{name}/allmessages", get(messages::of_all_partitions))
        .route("/topic/{name}/search-messages", get(search::form).post(search::document))
        .route("/topic/{name}/newest", get(record::newest))
        .route("/topic/{name}/record", get(record::one))
        .route("/topic/{name}/download", get(download::file))
        .route("/topic/{name}/tail", get(tail::page))
        .route("/topic/{name}/tail/events", get(tail::events))
        .route("/topic/{name}/addmessage", post(changes::add_message))
        .route("/topic/{name}/replay", post(replay::replay))
        .route("/topic/{name}/delete", post(topic_changes::delete))
        .route("/topic/{name}/configs", post(topic_changes::configs))
        .route("/topic/{name}/partitions", post(topic_changes::partitions))
        .route("/topic/{name}/deleterecords", post(topic_changes::records))
        .route("/topic/{name}/consumers", get(topics::consumers))
        .route("/consumer", get(groups::list))
        .route("/consumer/{group}", get(groups::one))
        .route("/consumer/{group}/reset", post(group_changes::reset))
        .route("/consumer/{group}/delete", post(group_changes::delete))
        .route("/acl", get(acls::list).post(acls::create))
        .route("/acl/delete", post(acls::delete))
        .route("/history", get(history::page))
        .route("/quorum", get(operations::quorum))
        .route("/quota", get(access::quotas).post(access::alter_quota))
        .route("/user", get(access::users).post(access::set_user))
        .route("/user/delete", post(access::delete_user))
        .route("/reassignment", get(operations::reassignments))
        .route("/transaction", get(operations::transactions))
        .route("/transaction/abort", post(operations::abort))
        .route("/actuator/health", get(described::health))
        .route("/v3/api-docs", get(described::document))
        .route("/broker", get(brokers::list))
        .route("/broker/{id}", get(brokers::one))
        .nest("/api/v1", api())
        .fallback(nowhere);
    let base = shared.base.as_str();
    let router = if base.is_empty() {
        routes
    } else {
        let root = format!("{base}/");
        Router::new().nest(base, routes).route(&root, get(cluster::overview)).fallback(nowhere)
    };
    router.with_state(Arc::clone(shared))
}

/// The addresses below `/api/v1`: what the pages show, always as JSON.
fn api() -> Router<Arc<Shared>> {
    Router::new()
        .route("/openapi.json", get(described::api_document))
        .route("/cluster", get(cluster::overview))
        .route("/brokers", get(brokers::list))
        .route("/brokers/{id}", get(brokers::one))
        .route("/topics", get(topics::list).post(changes::create))
        .route("/topics/{name}", get(topics::one))
        .route("/topics/{name}/delete", post(topic_changes::delete))
        .route("/topics/{name}/configs", post(topic_changes::configs))
        .route("/topics/{name}/partitions", post(topic_changes::partitions))
        .route("/topics/{name}/deleterecords", post(topic_changes::records))
        .route("/topics/{name}/addmessage", post(changes::add_message))
        .route("/topics/{name}/replay", post(replay::replay))
        .route("/topics/{name}/messages", get(messages::of_partition))
        .route("/topics/{name}/newest", get(record::newest))
        .route("/topics/{name}/record", get(record::one))
        .route("/topics/{name}/download", get(download::file))
        .route("/topics/{name}/tail", get(tail::events))
        .route("/topics/{name}/search", post(search::document))
        .route("/topics/{name}/groups", get(topics::consumers))
        .route("/groups", get(groups::list))
        .route("/groups/{group}", get(groups::one))
        .route("/groups/{group}/reset", post(group_changes::reset))
        .route("/groups/{group}/delete", post(group_changes::delete))
        .route("/history", get(history::page))
        .route("/acls", get(acls::list).post(acls::create))
        .route("/acls/delete", post(acls::delete))
        .route("/users", get(access::users).post(access::set_user))
        .route("/users/delete", post(access::delete_user))
        .route("/quotas", get(access::quotas).post(access::alter_quota))
        .route("/transactions", get(operations::transactions))
        .route("/transactions/abort", post(operations::abort))
        .route("/reassignments", get(operations::reassignments))
        .route("/quorum", get(operations::quorum))
        .layer(axum::middleware::map_request(wanting_json))
}

async fn wanting_json(mut request: axum::extract::Request) -> axum::extract::Request {
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request
}

async fn nowhere(State(shared): Console, headers: HeaderMap) -> Response {
    let trouble = Trouble::NotFound("there is no such address here".to_owned());
    answer::troubled(&trouble, Wants::of(&headers, Wants::Html), &shared.frame(&headers))
}

/// Answers with what `work` finds, or says why it does not.
async fn answered(
    shared: &Shared,
    headers: &HeaderMap,
    otherwise: Wants,
    work: impl Future<Output = Result<Answer, Trouble>>,
) -> Response {
    match work.await {
        Ok(answer) => answer.into_response(),
        Err(trouble) => answer::troubled(&trouble, Wants::of(headers, otherwise), &shared.frame(headers)),
    }
}

/// A time that was typed in, in milliseconds since 1970.
fn time(typed: &str) -> Result<i64, Trouble> {
    text::parse_time(typed).ok_or_else(|| Trouble::Bad(format!("`{typed}` is no time")))
}

/// The values of an address's query.
fn queried<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Trouble> {
    query.map(|Query(query)| query).map_err(|e| Trouble::Bad(e.body_text()))
}
