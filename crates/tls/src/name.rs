//! The names of a certificate, as Java writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::asn1::{BmpString, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Any, Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The number of the attribute `CN`.
const COMMON_NAME: &str = "2.5.4.3";
/// The names that RFC 2253 has for attributes, as Java writes them; others are written by their number.
const KEYWORDS: [(&str, &str); 9] = [
    (COMMON_NAME, "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject of a certificate by RFC 2253, as `X500Principal.getName()` gives it and `ssl.principal.mapping.rules` expect
/// it: `CN=alice,OU=Sales,O=Example,C=DE`. `None` when the certificate cannot be read.
#[must_use]
pub fn distinguished_name(certificate: &CertificateDer<'_>) -> Option<String> {
    Some(parts_of_subject(&Certificate::from_der(certificate).ok()?)?.join(","))
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The subject as `X500Principal.toString()` gives it: `CN=alice, OU=Sales`.
    pub(crate) subject: String,
    /// Alternative names with the number of their kind: `[2, broker.example]`, `[7, 127.0.0.1]`.
    pub(crate) alternative: BTreeSet<String>,
}

/// Whom a certificate is for; `None` when it cannot be read.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Option<Names> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = parts_of_subject(&certificate)?.join(", ");
    let names = alternative_names(&certificate)?;
    Some(Names { subject, alternative: names.iter().map(alternative).collect::<Option<_>>()? })
}

/// The common name of a certificate that has no host among its alternative names; `None` for any other, and when it cannot be
/// read.
pub(crate) fn only_common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    if alternative_names(&certificate)?.iter().any(|name| matches!(name, GeneralName::DnsName(_))) {
        return None;
    }
    let attributes = certificate.tbs_certificate().subject().iter_rdn().flat_map(|rdn| rdn.iter());
    let last = attributes.filter(|attribute| attribute.oid.to_string() == COMMON_NAME).last()?;
    text(&last.value)
}

fn alternative_names(certificate: &Certificate) -> Option<Vec<GeneralName>> {
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()?;
    Some(extension.map(|(_, names)| names.0).unwrap_or_default())
}

fn alternative(name: &GeneralName) -> Option<String> {
    Some(match name {
        GeneralName::Rfc822Name(address) => format!("[1, {address}]"),
        GeneralName::DnsName(host) => format!("[2, {host}]"),
        GeneralName::UniformResourceIdentifier(uri) => format!("[6, {uri}]"),
        GeneralName::IpAddress(octets) => match *octets.as_bytes() {
            [a, b, c, d] => format!("[7, {}]", IpAddr::from([a, b, c, d])),
            ref bytes => match <[u8; 16]>::try_from(bytes) {
                Ok(bytes) => format!("[7, {}]", IpAddr::from(bytes)),
                Err(_) => format!("[7, {}]", hex(bytes)),
            },
        },
        other => format!("[{}]", hex(&other.to_der().ok()?)),
    })
}

/// The attributes of the subject, the last of them first, as in RFC 2253.
fn parts_of_subject(certificate: &Certificate) -> Option<Vec<String>> {
    let mut written = Vec::new();
    for rdn in certificate.tbs_certificate().subject().iter_rdn() {
        let mut parts = Vec::new();
        for attribute in rdn.iter() {
            let number = attribute.oid.to_string();
            let keyword = KEYWORDS.iter().find(|(oid, _)| *oid == number).map(|(_, keyword)| *keyword);
            parts.push(match (keyword, text(&attribute.value)) {
                (Some(keyword), Some(text)) => format!("{keyword}={}", escaped(&text)),
                (keyword, _) => format!("{}=#{}", keyword.unwrap_or(&number), hex(&attribute.value.to_der().ok()?)),
            });
        }
        written.push(parts.join("+"));
    }
    written.reverse();
    Some(written)
}

fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|text| text.to_string()),
        _ => None,
    }
}

/// The escapes of RFC 2253.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        let at_end = c == ' ' && (at == 0 || at == last);
        if at_end || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') || c == '#' && at == 0 {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
