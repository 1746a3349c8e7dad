//! The least that answers a Kafka client: what is left of a broker's cost when it does nothing but move bytes.
//!
//! It takes produce requests, writes their batches to files and serves them again, with a thread for each connection and
//! no more system calls than the bytes need. It checks nothing, indexes nothing, replicates nothing and forgets all
//! when it ends, so a broker that keeps Kafka's promises cannot be cheaper on the same machine: `bench` measures it
//! beside the others as their floor.

mod answers;
mod log;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use thalweg_wire::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    RequestHeader, ResponseHeader,
};
use thalweg_wire::{ApiKey, Codec, Gap, Reader, Request, Writer};

use log::{Appends, Log, Logs};

/// What is received, and what is read from a file, at a time.
const CHUNK: usize = 256 << 10;
/// No request is larger: a client that sends one is not one of ours.
const REQUEST_MAX: usize = 8 << 20;
/// More clients than that wait until others go.
const CLIENTS_MAX: usize = 32;

/// Serves clients at a port of this machine, with its files in `dir`, until the process is killed.
pub fn serve(port: u16, dir: &Path) -> Result<(), String> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| format!("port {port}: {e}"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let node = Node { port, logs: Logs::new(dir) };
    println!("bootstrap=127.0.0.1:{port}");
    thread::scope(|scope| {
        for _ in 0..CLIENTS_MAX {
            scope.spawn(|| accept(&listener, &node));
        }
    });
    Ok(())
}

/// Serves one client after the other. A thread outlives its clients, so that its CPU time is still there to be asked for.
fn accept(listener: &TcpListener, node: &Node) {
    for stream in listener.incoming().flatten() {
        // A client that goes away, or sends what nobody understands, ends its own connection.
        let _ = Connection::new(stream).and_then(|mut connection| connection.serve(node));
    }
}

/// What all connections share.
struct Node {
    port: u16,
    logs: Logs,
}

struct Connection {
    stream: TcpStream,
    /// What came and is not understood yet: the first `filled` bytes. The rest was written before, so that no system
    /// call needs it cleared.
    received: Vec<u8>,
    filled: usize,
    /// Answers on their way out.
    outbox: Vec<u8>,
    queued: usize,
}

/// An answer: bytes, with gaps that records from a log belong into.
struct Answer {
    parts: Vec<Bytes>,
    gaps: Vec<Gap>,
    records: Vec<Piece>,
}

/// Records that stand in a log.
struct Piece {
    log: Arc<Log>,
    position: u64,
    len: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Result<Self, String> {
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Self { stream, received: vec![0; CHUNK], filled: 0, outbox: vec![0; CHUNK], queued: 0 })
    }

    /// Answers until the client goes.
    fn serve(&mut self, node: &Node) -> Result<(), String> {
        loop {
            let came = self.stream.read(&mut self.received[self.filled..]).map_err(|e| e.to_string())?;
            if came == 0 {
                return Ok(());
            }
            self.filled += came;
            self.understand(node)?;
        }
    }

    /// Answers all requests that are here as a whole; one write for each log, one for all answers.
    fn understand(&mut self, node: &Node) -> Result<(), String> {
        let received = Bytes::from(std::mem::take(&mut self.received));
        let (mut at, mut missing) = (0, 0);
        let mut appends = Appends::new(&node.logs);
        let mut answers = Vec::new();
        while let Some(len) = received.slice(at..self.filled).first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            if len > REQUEST_MAX {
                return Err(format!("a request of {len} bytes"));
            }
            if self.filled - at < 4 + len {
                missing = 4 + len;
                break;
            }
            answers.push(answer(node, received.slice(at + 4..at + 4 + len), &mut appends)?);
            at += 4 + len;
        }
        appends.write()?;
        for answer in answers {
            self.send(&answer)?;
        }
        self.flush()?;
        drop(appends);
        self.received = received.into();
        self.received.copy_within(at..self.filled, 0);
        self.filled -= at;
        let wanted = missing.max(CHUNK);
        if self.received.len() < wanted {
            self.received.resize(wanted, 0);
        }
        Ok(())
    }

    fn send(&mut self, answer: &Answer) -> Result<(), String> {
        let mut pieces = answer.gaps.iter().zip(&answer.records).peekable();
        for (index, part) in answer.parts.iter().enumerate() {
            while let Some((_, piece)) = pieces.next_if(|(gap, _)| gap.after_parts == index) {
                self.send_records(piece)?;
            }
            let mut rest = &part[..];
            while !rest.is_empty() {
                let room = self.room()?;
                let (now, later) = rest.split_at(rest.len().min(room.len()));
                room[..now.len()].copy_from_slice(now);
                self.queued += now.len();
                rest = later;
            }
        }
        pieces.try_for_each(|(_, piece)| self.send_records(piece))
    }

    fn send_records(&mut self, piece: &Piece) -> Result<(), String> {
        let mut done = 0;
        while done < piece.len {
            let room = self.room()?;
            let wanted = room.len().min(piece.len - done);
            piece.log.read(&mut room[..wanted], piece.position + done as u64)?;
            self.queued += wanted;
            done += wanted;
        }
        Ok(())
    }

    /// Where the next bytes of an answer go: never nothing.
    fn room(&mut self) -> Result<&mut [u8], String> {
        if self.queued == self.outbox.len() {
            self.flush()?;
        }
        Ok(&mut self.outbox[self.queued..])
    }

    fn flush(&mut self) -> Result<(), String> {
        self.stream.write_all(&self.outbox[..self.queued]).map_err(|e| e.to_string())?;
        self.queued = 0;
        Ok(())
    }
}

