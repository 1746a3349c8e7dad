//! Asking a registry over HTTP.

use serde::de::DeserializeOwned;
use thalweg_base::base64;
use thalweg_client::{ConfigError, Encryption, Peer, Properties, open_stream};
use thalweg_http::{NoDocument, StatusCode, Uri, document, host_and_port};
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
        let (host, port) = host_and_port(&self.url);
        let peer = Peer::new(host, port);
        let stream = open_stream(&peer, self.encryption.clone(), now() + TIME_MAX).await.map_err(|e| e.to_string())?;
        let path = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let answer = document(stream, (&self.url, &path), self.authorization.as_deref(), ANSWER_BYTES_MAX).await;
        answer.map_err(|why| match why {
            NoDocument::Failed(why) => why,
            NoDocument::Status(StatusCode::NOT_FOUND) => "it knows no such schema".to_owned(),
            NoDocument::Status(status) => format!("its answer is {status}"),
            NoDocument::TooLong => format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"),
        })
    }
}
