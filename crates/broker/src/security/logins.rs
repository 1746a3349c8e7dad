//! How often clients of a listener have logged in, or failed to.

use std::sync::atomic::{AtomicU64, Ordering};

/// What logins led to since the start of the node. Kafka counts the same, and a TLS handshake as a login where there is
/// no SASL.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    succeeded: AtomicU64,
    failed: AtomicU64,
    renewed: AtomicU64,
    renewals_failed: AtomicU64,
    expired: AtomicU64,
}

/// One moment of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginView {
    /// First logins of connections that succeeded.
    pub(crate) succeeded: u64,
    /// First logins of connections that failed.
    pub(crate) failed: u64,
    /// Sessions that went on because the client logged in again (KIP-368).
    pub(crate) renewed: u64,
    /// Clients that could not log in again.
    pub(crate) renewals_failed: u64,
    /// Connections that were closed because the client went on after its session's end without logging in again.
    pub(crate) expired: u64,
}

/// Whether a client logs in for the first time on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginKind {
    First,
    Renewal,
}

impl Logins {
    pub(crate) fn succeeded(&self, kind: LoginKind) {
        match kind {
            LoginKind::First => &self.succeeded,
            LoginKind::Renewal => &self.renewed,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, kind: LoginKind) {
        match kind {
            LoginKind::First => &self.failed,
            LoginKind::Renewal => &self.renewals_failed,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn view(&self) -> LoginView {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LoginView {
            succeeded: read(&self.succeeded),
            failed: read(&self.failed),
            renewed: read(&self.renewed),
            renewals_failed: read(&self.renewals_failed),
            expired: read(&self.expired),
        }
    }
}
