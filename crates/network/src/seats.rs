//! A place for every connection, as Apache Kafka gives them: the node's and a listener's limits make new connections
//! wait, an address's limit closes them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use thalweg_sys::time::{Duration, Instant, now, sleep};
use tokio::sync::Notify;

use crate::limits::{NO_RATE, RateWindows, SeatLimits};

/// So many addresses with a rate are counted at once. Beyond that, those that have come slowly lately are forgotten, and if
/// there are none, new addresses are not limited.
const RATED_IPS_MAX: usize = 100_000;

/// This part of the descriptors of connections is for the listeners of brokers and controllers alone.
const PROTECTED_SHARE: usize = 8;

/// The places of a node.
#[derive(Debug)]
pub(crate) struct Seats {
    state: Mutex<State>,
    /// A place was given back, or there are more.
    freed: Notify,
    started: Instant,
}

/// Invariant: `all` is the sum of the listeners' `open`, and of `by_ip`.
#[derive(Debug)]
struct State {
    limits: SeatLimits,
    /// How many file descriptors connections may take, whatever the limits say.
    descriptors_max: usize,
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
    listeners: BTreeMap<Arc<str>, OfListener>,
    rate: Rate,
    /// How fast addresses with a rate of their own have come.
    ip_rates: HashMap<IpAddr, Rate>,
    /// Everybody who has a place.
    occupants: BTreeMap<u64, Arc<Occupant>>,
    next_id: u64,
}

#[derive(Debug, Default)]
struct OfListener {
    open: usize,
    opened: u64,
    refused: u64,
    throttled: u64,
    idle_closed: u64,
    handshakes_failed: u64,
    rate: Rate,
}

/// What became of the connections of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerView {
    /// The listener's name.
    pub name: Arc<str>,
    /// How many there are.
    pub open: usize,
    /// How many there were, ever.
    pub opened: u64,
    /// How many were closed at once because their address had too many.
    pub refused: u64,
    /// How many were closed because their address came faster than its quota allows.
    pub throttled: u64,
    /// How many were closed because they were idle.
    pub idle_closed: u64,
    /// How many were closed because the TLS handshake failed.
    pub handshakes_failed: u64,
}

/// A connection that has a place.
#[derive(Debug)]
pub(crate) struct Occupant {
    listener: Arc<str>,
    ip: IpAddr,
    /// When it was last active, in milliseconds since the node's start.
    used: AtomicI64,
    /// It must go, because there may be fewer connections now.
    leave: Notify,
}

/// A connection's place; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    occupant: Arc<Occupant>,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// Its address has all that it may have.
    AddressFull,
    /// Its address comes faster than its quota allows. It is closed after this time, so that it does not come again at once.
    TooFast(Duration),
}

/// Why there is no place.
enum Full {
    /// One may become free.
    ForNow,
    /// The address has all it may have.
    ForAddress,
}

/// So many a second, counted in what may still come at once.
#[derive(Debug, Default)]
struct Rate {
    left: f64,
    counted: Option<Instant>,
}

