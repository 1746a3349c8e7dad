//! A connection that sends any bytes and reads frames.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any answer that a scenario waits for, on a machine that is busy with much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection; opened when it is used, and again after it was closed.
pub(crate) struct Connection {
    address: String,
    patience: Duration,
    stream: Option<TcpStream>,
}

impl Connection {
    pub(crate) fn new(address: &str) -> Self {
        Self::waiting(address, PATIENCE)
    }

    /// Waits so long for each answer.
    pub(crate) fn waiting(address: &str, patience: Duration) -> Self {
        Self { address: address.to_owned(), patience, stream: None }
    }

    fn stream(&mut self) -> std::io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(self.patience))?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Sends a frame. What goes wrong is seen when the answer is read.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend(frame);
        if self.stream().and_then(|stream| stream.write_all(&bytes)).is_err() {
            self.stream = None;
        }
    }

    /// Whether nothing has gone wrong since it was opened.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads a frame.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, &'static str> {
        let mut read = || -> std::io::Result<Vec<u8>> {
            let stream = self.stream()?;
            let mut size = [0; 4];
            stream.read_exact(&mut size)?;
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            stream.read_exact(&mut frame)?;
            Ok(frame)
        };
        read().map_err(|e| {
            self.stream = None;
            match e.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => "no answer",
                std::io::ErrorKind::ConnectionRefused => "no connection",
                _ => "closed",
            }
        })
    }

    pub(crate) fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.send(frame);
        if !self.is_open() {
            return Err("closed");
        }
        self.receive()
    }
}
