//! How many connections there may be, and what each may cost.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use thalweg_sys::time::Duration;

use crate::budget::Budget;

/// What connections may cost.
#[derive(Debug)]
pub struct ConnectionLimits {
    /// `socket.request.max.bytes`.
    pub(crate) request_bytes_max: usize,
    /// The memory that all requests together may take.
    pub(crate) request_memory: Arc<Budget>,
    /// The memory that waiting requests may take together, besides one for each connection.
    pub(crate) waiting_memory: Arc<Budget>,
    /// `connections.max.idle.ms`.
    pub(crate) idle_max: Duration,
    /// The share of the process's file descriptors that connections may take.
    pub(crate) descriptors_max: usize,
}

/// Requests that wait may hold this part of what requests may take: the rest is for those that are read.
const WAITING_SHARE: usize = 4;

impl ConnectionLimits {
    /// Requests of at most `request_bytes_max` (`socket.request.max.bytes`), which take at most `request_memory_max` together
    /// (`queued.max.request.bytes`), on connections that are closed after being idle for `idle_max`
    /// (`connections.max.idle.ms`). There are never more connections than `descriptors_max`, whatever [`SeatLimits`] allow.
    #[must_use]
    pub fn new(
        request_bytes_max: usize,
        request_memory_max: usize,
        idle_max: Duration,
        descriptors_max: usize,
    ) -> Self {
        let waiting_memory = Budget::new(request_memory_max / WAITING_SHARE);
        Self {
            request_bytes_max,
            request_memory: Budget::new(request_memory_max),
            waiting_memory,
            idle_max,
            descriptors_max,
        }
    }
}

/// How many connections there may be, and how fast they may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatLimits {
    /// `max.connections`
    pub connections_max: usize,
    /// `max.connections.per.ip`
    pub per_ip_max: usize,
    /// `max.connections.per.ip.overrides`: addresses that may have more or fewer than the others.
    pub per_ip_overrides: HashMap<IpAddr, usize>,
    /// `max.connection.creation.rate`: connections a second.
    pub creation_rate: u32,
    /// `connection_creation_rate` of addresses (KIP-612): connections a second. Who comes faster is closed.
    pub ip_rates: BTreeMap<IpAddr, u32>,
    /// The same of every other address, if there is a limit.
    pub ip_rate_default: Option<u32>,
    /// What single listeners have of their own, `listener.name.<name>.` and the key. A listener without has no limits
    /// but the node's.
    pub listeners: BTreeMap<Arc<str>, ListenerLimits>,
    /// The listener of the brokers, when clients have others, and those of the quorum: the node's limits do not hold for
    /// them, so that clients cannot keep nodes apart.
    pub protected: Vec<Arc<str>>,
    /// Over how long rates are measured.
    pub rate_windows: RateWindows,
}

/// `quota.window.num` windows of `quota.window.size.seconds`, over which rates of new connections are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindows {
    /// How many, the current one among them.
    pub count: u32,
    /// How long each is. A new connection waits no longer for its turn.
    pub size: Duration,
}

impl RateWindows {
    /// So many seconds' connections may come at once when none came before: those of all windows but the current one.
    pub(crate) fn burst_seconds(self) -> f64 {
        f64::from(self.count.saturating_sub(1)) * self.size.as_secs_f64()
    }
}

impl Default for RateWindows {
    /// As Kafka's configs are unless they are set.
    fn default() -> Self {
        Self { count: 11, size: Duration::from_secs(1) }
    }
}

/// What one listener may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// `max.connections` of the listener.
    pub connections_max: usize,
    /// `max.connection.creation.rate` of the listener: connections a second.
    pub creation_rate: u32,
}

/// The rate of new connections where there is no limit.
pub const NO_RATE: u32 = i32::MAX.cast_unsigned();

impl SeatLimits {
    /// No limits at all.
    #[cfg(test)]
    pub fn none() -> Self {
        Self {
            connections_max: usize::MAX,
            per_ip_max: usize::MAX,
            per_ip_overrides: HashMap::new(),
            creation_rate: NO_RATE,
            ip_rates: BTreeMap::new(),
            ip_rate_default: None,
            listeners: BTreeMap::new(),
            protected: Vec::new(),
            rate_windows: RateWindows::default(),
        }
    }
}
