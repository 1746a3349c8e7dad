//! Certificates and keys as PEM, in files or in settings themselves (KIP-651).

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::pbe;

/// All certificates of a text, in their order.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|e| e.to_string())
}

/// The private key of a text; `None` if it has none. `password` is for a key that is encrypted (PKCS #8).
pub(crate) fn key(text: &[u8], password: Option<&str>) -> Result<Option<PrivateKeyDer<'static>>, String> {
    const BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    let is_encrypted = text.windows(BEGIN.len()).any(|window| window == BEGIN);
    if is_encrypted {
        let password = password.ok_or("the private key is encrypted: set ssl.key.password")?;
        let der = encrypted(text)?;
        return decrypt(&der, password).map(Some);
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(Some(key)),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// The DER of an encrypted key: rustls's reader passes over sections that it does not know.
fn encrypted(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----").unwrap_or_default();
    let (body, _) = rest.split_once("-----END ENCRYPTED PRIVATE KEY-----").ok_or("the private key has no end")?;
    // Read as a section of another kind, since only its base64 matters.
    let as_key = format!("-----BEGIN PRIVATE KEY-----{body}-----END PRIVATE KEY-----\n");
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(as_key.as_bytes());
    match sections.next() {
        Some(Ok((_, der))) => Ok(der),
        Some(Err(e)) => Err(e.to_string()),
        None => Err("the private key is empty".to_owned()),
    }
}

/// Decrypts a key in the form of PKCS #8.
pub(crate) fn decrypt(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    if let Some(encrypted) = pbe::Encrypted::of(der) {
        return encrypted.decrypt(password).map(|plain| PrivatePkcs8KeyDer::from(plain).into());
    }
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|e| format!("the private key is malformed: {e}"))?;
    let plain = info.decrypt(password).map_err(|e| format!("the private key cannot be decrypted: {e}"))?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}
