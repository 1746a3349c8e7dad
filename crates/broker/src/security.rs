//! How each listener encrypts and authenticates, by the properties: `listener.name.<name>.` and the key, or the key alone.

mod jaas_file;
mod jwks;
mod listener_tls;
mod logins;
mod outgoing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_access::jaas::{self, LoginModule};
use thalweg_access::sasl::{PlainUsers, SaslMechanism, ScramSettings, SignedTokens, TokenValidator};
use thalweg_access::sasl::{UnsecuredTokens, Verifier};
use thalweg_access::{Principal, Secret};
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable};
use thalweg_network::{Encryption, Origin};
use thalweg_sys::closing::Closing;
use thalweg_sys::time::{Duration, timeout};
use thalweg_sys::{fs, task};
use thalweg_tls::{Peers, TlsError, TlsSettings, distinguished_name};
use tracing::{error, info};

use crate::config::{NodeConfig, SecurityProtocol};
pub(crate) use jaas_file::JaasFile;
use jwks::Jwks;
use listener_tls::Tls;
pub(crate) use logins::{LoginKind, LoginView, Logins};
pub(crate) use outgoing::{Outgoing, Outgoings};

/// Why a listener cannot be secured as the properties say. Names the listener, never a secret.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: {why}")]
pub(crate) struct SecurityError {
    listener: String,
    why: String,
}

/// Where the keys of tokens are: `file:`, `http:` or `https:`.
const JWKS_URL: &str = "sasl.oauthbearer.jwks.endpoint.url";

/// For how long a start waits for the keys of tokens.
const FIRST_KEYS_WAIT_MAX: Duration = Duration::from_secs(10);
/// The mechanism of tokens.
const TOKENS: SaslMechanism = SaslMechanism::OAuthBearer;

/// All listeners' security by their names.
pub(crate) type Securities = BTreeMap<Arc<str>, Arc<ListenerSecurity>>;

/// How one listener encrypts and authenticates.
#[derive(Debug)]
pub(crate) struct ListenerSecurity {
    name: Arc<str>,
    tls: Option<Tls>,
    /// Where clients have to log in.
    pub(crate) sasl: Option<SaslSettings>,
    pub(crate) logins: Logins,
}

/// What an encryption was made of: settings, and the contents of the files that they name.
struct KeyMaterial(Mutex<(TlsSettings, Vec<Vec<u8>>)>);

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial")
    }
}

impl KeyMaterial {
    fn read(own: &Own<'_>) -> Result<Self, TlsError> {
        let settings = TlsSettings::read(|key| own.get(key))?;
        let files = contents(&settings);
        Ok(Self(Mutex::new((settings, files))))
    }

    fn settings(&self) -> TlsSettings {
        self.0.lock().0.clone()
    }

    /// Has `replace` use what the settings say now, if they or the contents of their files have changed. Says whether it did.
    fn refresh(
        &self,
        own: &Own<'_>,
        replace: impl FnOnce(&TlsSettings) -> Result<(), TlsError>,
    ) -> Result<bool, TlsError> {
        let settings = TlsSettings::read(|key| own.get(key))?;
        let files = contents(&settings);
        let mut made_of = self.0.lock();
        if *made_of == (settings.clone(), files.clone()) {
            return Ok(false);
        }
        // What cannot be used is said once, not at every look.
        let replaced = replace(&settings);
        *made_of = (settings, files);
        replaced.map(|()| true)
    }
}

/// What clients log in with.
#[derive(Debug)]
pub(crate) struct SaslSettings {
    /// `sasl.enabled.mechanisms`, in their order.
    verifiers: Vec<Verifier>,
    /// Where the keys of tokens come from, if that is an address.
    jwks: Option<Arc<Jwks>>,
    /// `sasl.server.max.receive.size`
    pub(crate) receive_bytes_max: usize,
    /// `connections.max.reauth.ms` by mechanism: 0 is without end.
    reauth_max_ms: BTreeMap<&'static str, i64>,
    /// `connection.failed.authentication.delay.ms`
    pub(crate) failed_delay: Duration,
}

