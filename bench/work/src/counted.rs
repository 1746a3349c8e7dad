//! Counts everything there is to count.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::pieces::{Piece, TIMES};
use crate::requests::{self, Ask};
use crate::valgrind::{Counted, Work, cannot_start};

/// Every request is asked so often before anything is counted.
const WARM: u32 = 100;

/// What is counted of something that is done once.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `piece NAME` or `request NAME`.
    pub of: String,
    /// `instructions`, `system calls`, `clock reads` or `allocations`.
    pub what: &'static str,
    /// How many.
    pub count: f64,
}

/// Counts all pieces and all requests, as many at once as there are processors.
pub fn all(node: &Path) -> Result<Vec<Figure>, String> {
    let mut jobs: Vec<Job> = vec![Job::Node(None)];
    jobs.extend(Ask::ALL.map(|ask| Job::Node(Some(ask))));
    jobs.extend(Piece::ALL.map(Job::Piece));
    let results: Mutex<Vec<Option<Result<Done, String>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let done = job.run(node);
            let at = jobs.iter().position(|other| std::ptr::eq(other, job));
            if let (Ok(mut results), Some(at)) = (results.lock(), at) {
                results[at] = Some(done);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let results = results.into_inner().map_err(|_| "a count has failed".to_owned())?;
    let done: Result<Vec<Done>, String> = results.into_iter().flatten().collect();
    let done = done?;
    let warm = done.first().map(|done| done.work.clone()).unwrap_or_default();
    Ok(jobs.iter().zip(done).flat_map(|(job, done)| job.figures(&warm, &done)).collect())
}

/// Prints the instructions and, by name, the system calls of one request to a node that has these properties: where to look when
/// their number has changed, and what a property costs.
pub fn calls(node: &Path, name: &str, properties: &[&str]) -> Result<(), String> {
    let ask = Ask::ALL.into_iter().find(|ask| ask.name() == name);
    let ask = ask.ok_or_else(|| format!("there is no request {name}"))?;
    let (warm, all) = (asked(node, None, properties)?, asked(node, Some(ask), properties)?);
    let instructions = all.instructions.saturating_sub(warm.instructions);
    println!("{:>8.0} instructions", instructions as f64 / f64::from(ask.times()));
    for (name, count) in &all.calls {
        let more = count.saturating_sub(*warm.calls.get(name).unwrap_or(&0));
        println!("{:>8.2} {name}", more as f64 / f64::from(ask.times()));
    }
    Ok(())
}

/// One program under valgrind.
enum Job {
    /// A node that is warmed by every request and then asked one of them many times; or only warmed.
    Node(Option<Ask>),
    /// A piece on its own.
    Piece(Piece),
}

struct Done {
    work: Work,
    /// For each time a piece was done.
    allocations: f64,
}

impl Job {
    fn run(&self, node: &Path) -> Result<Done, String> {
        match self {
            Self::Node(ask) => patiently(node, *ask).map(|work| Done { work, allocations: 0.0 }),
            Self::Piece(piece) => done_alone(*piece),
        }
    }

    fn figures(&self, warm: &Work, done: &Done) -> Vec<Figure> {
        let figure = |of: String, what, count: f64| Figure { of, what, count };
        match self {
            Self::Node(None) => Vec::new(),
            Self::Node(Some(ask)) => {
                let (of, times) = (format!("request {}", ask.name()), f64::from(ask.times()));
                let per = |all: u64, warm: u64| all.saturating_sub(warm) as f64 / times;
                vec![
                    figure(of.clone(), "instructions", per(done.work.instructions, warm.instructions)),
                    figure(of.clone(), "system calls", per(done.work.calls_all(), warm.calls_all())),
                    figure(of, "clock reads", per(done.work.clock_reads(), warm.clock_reads())),
                ]
            }
            Self::Piece(piece) => {
                let (of, times) = (format!("piece {}", piece.name()), f64::from(TIMES));
                vec![
                    figure(of.clone(), "instructions", done.work.instructions as f64 / times),
                    figure(of, "allocations", done.allocations),
                ]
            }
        }
    }
}

fn done_alone(piece: Piece) -> Result<Done, String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let options = ["--collect-atstart=no", "--toggle-collect=*pieces*counted*"];
    let mut counted = Counted::new(piece.name(), &options, this.as_os_str(), &["piece", piece.name()])?;
    let output = counted.command().output().map_err(|e| cannot_start(&e))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().parse() {
        Ok(allocations) if output.status.success() => Ok(Done { work: counted.work()?, allocations }),
        _ => Err(format!("piece {} has failed under valgrind: {}", piece.name(), output.status)),
    }
}

/// A node of this process; it is asked to end when it is dropped.
struct Node(Child);

impl Node {
    fn stop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// A node that gets so little of the machine that it misses its own heartbeats refuses requests for a while: then it is
/// counted again.
fn patiently(node: &Path, ask: Option<Ask>) -> Result<Work, String> {
    const TRIES: usize = 3;
    let mut result = asked(node, ask, &[]);
    for _ in 1..TRIES {
        if result.is_err() {
            result = asked(node, ask, &[]);
        }
    }
    result
}

fn asked(node: &Path, ask: Option<Ask>, properties: &[&str]) -> Result<Work, String> {
    let name = format!("node-{}", ask.map_or("warm", Ask::name));
    let options = ["--trace-syscalls=yes"];
    let mut arguments = vec!["serve", "--ephemeral", "--override", "broker.session.timeout.ms=120000"];
    arguments.extend(properties.iter().flat_map(|property| ["--override", property]));
    let mut counted = Counted::new(&name, &options, OsStr::new(node), &arguments)?;
    let mut node = Node(counted.command().spawn().map_err(|e| cannot_start(&e))?);
    let mut stdout = BufReader::new(node.0.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    stdout.read_line(&mut line).map_err(|e| e.to_string())?;
    let address = line.trim().strip_prefix("bootstrap.servers=");
    let address = address.ok_or_else(|| format!("the node did not say where it listens but {line:?}"))?;
    let mut client = Client::connect(address)?;
    client.ask(&requests::create_topics()?)?;
    for ask in Ask::ALL {
        until_answered(&mut client, ask)?;
        ask_often(&mut client, ask, WARM)?;
    }
    if let Some(ask) = ask {
        ask_often(&mut client, ask, ask.times())?;
    }
    drop(client);
    node.stop();
    let _ = stdout.read_to_string(&mut line);
    counted.work()
}

/// A topic that was just created need not be there at once.
fn until_answered(client: &mut Client, ask: Ask) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let (frame, began) = (ask.frame()?, Instant::now());
    while !ask.is_answered_by(client.ask(&frame)?) {
        if began.elapsed() > PATIENCE {
            return Err(format!("{} is not answered as it should be", ask.name()));
        }
    }
    Ok(())
}

fn ask_often(client: &mut Client, ask: Ask, times: u32) -> Result<(), String> {
    let frame = ask.frame()?;
    for _ in 0..times {
        if !ask.is_answered_by(client.ask(&frame)?) {
            return Err(format!("{} is no longer answered as it should be", ask.name()));
        }
    }
    Ok(())
}
