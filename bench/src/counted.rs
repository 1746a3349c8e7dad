//! Counts instead of times: how many system calls and wake-ups a work costs the broker, which is the same on a busy
//! machine as on a calm one.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::broker::Broker;
use crate::load;
use crate::work::{PARTITIONS, Work};

/// How long the works run that have a rate.
const SECONDS: Duration = Duration::from_secs(2);

/// System calls and wake-ups per megabyte (produce, consume) or per record (latency). Each is counted in a pass of its
/// own, since a traced process is woken at every system call.
pub fn count(broker: &Broker, work: Work, megabytes: usize) -> Result<Vec<(String, f64)>, String> {
    let topic = load::create_topic(broker, work.name(), PARTITIONS)?;
    let bytes = megabytes * 1_000_000;
    let records = if work == Work::Consume1K { work.production().run(broker, &topic, bytes)? } else { 0 };
    let rate = match work {
        Work::Latency1000 => Some(1_000),
        Work::Latency10000 => Some(10_000),
        _ => None,
    };
    let play = || match rate {
        Some(rate) => load::Latency { rate, time: SECONDS }.run(broker, &topic, PARTITIONS).map(drop),
        None if work == Work::Consume1K => load::consume(broker, &topic, PARTITIONS, records).map(drop),
        None => work.production().run(broker, &topic, bytes).map(drop),
    };
    let (unit, units) = match rate {
        Some(rate) => ("record", f64::from(rate) * (SECONDS + load::WARM_UP).as_secs_f64()),
        None => ("megabyte", megabytes as f64),
    };
    let before = wake_ups(broker.pid());
    play()?;
    let woken = wake_ups(broker.pid()).saturating_sub(before);
    let calls = traced(broker.pid(), play)?;
    load::delete_topic(broker, &topic)?;
    let all: u64 = calls.values().sum();
    let mut figures = vec![
        (format!("wake-ups per {unit}"), woken as f64 / units),
        (format!("system calls per {unit}"), all as f64 / units),
    ];
    let mut busiest: Vec<_> = calls.into_iter().collect();
    busiest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let few = busiest.into_iter().take(6);
    figures.extend(few.map(|(name, count)| (format!("{name} per {unit}"), count as f64 / units)));
    Ok(figures)
}

/// How often the threads of a process have waited for something and been woken.
fn wake_ups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:").map(str::to_owned));
        line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.map(|task| of(fs::read_to_string(task.path().join("status")).unwrap_or_default())).sum()
}

/// The system calls that a process makes during `work`, by name, as strace counts them.
fn traced(pid: u32, work: impl FnOnce() -> Result<(), String>) -> Result<BTreeMap<String, u64>, String> {
    let file = std::env::temp_dir().join(format!("bench-strace-{}", std::process::id()));
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&file)
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("strace is needed for --count and cannot be started: {e}"))?;
    // It has attached when the kernel names a tracer.
    let traced = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    while !traced() {
        if strace.try_wait().map_err(|e| e.to_string())?.is_some() {
            return Err("strace could not attach to the broker".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let worked = work();
    let _ = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    let _ = strace.wait();
    worked?;
    let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let _ = fs::remove_file(&file);
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let count = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), count)).filter(|(name, _): &(String, u64)| name != "total")
    };
    Ok(text.lines().filter_map(line).collect())
}
