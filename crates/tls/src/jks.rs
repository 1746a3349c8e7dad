//! Java keystores of the type JKS: what `keytool` made by default before Java 9.
//!
//! The file is a list of entries, keys with their chains and trusted certificates, and a SHA-1 digest over all of it and the
//! password. Each key is encrypted with a stream of SHA-1 digests over its password. A digest that differs means that the
//! password is wrong, or the file is damaged.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest as _, Sha1};

/// What every such file begins with.
pub(crate) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const DIGEST: usize = 20;

/// What a keystore has.
#[derive(Debug, Default)]
pub(crate) struct Keystore {
    /// Encrypted keys, each with its chain of certificates.
    pub(crate) keys: Vec<(Vec<u8>, Vec<CertificateDer<'static>>)>,
    /// Certificates that are trusted.
    pub(crate) trusted: Vec<CertificateDer<'static>>,
}

/// What is left to be read of a file.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("the keystore ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<usize, String> {
        Ok(self.take(len)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn text(&mut self) -> Result<&'a [u8], String> {
        let len = self.number(2)?;
        self.take(len)
    }

    fn certificate(&mut self, version: usize) -> Result<CertificateDer<'static>, String> {
        if version == 2 {
            self.text()?;
        }
        let len = self.number(4)?;
        Ok(CertificateDer::from(self.take(len)?.to_vec()))
    }
}

/// Reads a keystore. Without a password its digest is not checked, as Java does.
pub(crate) fn read(file: &[u8], password: Option<&str>) -> Result<Keystore, String> {
    let body = file.len().checked_sub(DIGEST).map(|at| &file[..at]).ok_or("the keystore is too short")?;
    if let Some(password) = password {
        let mut digest = Sha1::new();
        digest.update(utf16(password));
        digest.update(b"Mighty Aphrodite");
        digest.update(body);
        if digest.finalize()[..] != file[body.len()..] {
            return Err("the keystore was tampered with, or its password is incorrect".to_owned());
        }
    }
    let mut rest = Rest(body);
    rest.take(MAGIC.len())?;
    let version = rest.number(4)?;
    if !matches!(version, 1 | 2) {
        return Err(format!("the keystore has the unknown version {version}"));
    }
    let mut found = Keystore::default();
    for _ in 0..rest.number(4)? {
        let tag = rest.number(4)?;
        rest.text()?;
        rest.take(8)?;
        match tag {
            1 => {
                let len = rest.number(4)?;
                let key = rest.take(len)?.to_vec();
                let mut chain = Vec::new();
                for _ in 0..rest.number(4)? {
                    chain.push(rest.certificate(version)?);
                }
                found.keys.push((key, chain));
            }
            2 => found.trusted.push(rest.certificate(version)?),
            other => return Err(format!("the keystore has an entry of the unknown kind {other}")),
        }
    }
    Ok(found)
}

/// Decrypts a key of a keystore. The DER around it names Sun's algorithm, 1.3.6.1.4.1.42.2.17.1.1.
pub(crate) fn decrypt(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let sealed = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).map(|info| info.encrypted_data.as_bytes().to_vec());
    let sealed = sealed.or_else(|_| octets(der).ok_or(()).map_err(|()| "the private key is malformed".to_owned()))?;
    if sealed.len() < 2 * DIGEST {
        return Err("the private key is too short".to_owned());
    }
    let (salt, rest) = sealed.split_at(DIGEST);
    let (encrypted, check) = rest.split_at(rest.len() - DIGEST);
    let password = utf16(password);
    let mut pad = salt.to_vec();
    let mut plain = Vec::with_capacity(encrypted.len());
    for block in encrypted.chunks(DIGEST) {
        pad = Sha1::new().chain_update(&password).chain_update(&pad).finalize().to_vec();
        plain.extend(block.iter().zip(&pad).map(|(byte, pad)| byte ^ pad));
    }
    if Sha1::new().chain_update(&password).chain_update(&plain).finalize()[..] != *check {
        return Err("the private key cannot be decrypted: its password is incorrect".to_owned());
    }
    Ok(PrivatePkcs8KeyDer::from(plain).into())
}

/// The last octet string of `SEQUENCE { AlgorithmIdentifier, OCTET STRING }`, whose algorithm no library knows.
fn octets(der: &[u8]) -> Option<Vec<u8>> {
    let (0x30, whole) = element(der)?.0 else { return None };
    let (_, after) = element(whole)?;
    let ((0x04, octets), _) = element(after)? else { return None };
    Some(octets.to_vec())
}

/// A DER element: its tag and content.
type Element<'a> = (u8, &'a [u8]);

/// The first element, and what comes after it.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let (len, rest) = rest.split_at_checked(count).filter(|_| count <= 4)?;
        (len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some(((tag, content), rest))
}

/// A password as Java digests it.
fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
