//! The keys of an identity provider, which signs the tokens of OAUTHBEARER: fetched from its address, again and again.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_access::sasl::{SignedTokens, TokenValidator, bearer_token};
use thalweg_client::{Encryption, Peer, open_stream};
use thalweg_http::{NoDocument, Uri, document, host_and_port};
use thalweg_sys::closing::Closing;
use thalweg_sys::time::{Duration, Instant, now, sleep, timeout};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::Own;

/// The provider must have answered within this time.
const TIME_MAX: Duration = Duration::from_secs(30);
/// No provider has so many keys: hundreds of them take less.
const BYTES_MAX: usize = 1 << 20;
/// A token of an unknown key has the keys fetched at once, but no more often than this: strangers can make such tokens.
const UNKNOWN_KEY_FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// The Java property that lists which addresses may be asked, as Kafka demands since 4.0.
const ALLOWED: &str = "org.apache.kafka.sasl.oauthbearer.allowed.urls";

/// Tokens that are checked with the keys of an address.
#[derive(Debug)]
pub(super) struct Jwks {
    url: Uri,
    encryption: Option<Encryption>,
    refresh: Duration,
    retry: Duration,
    retry_max: Duration,
    /// The checks, and the keys that were fetched last; none at first.
    tokens: RwLock<Arc<TokenValidator>>,
    checks: SignedTokens,
    /// A token was signed by a key that is not known.
    wanted: Notify,
    fetched_at: Mutex<Option<Instant>>,
    /// Whether the provider was asked, and has answered or failed.
    asked: watch::Sender<bool>,
}

impl Jwks {
    /// The keys at `url`, which the operator must have allowed; `checks` is what else is checked.
    pub(super) fn read(own: &Own<'_>, url: &str, checks: SignedTokens) -> Result<Self, String> {
        const KEY: &str = super::JWKS_URL;
        let options = std::env::var("KAFKA_OPTS").unwrap_or_default();
        if !is_allowed(&options, url) {
            return Err(format!("{KEY}: {url} is not allowed. Update system property '{ALLOWED}' to allow {url}"));
        }
        let parsed: Uri = url.parse().map_err(|_| format!("{KEY}: {url} is no address"))?;
        let encryption = match parsed.scheme_str() {
            Some("http") => None,
            Some("https") => {
                let settings = thalweg_tls::TlsSettings::read(|key| {
                    let trust = key.starts_with("ssl.truststore.") || key == "ssl.endpoint.identification.algorithm";
                    own.get(key).filter(|_| trust)
                });
                Some(settings.and_then(|settings| Encryption::new(&settings)).map_err(|e| format!("{KEY}: {e}"))?)
            }
            _ => return Err(format!("{KEY}: {url} is none of file:, http: and https:")),
        };
        if parsed.host().is_none() {
            return Err(format!("{KEY}: {url} names no host"));
        }
        let ms = |key: &str| {
            Duration::from_millis(u64::try_from(own.number_of_mechanism(super::TOKENS, key)).unwrap_or(0).max(100))
        };
        Ok(Self {
            url: parsed,
            encryption,
            refresh: ms("sasl.oauthbearer.jwks.endpoint.refresh.ms"),
            retry: ms("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"),
            retry_max: ms("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"),
            tokens: RwLock::new(Arc::new(TokenValidator::Signed(checks.clone()))),
            checks,
            wanted: Notify::new(),
            fetched_at: Mutex::new(None),
            asked: watch::Sender::new(false),
        })
    }

    /// What tokens are checked with now.
    pub(super) fn tokens(&self) -> Arc<TokenValidator> {
        Arc::clone(&self.tokens.read())
    }

    /// A client with this message was refused. If no known key could have signed its token, the keys are fetched again.
    pub(super) fn refused(&self, message: &[u8]) {
        let Some(token) = bearer_token(message) else { return };
        let tokens = self.tokens();
        let is_unknown = matches!(&*tokens, TokenValidator::Signed(tokens) if tokens.lacks_key_of(&token));
        let is_due = || self.fetched_at.lock().is_none_or(|at| at.elapsed() >= UNKNOWN_KEY_FETCH_INTERVAL);
        if is_unknown && is_due() {
            self.wanted.notify_one();
        }
    }

