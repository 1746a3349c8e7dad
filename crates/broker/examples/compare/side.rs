//! One of the two nodes: its connection and what it has told.
#![expect(clippy::disallowed_types, reason = "a small tool that waits for one answer")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;
use thalweg_wire::{Codec as _, Reader, Request, Writer};

/// What became of a request.
pub(crate) enum Answer<R> {
    Decoded(R),
    /// The connection was closed, or the answer could not be decoded.
    Broken(String),
    /// The version cannot say what was to be asked.
    Unsaid,
}

/// One node.
pub(crate) struct Side {
    address: String,
    stream: Option<TcpStream>,
    /// The ids of topics, by name.
    pub(crate) ids: BTreeMap<String, Uuid>,
    /// Other numbers that the node has chosen.
    pub(crate) numbers: BTreeMap<&'static str, i64>,
}

impl Side {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None, ids: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    /// The id of a topic, zero if it is not known.
    pub(crate) fn id(&self, name: &str) -> Uuid {
        self.ids.get(name).copied().unwrap_or(Uuid::ZERO)
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.numbers.get(name).copied().unwrap_or(-1)
    }

    fn exchange(&mut self, frame: &[u8]) -> std::io::Result<Bytes> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(Duration::from_secs(3)))?;
                none.insert(stream)
            }
        };
        let length = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(frame)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    /// Sends a frame and gives the answer's bytes; a broken connection is opened again for the next one.
    pub(crate) fn raw(&mut self, frame: &[u8]) -> Result<Bytes, String> {
        self.exchange(frame).map_err(|e| {
            self.stream = None;
            match e.kind() {
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => "closed".to_owned(),
                kind => format!("broken: {kind}"),
            }
        })
    }

    /// A frame at any version, also one that there is not.
    pub(crate) fn frame<Q: Request>(request: &Q, version: i16, shown: i16) -> Option<Vec<u8>> {
        let header = m::RequestHeader {
            request_api_key: Q::API.code(),
            request_api_version: shown,
            correlation_id: 7,
            client_id: Some("compare".into()),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer, Q::API.request_header_version(version)).ok()?;
        request.encode(&mut writer, version).ok()?;
        Some(writer.into_bytes().to_vec())
    }

    pub(crate) fn ask<Q: Request>(&mut self, request: &Q, version: i16) -> Answer<Q::Response> {
        let Some(frame) = Self::frame(request, version, version) else { return Answer::Unsaid };
        let bytes = match self.raw(&frame) {
            Ok(bytes) => bytes,
            Err(why) => return Answer::Broken(why),
        };
        let mut reader = Reader::new(bytes);
        let decoded = m::ResponseHeader::decode(&mut reader, Q::API.response_header_version(version))
            .and_then(|_| Q::Response::decode(&mut reader, version));
        match decoded {
            Ok(response) if reader.remaining() == 0 => Answer::Decoded(response),
            Ok(_) => Answer::Broken("bytes behind the answer".to_owned()),
            Err(e) => Answer::Broken(format!("undecodable: {e}")),
        }
    }
}
