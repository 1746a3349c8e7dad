//! The node over HTTP, for those who watch it: `/metrics`, `/healthz` and `/readyz`.
//!
//! It listens where `thalweg.http.listen` says, and nowhere by default. It has no encryption or password, and reveals counters and
//! topic names. Requests to other addresses are answered by whoever has been named for them.

mod health;
mod watch;

use std::sync::{Arc, OnceLock};

use thalweg_http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use thalweg_http::{Body, Handler, Method, Request, Response, StatusCode};
use thalweg_sys::task;
use tokio::sync::mpsc;

use crate::page;
pub(crate) use health::{Health, Step};
pub(crate) use watch::Watch;

/// So many parts of an answer wait for a slow reader, 64 KB each.
const CHUNKS_MAX: usize = 4;

/// The addresses that are the node's own.
const OWN: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// What answers requests to all other addresses, once there is something: the console.
pub(crate) type Guest = OnceLock<Handler>;

/// Answers what is asked about a node, and hands other requests to the guest.
fn handler(health: Arc<Health>, guest: Arc<Guest>) -> Handler {
    Arc::new(move |request: Request| {
        let path = request.uri().path();
        match guest.get().filter(|_| !OWN.contains(&path)) {
            Some(guest) => guest(request),
            None => {
                let answer = answer(request.method(), path, &health);
                Box::pin(async move { answer })
            }
        }
    })
}

fn answer(method: &Method, path: &str, health: &Health) -> Response {
    if method != Method::GET && method != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => metrics(method, health),
        "/healthz" => verdict("ok", &health.sick()),
        "/readyz" => verdict("ready", &health.not_ready()),
        "/" => text(StatusCode::OK, "/metrics\n/healthz\n/readyz\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".to_owned()),
    }
}

/// Good when there are no reasons why not.
fn verdict(good: &str, reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return text(StatusCode::OK, format!("{good}\n"));
    }
    text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

fn metrics(method: &Method, health: &Health) -> Response {
    let Some(broker) = health.broker() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the node does not run yet\n".to_owned());
    };
    let (out, parts) = mpsc::channel(CHUNKS_MAX);
    if method == Method::GET {
        task::spawn(page::write(broker, out));
    }
    let mut response = Response::new(Body::parts(parts));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
