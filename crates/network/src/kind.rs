//! What listeners are called and which APIs they serve.

use std::sync::Arc;

use thalweg_wire::ApiKey;

/// Whom a listener is for: each kind serves other APIs (KIP-919).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerType {
    /// Clients and brokers.
    Broker,
    /// Controllers, brokers and tools that ask a controller directly.
    Controller,
}

impl ListenerType {
    /// Whether Kafka serves that API there.
    #[must_use]
    pub fn has(self, api: ApiKey) -> bool {
        match self {
            Self::Broker => api.on_broker(),
            Self::Controller => api.on_controller(),
        }
    }
}

/// A listener as handlers know it.
#[derive(Clone, Debug)]
pub struct ListenerName {
    /// Its name in `listeners`: decides which endpoints the client is given.
    pub name: Arc<str>,
    /// Which APIs it serves.
    pub kind: ListenerType,
}
