//! Opening the byte stream to a peer: the one place that knows which kind it is.

use std::io;
use std::sync::Arc;

use thalweg_sys::net::{self, ConnectOptions};
use thalweg_sys::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Error, Peer};

/// A stream of bytes to and from a peer, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a stream to `peer`. Each address of its host is tried in turn.
pub(crate) async fn open(peer: &Peer, options: ConnectOptions, deadline: Instant) -> Result<Box<dyn Stream>, Error> {
    let resolve = |source| Error::Resolve { peer: peer.clone(), source: Arc::new(source) };
    let resolved = thalweg_sys::time::timeout_at(deadline, net::resolve(&peer.host, peer.port)).await;
    let addresses = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(resolve)?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match net::connect(address, options, deadline).await {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => failure = error,
        }
    }
    Err(Error::Connect { peer: peer.clone(), source: Arc::new(failure) })
}
