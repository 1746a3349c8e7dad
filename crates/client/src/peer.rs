//! Where a node is reached.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A host and a port, as in `bootstrap.servers`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// A host name, or an IP address without brackets.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
}

impl Peer {
    /// The peer at `host` and `port`.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads a list such as `kafka1:9092, [::1]:9092`. Empty elements are skipped.
    ///
    /// # Errors
    /// When an element has no valid port, or there is no element.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, ParsePeerError> {
        let peers: Result<Vec<Self>, _> =
            list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::parse).collect();
        match peers {
            Ok(peers) if peers.is_empty() => Err(ParsePeerError::Empty),
            peers => peers,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is no list of peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePeerError {
    /// There is no element.
    #[error("no address is given")]
    Empty,
    /// An element is not `host:port`.
    #[error("`{0}` is not host:port")]
    Form(String),
    /// An element's port is not a number from 0 to 65535.
    #[error("port {port} of `{text}` is out of range (0 to 65535)")]
    Port {
        /// The port as it was written.
        port: String,
        /// The whole element.
        text: String,
    },
}

impl FromStr for Peer {
    type Err = ParsePeerError;

    /// Reads `host:port`. An IPv6 address may stand in brackets; a listener name or security protocol in front
    /// (`PLAINTEXT://host:port`) is skipped, as in Kafka.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        let form = || ParsePeerError::Form(text.to_owned());
        let address = text.split_once("://").map_or(text, |(_, address)| address);
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let port = port.parse().map_err(|_| ParsePeerError::Port { port: port.to_owned(), text: text.to_owned() })?;
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_kafka_reads_them() {
        let list = Peer::parse_list("a:1, PLAINTEXT://b.c:9092,,[::1]:3").expect("a list");
        assert_eq!(list, [Peer::new("a", 1), Peer::new("b.c", 9092), Peer::new("::1", 3)]);
        assert_eq!(list[2].to_string(), "[::1]:3");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let errors = [("", "no address is given"), ("a", "`a` is not host:port"), ("a:x", "`a:x` is not host:port")];
        for (text, error) in errors {
            assert_eq!(Peer::parse_list(text).expect_err("no list").to_string(), error);
        }
        let port = Peer::parse_list("a:99999").expect_err("no list").to_string();
        assert_eq!(port, "port 99999 of `a:99999` is out of range (0 to 65535)");
    }
}
