//! Certificates of version 1, which have no extensions: `openssl x509 -req` without an extension file makes them, and with it the
//! instructions that most keystores of Kafka's users come from. Java takes them, webpki does not.
//!
//! Such a certificate counts if one of the trusted certificates has signed it: a chain in between would have to say that its
//! members may sign, which takes extensions.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, InconsistentKeys, RootCertStore, SignatureScheme,
};
use x509_cert::certificate::{Certificate, Version};
use x509_cert::der::asn1::BitString;
use x509_cert::der::{Decode as _, Encode as _, Header, SliceReader};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// What certificates of version 1 are checked by.
#[derive(Clone, Debug)]
pub(crate) struct Version1 {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl Version1 {
    /// Whether a trusted certificate has signed this one, and it is valid now. `None` if it is of another version.
    pub(crate) fn verify(&self, der: &CertificateDer<'_>, now: UnixTime) -> Option<Result<(), Error>> {
        let certificate = parsed(der)?;
        Some(self.check(&certificate, now).map_err(Error::InvalidCertificate))
    }

    fn check(&self, certificate: &Certificate, now: UnixTime) -> Result<(), CertificateError> {
        let part = certificate.tbs_certificate();
        let (validity, now) = (part.validity(), now.as_secs());
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet);
        }
        if now > validity.not_after.to_unix_duration().as_secs() {
            return Err(CertificateError::Expired);
        }
        let malformed = |_| CertificateError::BadEncoding;
        let issuer = part.issuer().to_der().map_err(malformed)?;
        let signed = part.to_der().map_err(malformed)?;
        let mut outcome = Err(CertificateError::UnknownIssuer);
        // What an authority may only sign with certain names is not looked into: it signs nothing of version 1.
        let anchors = self.roots.roots.iter().filter(|anchor| anchor.name_constraints.is_none());
        for anchor in anchors.filter(|anchor| Some(&*anchor.subject) == content(&issuer)) {
            outcome = self.is_signed_by(&anchor.subject_public_key_info, certificate, &signed);
            if outcome.is_ok() {
                return outcome;
            }
        }
        outcome
    }

    /// `key` is an anchor's, without the outermost header.
    fn is_signed_by(&self, key: &[u8], certificate: &Certificate, signed: &[u8]) -> Result<(), CertificateError> {
        let mut reader = SliceReader::new(key).map_err(|_| CertificateError::BadEncoding)?;
        let algorithm = AlgorithmIdentifierOwned::decode(&mut reader).map_err(|_| CertificateError::BadEncoding)?;
        let key = BitString::decode(&mut reader).map_err(|_| CertificateError::BadEncoding)?;
        let own = certificate.signature_algorithm().to_der().map_err(|_| CertificateError::BadEncoding)?;
        let fits = |theirs: &AlgorithmIdentifierOwned, id: &[u8]| {
            theirs.to_der().is_ok_and(|theirs| content(&theirs) == Some(id))
        };
        let algorithms = self.algorithms.all.iter().filter(|known| {
            fits(&algorithm, known.public_key_alg_id().as_ref())
                && content(&own) == Some(known.signature_alg_id().as_ref())
        });
        for known in algorithms {
            if known.verify_signature(key.raw_bytes(), signed, certificate.signature().raw_bytes()).is_ok() {
                return Ok(());
            }
        }
        Err(CertificateError::BadSignature)
    }

    /// Whether the owner of a certificate of version 1 has signed this message of TLS 1.2. `None` if it is of another version.
    pub(crate) fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Option<Result<HandshakeSignatureValid, Error>> {
        let certificate = parsed(der)?;
        let key = certificate.tbs_certificate().subject_public_key_info();
        let own = key.algorithm.to_der().ok()?;
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let candidates = known.map(|(_, candidates)| *candidates).unwrap_or_default();
        let is_right = candidates.iter().any(|candidate| {
            content(&own) == Some(candidate.public_key_alg_id().as_ref())
                && candidate.verify_signature(key.subject_public_key.raw_bytes(), message, signed.signature()).is_ok()
        });
        Some(match is_right {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        })
    }

    /// The same for TLS 1.3.
    pub(crate) fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Option<Result<HandshakeSignatureValid, Error>> {
        let key = public_key(der)?;
        Some(verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms))
    }
}

/// Checks clients' certificates of every version.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) trust: Arc<dyn ClientCertVerifier>,
    pub(crate) version1: Version1,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.trust.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.trust.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.version1.verify(end_entity, now) {
            Some(verified) => verified.map(|()| ClientCertVerified::assertion()),
            None => self.trust.verify_client_cert(end_entity, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.version1.verify_tls12_signature(message, cert, dss);
        verified.unwrap_or_else(|| self.trust.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.version1.verify_tls13_signature(message, cert, dss);
        verified.unwrap_or_else(|| self.trust.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.supported_verify_schemes()
    }
}

/// A key with its certificates, whichever version the first has.
///
/// # Errors
/// When the key cannot be used, or is not the certificate's.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<SingleCertAndKey>, Error> {
    let certified = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    match public_key(certified.end_entity_cert()?) {
        Some(public) if certified.key.public_key().is_some_and(|own| own != public) => {
            return Err(InconsistentKeys::KeyMismatch.into());
        }
        Some(_) => {}
        None => match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error),
        },
    }
    Ok(Arc::new(certified.into()))
}

/// A certificate of version 1; `None` for any other, and when it cannot be read.
fn parsed(der: &CertificateDer<'_>) -> Option<Certificate> {
    Certificate::from_der(der).ok().filter(|certificate| certificate.tbs_certificate().version() == Version::V1)
}

fn public_key(der: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificate = parsed(der)?;
    let key: &SubjectPublicKeyInfoOwned = certificate.tbs_certificate().subject_public_key_info();
    Some(SubjectPublicKeyInfoDer::from(key.to_der().ok()?))
}

/// What is in a value, without its header: so webpki keeps names, keys and algorithms.
fn content(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let length = usize::try_from(header.length()).ok()?;
    der.get(der.len().checked_sub(length)?..)
}