/// Understands a request and answers it. What it appends is written before its answer is sent.
fn answer(node: &Node, frame: Bytes, appends: &mut Appends<'_>) -> Result<Answer, String> {
    let Some([key, version]) = frame.first_chunk::<4>().map(|&[a, b, c, d]| [[a, b], [c, d]].map(i16::from_be_bytes))
    else {
        return Err("a request without a header".to_owned());
    };
    let api = ApiKey::from_i16(key).ok_or("an API that does not exist")?;
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader, api.request_header_version(version));
    let correlation = header.map_err(|e| e.to_string())?.correlation_id;
    let (asked, body) = (Asked { api, version, correlation }, &mut reader);
    match api {
        ApiKey::Produce => asked.with(&answers::produce(&node.logs, asked.read(body)?, appends)?),
        ApiKey::Fetch => {
            // Nobody waits for what this client has sent before.
            appends.write()?;
            let (response, records) = answers::fetch(&node.logs, &asked.read::<FetchRequest>(body)?);
            Ok(Answer { records, ..asked.with(&response)? })
        }
        ApiKey::Metadata => asked.with(&answers::metadata(node, &asked.read::<MetadataRequest>(body)?)),
        ApiKey::ListOffsets => asked.with(&answers::list_offsets(&node.logs, &asked.read::<ListOffsetsRequest>(body)?)),
        ApiKey::CreateTopics => asked.with(&answers::create(&node.logs, &asked.read::<CreateTopicsRequest>(body)?)?),
        ApiKey::DeleteTopics => asked.with(&answers::delete(&node.logs, &asked.read::<DeleteTopicsRequest>(body)?)),
        ApiKey::InitProducerId => {
            asked.read::<InitProducerIdRequest>(body)?;
            asked.with(&node.logs.producer())
        }
        ApiKey::ApiVersions => asked.with(&answers::api_versions()),
        _ => Err(format!("{} is not served here", api.name())),
    }
}

/// What a request says of itself.
#[derive(Clone, Copy)]
struct Asked {
    api: ApiKey,
    version: i16,
    correlation: i32,
}

impl Asked {
    fn read<Q: Request>(self, body: &mut Reader) -> Result<Q, String> {
        Q::decode(body, self.version).map_err(|e| e.to_string())
    }

    fn with<R: Codec>(self, response: &R) -> Result<Answer, String> {
        let mut writer = Writer::new();
        let header = ResponseHeader { correlation_id: self.correlation };
        // Whoever asks for versions that are unknown learns the known ones in the oldest form.
        let version = if self.api == ApiKey::ApiVersions { self.version.min(3) } else { self.version };
        let encoded = header.encode(&mut writer, self.api.response_header_version(version));
        let encoded = encoded.and_then(|()| response.encode(&mut writer, version));
        let (parts, gaps) = encoded.and_then(|()| writer.into_frame_with_gaps()).map_err(|e| e.to_string())?;
        Ok(Answer { parts, gaps, records: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
