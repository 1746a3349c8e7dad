//! Whether a server is the host that its client meant, as Java goes by its certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::name;
use crate::version1::Version1;

/// What a certificate must say of the host (`ssl.endpoint.identification.algorithm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostCheck {
    /// `https`: an alternative name, or the common name of a certificate that has no alternative names of hosts. `keytool` and
    /// Kafka's own instructions of many years make such certificates.
    Https,
    /// Empty: nothing.
    None,
}

/// Checks a server's certificate. That it is trusted, webpki says, or [`Version1`] for one that is too old for it.
#[derive(Debug)]
pub(crate) struct HostVerifier {
    pub(crate) trust: Arc<WebPkiServerVerifier>,
    pub(crate) version1: Version1,
    pub(crate) check: HostCheck,
}

impl ServerCertVerifier for HostVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(verified) = self.version1.verify(end_entity, now) {
            verified?;
            return match self.check == HostCheck::None || is_common_name(end_entity, server_name) {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::NotValidForNameContext {
                    expected: server_name.to_owned(),
                    presented: name::only_common_name(end_entity).into_iter().collect(),
                }
                .into()),
            };
        }
        match self.trust.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The host is compared last: all else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == HostCheck::None || is_common_name(end_entity, server_name) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
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

/// Whether the certificate names no host but by its common name, which is this one. An address is no common name.
fn is_common_name(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = server_name else { return false };
    name::only_common_name(certificate).is_some_and(|common| matches(&common, host.as_ref()))
}

/// Whether a name is this host. A `*` stands for the first part of a name that has at least two others (RFC 6125).
fn matches(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(rest) => {
            rest.contains('.') && host.split_once('.').is_some_and(|(_, others)| others.eq_ignore_ascii_case(rest))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_one_part_of_a_name() {
        for (name, host, is_it) in [
            ("broker.example", "broker.example", true),
            ("Broker.Example", "broker.example", true),
            ("broker.example", "other.example", false),
            ("*.example.com", "broker.example.com", true),
            ("*.example.com", "a.broker.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
        ] {
            assert_eq!(matches(name, host), is_it, "{name} for {host}");
        }
    }
}
