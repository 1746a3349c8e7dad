//! Counts what goes over connections.

use thalweg_base::metrics::Counter;

/// What went over all connections that were opened with it, see [`ConnectionOptions::meter`](crate::ConnectionOptions).
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes of requests, before they are encrypted.
    pub sent: Counter,
    /// Bytes of responses, after they were decrypted.
    pub received: Counter,
    /// Requests that were queued for sending.
    pub requests: Counter,
    /// Responses that have arrived.
    pub responses: Counter,
}
