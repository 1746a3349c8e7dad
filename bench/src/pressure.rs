//! How late the records of a calm stream come while something heavy happens beside it on the same broker.
//!
//! Whatever makes the pressure is a process of its own that yields its processor to others (nice): on a machine of its
//! own it would not take the processor of the client that measures. The pressure "busy programs" never talks to the
//! broker: what it does to the stream is the machine's part in all the others.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::load::{self, Production};
use crate::raw;
use crate::report::Results;
use crate::work::{self, PARTITIONS, Work};

/// What happens beside the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pressure {
    Quiet,
    Busy,
    Producer,
    ColdReader,
    Cleaner,
    Stuck,
}

/// The stream: records a second.
const RATE: u32 = 1_000;
/// Clients of each kind that misbehave.
const STUCK: usize = 40;
/// Records of which only so many keep their value are there to be cleaned.
const KEYS: usize = 100_000;
/// Segments that the cleaner reads: more than one, soon.
const CLEANED_SEGMENT: &str = "33554432";

/// Settings of brokers that are started here: a cleaner looks for work often.
pub const SETTINGS: [&str; 1] = ["log.cleaner.backoff.ms=500"];

impl Pressure {
    const ALL: [Self; 6] = [Self::Quiet, Self::Busy, Self::Producer, Self::ColdReader, Self::Cleaner, Self::Stuck];

    fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Busy => "beside two busy programs that do not talk to it",
            Self::Producer => "beside a producer at full speed",
            Self::ColdReader => "beside a reader of a log that is not in memory",
            Self::Cleaner => "while the cleaner works",
            Self::Stuck => "beside 40 clients that never read and 40 that never finish a request",
        }
    }
}

/// Takes all pressures whose names contain one of `wanted`, or all. A reader's log has so many megabytes.
pub fn run(
    brokers: &[Broker],
    wanted: &[String],
    rounds: usize,
    megabytes: usize,
    seconds: u64,
) -> Result<Results, String> {
    let mut results = Results::new(brokers.iter().map(|broker| broker.name.clone()).collect());
    let wants = |pressure: &Pressure| {
        let named = wanted.iter().any(|name| pressure.name().contains(name.as_str()));
        wanted.is_empty() || *pressure == Pressure::Quiet || named
    };
    for round in 1..=rounds {
        for pressure in Pressure::ALL.into_iter().filter(wants) {
            for broker in brokers {
                eprint!("round {round} of {rounds}: {} {:<12}", pressure.name(), broker.name);
                for (what, value) in measure(broker, pressure, megabytes, seconds)? {
                    eprint!("  {value:.2} {what}");
                    results.add(&broker.name, pressure.name(), what, value);
                }
                eprintln!();
            }
        }
    }
    Ok(results)
}

fn measure(
    broker: &Broker,
    pressure: Pressure,
    megabytes: usize,
    seconds: u64,
) -> Result<Vec<(&'static str, f64)>, String> {
    let stream = load::create_topic(broker, "stream", PARTITIONS)?;
    let mut other = None;
    let mut loads = Vec::new();
    let mut sockets = Vec::new();
    let base = Work::Produce1K.production();
    match pressure {
        Pressure::Quiet => {}
        Pressure::Busy => {
            loads.push(Load::start(broker, "spin", "-")?);
            loads.push(Load::start(broker, "spin", "-")?);
        }
        Pressure::Producer => {
            let topic = other.insert(load::create_topic(broker, "full-speed", PARTITIONS)?);
            loads.push(Load::start(broker, "produce", topic)?);
        }
        Pressure::ColdReader => {
            let topic = other.insert(load::create_topic(broker, "cold", PARTITIONS)?);
            base.run(broker, topic, megabytes * 1_000_000)?;
            forget(broker, topic)?;
            loads.push(Load::start(broker, "consume", topic)?);
        }
        Pressure::Cleaner => {
            let kept = [("segment.bytes", CLEANED_SEGMENT)];
            let topic = other.insert(load::create_topic_with(broker, "cleaned", PARTITIONS, &kept)?);
            Production { keys: KEYS, ..base }.run(broker, topic, megabytes * 1_000_000 / 4)?;
            let compact = [
                ("segment.bytes", CLEANED_SEGMENT),
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ];
            load::alter_topic(broker, topic, &compact)?;
        }
        Pressure::Stuck => {
            let topic = other.insert(load::create_topic(broker, "never-read", PARTITIONS)?);
            base.run(broker, topic, 400_000_000)?;
            sockets.extend(raw::never_reading(broker, topic, STUCK)?);
            sockets.extend(raw::never_finishing(broker, STUCK)?);
        }
    }
    let (before, began) = (broker.cpu(), Instant::now());
    let mut figures = work::latency(broker, &stream, RATE, seconds)?;
    figures.push(("broker's CPU, %", broker.cpu_seconds_since(&before) / began.elapsed().as_secs_f64() * 100.0));
    drop((loads, sockets));
    for topic in other.iter().chain([&stream]) {
        load::delete_topic(broker, topic)?;
    }
    Ok(figures)
}

/// Lets the kernel forget a topic's files, so that they are read from the disk.
fn forget(broker: &Broker, topic: &str) -> Result<(), String> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", broker.pid())).map_err(|e| e.to_string())?;
    let open = descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    let of_topic = |path: &PathBuf| path.to_string_lossy().contains(topic);
    let dirs: BTreeSet<PathBuf> = open.filter(of_topic).filter_map(|path| Some(path.parent()?.to_owned())).collect();
    let files = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten().map(|file| file.path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let synced = Command::new("sync").arg(&file).status();
        let advice = ["iflag=nocache", "count=0", "status=none"];
        let forgot = Command::new("dd").arg(format!("if={}", file.display())).args(advice).status();
        if !synced.is_ok_and(|status| status.success()) || !forgot.is_ok_and(|status| status.success()) {
            return Err(format!("the kernel does not forget {}", file.display()));
        }
    }
    Ok(())
}

/// A process that makes pressure until it is dropped.
struct Load(Child);

impl Load {
    fn start(broker: &Broker, kind: &str, topic: &str) -> Result<Self, String> {
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let named = format!("{}={},{}", broker.name, broker.address, broker.pid());
        let child = Command::new("nice")
            .args(["-n", "10"])
            .arg(this)
            .args(["--broker", &named, "--load", kind, topic])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| format!("nice cannot be started: {e}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process of a [`Load`] does until it is killed.
pub fn load(broker: &Broker, kind: &str, topic: &str) -> Result<(), String> {
    /// Whoever started it may be gone.
    const LONGEST: Duration = Duration::from_secs(300);
    /// Between two looks at the clock.
    const MEGABYTES: usize = 100_000_000;
    let began = Instant::now();
    while began.elapsed() < LONGEST {
        match kind {
            "spin" => while !began.elapsed().is_zero() && began.elapsed() < LONGEST {},
            "produce" => drop(Work::Produce1K.production().run(broker, topic, MEGABYTES)?),
            "consume" => drop(load::consume(broker, topic, PARTITIONS, usize::MAX)?),
            _ => return Err(format!("there is no load {kind}")),
        }
    }
    Ok(())
}
