//! Requests as fast as a node answers them, from a client that costs next to nothing: it has made its bytes beforehand.
//!
//! With librdkafka a part of each figure is the client's; here it is the node's and the kernel's. The node may be any
//! broker that runs on this machine.

use std::collections::VecDeque;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::requests::{self, Ask};

/// Connections at the same time, each with a thread.
const CONNECTIONS: usize = 2;
/// Requests on their way on each connection: what Kafka's clients allow themselves.
const IN_FLIGHT: usize = 5;
/// Requests before the counted ones.
const WARM_UP: Duration = Duration::from_millis(500);
/// The kernel counts a process's time in hundredths of a second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Plays the named requests, or all, for so long against the broker with this address and process, and prints what came
/// of it. A fetch needs what the produce of its size has left.
pub fn run(address: &str, pid: &str, time: Duration, names: &[&str]) -> Result<(), String> {
    Client::connect(address)?.ask(&requests::create_topics()?)?;
    println!("{CONNECTIONS} connections with {IN_FLIGHT} requests in flight each, {} s", time.as_secs_f64());
    println!(
        "{:<14} {:>10} {:>9} {:>9} {:>9} {:>12}",
        "request", "requests/s", "p50 us", "p99 us", "p99.9 us", "CPU us each"
    );
    for ask in Ask::ALL.into_iter().filter(|ask| names.is_empty() || names.contains(&ask.name())) {
        play(ask, address, WARM_UP)?;
        let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
        let mut times = play(ask, address, time)?;
        let (cpu, took) = (cpu_seconds(pid)? - cpu, began.elapsed());
        times.sort_unstable();
        let count = times.len() as f64;
        let at = |share: f64| times.get((count * share) as usize).map_or(0.0, Duration::as_secs_f64) * 1e6;
        let (rate, each) = (count / took.as_secs_f64(), cpu / count * 1e6);
        let (name, p50, p99, p999) = (ask.name(), at(0.5), at(0.99), at(0.999));
        println!("{name:<14} {rate:>10.0} {p50:>9.0} {p99:>9.0} {p999:>9.0} {each:>12.1}");
    }
    Ok(())
}

/// How long each request took.
fn play(ask: Ask, address: &str, time: Duration) -> Result<Vec<Duration>, String> {
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| Client::connect(address)).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        let started: Vec<_> =
            connections.into_iter().map(|client| scope.spawn(move || ask_on(client, ask, time))).collect();
        let mut times = Vec::new();
        for thread in started {
            times.extend(thread.join().map_err(|_| "a client has failed".to_owned())??);
        }
        Ok(times)
    })
}

fn ask_on(mut client: Client, ask: Ask, time: Duration) -> Result<Vec<Duration>, String> {
    let (frame, began) = (ask.frame()?, Instant::now());
    let mut sent = VecDeque::with_capacity(IN_FLIGHT);
    let mut times = Vec::new();
    let mut unchecked = true;
    loop {
        while sent.len() < IN_FLIGHT && began.elapsed() < time {
            sent.push_back(Instant::now());
            client.send(&frame)?;
        }
        let Some(at) = sent.pop_front() else { return Ok(times) };
        let answer = client.receive()?;
        times.push(at.elapsed());
        if std::mem::take(&mut unchecked) && !ask.is_answered_by(answer) {
            return Err(format!("{}: not the answer that was expected", ask.name()));
        }
    }
}

/// The processor time that a process has taken so far.
fn cpu_seconds(pid: &str) -> Result<f64, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| format!("process {pid}: {e}"))?;
    // The name of the program, in parentheses, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    Ok(ticks / TICKS)
}
