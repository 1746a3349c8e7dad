//! Where clients arrive: accepts connections, keeps their number within its limits, and ends them when the node does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_sys::closing::Closing;
use thalweg_sys::net::{Acceptor, SocketOptions, TcpStream, listen_on};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep, timeout};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::connection::{Connection, Ended};
use crate::kind::ListenerName;
use crate::network::Network;
use crate::reply::Service;
use crate::seats::{NoSeat, Seat};
use crate::stream::{Encryption, Stream};

/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take for the TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// One port, on every address of its host.
pub struct Listener {
    /// Its name, and which APIs it serves.
    pub name: ListenerName,
    /// The first address where it listens: with port 0 in the configuration, the port that was free.
    pub local: SocketAddr,
    socket: Acceptor,
    encryption: Option<Arc<Encryption>>,
}

impl Listener {
    /// Binds `port` on every address of `host`, see [`listen_on`]; with `encryption` it takes connections with TLS only.
    ///
    /// # Errors
    /// When the host is not known, its addresses are not ours or the port is taken.
    pub async fn bind(
        name: ListenerName,
        (host, port): (&str, u16),
        options: SocketOptions,
        encryption: Option<Arc<Encryption>>,
    ) -> io::Result<Self> {
        let socket = listen_on(host, port, options).await?;
        Ok(Self { name, local: socket.local(), socket, encryption })
    }

    /// Accepts connections and has `service` handle their requests until `closing` says so; then waits until each of them
    /// has its last answers.
    pub async fn run(self, network: Arc<Network>, service: Arc<dyn Service>, mut closing: Closing) {
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        let encryption = self.encryption.clone();
        let serving =
            Serving { name: self.name.clone(), network, service, encryption, closing: closing.clone(), _open: open };
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
            Ok(seat) => serving.begin(stream, peer, seat),
            Err(NoSeat::TooFast(delay)) => serving.turn_away(stream, peer, delay),
            Err(NoSeat::AddressFull) => {
                if let Some(left_out) = serving.network.note(&format!("address {}", peer.ip())) {
                    info!(%peer, "closed a new connection: its address has max.connections.per.ip{left_out}");
                }
            }
        }
    }
}

/// What every connection of a running listener gets.
#[derive(Clone)]
struct Serving {
    name: ListenerName,
    network: Arc<Network>,
    service: Arc<dyn Service>,
    encryption: Option<Arc<Encryption>>,
    closing: Closing,
    /// Held by every connection: the listener has ended when the last one drops it.
    _open: mpsc::Sender<()>,
}

impl Serving {
    /// Closes a connection whose address comes too fast, after `delay`: a client that is closed at once comes again at once.
    /// Nothing is read of it. Only so many are kept for that.
    fn turn_away(&self, stream: TcpStream, peer: SocketAddr, delay: Duration) {
        if let Some(left_out) = self.network.note(&format!("rate {}", peer.ip())) {
            info!(%peer, "closed a new connection: its address exceeds connection_creation_rate{left_out}");
        }
        let Some(turned_away) = self.network.turn_away() else { return };
        let mut closing = self.closing.clone();
        task::spawn(async move {
            tokio::select! {
                biased;
                () = closing.begun() => {}
                () = sleep(delay) => {}
            }
            drop((stream, turned_away));
        });
    }

    /// Serves a connection in a task of its own.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        // Answers are written whole; waiting for more would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let this = self.clone();
        task::spawn(async move {
            match this.serve(stream, peer, seat).await {
                Ok(()) => {}
                Err(ended @ (Ended::Io(_) | Ended::Idle)) => debug!(%peer, "connection closed: {ended}"),
                Err(ended) => {
                    if let Some(left_out) = this.network.note(&format!("{} {ended}", peer.ip())) {
                        warn!(%peer, "connection closed: {ended}{left_out}");
                    }
                }
            }
        });
    }

    /// Serves a connection until it ends, its place is needed, or the listener closes.
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) -> Result<(), Ended> {
        let mut closing = self.closing.clone();
        let occupant = Arc::clone(seat.occupant());
        let stream = tokio::select! {
            biased;
            stream = self.shake_hands(stream, &seat) => stream?,
            () = occupant.asked_to_leave() => return Err(Ended::OneTooMany),
            () = closing.begun() => return Ok(()),
        };
        let (network, service) = (Arc::clone(&self.network), Arc::clone(&self.service));
        let mut connection = Connection::new(stream, peer, &self.name, network, service, seat)?;
        let ended = tokio::select! {
            biased;
            ended = connection.run() => ended,
            () = occupant.asked_to_leave() => Err(Ended::OneTooMany),
            () = closing.begun() => {
                connection.finish().await;
                Ok(())
            }
        };
        connection.close().await;
        ended
    }

    async fn shake_hands(&self, stream: TcpStream, seat: &Seat) -> Result<Stream, Ended> {
        let Some(encryption) = &self.encryption else { return Ok(Stream::Plain(stream)) };
        let shaken = timeout(HANDSHAKE_MAX, encryption.accept(stream)).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|e| {
            // What is not TLS, or not acceptable. A client that goes away is no failed login.
            if e.kind() == io::ErrorKind::InvalidData {
                seat.handshake_failed();
            }
            Ended::Handshake(e)
        })
    }
}
