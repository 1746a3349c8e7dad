//! A client that asks and waits for the answer, so that nothing depends on how requests arrive together.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

/// A node under valgrind is slow, but not so slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer that is asked for here is larger.
const ANSWER_MAX: usize = 10 << 20;

/// One connection.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects to a node.
    pub fn connect(address: &str) -> Result<Self, String> {
        let connected = TcpStream::connect(address).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = connected.map_err(|e| format!("{address}: {e}"))?;
        Ok(Self { stream })
    }

    /// Sends one request and gives its answer without its length.
    pub fn ask(&mut self, frame: &[u8]) -> Result<Bytes, String> {
        self.send(frame)?;
        self.receive()
    }

    /// Sends one request.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        self.stream.write_all(frame).map_err(|e| format!("the node does not listen: {e}"))
    }

    /// The next answer without its length.
    pub fn receive(&mut self) -> Result<Bytes, String> {
        let failed = |e: std::io::Error| format!("the node does not answer: {e}");
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).map_err(failed)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > ANSWER_MAX {
            return Err(format!("an answer has {len} bytes"));
        }
        let mut answer = vec![0; len];
        self.stream.read_exact(&mut answer).map_err(failed)?;
        Ok(answer.into())
    }
}
