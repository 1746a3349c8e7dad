//! Cipher suites by Java's names, which are IANA's.

use rustls::SupportedCipherSuite;

/// Those of `known` that `names` lists, in the order of `names`: the first is preferred. Names of suites that exist and are
/// not supported here are passed over, as Java does with those that it has disabled.
///
/// # Errors
/// The names, when none of them is supported.
pub(crate) fn by_names(known: &[SupportedCipherSuite], names: &[String]) -> Result<Vec<SupportedCipherSuite>, String> {
    let suite = |name: &String| known.iter().copied().find(|suite| java_name(*suite) == *name);
    let found: Vec<_> = names.iter().filter_map(suite).collect();
    if found.is_empty() { Err(names.join(",")) } else { Ok(found) }
}

/// Rustls writes `TLS13_AES_128_GCM_SHA256` where IANA has `TLS_AES_128_GCM_SHA256`.
fn java_name(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}
