//! Where clients arrive: accepts connections, keeps their number within its limits, and ends them when the node does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_sys::closing::Closing;
use thalweg_sys::net::{SocketOptions, TcpListener, TcpStream, listen};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::connection::{Connection, Ended};
use crate::kind::ListenerName;
use crate::network::Network;
use crate::reply::Service;
use crate::seats::Seat;

/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One bound address.
pub struct Listener {
    /// Its name, and which APIs it serves.
    pub name: ListenerName,
    /// Where it listens: with port 0 in the configuration, the port that was free.
    pub local: SocketAddr,
    socket: TcpListener,
}

impl Listener {
    /// Binds `addr`.
    ///
    /// # Errors
    /// When the address is not ours or its port is taken.
    pub async fn bind(name: ListenerName, addr: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let socket = listen(addr, options).await?;
        Ok(Self { name, local: socket.local_addr()?, socket })
    }

    /// Accepts connections and has `service` handle their requests until `closing` says so; then waits until each of them
    /// has its last answers.
    pub async fn run(self, network: Arc<Network>, service: Arc<dyn Service>, mut closing: Closing) {
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        let serving = Serving { name: self.name.clone(), network, service, closing: closing.clone(), open };
        loop {
            tokio::select! {
                biased;
                () = closing.begun() => break,
                () = self.accept(&serving) => {}
            }
        }
        drop(serving);
        // Who comes now is refused at once, and may turn to another broker, instead of waiting for nobody.
        drop(self.socket);
        let _ = all_closed.recv().await;
    }

    /// Takes the next connection. While there is no room for it, the others wait in the kernel's queue.
    async fn accept(&self, serving: &Serving) {
        let (stream, peer) = match self.socket.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                if let Some(left_out) = serving.network.note(&format!("accept {} {e}", self.name.name)) {
                    warn!(listener = %self.name.name, error = %e, "cannot accept connections for now{left_out}");
                }
                return sleep(ACCEPT_PAUSE).await;
            }
        };
        if serving.network.seats.lacks_descriptors(&self.name.name)
            && let Some(left_out) = serving.network.note("descriptors")
        {
            warn!("connections have all file descriptors that are theirs: new ones wait; raise ulimit -n{left_out}");
        }
        match serving.network.seats.take(&self.name.name, peer.ip()).await {
            Some(seat) => serving.begin(stream, peer, seat),
            None => {
                if let Some(left_out) = serving.network.note(&format!("address {}", peer.ip())) {
                    info!(%peer, "closed a new connection: its address has max.connections.per.ip{left_out}");
                }
            }
        }
    }
}

/// What every connection of a running listener gets.
struct Serving {
    name: ListenerName,
    network: Arc<Network>,
    service: Arc<dyn Service>,
    closing: Closing,
    /// Held by every connection: the listener has ended when the last one drops it.
    open: mpsc::Sender<()>,
}

impl Serving {
    /// Serves a connection in a task of its own.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        // Answers are written whole; waiting for more would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (open, mut closing) = (self.open.clone(), self.closing.clone());
        let occupant = Arc::clone(seat.occupant());
        let noting = Arc::clone(&self.network);
        let (network, service) = (Arc::clone(&self.network), Arc::clone(&self.service));
        let mut connection = Connection::new(stream, peer, self.name.clone(), network, service, seat);
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
                Err(ended) => {
                    if let Some(left_out) = noting.note(&format!("{} {ended}", peer.ip())) {
                        warn!(%peer, "connection closed: {ended}{left_out}");
                    }
                }
            }
        });
    }
}