    /// Fetches the keys until `closing` says so. While they cannot be fetched, those that were there before count.
    pub(super) async fn follow(self: Arc<Self>, mut closing: Closing) {
        let mut retry = self.retry;
        loop {
            let fetched = tokio::select! {
                biased;
                () = closing.begun() => return,
                fetched = timeout(TIME_MAX, self.fetch()) => fetched,
            };
            let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_MAX.as_secs())));
            let wait = match fetched.and_then(|jwks| self.checks.with_keys(&jwks)) {
                Ok(tokens) => {
                    *self.tokens.write() = Arc::new(TokenValidator::Signed(tokens));
                    info!(url = %self.url, "the keys that sign tokens were fetched");
                    retry = self.retry;
                    self.refresh
                }
                Err(why) => {
                    warn!(url = %self.url, "the keys that sign tokens cannot be fetched: {why}");
                    let wait = retry;
                    retry = (retry * 2).min(self.retry_max);
                    wait
                }
            };
            *self.fetched_at.lock() = Some(now());
            self.asked.send_replace(true);
            tokio::select! {
                biased;
                () = closing.begun() => return,
                () = self.wanted.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Until the provider was asked once, and has answered or failed.
    pub(super) async fn asked(&self) {
        // The sender is this value's own, so that the wait does not fail.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    async fn fetch(&self) -> Result<String, String> {
        let (host, port) = host_and_port(&self.url);
        let peer = Peer::new(host, port);
        let stream = open_stream(&peer, self.encryption.clone(), now() + TIME_MAX).await.map_err(|e| e.to_string())?;
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let answer = document(stream, (&self.url, path), None, BYTES_MAX).await.map_err(|why| match why {
            NoDocument::Failed(why) => why,
            NoDocument::Status(status) => format!("the answer is {status}"),
            NoDocument::TooLong => format!("the answer is longer than {BYTES_MAX} bytes"),
        })?;
        String::from_utf8(answer).map_err(|_| "the answer is no text".to_owned())
    }
}

/// Whether options of a Java machine list this address.
fn is_allowed(options: &str, url: &str) -> bool {
    let lists = options.split_whitespace().filter_map(|option| {
        option.trim_matches(['"', '\'']).strip_prefix("-D")?.strip_prefix(ALLOWED)?.strip_prefix('=')
    });
    lists.flat_map(|list| list.split(',')).any(|allowed| allowed.trim().trim_matches(['"', '\'']) == url)
}

#[cfg(test)]
mod tests {
    use thalweg_base::base64;
    use thalweg_sys::closing::Close;
    use thalweg_sys::net::TcpListener;
    use thalweg_sys::task;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Answers each connection with the next of these texts, and gives the address.
    async fn provider(answers: Vec<String>) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        task::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    fn jwks(url: &str) -> Arc<Jwks> {
        let checks = SignedTokens::without_keys();
        Arc::new(Jwks {
            url: url.parse().expect("an address"),
            encryption: None,
            refresh: Duration::from_secs(3600),
            retry: Duration::from_millis(1),
            retry_max: Duration::from_millis(4),
            tokens: RwLock::new(Arc::new(TokenValidator::Signed(checks.clone()))),
            checks,
            wanted: Notify::new(),
            fetched_at: Mutex::new(None),
            asked: watch::Sender::new(false),
        })
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    /// A token in whose header stands this key.
    fn token(key_id: &str) -> String {
        let header = base64::encode(format!("{{\"alg\":\"RS256\",\"kid\":\"{key_id}\"}}").as_bytes());
        format!("{}.e30.c2ln", header.trim_end_matches('='))
    }

    fn lacks_key_of(jwks: &Jwks, token: &str) -> bool {
        matches!(&*jwks.tokens(), TokenValidator::Signed(tokens) if tokens.lacks_key_of(token))
    }

    #[tokio::test]
    async fn keys_are_fetched_again_until_the_provider_answers_with_a_jwks() {
        let key = r#"{"keys":[{"kty":"RSA","kid":"one","n":"AQAB","e":"AQAB"}]}"#;
        let broken = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned();
        let jwks = jwks(&provider(vec![broken, ok("no JWKS"), ok(key)]).await);
        let close = Close::new();
        let following = task::spawn(Arc::clone(&jwks).follow(close.closing()));
        assert!(lacks_key_of(&jwks, &token("one")));
        while lacks_key_of(&jwks, &token("one")) {
            tokio::task::yield_now().await;
        }
        assert!(lacks_key_of(&jwks, &token("two")));
        close.now();
        following.await.expect("it ends");
    }

    #[tokio::test]
    async fn a_provider_that_fails_is_waited_for_no_longer_than_one_that_answers() {
        let key = r#"{"keys":[{"kty":"RSA","kid":"one","n":"AQAB","e":"AQAB"}]}"#;
        for (answer, is_there) in [(ok(key), true), (ok("no JWKS"), false)] {
            let (jwks, close) = (jwks(&provider(vec![answer]).await), Close::new());
            let following = task::spawn(Arc::clone(&jwks).follow(close.closing()));
            jwks.asked().await;
            assert_eq!(lacks_key_of(&jwks, &token("one")), !is_there);
            close.now();
            following.await.expect("it ends");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(BYTES_MAX + 1));
        let jwks = jwks(&provider(vec![endless]).await);
        assert_eq!(jwks.fetch().await, Err(format!("the answer is longer than {BYTES_MAX} bytes")));
    }

    #[test]
    fn only_addresses_that_the_operator_lists_are_asked() {
        let options = "-Xmx1g -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=https://a/keys,http://b:8080/jwks";
        assert!(is_allowed(options, "https://a/keys"));
        assert!(is_allowed(options, "http://b:8080/jwks"));
        assert!(!is_allowed(options, "http://c/jwks"));
        assert!(!is_allowed("", "https://a/keys"));
    }
}
