//! The addresses. Those of Kafdrop are as Kafdrop has them.

mod acls;
mod brokers;
mod change;
mod changes;
mod cluster;
mod described;
mod group_changes;
mod groups;
mod messages;
mod search;
mod topics;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{Answer, Wants, answer, assets};
use crate::console::Shared;
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
        .route("/topic/{name}/addmessage", post(changes::add_message))
        .route("/topic/{name}/delete", post(changes::delete))
        .route("/topic/{name}/consumers", get(topics::consumers))
        .route("/consumer", get(groups::list))
        .route("/consumer/{group}", get(groups::one))
        .route("/consumer/{group}/reset", post(group_changes::reset))
        .route("/consumer/{group}/delete", post(group_changes::delete))
        .route("/acl", get(acls::list))
        .route("/actuator/health", get(described::health))
        .route("/v3/api-docs", get(described::document))
        .route("/broker", get(brokers::list))
        .route("/broker/{id}", get(brokers::one))
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

/// The values of an address's query.
fn queried<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Trouble> {
    query.map(|Query(query)| query).map_err(|e| Trouble::Bad(e.body_text()))
}
