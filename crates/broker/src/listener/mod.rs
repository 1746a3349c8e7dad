//! Where clients arrive: accepts connections, keeps their number within its limits, and ends them when the node does.

mod budget;
mod chunks;
mod connection;
mod inbox;
mod outbox;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_sys::net::{SocketOptions, TcpListener, TcpStream, listen};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep};
use thalweg_wire::ApiKey;
use tracing::{debug, info, warn};

pub(crate) use budget::Budget;
pub(crate) use chunks::Chunks;
use connection::{Connection, Ended};

use crate::broker::Broker;
use crate::closing::Closing;

/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whom a listener is for: each kind serves other APIs (KIP-919).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerType {
    /// Clients and brokers.
    Broker,
    /// Controllers, brokers and tools that ask a controller directly.
    Controller,
}

impl ListenerType {
    /// Whether Kafka serves that API there.
    pub(crate) fn has(self, api: ApiKey) -> bool {
        match self {
            Self::Broker => api.on_broker(),
            Self::Controller => api.on_controller(),
        }
    }
}

/// A listener as handlers know it.
#[derive(Clone, Debug)]
pub(crate) struct ListenerName {
    /// Its name in `listeners`: decides which endpoints the client is told.
    pub(crate) name: Arc<str>,
    pub(crate) kind: ListenerType,
}

/// One bound address.
pub(crate) struct Listener {
    pub(crate) name: ListenerName,
    /// Where it listens: with port 0 in the configuration, the port that was free.
    pub(crate) local: SocketAddr,
    socket: TcpListener,
}

impl Listener {
    /// Binds `addr`.
    pub(crate) async fn bind(name: ListenerName, addr: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let socket = listen(addr, options).await?;
        Ok(Self { name, local: socket.local_addr()?, socket })
    }

    /// Accepts connections until `closing` says so; then waits until each of them has its last answers.
    pub(crate) async fn run(self, broker: Arc<Broker>, mut closing: Closing) {
        let others = closing.clone();
        let (open, mut all_closed) = tokio::sync::mpsc::channel::<()>(1);
        loop {
            tokio::select! {
                biased;
                () = closing.begun() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer, &broker, others.clone(), open.clone()),
                    Err(e) => {
                        warn!(listener = %self.name.name, error = %e, "cannot accept connections for now");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(open);
        let _ = all_closed.recv().await;
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        broker: &Arc<Broker>,
        mut closing: Closing,
        open: tokio::sync::mpsc::Sender<()>,
    ) {
        let Some(seat) = Seats::take(&broker.seats, peer.ip()) else {
            info!(%peer, "closed a new connection: max.connections or max.connections.per.ip is reached");
            return;
        };
        // Answers are written whole; waiting for more would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let mut connection = Connection::new(stream, peer.ip(), self.name.clone(), Arc::clone(broker));
        task::spawn(async move {
            let (_seat, _open) = (seat, open);
            let ended = tokio::select! {
                biased;
                ended = connection.run() => ended,
                () = closing.begun() => {
                    connection.finish().await;
                    Ok(())
                }
            };
            match ended {
                Ok(()) => {}
                Err(ended @ (Ended::Io(_) | Ended::Idle)) => debug!(%peer, "connection closed: {ended}"),
                Err(ended) => warn!(%peer, "connection closed: {ended}"),
            }
        });
    }
}

/// How many connections there may be, and how many there are, in all and by address.
#[derive(Debug)]
pub(crate) struct Seats {
    connections_max: usize,
    per_ip_max: usize,
    /// Addresses that may have more or fewer than the others.
    per_ip_overrides: HashMap<IpAddr, usize>,
    taken: Mutex<Occupied>,
}

#[derive(Debug, Default)]
struct Occupied {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Seats {
    pub(crate) fn new(
        connections_max: usize,
        per_ip_max: usize,
        per_ip_overrides: HashMap<IpAddr, usize>,
    ) -> Arc<Self> {
        Arc::new(Self { connections_max, per_ip_max, per_ip_overrides, taken: Mutex::default() })
    }

    fn take(this: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let mut taken = this.taken.lock();
        let per_ip_max = this.per_ip_overrides.get(&ip).copied().unwrap_or(this.per_ip_max);
        let from_ip = taken.by_ip.get(&ip).copied().unwrap_or(0);
        if taken.all >= this.connections_max || from_ip >= per_ip_max {
            return None;
        }
        taken.all += 1;
        taken.by_ip.insert(ip, from_ip + 1);
        Some(Seat { seats: Arc::clone(this), ip })
    }
}

/// A connection's place; dropping it makes room for another.
struct Seat {
    seats: Arc<Seats>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_in_all_and_by_address() {
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let seats = Seats::new(3, 2, HashMap::new());
        let first = Seats::take(&seats, a);
        let second = Seats::take(&seats, a);
        assert!(first.is_some() && second.is_some());
        assert!(Seats::take(&seats, a).is_none(), "two from one address");
        let third = Seats::take(&seats, b);
        assert!(third.is_some());
        assert!(Seats::take(&seats, b).is_none(), "three in all");
        drop((first, second, third));
        assert!(seats.taken.lock().by_ip.is_empty());
    }
}
