//! Requests that wait for partitions to move: no polling, no sleep, no task of their own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use thalweg_sys::time::{Instant, sleep_until};
use tokio::sync::Notify;

/// More bytes than any request waits for.
const UNKNOWN: i64 = i64::MAX / 2;

/// A request that waits until enough bytes have become readable in its partitions, or until one of them changes in a
/// way that it must look at.
#[derive(Debug)]
pub(crate) struct Parked {
    missing_bytes: AtomicI64,
    woken: Notify,
}

impl Parked {
    /// A request that has not looked yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { missing_bytes: AtomicI64::new(UNKNOWN), woken: Notify::new() })
    }

    /// The request is about to look: from here on, arrivals are counted.
    pub(crate) fn begin(&self) {
        self.missing_bytes.store(UNKNOWN, Ordering::Relaxed);
    }

    /// The request has looked, and so many bytes are missing. What arrived since [`Parked::begin`] may have been seen
    /// or not: it counts, so that no wake-up is lost.
    pub(crate) fn expect(&self, missing_bytes: usize) {
        let missing_bytes = i64::try_from(missing_bytes).unwrap_or(UNKNOWN);
        self.arrived(UNKNOWN - missing_bytes);
    }

    /// So many bytes have become readable.
    fn arrived(&self, bytes: i64) {
        if self.missing_bytes.fetch_sub(bytes, Ordering::Relaxed) <= bytes {
            self.woken.notify_one();
        }
    }

    /// Something else has happened that must be looked at.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Completes when the request was woken.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Completes when the request was woken or its time is over; says whether it was woken.
    pub(crate) async fn woken_before(&self, deadline: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.woken.notified() => true,
            () = sleep_until(deadline) => false,
        }
    }
}

/// The parked requests of one partition.
///
/// A request that is answered just drops its [`Parked`]; its entry here is swept out before the list would grow beyond
/// twice the requests that are alive.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    parked: Vec<Weak<Parked>>,
    sweep_at: usize,
}

/// Below this, sweeping is not worth it.
const SWEEP_MIN: usize = 16;

impl Waiters {
    /// `request` waits for this partition, among others.
    pub(crate) fn add(&mut self, request: &Arc<Parked>) {
        if self.parked.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.parked.retain(|parked| parked.strong_count() > 0);
            self.sweep_at = 2 * self.parked.len();
        }
        self.parked.push(Arc::downgrade(request));
    }

    /// So many bytes have become readable.
    pub(crate) fn arrived(&mut self, bytes: i64) {
        self.each(|parked| parked.arrived(bytes));
    }

    /// Something else has changed: everybody must look.
    pub(crate) fn wake_all(&mut self) {
        self.each(|parked| parked.woken.notify_one());
    }

    fn each(&mut self, tell: impl Fn(&Parked)) {
        self.parked.retain(|parked| match parked.upgrade() {
            Some(parked) => {
                tell(&parked);
                true
            }
            None => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_sys::time::{Duration, now};

    #[tokio::test]
    async fn enough_bytes_wake_a_request_and_fewer_do_not() {
        let mut waiters = Waiters::default();
        let parked = Parked::new();
        waiters.add(&parked);
        parked.begin();
        parked.expect(10);
        waiters.arrived(9);
        assert!(!parked.woken_before(now()).await);
        waiters.arrived(1);
        assert!(parked.woken_before(now() + Duration::from_secs(60)).await);
    }

    #[test]
    fn answered_requests_do_not_pile_up() {
        let mut waiters = Waiters::default();
        let alive = Parked::new();
        waiters.add(&alive);
        for _ in 0..1000 {
            waiters.add(&Parked::new());
        }
        assert!(waiters.parked.len() <= SWEEP_MIN);
        waiters.arrived(1);
        assert_eq!(waiters.parked.len(), 1);
    }
}
