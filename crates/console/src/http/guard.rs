//! Who may ask: against pages of other sites that use a visitor's browser.
//!
//! A page of another site can make a browser send requests here, and with a name that it lets point here (DNS rebinding) even
//! read the answers. So a console that only this machine reaches answers only to the names of this machine, and a change needs,
//! besides, the token that the console's own pages carry (CSRF) wherever the request may come from a browser.

use std::net::IpAddr;

use axum::http::header::{COOKIE, HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderName};

use crate::trouble::Trouble;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Whether only this machine reaches the console.
    is_local: bool,
    /// Names of hosts that count besides.
    hosts: Vec<String>,
    token: String,
}

impl Guard {
    pub(crate) fn new(listens_on: IpAddr, hosts: &[String]) -> Self {
        use std::fmt::Write as _;
        let mut token = String::with_capacity(32);
        for byte in thalweg_sys::random::bytes16() {
            // Writing to a string cannot fail.
            let _ = write!(token, "{byte:02x}");
        }
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { is_local: listens_on.is_loopback(), hosts, token }
    }

    /// The token that forms carry.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a request that reads may be answered.
    pub(crate) fn may_read(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        if !self.is_local {
            return Ok(());
        }
        self.is_known_host(headers)
    }

    /// Whether a request that changes something may be carried out. `token` is that of the form.
    pub(crate) fn may_write(&self, headers: &HeaderMap, token: Option<&str>) -> Result<(), Trouble> {
        self.is_known_host(headers)?;
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if text(&SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return Err(Trouble::Forbidden("this request comes from a page of another site".to_owned()));
        }
        if let Some(origin) = text(&ORIGIN) {
            let from = origin.split_once("://").map(|(_, host)| host);
            if from.is_none() || from != text(&HOST) {
                return Err(Trouble::Forbidden(format!("this request comes from a page of another site: {origin}")));
            }
        }
        let is_browser =
            [&SEC_FETCH_SITE, &ORIGIN, &REFERER, &COOKIE].into_iter().any(|name| headers.contains_key(name));
        let is_ours = token.is_some_and(|token| token == self.token);
        if is_browser && !is_ours {
            return Err(Trouble::Forbidden(
                "the form is not one of this console, or was made before its last start: load the page again"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether the request was sent to a name that no other site can let point here: an address, `localhost`, a name without a
    /// dot, or one that was named.
    fn is_known_host(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let host = host.to_str().unwrap_or_default().to_ascii_lowercase();
        let name = without_port(&host);
        let is_known = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(_) => true,
            Err(_) if self.hosts.iter().any(|known| known == name) => true,
            Err(_) if self.is_local => name == "localhost" || name.ends_with(".localhost"),
            Err(_) => !name.is_empty() && !name.contains('.') || name.ends_with(".localhost"),
        };
        if is_known {
            return Ok(());
        }
        Err(Trouble::Forbidden(format!(
            "this console does not answer to the name {name}: open it by its address, or name the host with --allow-host"
        )))
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // In an IPv6 address without brackets the last colon does not stand before a port.
        Some(colon) if !host[..colon].contains(':') || host[..colon].ends_with(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listens_on: &str) -> Guard {
        Guard::new(listens_on.parse().expect("an address"), &["console.example.com".to_owned()])
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a header"));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn names_of_other_sites_are_not_answered_on_loopback() {
        let reads = |listens_on: &str, host: &str| guard(listens_on).may_read(&headers(&[("host", host)])).is_ok();
        for known in ["127.0.0.1:9404", "[::1]:9404", "localhost", "LOCALHOST:80", "a.localhost", "console.example.com"]
        {
            assert!(reads("127.0.0.1", known), "{known}");
        }
        for unknown in ["evil.example:9404", "kafka", "", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!reads("127.0.0.1", unknown), "{unknown}");
            assert!(reads("0.0.0.0", unknown), "{unknown}");
        }
    }

    #[test]
    fn a_change_needs_a_page_of_this_console_or_no_browser_at_all() {
        let guard = guard("0.0.0.0");
        let token = guard.token().to_owned();
        let writes =
            |pairs: &[(&'static str, &str)], token: Option<&str>| guard.may_write(&headers(pairs), token).is_ok();
        let (host, origin) = (("host", "kafka:9000"), ("origin", "http://kafka:9000"));
        assert!(writes(&[host], None), "curl");
        assert!(writes(&[host, origin], Some(&token)));
        assert!(!writes(&[host, origin], None));
        assert!(!writes(&[host, origin], Some("0")));
        assert!(!writes(&[host, ("origin", "http://evil.example")], Some(&token)));
        assert!(!writes(&[host, ("origin", "null")], Some(&token)));
        assert!(!writes(&[host, ("sec-fetch-site", "cross-site")], Some(&token)));
        assert!(!writes(&[("host", "evil.example"), ("origin", "http://evil.example")], Some(&token)));
    }
}