impl Seats {
    pub(crate) fn new(limits: SeatLimits, descriptors_max: usize) -> Arc<Self> {
        let state = State {
            limits,
            descriptors_max,
            all: 0,
            by_ip: HashMap::new(),
            listeners: BTreeMap::new(),
            rate: Rate::default(),
            ip_rates: HashMap::new(),
            occupants: BTreeMap::new(),
            next_id: 0,
        };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new(), started: now() })
    }

    /// A place for a connection that was accepted. Waits for its turn and for room.
    pub(crate) async fn take(self: &Arc<Self>, listener: &Arc<str>, ip: IpAddr) -> Result<Seat, NoSeat> {
        self.state.lock().turn_of_ip(listener, ip, now()).map_err(NoSeat::TooFast)?;
        let wait = self.state.lock().wait_for_turn(listener, now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.try_take(listener, ip) {
                Ok(seat) => return Ok(seat),
                Err(Full::ForAddress) => return Err(NoSeat::AddressFull),
                Err(Full::ForNow) => freed.await,
            }
        }
    }

    /// Whether only file descriptors are missing for another connection of that listener.
    pub(crate) fn lacks_descriptors(&self, listener: &Arc<str>) -> bool {
        let state = self.state.lock();
        !state.has_room(listener) && state.all < state.limits.connections_max
    }

    fn try_take(self: &Arc<Self>, listener: &Arc<str>, ip: IpAddr) -> Result<Seat, Full> {
        let mut state = self.state.lock();
        if !state.has_room(listener) {
            return Err(Full::ForNow);
        }
        let of_ip = state.by_ip.get(&ip).copied().unwrap_or(0);
        let per_ip_max = state.limits.per_ip_overrides.get(&ip).copied().unwrap_or(state.limits.per_ip_max);
        let of_listener = state.listeners.entry(Arc::clone(listener)).or_default();
        if of_ip >= per_ip_max {
            of_listener.refused += 1;
            return Err(Full::ForAddress);
        }
        of_listener.open += 1;
        of_listener.opened += 1;
        state.all += 1;
        state.by_ip.insert(ip, of_ip + 1);
        let occupant =
            Arc::new(Occupant { listener: Arc::clone(listener), ip, used: AtomicI64::new(0), leave: Notify::new() });
        let seat = Seat { seats: Arc::clone(self), id: state.next_id, occupant: Arc::clone(&occupant) };
        seat.used(now());
        state.occupants.insert(seat.id, occupant);
        state.next_id += 1;
        state.close_least_used();
        Ok(seat)
    }

    /// Other limits count from now on. Connections above them are closed, the least recently used first.
    /// Says whether they are others indeed.
    pub(crate) fn set_limits(&self, limits: SeatLimits) -> bool {
        let mut state = self.state.lock();
        if state.limits == limits {
            return false;
        }
        state.limits = limits;
        state.close_least_used();
        drop(state);
        self.freed.notify_waiters();
        true
    }

    /// What became of the connections, by listener.
    pub(crate) fn listeners(&self) -> Vec<ListenerView> {
        let state = self.state.lock();
        let view = |(name, of): (&Arc<str>, &OfListener)| ListenerView {
            name: Arc::clone(name),
            open: of.open,
            opened: of.opened,
            refused: of.refused,
            throttled: of.throttled,
            idle_closed: of.idle_closed,
            handshakes_failed: of.handshakes_failed,
        };
        state.listeners.iter().map(view).collect()
    }
}

impl State {
    /// Counts a new connection of an address, unless it came too fast: then says for how long it should stay away.
    fn turn_of_ip(&mut self, listener: &Arc<str>, ip: IpAddr, now: Instant) -> Result<(), Duration> {
        let ip = ip.to_canonical();
        let Some(per_second) = self.limits.ip_rates.get(&ip).copied().or(self.limits.ip_rate_default) else {
            return Ok(());
        };
        let windows = self.limits.rate_windows;
        if self.ip_rates.len() >= RATED_IPS_MAX && !self.ip_rates.contains_key(&ip) {
            let burst = windows.burst_seconds();
            self.ip_rates.retain(|_, rate| rate.counted.is_some_and(|at| (now - at).as_secs_f64() < burst));
            if self.ip_rates.len() >= RATED_IPS_MAX {
                return Ok(());
            }
        }
        let turn = self.ip_rates.entry(ip).or_default().try_turn(per_second, windows, now);
        if turn.is_err() {
            self.listeners.entry(Arc::clone(listener)).or_default().throttled += 1;
        }
        turn
    }

    /// Counts a new connection, and says how long it has to wait because others came shortly before.
    fn wait_for_turn(&mut self, listener: &Arc<str>, now: Instant) -> Duration {
        let of_node = if self.is_protected(listener) { NO_RATE } else { self.limits.creation_rate };
        let of_listener = self.limits.listeners.get(listener).map_or(NO_RATE, |limits| limits.creation_rate);
        let windows = self.limits.rate_windows;
        let own = self.listeners.entry(Arc::clone(listener)).or_default().rate.wait(of_listener, windows, now);
        self.rate.wait(of_node, windows, now).max(own)
    }

