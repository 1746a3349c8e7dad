//! TCP, real or simulated.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::fs::File;

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

/// Writes what the socket takes of these slices; more follows at once, so that a packet is not sent for them alone.
///
/// # Errors
/// As the operating system says.
pub fn poll_write_before_more(
    stream: &mut TcpStream,
    slices: &[IoSlice<'_>],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    #[cfg(not(sim))]
    {
        use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        poll_io(stream, cx, |stream| Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?))
    }
    #[cfg(sim)]
    tokio::io::AsyncWrite::poll_write_vectored(std::pin::Pin::new(stream), cx, slices)
}

/// Waits until the socket seems to take something. In the simulator it always does.
///
/// # Errors
/// As the operating system says.
pub fn poll_writable(stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    #[cfg(not(sim))]
    return stream.poll_write_ready(cx);
    #[cfg(sim)]
    {
        let _ = (stream, cx);
        Poll::Ready(Ok(()))
    }
}

/// Hands up to `len` bytes of a file, from `at` on, to the socket without a copy through this process; says how many it
/// took. Waits for the disk where the bytes are not in memory: see [`File::is_cached_at`].
///
/// # Errors
/// As the operating system says, for the socket or for the file; `Unsupported` in the simulator.
pub fn poll_send_file(
    stream: &TcpStream,
    file: &File,
    at: u64,
    len: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    #[cfg(not(sim))]
    return poll_io(stream, cx, |stream| {
        let mut at = at;
        Ok(rustix::fs::sendfile(stream, file.as_fd(), Some(&mut at), len)?)
    });
    #[cfg(sim)]
    {
        let _ = (stream, file, at, len, cx);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Tries to write until the socket takes something, or is full.
#[cfg(not(sim))]
fn poll_io(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        std::task::ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(tokio::io::Interest::WRITABLE, || write(stream)) {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            done => return Poll::Ready(done),
        }
    }
}
