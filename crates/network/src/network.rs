//! What all listeners of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_base::{LeftOut, Moment, Repeats};
use thalweg_sys::time::{Instant, now};

use crate::chunks::Chunks;
use crate::limits::{ConnectionLimits, SeatLimits};
use crate::requests::Requests;
use crate::seats::{ListenerView, Seats};
use crate::spare::Spare;

/// So many connections of addresses that come too fast are kept for a moment: each holds a file descriptor.
const TURNED_AWAY_MAX: usize = 256;

/// The limits, buffers and metrics that all connections of a node share.
#[derive(Debug)]
pub struct Network {
    pub(crate) limits: ConnectionLimits,
    pub(crate) seats: Arc<Seats>,
    /// What records pass through on their way from files to sockets.
    pub(crate) chunks: Arc<Chunks>,
    /// What requests are read into.
    pub(crate) spare: Arc<Spare>,
    /// How many requests came, and how long they took.
    pub requests: Requests,
    connections: AtomicU64,
    /// One for each connection that is kept for a moment before it is closed.
    turned_away: Arc<()>,
    /// What is logged about connections, which strangers can make happen as often as they like.
    repeats: Mutex<Repeats>,
    started: Instant,
}

impl Network {
    /// The network of a node whose connections may cost what `limits` say, and are as many as `seats` allow.
    #[must_use]
    pub fn new(limits: ConnectionLimits, seats: SeatLimits) -> Arc<Self> {
        Arc::new(Self {
            seats: Seats::new(seats, limits.descriptors_max),
            limits,
            chunks: Arc::default(),
            spare: Arc::default(),
            requests: Requests::default(),
            connections: AtomicU64::new(0),
            turned_away: Arc::default(),
            repeats: Mutex::default(),
            started: now(),
        })
    }

    /// Other limits count from now on. Connections above them are closed, the least recently used first.
    /// Says whether they differ from those before.
    pub fn set_seat_limits(&self, limits: SeatLimits) -> bool {
        self.seats.set_limits(limits)
    }

    /// What became of the connections, by listener.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerView> {
        self.seats.listeners()
    }

    /// How many bytes of the memory for requests are left, and how many there are in all.
    #[must_use]
    pub fn request_memory(&self) -> (usize, usize) {
        self.limits.request_memory.left()
    }

    /// Something is to be logged about `subject`: `Some` if its line is to be written.
    pub(crate) fn note(&self, subject: &str) -> Option<LeftOut> {
        let moment = Moment(0).after(now().saturating_duration_since(self.started));
        self.repeats.lock().note(subject, moment)
    }

    /// Another connection may be kept for a moment before it is closed, as long as the handle lives; `None` if there are too
    /// many.
    pub(crate) fn turn_away(&self) -> Option<Arc<()>> {
        (Arc::strong_count(&self.turned_away) <= TURNED_AWAY_MAX).then(|| Arc::clone(&self.turned_away))
    }

    /// The number of a new connection: no two connections of a node have the same.
    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }
}
