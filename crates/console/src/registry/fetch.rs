//! Asking a registry over HTTP.

use std::future::poll_fn;
use std::pin::Pin;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thalweg_base::base64;
use thalweg_client::{ConfigError, Encryption, Peer, Properties, open_stream};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now, timeout};

/// A question must have its answer within this time.
const TIME_MAX: Duration = Duration::from_secs(5);
/// No schema that somebody wrote is so long.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What stands before the properties of the registry's own encryption.
const TLS_PREFIX: &str = "schema.registry.";

/// Where a registry is, and with which password.
#[derive(Debug)]
pub(super) struct Door {
    url: Uri,
    encryption: Option<Encryption>,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

impl Door {
    /// The registry that properties name, under the names that Confluent's serializers have for them.
    pub(super) fn of(properties: &Properties) -> Result<Option<Self>, ConfigError> {
        const URL: &str = "schema.registry.url";
        let Some(list) = properties.text(URL) else { return Ok(None) };
        // Of several, the first is asked.
        let text = list.split(',').next().unwrap_or_default().trim();
        let wrong = |reason: &str| ConfigError::Value {
            name: URL.to_owned(),
            value: text.to_owned(),
            reason: reason.to_owned(),
        };
        let url: Uri = text.parse().map_err(|_| wrong("it is no address"))?;
        if url.host().is_none() {
            return Err(wrong("it names no host"));
        }
        let encryption = match url.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let settings = thalweg_tls::TlsSettings::read(|name| {
                    properties.get(&format!("{TLS_PREFIX}{name}")).map(str::to_owned)
                });
                let encryption = settings.and_then(|settings| Encryption::new(&settings));
                Some(encryption.map_err(|e| ConfigError::Combination(format!("{URL}: {e}")))?)
            }
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let user =
            properties.text("basic.auth.user.info").or_else(|| properties.text("schema.registry.basic.auth.user.info"));
        let authorization = user.map(|user| format!("Basic {}", base64::encode(user.as_bytes())));
        Ok(Some(Self { url, encryption, authorization }))
    }

    /// The document at a path of the registry.
    pub(super) async fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let text = timeout(TIME_MAX, self.ask(path)).await;
        let text = text.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_MAX.as_secs())));
        let text = text.map_err(|why| format!("the registry at {}: {why}", self.url))?;
        serde_json::from_slice(&text).map_err(|e| format!("the registry at {} answers otherwise: {e}", self.url))
    }

    async fn ask(&self, path: &str) -> Result<Vec<u8>, String> {
        let host = self.url.host().unwrap_or_default();
        let port = self.url.port_u16().unwrap_or(if self.encryption.is_some() { 443 } else { 80 });
        let peer = Peer::new(host.trim_matches(['[', ']']), port);
        let stream = open_stream(&peer, self.encryption.clone(), now() + TIME_MAX).await.map_err(|e| e.to_string())?;
        let failed = |e: hyper::Error| e.to_string();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let connection = task::spawn(async move { drop(connection.await) });
        let authority = self.url.authority().map_or(host, |authority| authority.as_str());
        let request = Request::get(format!("{}{path}", self.url.path().trim_end_matches('/')));
        let mut request =
            request.header(HOST, authority.rsplit('@').next().unwrap_or(authority)).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(String::new()).map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let answer = match response.status() {
            StatusCode::OK => body(response.into_body()).await,
            StatusCode::NOT_FOUND => Err("it knows no such schema".to_owned()),
            status => Err(format!("its answer is {status}")),
        };
        connection.abort();
        answer
    }
}

/// All of an answer, unless it is too long.
async fn body(mut incoming: Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|e| e.to_string())?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
