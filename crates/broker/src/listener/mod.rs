//! Where clients arrive: accepts connections, keeps their number within its limits, and ends them when the node does.

mod budget;
mod chunks;
mod connection;
mod inbox;
mod limits;
mod origin;
mod outbox;
mod seats;
mod spare;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_sys::net::{SocketOptions, TcpListener, TcpStream, listen};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep};
use thalweg_wire::ApiKey;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

pub(crate) use budget::Budget;
pub(crate) use chunks::Chunks;
use connection::{Connection, Ended};
pub(crate) use limits::SeatLimits;
pub(crate) use origin::Origin;
use seats::Seat;
pub(crate) use seats::{ListenerView, Seats};
pub(crate) use spare::Spare;

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
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        loop {
            tokio::select! {
                biased;
                () = closing.begun() => break,
                () = self.accept(&broker, &others, &open) => {}
            }
        }
        drop(open);
        // Who comes now is refused at once, and may turn to another broker, instead of waiting for nobody.
        drop(self.socket);
        let _ = all_closed.recv().await;
    }

    /// Takes the next connection. While there is no room for it, the others wait in the kernel's queue.
    async fn accept(&self, broker: &Arc<Broker>, closing: &Closing, open: &mpsc::Sender<()>) {
        let (stream, peer) = match self.socket.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                warn!(listener = %self.name.name, error = %e, "cannot accept connections for now");
                return sleep(ACCEPT_PAUSE).await;
            }
        };
        match broker.seats.take(&self.name.name, peer.ip()).await {
            Some(seat) => self.serve(stream, peer, seat, broker, closing.clone(), open.clone()),
            None => info!(%peer, "closed a new connection: its address has max.connections.per.ip"),
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        seat: Seat,
        broker: &Arc<Broker>,
        mut closing: Closing,
        open: mpsc::Sender<()>,
    ) {
        // Answers are written whole; waiting for more would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let occupant = Arc::clone(seat.occupant());
        let mut connection = Connection::new(stream, peer, self.name.clone(), Arc::clone(broker), seat);
        task::spawn(async move {
            let _open = open;
            let ended = tokio::select! {
                biased;
                ended = connection.run() => ended,
                () = occupant.asked_to_leave() => Err(Ended::OneTooMany),
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
