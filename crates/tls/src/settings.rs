//! Kafka's `ssl.*` settings of one listener or client.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::TlsError;
use crate::suites;

/// Whether clients have to show a certificate (`ssl.client.auth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    None,
    /// They are asked, and may have none.
    Requested,
    /// They must have one.
    Required,
}

/// A keystore or truststore as the settings describe it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Store {
    /// `JKS`, `PKCS12` or `PEM`, in upper case.
    pub(crate) kind: String,
    pub(crate) location: Option<PathBuf>,
    pub(crate) password: Option<String>,
}

/// The settings of one listener or client.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSettings {
    pub(crate) keystore: Store,
    /// `ssl.key.password`
    pub(crate) key_password: Option<String>,
    /// `ssl.keystore.key` (KIP-651)
    pub(crate) key: Option<String>,
    /// `ssl.keystore.certificate.chain` (KIP-651)
    pub(crate) certificate_chain: Option<String>,
    pub(crate) truststore: Store,
    /// `ssl.truststore.certificates` (KIP-651)
    pub(crate) trusted: Option<String>,
    pub(crate) client_auth: ClientAuth,
    protocols: Vec<String>,
    suites: Vec<String>,
    pub(crate) verifies_host: bool,
    /// `ssl.allow.dn.changes`
    pub(crate) allows_other_subject: bool,
    /// `ssl.allow.san.changes`
    pub(crate) allows_fewer_names: bool,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("keystore", &self.keystore.location)
            .field("truststore", &self.truststore.location)
            .field("client_auth", &self.client_auth)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// Reads the settings. `get` gives the text of a setting by its name without any prefix, such as
    /// `ssl.keystore.location`.
    ///
    /// # Errors
    /// When a setting has a value that Kafka does not take, or one that is not supported here.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, TlsError> {
        let given = |key: &str| get(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let list = |key: &str| -> Vec<String> {
            let text = given(key).unwrap_or_default();
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };
        let is_true = |key: &str| given(key).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let store = |part: &str| Store {
            kind: given(&format!("ssl.{part}.type")).unwrap_or_else(|| "JKS".to_owned()).to_uppercase(),
            location: given(&format!("ssl.{part}.location")).map(PathBuf::from),
            password: get(&format!("ssl.{part}.password")).filter(|text| !text.is_empty()),
        };
        let client_auth = match given("ssl.client.auth").as_deref().map(str::to_lowercase).as_deref() {
            None | Some("none") => ClientAuth::None,
            Some("requested") => ClientAuth::Requested,
            Some("required") => ClientAuth::Required,
            Some(other) => return Err(invalid("ssl.client.auth", other, "one of required, requested, none")),
        };
        let mut protocols = list("ssl.enabled.protocols");
        if protocols.is_empty() {
            protocols = vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()];
        }
        let settings = Self {
            keystore: store("keystore"),
            key_password: get("ssl.key.password").filter(|text| !text.is_empty()),
            key: given("ssl.keystore.key"),
            certificate_chain: given("ssl.keystore.certificate.chain"),
            truststore: store("truststore"),
            trusted: given("ssl.truststore.certificates"),
            client_auth,
            protocols,
            suites: list("ssl.cipher.suites"),
            verifies_host: get("ssl.endpoint.identification.algorithm")
                .is_none_or(|algorithm| algorithm.trim().eq_ignore_ascii_case("https")),
            allows_other_subject: is_true("ssl.allow.dn.changes"),
            allows_fewer_names: is_true("ssl.allow.san.changes"),
        };
        settings.versions()?;
        settings.provider()?;
        Ok(settings)
    }

    /// Whether clients of this listener have to show a certificate.
    #[must_use]
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth
    }

    /// The files whose change means that the key material is to be read again.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.keystore.location, &self.truststore.location].into_iter().flatten()
    }

    /// The same settings for a client that does not compare the server's name with its certificate.
    pub(crate) fn without_host_verification(self) -> Self {
        Self { verifies_host: false, ..self }
    }

    /// Whether the settings name certificates that are trusted.
    pub(crate) fn has_truststore(&self) -> bool {
        self.truststore.location.is_some() || self.trusted.is_some()
    }

    /// The file of the keystore and its type; `None` where key and certificates are in the settings themselves.
    #[must_use]
    pub fn keystore(&self) -> Option<(&Path, &str)> {
        self.keystore.location.as_deref().map(|path| (path, self.keystore.kind.as_str()))
    }

    /// The versions of TLS that may be used.
    pub(crate) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let version = |name: &String| match name.as_str() {
            "TLSv1.3" => Ok(Some(&rustls::version::TLS13)),
            "TLSv1.2" => Ok(Some(&rustls::version::TLS12)),
            // Java would take them and its own defaults would refuse them: they are broken.
            "TLSv1.1" | "TLSv1" | "SSLv3" | "SSLv2Hello" => Ok(None),
            other => Err(invalid("ssl.enabled.protocols", other, "TLSv1.2 and TLSv1.3")),
        };
        let versions: Vec<_> = self.protocols.iter().map(version).collect::<Result<_, _>>()?;
        let versions: Vec<_> = versions.into_iter().flatten().collect();
        if versions.is_empty() {
            return Err(invalid("ssl.enabled.protocols", &self.protocols.join(","), "TLSv1.2 and TLSv1.3"));
        }
        Ok(versions)
    }

    /// The cipher suites that may be used.
    pub(crate) fn provider(&self) -> Result<Arc<CryptoProvider>, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites = suites::by_names(&provider.cipher_suites, &self.suites)
                .map_err(|name| invalid("ssl.cipher.suites", &name, "at least one suite that is supported here"))?;
        }
        Ok(Arc::new(provider))
    }
}

fn invalid(key: &str, value: &str, wanted: &str) -> TlsError {
    TlsError::Setting(format!("Invalid value {value} for configuration {key}: it takes {wanted}"))
}

#[cfg(test)]
mod tests;
