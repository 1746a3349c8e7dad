//! TCP, real or simulated.

use std::io;
use std::net::SocketAddr;

#[cfg(not(sim))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(sim)]
pub use turmoil::net::{TcpListener, TcpStream};

/// What the kernel is asked for on behalf of a listener and its connections.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// How many connections the kernel may hold that were not accepted yet.
    pub backlog: u32,
    /// The size of the receive buffer in bytes; `None` lets the kernel adapt it.
    pub receive_buffer: Option<u32>,
    /// The size of the send buffer in bytes; `None` lets the kernel adapt it.
    pub send_buffer: Option<u32>,
}

/// Listens on `addr`; port 0 takes a free one.
///
/// # Errors
/// When the address is not ours or its port is taken.
#[cfg(not(sim))]
pub async fn listen(addr: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(addr)?;
    socket.listen(options.backlog)
}

/// Listens on `addr`; port 0 takes a free one.
///
/// # Errors
/// When the address is not ours or its port is taken.
#[cfg(sim)]
pub async fn listen(addr: SocketAddr, _options: SocketOptions) -> io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// The addresses that `host` stands for; an empty host means every interface.
///
/// # Errors
/// When the name is not known.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    #[cfg(not(sim))]
    let found = tokio::net::lookup_host((host, port)).await?;
    #[cfg(sim)]
    let found = turmoil::net::lookup_host((host, port)).await?;
    Ok(found.collect())
}
