//! Opening the byte stream to a peer: the one place that knows which kind it is.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thalweg_sys::net::{self, ConnectOptions, TcpStream};
use thalweg_sys::time::{Instant, timeout_at};
use thalweg_tls::TlsSettings;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{ConfigError, ConnectionOptions, Error, Peer};

/// A stream of bytes to and from a peer, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How connections are encrypted. Clones share it: key material that is replaced holds for all connections that come
/// afterwards.
#[derive(Clone, Debug)]
pub struct Encryption(Arc<RwLock<Arc<ClientConfig>>>);

impl Encryption {
    /// Encrypts as Kafka's `ssl.*` settings say. Reads the key material.
    ///
    /// # Errors
    /// When key material cannot be read, or does not fit together.
    pub fn new(settings: &TlsSettings) -> Result<Self, thalweg_tls::TlsError> {
        Ok(Self(Arc::new(RwLock::new(settings.client()?))))
    }

    /// New connections are encrypted as these settings say.
    ///
    /// # Errors
    /// When their key material cannot be used: then everything stays as it was.
    pub fn replace(&self, settings: &TlsSettings) -> Result<(), thalweg_tls::TlsError> {
        let config = settings.client()?;
        *self.0.write() = config;
        Ok(())
    }

    /// Reads a client's `ssl.*` properties and the key material that they name.
    pub(crate) fn from_properties(properties: &crate::Properties) -> Result<Self, ConfigError> {
        let settings = TlsSettings::read(|name| properties.get(name).map(str::to_owned));
        let encryption = settings.and_then(|settings| Self::new(&settings));
        encryption.map_err(|error| ConfigError::Combination(error.to_string()))
    }

    async fn shake_hands(&self, peer: &Peer, stream: TcpStream, address: IpAddr) -> Result<Box<dyn Stream>, Error> {
        // A host that no certificate could name is known by its address.
        let name = ServerName::try_from(peer.host.to_string()).unwrap_or_else(|_| ServerName::from(address));
        let config = Arc::clone(&self.0.read());
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(handshake_failed(peer, error)),
        }
    }
}

/// What TLS refuses is said as what it is; a connection that broke may stand another time.
fn handshake_failed(peer: &Peer, error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(refusal) => {
            Error::Authentication { peer: peer.clone(), reason: format!("SSL handshake failed: {refusal}").into() }
        }
        None => Error::Connect { peer: peer.clone(), source: Arc::new(error) },
    }
}

/// Opens a stream to `peer` for something else than Kafka's protocol, encrypted if `encryption` is given.
///
/// # Errors
/// When the peer cannot be reached by `deadline`, or is not trusted.
pub async fn open_stream(
    peer: &Peer,
    encryption: Option<Encryption>,
    deadline: Instant,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Error> {
    open(peer, &ConnectionOptions { encryption, ..ConnectionOptions::default() }, deadline).await
}

/// Opens a stream to `peer`. Each address of its host is tried in turn.
pub(crate) async fn open(
    peer: &Peer,
    options: &ConnectionOptions,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Error> {
    let (stream, address) = connect(peer, options.socket, deadline).await?;
    let Some(encryption) = &options.encryption else { return Ok(Box::new(stream)) };
    let shaken = timeout_at(deadline, encryption.shake_hands(peer, stream, address)).await;
    let late = || Error::Connect { peer: peer.clone(), source: Arc::new(io::ErrorKind::TimedOut.into()) };
    shaken.unwrap_or_else(|_| Err(late()))
}

async fn connect(peer: &Peer, options: ConnectOptions, deadline: Instant) -> Result<(TcpStream, IpAddr), Error> {
    let resolve = |source| Error::Resolve { peer: peer.clone(), source: Arc::new(source) };
    let resolved = timeout_at(deadline, net::resolve(&peer.host, peer.port)).await;
    let addresses = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(resolve)?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match net::connect(address, options, deadline).await {
            Ok(stream) => return Ok((stream, address.ip())),
            Err(error) => failure = error,
        }
    }
    Err(Error::Connect { peer: peer.clone(), source: Arc::new(failure) })
}
