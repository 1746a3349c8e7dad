//! What clients have used of their quotas, and for how long they are throttled (KIP-13, KIP-124, KIP-219).
//!
//! A client that uses more than its quota is answered at once, with the time for which it is throttled, and its connection is
//! muted for that time. Where nothing is limited, a request costs one look at a flag.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thalweg_access::Principal;
use thalweg_access::quotas::{QuotaKind, Quotas, Rate, Windows};
use thalweg_base::Moment;
use thalweg_metadata::MetadataImage;
use thalweg_sys::time::Duration;
use thalweg_wire::ApiKey;

/// The client quotas of a node.
#[derive(Debug)]
pub(crate) struct ClientQuotas {
    is_idle: AtomicBool,
    quotas: Mutex<Quotas>,
}

/// Whose usage is counted.
#[derive(Clone, Copy)]
pub(crate) struct User<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) client_id: &'a str,
}

impl ClientQuotas {
    /// The quotas of `image`, measured over `windows`.
    pub(crate) fn new(windows: Windows, image: &MetadataImage) -> Self {
        let this = Self { is_idle: AtomicBool::new(true), quotas: Mutex::new(Quotas::new(windows)) };
        this.follow(image);
        this
    }

    /// The quotas of `image` apply from now on.
    pub(crate) fn follow(&self, image: &MetadataImage) {
        let mut quotas = self.quotas.lock();
        quotas.set_limits(image.client_quotas());
        self.is_idle.store(quotas.is_idle(), Ordering::Release);
    }

    /// Whether nothing is limited.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Acquire)
    }

    /// Counts what a client has used. Gives for how many milliseconds it is throttled.
    pub(crate) fn record(&self, kind: QuotaKind, user: User<'_>, value: f64, now: Moment) -> u32 {
        if self.is_idle() {
            return 0;
        }
        let mut quotas = self.quotas.lock();
        let throttle_ms = quotas.record(kind, &user.principal.name, user.client_id, value, now);
        if throttle_ms > 0 {
            quotas.throttled(kind, &user.principal.name, user.client_id, throttle_ms);
        }
        throttle_ms
    }

    /// Takes back what was counted: the client is not given it after all.
    pub(crate) fn unrecord(&self, kind: QuotaKind, user: User<'_>, value: f64, now: Moment) {
        self.quotas.lock().unrecord(kind, &user.principal.name, user.client_id, value, now);
    }

    /// The most bytes that a fetch of the client may be answered with; `None` where it has no quota.
    pub(crate) fn fetch_bytes_max(&self, user: User<'_>) -> Option<f64> {
        if self.is_idle() {
            return None;
        }
        self.quotas.lock().most_at_once(QuotaKind::Fetch, &user.principal.name, user.client_id)
    }

    /// The node has worked so long on a request of the client: counted in percent of one processor.
    pub(crate) fn worked(&self, user: User<'_>, time: Duration, now: Moment) {
        const PERCENT: f64 = 100.0;
        if !self.is_idle() {
            let value = time.as_secs_f64() * PERCENT;
            self.quotas.lock().record(QuotaKind::Request, &user.principal.name, user.client_id, value, now);
        }
    }

    /// What every limited entity has used lately.
    pub(crate) fn rates(&self, now: Moment) -> Vec<Rate> {
        self.quotas.lock().rates(now)
    }
}

/// Whether requests of that API come from nodes only: the cluster does not wait because users have used much.
pub(crate) fn is_exempt(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::Envelope
            | ApiKey::Vote
            | ApiKey::BeginQuorumEpoch
            | ApiKey::EndQuorumEpoch
            | ApiKey::UpdateRaftVoter
            | ApiKey::FetchSnapshot
            | ApiKey::AlterPartition
            | ApiKey::AllocateProducerIds
            | ApiKey::AssignReplicasToDirs
            | ApiKey::BrokerRegistration
            | ApiKey::BrokerHeartbeat
            | ApiKey::ControllerRegistration
            | ApiKey::WriteTxnMarkers
    )
}
