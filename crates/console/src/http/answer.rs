//! In which form an answer goes out.

use askama::Template;
use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::pages;
use crate::trouble::Trouble;

/// The form that whoever asks wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Html,
    Json,
}

impl Wants {
    /// What `Accept` likes best; of what it likes the same, what it names first. `otherwise` for those who take anything.
    pub(crate) fn of(headers: &HeaderMap, otherwise: Self) -> Self {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
        let mut best: Option<(f32, Self)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" | "text/*" => Self::Html,
                "application/json" | "application/*" => Self::Json,
                "*/*" => otherwise,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if best.is_none_or(|(liked, _)| quality > liked) {
                best = Some((quality, form));
            }
        }
        best.map_or(otherwise, |(_, form)| form)
    }
}

/// What a question is answered with.
pub(crate) enum Answer {
    /// A page.
    Page(String),
    /// A JSON document.
    Json(Vec<u8>),
    /// Another address, to be asked for now.
    SeeOther(String),
}

impl Answer {
    /// A page out of its template.
    pub(crate) fn page(page: &impl Template) -> Self {
        // It writes to a string, and no template of ours calls what may fail.
        Self::Page(page.render().unwrap_or_default())
    }

    /// A page, or what it shows as a document, as `Accept` wants it; a page for those who take anything.
    pub(crate) fn in_form(headers: &HeaderMap, page: &impl Template, document: impl FnOnce() -> Value) -> Self {
        match Wants::of(headers, Wants::Html) {
            Wants::Html => Self::page(page),
            Wants::Json => Self::json(&document()),
        }
    }

    /// A JSON document.
    pub(crate) fn json(document: &impl Serialize) -> Self {
        // It writes to memory, and every map of ours has strings or numbers as keys.
        Self::Json(serde_json::to_vec(document).unwrap_or_default())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (kind, body) = match self {
            Self::Page(page) => ("text/html; charset=utf-8", Body::from(page)),
            Self::Json(document) => ("application/json", Body::from(document)),
            Self::SeeOther(address) => {
                let mut response = StatusCode::SEE_OTHER.into_response();
                if let Ok(address) = HeaderValue::from_str(&address) {
                    response.headers_mut().insert(LOCATION, address);
                }
                return response;
            }
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

/// The answer that reports a trouble, in the form that was wanted.
pub(crate) fn troubled(trouble: &Trouble, wants: Wants, frame: &pages::Frame) -> Response {
    let status = trouble.status();
    tracing::debug!(%status, %trouble, "a question has no answer");
    let answer = match wants {
        Wants::Html => Answer::page(&pages::TroublePage::new(frame, trouble)),
        Wants::Json => Answer::json(&serde_json::json!({
            "status": status.as_u16(),
            "error": status.canonical_reason().unwrap_or_default(),
            "message": trouble.to_string(),
        })),
    };
    let mut response = answer.into_response();
    *response.status_mut() = status;
    response
}

/// The headers that every answer has: nothing is fetched from elsewhere, nothing is framed, nothing is kept.
pub(crate) fn secure(response: &mut Response) {
    const HEADERS: [(&str, &str); 5] = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_accept_likes_best() {
        let wants = |accept: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().expect("a header"))]);
            Wants::of(&headers, Wants::Html)
        };
        assert_eq!(wants("application/json"), Wants::Json);
        assert_eq!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Wants::Html);
        assert_eq!(wants("text/html;q=0.5, application/json"), Wants::Json);
        assert_eq!(wants("application/json, text/plain, */*"), Wants::Json);
        assert_eq!(wants("*/*"), Wants::Html);
        assert_eq!(wants("image/png"), Wants::Html);
        assert_eq!(Wants::of(&HeaderMap::new(), Wants::Json), Wants::Json);
    }
}
