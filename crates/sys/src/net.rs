//! TCP, real or simulated.

use std::io;
use std::net::SocketAddr;

#[cfg(not(sim))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(sim)]
pub use turmoil::net::{TcpListener, TcpStream};

/// How many connections the kernel may hold that were not accepted yet: enough for a fleet of clients that reconnects
/// at once after a restart.
#[cfg(not(sim))]
const BACKLOG: u32 = 1024;

/// Listens on `addr`; port 0 takes a free one.
///
/// # Errors
/// When the address is not ours or its port is taken.
#[cfg(not(sim))]
pub async fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Listens on `addr`; port 0 takes a free one.
///
/// # Errors
/// When the address is not ours or its port is taken.
#[cfg(sim)]
pub async fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
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