/// The properties as one listener sees them.
struct Own<'a> {
    listener: &'a str,
    prefix: String,
    configs: BrokerConfigs<'a>,
    /// `None` where nobody logs in.
    jaas: Option<&'a JaasFile>,
}

impl<'a> Own<'a> {
    fn new(listener: &'a str, configs: BrokerConfigs<'a>, jaas: Option<&'a JaasFile>) -> Self {
        Self { listener, prefix: prefix(listener), configs, jaas }
    }

    fn get(&self, key: &str) -> Option<String> {
        let own = self.configs.get(&format!("{}{key}", self.prefix));
        let text = own.or_else(|| self.configs.get(key));
        text.or_else(|| ConfigTable::BROKER.get(key)?.default_text()).map(str::to_owned)
    }

    /// A property that only the listener itself can have.
    fn own(&self, key: &str) -> Option<&str> {
        self.configs.get(&format!("{}{key}", self.prefix))
    }

    /// A property of a mechanism: behind the listener's prefix and its name, or else as `get` finds it.
    fn of_mechanism(&self, mechanism: SaslMechanism, key: &str) -> Option<String> {
        self.own(&behind(mechanism, key)).map(str::to_owned).or_else(|| self.get(key))
    }

    fn number_of_mechanism(&self, mechanism: SaslMechanism, key: &str) -> i64 {
        self.of_mechanism(mechanism, key).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn number(&self, key: &str) -> i64 {
        self.get(key).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

/// The JAAS file of `KAFKA_OPTS`, if clients or nodes log in anywhere.
pub(crate) fn jaas(config: &NodeConfig) -> Result<JaasFile, SecurityError> {
    let network = &config.network;
    let controllers = network.controller_listener_names.first().map(|name| name.to_uppercase());
    let of_others = [Some(&network.inter_broker_listener_name), controllers.as_ref()].into_iter().flatten();
    let mut protocols = of_others
        .filter_map(|name| network.protocols.get(name).copied())
        .chain(network.listeners.iter().map(|listener| listener.protocol));
    match protocols.any(|protocol| protocol.authenticates()) {
        true => JaasFile::read().map_err(|why| SecurityError { listener: "KafkaServer".to_owned(), why }),
        false => Ok(JaasFile::default()),
    }
}

/// Reads how every listener of the node is secured, and the key material that this needs.
pub(crate) fn read(config: &NodeConfig, jaas: &JaasFile) -> Result<Securities, SecurityError> {
    let none = ConfigMap::new();
    let decoy_key = Secret::new(thalweg_base::base64::encode(&thalweg_sys::random::bytes16()));
    let mut all = Securities::new();
    for listener in &config.network.listeners {
        let configs = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &config.properties };
        let own = Own::new(&listener.name, configs, Some(jaas));
        let name: Arc<str> = listener.name.as_str().into();
        let peers = match listener.name == config.network.inter_broker_listener_name {
            true => Peers::Nodes,
            false => Peers::Clients,
        };
        let read = ListenerSecurity::read(&own, listener.protocol, peers, &decoy_key);
        let security = read.map_err(|why| SecurityError { listener: listener.name.clone(), why })?;
        all.insert(name, Arc::new(security));
    }
    Ok(all)
}

/// Fetches the keys of tokens from their addresses, until `closing` says so. Returns when all providers were asked: a client that
/// came before there are keys would be refused, and Kafka's own do not try again. A provider that is slow is not waited for.
pub(crate) async fn follow_keys(securities: &Securities, closing: &Closing) {
    let all = || securities.values().filter_map(|security| security.sasl.as_ref()?.jwks.as_ref());
    for jwks in all() {
        task::spawn(Arc::clone(jwks).follow(closing.clone()));
    }
    let asked = async {
        for jwks in all() {
            jwks.asked().await;
        }
    };
    // A start goes on without keys, as it does where a provider fails.
    let _ = timeout(FIRST_KEYS_WAIT_MAX, asked).await;
}

fn prefix(listener: &str) -> String {
    format!("listener.name.{}.", listener.to_lowercase())
}

impl ListenerSecurity {
    fn read(own: &Own<'_>, protocol: SecurityProtocol, peers: Peers, decoy_key: &Secret) -> Result<Self, String> {
        let tls = if protocol.encrypts() { Some(Tls::read(own, peers)?) } else { None };
        let sasl = if protocol.authenticates() { Some(SaslSettings::read(own, decoy_key)?) } else { None };
        Ok(Self { name: own.listener.into(), tls, sasl, logins: Logins::default() })
    }

    /// Whether a TLS handshake is all that clients log in with.
    pub(crate) fn logs_in_by_tls(&self) -> bool {
        self.tls.is_some() && self.sasl.is_none()
    }

    /// How its connections are encrypted, if they are.
    pub(crate) fn encryption(&self) -> Option<Arc<Encryption>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.encryption))
    }

    /// Who a client is before it has logged in: what its certificate says, where it has shown one.
    pub(crate) fn principal(&self, origin: &Origin) -> Result<Principal, String> {
        let (Some(tls), Some(certificate)) = (&self.tls, &origin.certificate) else {
            return Ok(Principal::anonymous());
        };
        let name = distinguished_name(certificate).ok_or("the certificate of the client cannot be read")?;
        let mapped = tls.mapping.name(&name);
        mapped.map(Principal::user).ok_or_else(|| format!("no rule of ssl.principal.mapping.rules is for {name}"))
    }

    /// Whether its connections could be encrypted as these configurations say. Says why not in the words of Kafka's exceptions.
    /// Reads the key material if it is another.
    pub(crate) fn check(&self, configs: BrokerConfigs<'_>) -> Result<(), String> {
        let Some(tls) = &self.tls else { return Ok(()) };
        tls.check(&Own::new(&self.name, configs, None))
    }

    /// Reads key material again if its settings or files have changed. Material that cannot be used leaves what was there.
    pub(crate) fn refresh(&self, configs: BrokerConfigs<'_>) {
        let Some(tls) = &self.tls else { return };
        let own = Own::new(&self.name, configs, None);
        match tls.refresh(&own) {
            Ok(false) => {}
            Ok(true) => info!(listener = %self.name, "new connections use the new key material"),
            Err(e) => error!(listener = %self.name, "the key material stays as it was: {e}"),
        }
    }
}

