//! A question to somebody else's server: one request over a connection of its own.

use std::future::poll_fn;
use std::pin::Pin;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use thalweg_sys::task;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why there is no document.
#[derive(Debug)]
pub enum NoDocument {
    /// The request could not be made or sent, or its answer not be read, in words.
    Failed(String),
    /// The answer is another one than `200 OK`.
    Status(StatusCode),
    /// The document has more bytes than are taken.
    TooLong,
}

/// The host of an address, without brackets, and its port, which by default is that of its scheme.
#[must_use]
pub fn host_and_port(url: &Uri) -> (&str, u16) {
    let by_scheme = if url.scheme_str() == Some("https") { 443 } else { 80 };
    (url.host().unwrap_or_default().trim_matches(['[', ']']), url.port_u16().unwrap_or(by_scheme))
}

/// Asks the server of `url`, to which `stream` is connected, for the JSON at `path`. `authorization` is the value of that header.
///
/// # Errors
/// When there is no such document, or it has more than `bytes_max` bytes.
pub async fn document<S>(
    stream: S,
    (url, path): (&Uri, &str),
    authorization: Option<&str>,
    bytes_max: usize,
) -> Result<Vec<u8>, NoDocument>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |e: hyper::Error| NoDocument::Failed(e.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = task::spawn(async move { drop(connection.await) });
    // A name and a password before the host are nobody else's.
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let mut request = Request::get(path).header(HOST, host).header(ACCEPT, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(String::new()).map_err(|e| NoDocument::Failed(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let answer = match response.status() {
        StatusCode::OK => body(response.into_body(), bytes_max).await,
        status => Err(NoDocument::Status(status)),
    };
    connection.abort();
    answer
}

/// All of an answer, unless it is too long.
async fn body(mut incoming: Incoming, bytes_max: usize) -> Result<Vec<u8>, NoDocument> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|e| NoDocument::Failed(e.to_string()))?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(NoDocument::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
