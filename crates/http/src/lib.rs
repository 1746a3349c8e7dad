//! HTTP/1.1 for those who watch a node or a cluster: metrics, health and the console.
//!
//! A [`Server`] accepts connections, hands each one's request to a [`Handler`] and sends its answer. It has no encryption and
//! no passwords. Each connection serves one request and has limits, so that no visitor can hold the server for long.
//!
//! [`document`] asks somebody else's server.

mod asking;
mod body;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thalweg_sys::closing::Closing;
use thalweg_sys::net::{Acceptor, SocketOptions, TcpStream, listen_on};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep, timeout};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

pub use asking::{NoDocument, document, host_and_port};
pub use body::{Body, Failure};
pub use hyper::{Method, StatusCode, Uri, header};

/// A request.
pub type Request = hyper::Request<Incoming>;
/// An answer.
pub type Response = hyper::Response<Body>;
/// What answers requests.
pub type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;
/// An answer that is being worked out.
pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

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
/// The whole answer must be taken within this time, however large it is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Or within this time, if whoever answers has said that it is a [`Long`] one.
const LONG_ANSWER_TIME_MAX: Duration = Duration::from_secs(600);
/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An extension of every request: where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From(pub SocketAddr);

/// An extension of an answer that may take ten minutes: a file, or what is live. Whoever gives such answers limits how many there
/// are at once, since each holds one of the server's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long;

/// The server, bound to its address.
#[derive(Debug)]
pub struct Server {
    socket: Acceptor,
    local: SocketAddr,
}

impl Server {
    /// Binds every address that `host` stands for.
    ///
    /// # Errors
    /// When the host is unknown, or the port is taken.
    pub async fn bind(host: &str, port: u16) -> io::Result<Self> {
        let options = SocketOptions { backlog: BACKLOG, receive_buffer: None, send_buffer: None };
        let socket = listen_on(host, port, options).await?;
        Ok(Self { local: socket.local(), socket })
    }

    /// Where it listens: if port 0 was asked for, the port that was free.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `closing` says so.
    pub async fn run(self, handler: Handler, mut closing: Closing) {
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
                    let (handler, mut closing) = (Arc::clone(&handler), closing.clone());
                    task::spawn(async move {
                        let _place = place;
                        tokio::select! {
                            biased;
                            () = closing.begun() => {}
                            () = serve(stream, peer, handler) => {}
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

async fn serve(stream: TcpStream, peer: SocketAddr, handler: Handler) {
    let is_long = AtomicBool::new(false);
    let service = service_fn(|mut request: Request| {
        request.extensions_mut().insert(From(peer));
        let answering = handler(request);
        let is_long = &is_long;
        async move {
            let answer = answering.await;
            is_long.store(answer.extensions().get::<Long>().is_some(), Ordering::Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let mut ended = timeout(ANSWER_TIME_MAX, &mut served).await;
    if ended.is_err() && is_long.load(Ordering::Relaxed) {
        ended = timeout(LONG_ANSWER_TIME_MAX - ANSWER_TIME_MAX, &mut served).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(e)) => debug!(%peer, error = %e, "an HTTP connection was closed"),
        Err(_) => debug!(%peer, "an HTTP connection was closed: its answer was not taken in time"),
    }
}
