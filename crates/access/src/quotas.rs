//! Client quotas: how much users and clients may produce, fetch and ask for, and for how long they are throttled when they
//! use more (KIP-13, KIP-124, KIP-219).
//!
//! A quota belongs to the most specific entity that has one: user and client id, then the user, then the client id, with
//! defaults in between ([`Limits::find`]). Usage is measured over the last windows, as a rate; a client that exceeds its
//! rate is throttled until the rate is within the quota again.

mod limits;
mod mutations;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::Moment;
use thalweg_metadata::image::ClientQuotasImage;

pub use limits::{Limit, Limits, Measured};
pub use mutations::MutationQuotas;
use usage::Usage;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKind {
    /// `producer_byte_rate`: bytes of produce requests per second.
    Produce,
    /// `consumer_byte_rate`: bytes of fetch responses per second.
    Fetch,
    /// `request_percentage`: how much of one processor requests may take, in percent.
    Request,
}

impl QuotaKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Produce, Self::Fetch, Self::Request];

    /// The key of the quota in AlterClientQuotas.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
        }
    }
}

/// The windows over which usage is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `quota.window.num`: how many windows, the current one among them; at least 1.
    pub count: u32,
    /// `quota.window.size.seconds`, in milliseconds; at least 1.
    pub size_ms: i64,
}

/// So many entities are measured at once. A client can invent client ids, and each is an entity where every client has a
/// quota of its own: beyond this, those whose windows are over are forgotten, and if there are none, new ones are not
/// measured.
const MEASURED_MAX: usize = 100_000;

/// The quotas of a node and what has been used of them.
#[derive(Debug)]
pub struct Quotas {
    windows: Windows,
    limits: BTreeMap<QuotaKind, Limits>,
    used: BTreeMap<QuotaKind, BTreeMap<Measured, Usage>>,
}

/// One entity's usage, for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// What is limited.
    pub kind: QuotaKind,
    /// Who is measured.
    pub measured: Measured,
    /// The rate per second.
    pub rate: f64,
    /// For how long requests have been throttled, in milliseconds in total.
    pub throttled_ms: u64,
}

impl Quotas {
    /// No limits yet.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        assert!(windows.count >= 1 && windows.size_ms >= 1, "usage is measured over time");
        Self { windows, limits: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// Takes the limits of an image. Usage that no limit counts any more is forgotten.
    pub fn set_limits(&mut self, image: &ClientQuotasImage) {
        for kind in QuotaKind::ALL {
            let limits = Limits::of(image, kind.key());
            if limits.is_empty() {
                self.limits.remove(&kind);
                self.used.remove(&kind);
            } else {
                if let Some(used) = self.used.get_mut(&kind) {
                    used.retain(|measured, _| limits.measures(measured));
                }
                self.limits.insert(kind, limits);
            }
        }
    }

    /// Whether anything is limited: if not, nothing needs to be recorded.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.limits.is_empty()
    }

    /// Records what a client has used. Returns for how many milliseconds it is to be throttled.
    pub fn record(&mut self, kind: QuotaKind, user: &str, client_id: &str, value: f64, now: Moment) -> u32 {
        let Some(limit) = self.limits.get(&kind).and_then(|limits| limits.find(user, client_id)) else { return 0 };
        let windows = self.windows;
        let Some(usage) = self.usage(kind, limit.measured, now) else { return 0 };
        usage.record(value, windows, now);
        let throttle = usage.throttle_ms(limit.rate, windows, now);
        // A processor is shared: nobody waits longer for it than a window.
        let longest = if kind == QuotaKind::Request { windows.size_ms } else { i64::from(u32::MAX) };
        u32::try_from(throttle.clamp(0, longest)).unwrap_or(u32::MAX)
    }

    /// Takes back what was recorded: the answer is sent without it.
    pub fn unrecord(&mut self, kind: QuotaKind, user: &str, client_id: &str, value: f64, now: Moment) {
        let Some(limit) = self.limits.get(&kind).and_then(|limits| limits.find(user, client_id)) else { return };
        let windows = self.windows;
        if let Some(usage) = self.usage(kind, limit.measured, now) {
            usage.record(-value, windows, now);
        }
    }

    /// A client was throttled by this quota.
    pub fn throttled(&mut self, kind: QuotaKind, user: &str, client_id: &str, throttle_ms: u32) {
        let Some(limit) = self.limits.get(&kind).and_then(|limits| limits.find(user, client_id)) else { return };
        if let Some(usage) = self.used.get_mut(&kind).and_then(|used| used.get_mut(&limit.measured)) {
            usage.throttled_ms += u64::from(throttle_ms);
        }
    }

    /// The most that a client may use at once without being throttled for certain: how much a fetch may return.
    #[must_use]
    pub fn most_at_once(&self, kind: QuotaKind, user: &str, client_id: &str) -> Option<f64> {
        let limit = self.limits.get(&kind)?.find(user, client_id)?;
        let full_windows = f64::from(self.windows.count - 1);
        Some(limit.rate * full_windows * self.windows.size_ms as f64 / 1000.0)
    }

    /// Every entity that is measured.
    #[must_use]
    pub fn rates(&mut self, now: Moment) -> Vec<Rate> {
        let windows = self.windows;
        let mut rates = Vec::new();
        for (kind, used) in &mut self.used {
            for (measured, usage) in used {
                let rate = usage.rate(windows, now);
                rates.push(Rate { kind: *kind, measured: measured.clone(), rate, throttled_ms: usage.throttled_ms });
            }
        }
        rates
    }

    fn usage(&mut self, kind: QuotaKind, measured: Measured, now: Moment) -> Option<&mut Usage> {
        let windows = self.windows;
        let used = self.used.entry(kind).or_default();
        if used.len() >= MEASURED_MAX && !used.contains_key(&measured) {
            used.retain(|_, usage| !usage.is_over(windows, now));
            if used.len() >= MEASURED_MAX {
                return None;
            }
        }
        Some(used.entry(measured).or_insert_with(|| Usage::new(now)))
    }
}

/// The user whose quotas count for a principal: its name.
#[must_use]
pub fn quota_user(principal: &crate::Principal) -> Arc<str> {
    Arc::clone(&principal.name)
}
