//! What rustls needs of the settings: the key material is read here.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::TlsError;
use crate::host::{HostCheck, HostVerifier};
use crate::material::{self, Identity};
use crate::settings::{ClientAuth, TlsSettings};
use crate::version1::{self, ClientVerifier, Version1};

/// Where most systems keep the certificates that they trust: what a client without a truststore goes by.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

impl TlsSettings {
    /// What a listener needs. Reads the key material.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it does not fit together.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.server_and_certificate().map(|(server, _)| server)
    }

    /// What a listener needs, and the certificate that it shows.
    pub(crate) fn server_and_certificate(&self) -> Result<(Arc<ServerConfig>, CertificateDer<'static>), TlsError> {
        let Some(Identity { chain, key }) = material::identity(self)? else {
            return Err(TlsError::Setting(
                "a listener with TLS needs ssl.keystore.location, or ssl.keystore.key with \
                 ssl.keystore.certificate.chain"
                    .to_owned(),
            ));
        };
        let provider = self.provider()?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&self.versions()?)?;
        let builder = match self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Requested | ClientAuth::Required => {
                let roots = Arc::new(self.roots(&[])?);
                let algorithms = provider.signature_verification_algorithms;
                let version1 = Version1 { roots: Arc::clone(&roots), algorithms };
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let verifier = match self.client_auth {
                    ClientAuth::Requested => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let trust = verifier.build().map_err(of_truststore)?;
                builder.with_client_cert_verifier(Arc::new(ClientVerifier { trust, version1 }))
            }
        };
        // A keystore without a certificate has no identity.
        let certificate = chain.first().cloned().ok_or(rustls::Error::NoCertificatesPresented)?;
        let resolver = version1::certified(chain, key, &provider)?;
        Ok((Arc::new(builder.with_cert_resolver(resolver)), certificate))
    }

    /// What a client needs. Reads the key material. Without a truststore it trusts what the system trusts.
    ///
    /// # Errors
    /// When key material cannot be read, or does not fit together.
    pub fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = self.provider()?;
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&self.versions()?)?;
        let roots = Arc::new(self.roots(&SYSTEM_CERTIFICATES)?);
        let algorithms = provider.signature_verification_algorithms;
        let version1 = Version1 { roots: Arc::clone(&roots), algorithms };
        let trust = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let trust = trust.build().map_err(of_truststore)?;
        let check = if self.verifies_host { HostCheck::Https } else { HostCheck::None };
        let verifier = HostVerifier { trust, version1, check };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Arc::new(match material::identity(self)? {
            Some(Identity { chain, key }) => {
                builder.with_client_cert_resolver(version1::certified(chain, key, &provider)?)
            }
            None => builder.with_no_client_auth(),
        }))
    }

    /// The certificates that are trusted: those of the truststore, or else of the first of `elsewhere` that exists.
    fn roots(&self, elsewhere: &[&str]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in material::trusted(self, elsewhere)? {
            roots.add(certificate).map_err(of_truststore)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Setting(
                "the truststore has no certificates: set ssl.truststore.location or ssl.truststore.certificates"
                    .to_owned(),
            ));
        }
        Ok(roots)
    }
}

fn of_truststore(why: impl ToString) -> TlsError {
    TlsError::Material { what: "the truststore".to_owned(), why: why.to_string() }
}