/// What stands in the files of key material; nothing where a file cannot be read.
fn contents(settings: &TlsSettings) -> Vec<Vec<u8>> {
    settings.files().map(|path| fs::read(path).unwrap_or_default()).collect()
}

impl SaslSettings {
    fn read(own: &Own<'_>, decoy_key: &Secret) -> Result<Self, String> {
        let enabled = own.get("sasl.enabled.mechanisms").unwrap_or_default();
        let (mut verifiers, mut jwks, mut reauth_max_ms) = (Vec::new(), None, BTreeMap::new());
        for name in enabled.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let mechanism = SaslMechanism::by_name(name).ok_or_else(|| {
                format!(
                    "the SASL mechanism {name} of sasl.enabled.mechanisms is not built: use PLAIN, SCRAM-SHA-256, \
                     SCRAM-SHA-512 or OAUTHBEARER"
                )
            })?;
            if mechanism == SaslMechanism::OAuthBearer {
                jwks = keys_at_address(own)?;
            }
            verifiers.push(verifier(mechanism, own, jwks.as_deref(), decoy_key)?);
            reauth_max_ms.insert(mechanism.name(), own.number_of_mechanism(mechanism, "connections.max.reauth.ms"));
        }
        if verifiers.is_empty() {
            return Err("sasl.enabled.mechanisms names no mechanism".to_owned());
        }
        Ok(Self {
            verifiers,
            jwks,
            receive_bytes_max: usize::try_from(own.number("sasl.server.max.receive.size")).unwrap_or(0),
            reauth_max_ms,
            failed_delay: Duration::from_millis(
                u64::try_from(own.number("connection.failed.authentication.delay.ms")).unwrap_or(0),
            ),
        })
    }

    /// The names of the mechanisms, in their order.
    pub(crate) fn mechanisms(&self) -> impl Iterator<Item = &'static str> {
        self.verifiers.iter().map(|verifier| verifier.mechanism().name())
    }

    /// What clients of that mechanism are verified with.
    pub(crate) fn verifier(&self, mechanism: &str) -> Option<Verifier> {
        let found = self.verifiers.iter().find(|verifier| verifier.mechanism().name() == mechanism)?;
        Some(match (found, &self.jwks) {
            (Verifier::OAuthBearer(_), Some(jwks)) => Verifier::OAuthBearer(jwks.tokens()),
            _ => found.clone(),
        })
    }

    /// This message has not authenticated its client: if it is a token that an unknown key signed, the keys are fetched again.
    pub(crate) fn refused(&self, mechanism: SaslMechanism, message: &[u8]) {
        if let (SaslMechanism::OAuthBearer, Some(jwks)) = (mechanism, &self.jwks) {
            jwks.refused(message);
        }
    }

    /// For how many milliseconds a client of this mechanism may go on without logging in again; 0 is without end.
    pub(crate) fn reauth_max_ms(&self, mechanism: &str) -> i64 {
        self.reauth_max_ms.get(mechanism).copied().unwrap_or(0)
    }
}

