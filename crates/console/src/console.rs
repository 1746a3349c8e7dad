//! The console as a whole.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use parking_lot::Mutex;
use thalweg_http::{Handler, Request};
use tower_service::Service as _;

use crate::history::{self, History};
use crate::http::{self, Guard};
use crate::kafka::Kafka;
use crate::pages::Frame;
use crate::settings::{Settings, SettingsError};

/// The console of one cluster. Clones share everything.
#[derive(Clone, Debug)]
pub struct Console {
    router: Router,
    shared: Arc<Shared>,
}

/// What every question needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kafka: Kafka,
    pub(crate) guard: Guard,
    pub(crate) settings: Settings,
    /// What the node beside it did lately; `None` of a cluster elsewhere.
    pub(crate) history: Option<Arc<Mutex<History>>>,
    /// What stands before every path.
    pub(crate) base: String,
}

impl Console {
    /// A console. Nothing is sent to the cluster before the first question. With a source of vitals, a task begins that keeps
    /// a history until the node stops.
    ///
    /// # Errors
    /// When settings cannot be used.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let history = settings.vitals.clone().map(|source| {
            let history = Arc::new(Mutex::new(History::default()));
            thalweg_sys::task::spawn(history::keep(Arc::downgrade(&history), source));
            history
        });
        let shared = Arc::new(Shared {
            history,
            kafka: Kafka::new(&settings.client)?,
            guard: Guard::new(settings.listens_on, &settings.hosts),
            base: settings.base()?,
            settings,
        });
        Ok(Self { router: http::router(&shared), shared })
    }

    /// What an HTTP server calls for each request.
    #[must_use]
    pub fn handler(&self) -> Handler {
        let console = self.clone();
        Arc::new(move |request: Request| {
            let console = console.clone();
            Box::pin(async move { console.answer(request).await.map(|body| thalweg_http::Body::other(Outgoing(body))) })
        })
    }

    /// Serves until `closing` says so.
    pub async fn serve(self, server: thalweg_http::Server, closing: thalweg_sys::closing::Closing) {
        server.run(self.handler(), closing).await;
    }

    async fn answer(&self, request: Request) -> Response {
        let mut response = match self.shared.guard.may_read(request.headers()) {
            // A router is always ready, and never fails.
            Ok(()) => self.router.clone().call(request.map(Body::new)).await.unwrap_or_else(|never| match never {}),
            Err(trouble) => {
                let wants = http::Wants::of(request.headers(), http::Wants::Html);
                http::troubled(&trouble, wants, &self.shared.frame(request.headers()))
            }
        };
        http::secure(&mut response);
        response
    }
}

impl Shared {
    /// What every page has around its content.
    pub(crate) fn frame(&self, headers: &HeaderMap) -> Frame {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Frame {
            base: self.base.clone(),
            bootstrap: self.kafka.bootstrap().to_owned(),
            token: self.guard.token().to_owned(),
            writes: self.settings.writes,
            at: "",
            elsewhere: Vec::new(),
            version: env!("CARGO_PKG_VERSION"),
            url: format!("http://{}", host.unwrap_or("localhost")),
        }
    }
}

/// A body of axum's, whose errors are those of the server.
struct Outgoing(Body);

impl hyper::body::Body for Outgoing {
    type Data = bytes::Bytes;
    type Error = thalweg_http::Failure;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx).map_err(Into::into)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.0.size_hint()
    }
}
