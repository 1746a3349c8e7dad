//! Where connections arrive: a port on every address that a host stands for.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::{TcpListener, TcpStream, resolve};

/// How often another free port is tried when the one that is free on the first address is taken on another.
#[cfg(not(sim))]
const FREE_PORTS_MAX: usize = 16;

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

/// One port, open on one or more addresses.
pub struct Acceptor {
    sockets: Vec<TcpListener>,
    local: SocketAddr,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not every socket of the simulation can be shown.
        f.debug_struct("Acceptor").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// The first of its addresses, with the port that all of them have.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next connection and its peer's address, which is an IPv4 address for every peer that came by IPv4. Nothing is
    /// lost when the future is dropped.
    ///
    /// # Errors
    /// When the kernel has none to give, for want of descriptors say.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, mut peer) = self.next().await?;
        peer.set_ip(peer.ip().to_canonical());
        Ok((stream, peer))
    }

    #[cfg(not(sim))]
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        if let [only] = self.sockets.as_slice() {
            return only.accept().await;
        }
        std::future::poll_fn(|cx| {
            let ready = self.sockets.iter().map(|socket| socket.poll_accept(cx)).find(std::task::Poll::is_ready);
            ready.unwrap_or(std::task::Poll::Pending)
        })
        .await
    }

    #[cfg(sim)]
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.sockets[0].accept().await
    }
}

/// Listens on every address of `host`, all with the same port; port 0 takes a free one. An empty host is every interface,
/// by IPv4 and IPv6 where the machine has both. `localhost` is both loopback addresses, whatever the machine's tables say:
/// clients differ in which of them they try. Of a name's addresses, those that are not this machine's are left out.
///
/// # Errors
/// When the name is not known, no address is ours or the port is taken on one of them.
#[cfg(not(sim))]
pub async fn listen_on(host: &str, port: u16, options: SocketOptions) -> io::Result<Acceptor> {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    if host.is_empty() {
        let dual = listen((Ipv6Addr::UNSPECIFIED, port).into(), options).await;
        let socket = match dual {
            Err(e) if !matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                listen((Ipv4Addr::UNSPECIFIED, port).into(), options).await?
            }
            dual => dual?,
        };
        return Ok(Acceptor { local: socket.local_addr()?, sockets: vec![socket] });
    }
    let mut addresses = resolve(host, port).await?;
    if host.eq_ignore_ascii_case("localhost") {
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        addresses.extend(loopback.map(|ip| SocketAddr::new(ip, port)));
    }
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.ip()));
    let mut tries = 1;
    loop {
        match listen_on_all(&addresses, options).await {
            Err(e) if port == 0 && e.kind() == io::ErrorKind::AddrInUse && tries < FREE_PORTS_MAX => tries += 1,
            other => return other,
        }
    }
}

/// Listens on each address that is this machine's, with the port of the first of them.
#[cfg(not(sim))]
async fn listen_on_all(addresses: &[SocketAddr], options: SocketOptions) -> io::Result<Acceptor> {
    let (mut sockets, mut local, mut foreign) = (Vec::new(), None, None);
    for address in addresses {
        let port = local.map_or(address.port(), |local: SocketAddr| local.port());
        match listen((address.ip(), port).into(), options).await {
            Ok(socket) => {
                local = Some(local.unwrap_or(socket.local_addr()?));
                sockets.push(socket);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => return Err(e),
            Err(e) => foreign = Some(e),
        }
    }
    match local {
        Some(local) => Ok(Acceptor { sockets, local }),
        None => Err(foreign.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
    }
}

/// Listens on the first address of `host`; an empty host is every interface. The simulated network has IPv4 only.
///
/// # Errors
/// When the name is not known, the address is not ours or its port is taken.
#[cfg(sim)]
pub async fn listen_on(host: &str, port: u16, options: SocketOptions) -> io::Result<Acceptor> {
    let found = resolve(if host.is_empty() { "0.0.0.0" } else { host }, port).await?;
    let socket = listen(*found.first().ok_or(io::ErrorKind::AddrNotAvailable)?, options).await?;
    Ok(Acceptor { local: socket.local_addr()?, sockets: vec![socket] })
}

/// Listens on `addr`; port 0 takes a free one. `[::]` is every interface, by IPv4 too.
///
/// # Errors
/// When the address is not ours or its port is taken.
#[cfg(not(sim))]
pub async fn listen(addr: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    if addr.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, !addr.ip().is_unspecified())?;
    }
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    // Its connections inherit it: those whose peer has vanished end some time.
    socket.set_keepalive(true)?;
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

#[cfg(all(test, not(sim)))]
mod tests {
    use super::*;
    use crate::net::{ConnectOptions, connect};
    use crate::time::{Duration, Instant};

    const OPTIONS: SocketOptions = SocketOptions { backlog: 8, receive_buffer: None, send_buffer: None };

    /// The peer's address as the acceptor sees it, of a connection to its port on `host`.
    async fn peer_at(acceptor: &Acceptor, host: &str) -> SocketAddr {
        let to = (host.parse::<std::net::IpAddr>().unwrap(), acceptor.local().port()).into();
        let deadline = Instant::now() + Duration::from_secs(10);
        let (connected, accepted) = tokio::join!(connect(to, ConnectOptions::default(), deadline), acceptor.accept());
        let peer = accepted.unwrap().1;
        assert_eq!(peer, connected.unwrap().local_addr().unwrap());
        peer
    }

    #[tokio::test]
    async fn every_interface_and_localhost_are_reached_by_both_protocols() {
        for host in ["", "localhost"] {
            let acceptor = listen_on(host, 0, OPTIONS).await.unwrap();
            assert_eq!(peer_at(&acceptor, "127.0.0.1").await.ip().to_string(), "127.0.0.1", "{host:?}");
            if listen("[::1]:0".parse().unwrap(), OPTIONS).await.is_ok() {
                assert_eq!(peer_at(&acceptor, "::1").await.ip().to_string(), "::1", "{host:?}");
            }
            let taken = listen_on(host, acceptor.local().port(), OPTIONS).await.err().unwrap();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[tokio::test]
    async fn addresses_of_other_machines_are_left_out() {
        let addresses = ["192.0.2.1:0", "127.0.0.1:0"].map(|text| text.parse().unwrap());
        let acceptor = listen_on_all(&addresses, OPTIONS).await.unwrap();
        assert!(acceptor.local().ip().is_loopback());
        assert_eq!(
            listen_on_all(&addresses[..1], OPTIONS).await.err().unwrap().kind(),
            io::ErrorKind::AddrNotAvailable
        );
    }
}