/// A key of a mechanism, behind the listener's prefix.
fn behind(mechanism: SaslMechanism, key: &str) -> String {
    format!("{}.{key}", mechanism.name().to_lowercase())
}

/// The key of a mechanism's JAAS line, behind the listener's prefix.
fn jaas_key(mechanism: SaslMechanism) -> String {
    behind(mechanism, "sasl.jaas.config")
}

/// The login module of a mechanism: what clients log in with, and this node at others.
fn login_module(own: &Own<'_>, mechanism: SaslMechanism) -> Result<Option<LoginModule>, String> {
    let key = jaas_key(mechanism);
    let module = own.own(&key).map(jaas::parse_line).transpose().map_err(|e| format!("{}{key}: {e}", own.prefix))?;
    Ok(module.or_else(|| own.jaas?.login_module(own.listener, mechanism).cloned()))
}

/// `jwks` are the keys of tokens where they come from an address.
fn verifier(
    mechanism: SaslMechanism,
    own: &Own<'_>,
    jwks: Option<&Jwks>,
    decoy_key: &Secret,
) -> Result<Verifier, String> {
    let (key, module) = (jaas_key(mechanism), login_module(own, mechanism)?);
    Ok(match mechanism {
        SaslMechanism::Plain => {
            let module =
                module.ok_or_else(|| format!("{}{key} is not set: it names the users of PLAIN", own.prefix))?;
            Verifier::Plain(Arc::new(PlainUsers::from_module(&module)))
        }
        SaslMechanism::Scram(scram) => {
            let token_key = own.get("delegation.token.secret.key").filter(|key| !key.is_empty()).map(Secret::new);
            Verifier::Scram(scram, Arc::new(ScramSettings { decoy_key: decoy_key.clone(), token_key }))
        }
        SaslMechanism::OAuthBearer => Verifier::OAuthBearer(token_validator(own, jwks, module.as_ref())?),
    })
}

