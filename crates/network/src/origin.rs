//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytestring::ByteString;
use parking_lot::Mutex;
use thalweg_sys::time::{Duration, Instant, now};

use crate::stream::Certificate;

/// A connection as requests know it: its number, its client's address and library.
#[derive(Debug)]
pub struct Origin {
    /// The connection's number, where connections are told apart; else 0.
    pub id: u64,
    /// The client's address.
    pub address: SocketAddr,
    /// Whether a broker has forwarded the request: the client is known by what that broker says.
    pub is_forwarded: bool,
    /// The certificate that the client has shown, by which TLS has authenticated it.
    pub certificate: Option<Certificate>,
    /// The name and version that the client's library gave with its last ApiVersions (KIP-511).
    software: Mutex<Option<(ByteString, ByteString)>>,
    began: Instant,
    /// Until when the connection is muted, in milliseconds since it began; 0 when it is not.
    muted_until_ms: AtomicU64,
}

/// What Kafka writes where a library has not said its name.
const UNKNOWN: &str = "unknown";

/// A connection is muted no longer than this since its beginning: longer than any process runs, and within what clocks count.
const MUTED_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Origin {
    pub(crate) fn new(id: u64, address: SocketAddr, certificate: Option<Certificate>) -> Self {
        let (began, muted_until_ms) = (now(), AtomicU64::new(0));
        Self { id, address, is_forwarded: false, certificate, software: Mutex::new(None), began, muted_until_ms }
    }

    /// The same client at another address: the one behind a broker that has forwarded its request (KIP-590). Muting it does
    /// not mute the broker.
    #[must_use]
    pub fn forwarded(&self, address: SocketAddr) -> Self {
        Self { is_forwarded: true, ..Self::new(self.id, address, None) }
    }

    /// The client uses more than its quotas allow: no request of its connection is read until `throttle` has passed
    /// (KIP-219). Its requests that were taken before are answered.
    pub fn mute(&self, throttle: Duration) {
        let until = self.began.elapsed() + throttle;
        // Rounded up: a client that is throttled at all is throttled for a while.
        let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.muted_until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    /// Until when the connection is muted, if it still is.
    pub(crate) fn muted_until(&self) -> Option<Instant> {
        let until_ms = self.muted_until_ms.load(Ordering::Relaxed);
        if until_ms == 0 {
            return None;
        }
        let until = self.began + Duration::from_millis(until_ms).min(MUTED_MAX);
        if until > now() {
            return Some(until);
        }
        // Another request may have muted it again meanwhile.
        let _ = self.muted_until_ms.compare_exchange(until_ms, 0, Ordering::Relaxed, Ordering::Relaxed);
        None
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