    fn has_room(&self, listener: &Arc<str>) -> bool {
        let open = self.listeners.get(listener).map_or(0, |of| of.open);
        if self.limits.listeners.get(listener).is_some_and(|limits| open >= limits.connections_max) {
            return false;
        }
        if self.is_protected(listener) {
            return self.all < self.descriptors_max;
        }
        let descriptors = self.descriptors_max - self.descriptors_max / PROTECTED_SHARE;
        self.all < self.limits.connections_max.min(descriptors)
    }

    fn is_protected(&self, listener: &Arc<str>) -> bool {
        self.limits.protected.contains(listener)
    }

    /// Has those leave that are too many, clients before brokers.
    fn close_least_used(&self) {
        let excess = self.all.saturating_sub(self.limits.connections_max);
        if excess == 0 {
            return;
        }
        let clients = self.occupants.values().filter(|occupant| !self.is_protected(&occupant.listener));
        let mut clients: Vec<_> = clients.map(|occupant| (occupant.used.load(Ordering::Relaxed), occupant)).collect();
        clients.sort_by_key(|(used, _)| *used);
        clients.into_iter().take(excess).for_each(|(_, occupant)| occupant.leave.notify_one());
    }
}

impl Rate {
    /// Takes a turn if there is one, or says when there will be.
    fn try_turn(&mut self, per_second: u32, windows: RateWindows, now: Instant) -> Result<(), Duration> {
        let rate = f64::from(per_second);
        // A rate of zero lets nobody in; any other one lets one in after the other.
        let full = if per_second == 0 { 0.0 } else { (rate * windows.burst_seconds()).max(1.0) };
        self.left = self.counted.map_or(full, |at| (self.left + (now - at).as_secs_f64() * rate).min(full));
        self.counted = Some(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - self.left) / rate).unwrap_or(windows.size).min(windows.size))
    }

    fn wait(&mut self, per_second: u32, windows: RateWindows, now: Instant) -> Duration {
        if per_second >= NO_RATE {
            return Duration::ZERO;
        }
        let rate = f64::from(per_second.max(1));
        let full = (rate * windows.burst_seconds()).max(1.0);
        self.left = self.counted.map_or(full, |at| (self.left + (now - at).as_secs_f64() * rate).min(full)) - 1.0;
        self.counted = Some(now);
        if self.left >= 0.0 {
            return Duration::ZERO;
        }
        // What has waited its time counts as its turn.
        self.left = self.left.max(-rate * windows.size.as_secs_f64());
        Duration::from_secs_f64(-self.left / rate).min(windows.size)
    }
}

impl Seat {
    /// What the connection says when it was active, and hears when it must go.
    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        &self.occupant
    }

    /// The connection is closed because it was idle.
    pub(crate) fn idle_closed(&self) {
        if let Some(of) = self.seats.state.lock().listeners.get_mut(&self.occupant.listener) {
            of.idle_closed += 1;
        }
    }

    /// The connection is closed because what its client sent in the TLS handshake was refused.
    pub(crate) fn handshake_failed(&self) {
        if let Some(of) = self.seats.state.lock().listeners.get_mut(&self.occupant.listener) {
            of.handshakes_failed += 1;
        }
    }

    /// The connection was active then.
    pub(crate) fn used(&self, at: Instant) {
        let since = at.saturating_duration_since(self.seats.started).as_millis();
        self.occupant.used.store(i64::try_from(since).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Occupant {
    /// Completes when the connection must go.
    pub(crate) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.seats.state.lock();
        state.all -= 1;
        if let Some(of) = state.listeners.get_mut(&self.occupant.listener) {
            of.open -= 1;
        }
        if let Some(count) = state.by_ip.get_mut(&self.occupant.ip) {
            *count -= 1;
            if *count == 0 {
                state.by_ip.remove(&self.occupant.ip);
            }
        }
        state.occupants.remove(&self.id);
        drop(state);
        self.seats.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
