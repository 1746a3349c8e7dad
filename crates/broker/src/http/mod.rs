//! The node over HTTP, for those who watch it: `/metrics`, `/healthz` and `/readyz`.
//!
//! It listens where `thalweg.http.listen` says, and nowhere by default. There is neither encryption nor a password: what it
//! tells are counters and names of topics. Each connection serves one request, and none can hold the server for long.

mod health;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thalweg_sys::closing::Closing;
use thalweg_sys::net::{Acceptor, SocketOptions, TcpStream, listen_on};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep, timeout};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};

use crate::page;
pub(crate) use health::{Health, Step};
pub(crate) use watch::Watch;

/// So many connections are served at once, a few for each of those who watch; others wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// As many may wait there.
const BACKLOG: u32 = 64;
/// A request's head must come within this time,
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// be no longer than this,
const HEAD_BYTES_MAX: usize = 16 << 10;
/// and have no more headers than this.
const HEADERS_MAX: usize = 64;
/// And the whole answer must be taken within this time, however large it is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// So many parts of an answer wait for a slow reader, 64 KB each.
const CHUNKS_MAX: usize = 4;
/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server, bound to its address.
struct Http {
    socket: Acceptor,
    /// Where it listens: with port 0 in the configuration, the port that was free.
    local: SocketAddr,
}

impl Http {
    /// Binds every address that `host` stands for.
    async fn bind(host: &str, port: u16) -> io::Result<Self> {
        let options = SocketOptions { backlog: BACKLOG, receive_buffer: None, send_buffer: None };
        let socket = listen_on(host, port, options).await?;
        Ok(Self { local: socket.local(), socket })
    }

    /// Serves until `closing` says so.
    async fn run(self, health: Arc<Health>, mut closing: Closing) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let next = async {
                // The semaphore is never closed.
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = closing.begun() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (health, mut closing) = (Arc::clone(&health), closing.clone());
                    task::spawn(async move {
                        let _place = place;
                        tokio::select! {
                            biased;
                            () = closing.begun() => {}
                            () = serve(stream, peer, health) => {}
                        }
                    });
                }
                Err(e) => {
                    warn!(error = %e, "cannot accept HTTP connections for now");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, health: Arc<Health>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &health);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(ANSWER_TIME_MAX, served).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => debug!(%peer, error = %e, "an HTTP connection was closed"),
        Err(_) => debug!(%peer, "an HTTP connection was closed: its answer was not taken in time"),
    }
}

fn answer(method: &Method, path: &str, health: &Health) -> Response<Content> {
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
fn verdict(good: &str, reasons: &[String]) -> Response<Content> {
    if reasons.is_empty() {
        return text(StatusCode::OK, format!("{good}\n"));
    }
    text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

fn metrics(method: &Method, health: &Health) -> Response<Content> {
    let Some(broker) = health.broker() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the node does not run yet\n".to_owned());
    };
    let (out, parts) = mpsc::channel(CHUNKS_MAX);
    if method == Method::GET {
        task::spawn(page::write(broker, out));
    }
    let mut response = Response::new(Content::Parts(parts));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn text(status: StatusCode, text: String) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Some(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What an answer says.
enum Content {
    Whole(Option<Bytes>),
    Parts(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(content) => Poll::Ready(content.take()),
            Self::Parts(parts) => parts.poll_recv(cx),
        };
        next.map(|part| part.map(|part| Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(content) => SizeHint::with_exact(content.as_ref().map_or(0, Bytes::len) as u64),
            Self::Parts(_) => SizeHint::default(),
        }
    }
}
