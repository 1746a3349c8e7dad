//! TCP, real or simulated.

use std::io;
use std::net::SocketAddr;

use crate::time::{Instant, timeout_at};

mod listening;
pub use listening::{Acceptor, SocketOptions, listen, listen_on};

#[cfg(not(sim))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(sim)]
pub use turmoil::net::{TcpListener, TcpStream};

/// Whether the peer has closed its side, or the connection is broken, though bytes that it sent before may not have been
/// read yet.
#[cfg(not(sim))]
#[must_use]
pub fn is_closed_by_peer(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    let closed = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    poll(&mut polled, Some(&AT_ONCE)).is_ok_and(|ready| ready > 0) && polled[0].revents().intersects(closed)
}

/// Whether the peer has closed its side: the simulated network does not say so before its bytes are read.
#[cfg(sim)]
#[must_use]
pub fn is_closed_by_peer(_stream: &TcpStream) -> bool {
    false
}

/// What the kernel is asked for on behalf of a connection that is made. The default lets it adapt both buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The size of the receive buffer in bytes; `None` lets the kernel adapt it.
    pub receive_buffer: Option<u32>,
    /// The size of the send buffer in bytes; `None` lets the kernel adapt it.
    pub send_buffer: Option<u32>,
}

/// Connects to `addr`. The connection sends at once what is written (`TCP_NODELAY`) and notices a peer that is gone
/// (`SO_KEEPALIVE`).
///
/// # Errors
/// When nobody listens there; [`io::ErrorKind::TimedOut`] when there is no connection by `deadline`.
pub async fn connect(addr: SocketAddr, options: ConnectOptions, deadline: Instant) -> io::Result<TcpStream> {
    timeout_at(deadline, connect_to(addr, options)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(not(sim))]
async fn connect_to(addr: SocketAddr, options: ConnectOptions) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.set_keepalive(true)?;
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(sim)]
async fn connect_to(addr: SocketAddr, _options: ConnectOptions) -> io::Result<TcpStream> {
    TcpStream::connect(addr).await
}

/// The addresses that `host` stands for.
///
/// # Errors
/// When the name is not known.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(not(sim))]
    let found = tokio::net::lookup_host((host, port)).await?;
    #[cfg(sim)]
    let found = turmoil::net::lookup_host((host, port)).await?;
    Ok(found.collect())
}