/// What tokens are checked with: keys where there are any, or else nothing but what they say of themselves.
fn token_validator(
    own: &Own<'_>,
    jwks: Option<&Jwks>,
    module: Option<&LoginModule>,
) -> Result<Arc<TokenValidator>, String> {
    let url = keys_url(own);
    no_class_checks_tokens(own, url.is_some())?;
    Ok(match (jwks, url) {
        (Some(jwks), _) => jwks.tokens(),
        (None, Some(url)) => Arc::new(TokenValidator::Signed(signed(own, &url)?)),
        (None, None) => Arc::new(TokenValidator::Unsecured(match module {
            Some(module) => UnsecuredTokens::from_module(module)?,
            None => UnsecuredTokens::default(),
        })),
    })
}

/// Tokens are not taken unsigned, or checked for less, where a Java class was to check them.
fn no_class_checks_tokens(own: &Own<'_>, has_keys: bool) -> Result<(), String> {
    const PACKAGE: &str = "org.apache.kafka.common.security.oauthbearer.";
    let key = behind(TOKENS, "sasl.server.callback.handler.class");
    let Some(class) = own.own(&key).map(str::trim).filter(|class| !class.is_empty()) else { return Ok(()) };
    let (prefix, name) = (&own.prefix, class.strip_prefix(PACKAGE).and_then(|rest| rest.rsplit('.').next()));
    match name {
        Some("OAuthBearerUnsecuredValidatorCallbackHandler") => Ok(()),
        Some("OAuthBearerValidatorCallbackHandler") if has_keys => Ok(()),
        Some("OAuthBearerValidatorCallbackHandler") => {
            Err(format!("{prefix}{key} is {class}, which needs {JWKS_URL} to check the signatures of tokens"))
        }
        _ => Err(format!(
            "{prefix}{key} is {class}, a Java class that cannot run in this process, so tokens would not be checked as it \
             does: use {PACKAGE}OAuthBearerValidatorCallbackHandler with {JWKS_URL}"
        )),
    }
}

/// Where the keys of tokens are, if anywhere.
fn keys_url(own: &Own<'_>) -> Option<String> {
    own.of_mechanism(TOKENS, JWKS_URL).map(|url| url.trim().to_owned()).filter(|url| !url.is_empty())
}

/// Where keys come from an address.
fn keys_at_address(own: &Own<'_>) -> Result<Option<Arc<Jwks>>, String> {
    let Some(url) = keys_url(own).filter(|url| !url.starts_with("file:")) else { return Ok(None) };
    Ok(Some(Arc::new(Jwks::read(own, &url, checks(own, SignedTokens::without_keys()))?)))
}

/// Tokens that are checked with the keys of a JWKS file, at `file:PATH` or `file://PATH`.
fn signed(own: &Own<'_>, url: &str) -> Result<SignedTokens, String> {
    let path = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:")).unwrap_or(url);
    let text = fs::read_to_string(std::path::Path::new(path)).map_err(|e| format!("cannot read {path}: {e}"))?;
    Ok(checks(own, SignedTokens::new(&text)?))
}

/// Tokens signed by these keys, with everything else that the properties demand of them.
fn checks(own: &Own<'_>, mut tokens: SignedTokens) -> SignedTokens {
    let list = |text: String| -> Vec<String> {
        text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    tokens.audiences = own.of_mechanism(TOKENS, "sasl.oauthbearer.expected.audience").map(list).unwrap_or_default();
    tokens.issuer = own.of_mechanism(TOKENS, "sasl.oauthbearer.expected.issuer").filter(|issuer| !issuer.is_empty());
    tokens.clock_skew_ms = own.number_of_mechanism(TOKENS, "sasl.oauthbearer.clock.skew.seconds").saturating_mul(1000);
    let claim = |key: &str, default: &str| own.of_mechanism(TOKENS, key).unwrap_or_else(|| default.to_owned());
    tokens.scope_claim = claim("sasl.oauthbearer.scope.claim.name", "scope");
    tokens.principal_claim = claim("sasl.oauthbearer.sub.claim.name", "sub");
    tokens
}

#[cfg(test)]
mod tests;
