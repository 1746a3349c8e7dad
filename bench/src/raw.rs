//! Connections without a client library: to hold thousands of them, and to behave badly.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::broker::Broker;
use crate::tls::Stream;

/// How long a broker may take to answer one small request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections that have asked one thing, were answered, and stay.
pub fn idle(broker: &Broker, count: usize) -> Result<Vec<TcpStream>, String> {
    (0..count).map(|_| connect(broker)).collect()
}

/// Clients that ask for `bytes` of a topic's first partition again and again, and never read an answer.
pub fn never_reading(broker: &Broker, topic: &str, count: usize) -> Result<Vec<TcpStream>, String> {
    let fetch = fetch(topic);
    let ask = |mut stream: TcpStream| {
        for _ in 0..5 {
            stream.write_all(&fetch).map_err(|e| e.to_string())?;
        }
        Ok(stream)
    };
    idle(broker, count)?.into_iter().map(ask).collect()
}

/// Clients that announce a request of a megabyte, send the beginning, and stop.
pub fn never_finishing(broker: &Broker, count: usize) -> Result<Vec<TcpStream>, String> {
    let begin = |mut stream: TcpStream| {
        let mut frame = frame(0, 9, &[0; 20_000]);
        frame[..4].copy_from_slice(&1_000_000_i32.to_be_bytes());
        stream.write_all(&frame).map_err(|e| e.to_string())?;
        Ok(stream)
    };
    idle(broker, count)?.into_iter().map(begin).collect()
}

/// Connections that ask one thing, are answered, and go, one after the other.
pub fn coming_and_going(broker: &Broker, count: usize) -> Result<(), String> {
    for _ in 0..count {
        let stream = dial(broker)?;
        let mut stream = match &broker.trust {
            Some(trust) => trust.open(stream)?,
            None => Box::new(stream),
        };
        ask_versions(broker, &mut *stream)?;
    }
    Ok(())
}

fn connect(broker: &Broker) -> Result<TcpStream, String> {
    let mut stream = dial(broker)?;
    ask_versions(broker, &mut stream)?;
    Ok(stream)
}

fn dial(broker: &Broker) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(&broker.address).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    Ok(stream)
}

fn ask_versions(broker: &Broker, stream: &mut dyn Stream) -> Result<(), String> {
    let mut ask = || {
        // ApiVersions, version 0: no body.
        stream.write_all(&frame(18, 0, &[]))?;
        let mut len = [0; 4];
        stream.read_exact(&mut len)?;
        let mut answer = vec![0; u32::from_be_bytes(len).min(1 << 20) as usize];
        stream.read_exact(&mut answer)
    };
    ask().map_err(|e| format!("{} does not answer: {e}", broker.name))
}

/// Version 4 is the oldest that brokers of today know, and none of its fields has a variable form.
fn fetch(topic: &str) -> Vec<u8> {
    const BYTES: i32 = 50_000_000;
    let mut body = Vec::new();
    body.extend((-1_i32).to_be_bytes()); // no replica
    body.extend(500_i32.to_be_bytes()); // waits, in ms
    body.extend(1_i32.to_be_bytes()); // bytes at least
    body.extend(BYTES.to_be_bytes());
    body.push(0); // uncommitted records too
    body.extend(1_i32.to_be_bytes()); // topics
    body.extend((topic.len() as i16).to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1_i32.to_be_bytes()); // partitions
    body.extend(0_i32.to_be_bytes());
    body.extend(0_i64.to_be_bytes()); // from the beginning
    body.extend(BYTES.to_be_bytes());
    frame(1, 4, &body)
}

/// A request with the first version of its header that has a client id.
fn frame(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend(api.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(0_i32.to_be_bytes()); // correlation
    frame.extend((-1_i16).to_be_bytes()); // no client id
    frame.extend(body);
    let len = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}
