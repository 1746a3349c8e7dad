//! Keys and certificates, from wherever the settings say.

use std::path::Path;

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thalweg_sys::fs;

use crate::settings::{Store, TlsSettings};
use crate::{TlsError, jks, pem};

const KEYSTORE: &str = "ssl.keystore.location";
const TRUSTSTORE: &str = "ssl.truststore.location";
/// No keystore is larger: one with every certificate of a large system's authorities has a few hundred kilobytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// Who a node or client is.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The key and chain of the keystore; `None` when there is none.
pub(crate) fn identity(settings: &TlsSettings) -> Result<Option<Identity>, TlsError> {
    let key_password = settings.key_password.as_deref().or(settings.keystore.password.as_deref());
    match (&settings.key, &settings.certificate_chain) {
        (Some(key), Some(chain)) => {
            let what = "ssl.keystore.key and ssl.keystore.certificate.chain";
            let chain = pem::certificates(chain.as_bytes()).map_err(|why| material(what, why))?;
            let key = pem::key(key.as_bytes(), settings.key_password.as_deref()).map_err(|why| material(what, why))?;
            return found(what, key, chain).map(Some);
        }
        (None, None) => {}
        _ => {
            let text = "ssl.keystore.key and ssl.keystore.certificate.chain must be set together";
            return Err(TlsError::Setting(text.to_owned()));
        }
    }
    let Some(location) = &settings.keystore.location else { return Ok(None) };
    let file = read(KEYSTORE, location)?;
    let what = format!("{KEYSTORE} {}", location.display());
    let fail = |why| material(&what, why);
    match format(&settings.keystore, &file)? {
        Format::Pem => {
            let chain = pem::certificates(&file).map_err(fail)?;
            found(&what, pem::key(&file, settings.key_password.as_deref()).map_err(fail)?, chain).map(Some)
        }
        Format::Jks => {
            let keystore = jks::read(&file, settings.keystore.password.as_deref()).map_err(fail)?;
            let Some((key, chain)) = keystore.keys.into_iter().next() else {
                return Err(fail("it has no private key".to_owned()));
            };
            let password = key_password.ok_or_else(|| fail("ssl.keystore.password is not set".to_owned()))?;
            let key = jks::decrypt(&key, password).map_err(fail)?;
            found(&what, Some(key), chain).map(Some)
        }
        Format::Pkcs12 => {
            let keystore = pkcs12(&settings.keystore, &file).map_err(fail)?;
            let Some((_, chain)) = keystore.private_key_chain() else {
                return Err(fail("it has no private key".to_owned()));
            };
            let certificates = chain.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect();
            let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()).into();
            found(&what, Some(key), certificates).map(Some)
        }
    }
}

/// The certificates that are trusted: of the settings, of the truststore, or of the first of the PEM files `elsewhere` that
/// exists.
pub(crate) fn trusted(settings: &TlsSettings, elsewhere: &[&str]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    if let Some(text) = &settings.trusted {
        let what = "ssl.truststore.certificates";
        return pem::certificates(text.as_bytes()).map_err(|why| material(what, why));
    }
    let Some(location) = &settings.truststore.location else {
        let there = elsewhere.iter().map(Path::new).find(|path| fs::exists(path));
        let Some(path) = there else { return Ok(Vec::new()) };
        return pem::certificates(&read(TRUSTSTORE, path)?).map_err(|why| material(&path.display().to_string(), why));
    };
    let file = read(TRUSTSTORE, location)?;
    let what = format!("{TRUSTSTORE} {}", location.display());
    let fail = |why| material(&what, why);
    match format(&settings.truststore, &file)? {
        Format::Pem => pem::certificates(&file).map_err(fail),
        Format::Jks => {
            let keystore = jks::read(&file, settings.truststore.password.as_deref()).map_err(fail)?;
            Ok(keystore.trusted)
        }
        Format::Pkcs12 => {
            let keystore = pkcs12(&settings.truststore, &file).map_err(fail)?;
            let certificate = |(_, entry): (&String, &KeyStoreEntry)| match entry {
                KeyStoreEntry::Certificate(cert) => Some(CertificateDer::from(cert.as_der().to_vec())),
                _ => None,
            };
            Ok(keystore.entries().filter_map(certificate).collect())
        }
    }
}

/// How a file is written.
enum Format {
    Pem,
    Jks,
    Pkcs12,
}

/// Java reads JKS and PKCS12 wherever one of the two is asked for (`keystore.type.compat`).
fn format(store: &Store, file: &[u8]) -> Result<Format, TlsError> {
    match store.kind.as_str() {
        "PEM" => Ok(Format::Pem),
        "JKS" | "PKCS12" if file.starts_with(&jks::MAGIC) => Ok(Format::Jks),
        "JKS" | "PKCS12" => Ok(Format::Pkcs12),
        other => Err(TlsError::Setting(format!("the keystore type {other} is not supported: use PEM, PKCS12 or JKS"))),
    }
}

fn pkcs12(store: &Store, file: &[u8]) -> Result<KeyStore, String> {
    let password = store.password.as_deref().unwrap_or_default();
    KeyStore::from_pkcs12(file, password, Pkcs12ImportPolicy::Strict)
        .map_err(|e| format!("{e}; is the password correct?"))
}

fn found(
    what: &str,
    key: Option<PrivateKeyDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
) -> Result<Identity, TlsError> {
    match key {
        Some(key) if !chain.is_empty() => Ok(Identity { chain, key }),
        Some(_) => Err(material(what, "there is no certificate".to_owned())),
        None => Err(material(what, "there is no private key".to_owned())),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Read { key, path: path.to_owned(), source };
    let file = fs::read(path).map_err(fail)?;
    if file.len() > FILE_BYTES_MAX {
        return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(file)
}

fn material(what: &str, why: String) -> TlsError {
    TlsError::Material { what: what.to_owned(), why }
}
