//! Who is at the other end of a connection.

use std::net::SocketAddr;

use bytestring::ByteString;
use parking_lot::Mutex;

use crate::stream::Certificate;

/// A connection as requests know it: its number, its client's address and library.
#[derive(Debug)]
pub struct Origin {
    /// The connection's number, where connections are told apart; else 0.
    pub id: u64,
    /// The client's address.
    pub address: SocketAddr,
    /// The certificate that the client has shown, by which TLS has authenticated it.
    pub certificate: Option<Certificate>,
    /// The name and version that the client's library gave with its last ApiVersions (KIP-511).
    software: Mutex<Option<(ByteString, ByteString)>>,
}

/// What Kafka writes where a library has not said its name.
const UNKNOWN: &str = "unknown";

impl Origin {
    pub(crate) fn new(id: u64, address: SocketAddr, certificate: Option<Certificate>) -> Self {
        Self { id, address, certificate, software: Mutex::new(None) }
    }

    /// The client has said what it is.
    pub fn introduced(&self, name: ByteString, version: ByteString) {
        *self.software.lock() = Some((name, version));
    }

    /// The name and version of its library.
    #[must_use]
    pub fn software(&self) -> (ByteString, ByteString) {
        self.software.lock().clone().unwrap_or_else(|| (UNKNOWN.into(), UNKNOWN.into()))
    }
}
