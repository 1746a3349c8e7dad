//! Counts work instead of time: instructions, system calls and allocations of the pieces that decide how fast a node
//! is, and of whole requests to a node; and fails when they are not what was recorded.
//!
//! Counts mean the same on a busy machine as on a calm one, so they can be checked by a test, which times cannot.
//! Valgrind counts: this program starts itself, and the node, under `valgrind --tool=callgrind`.

mod bare;
mod baseline;
mod client;
mod counted;
mod load;
mod pieces;
mod requests;
mod valgrind;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use pieces::Piece;
use requests::Ask;

/// The only allocator whose counts can be asked for; the node itself runs with its own.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

const USAGE: &str = "usage: thalweg-work check|record NODE BASELINE   compares with the file, or writes it
       thalweg-work list                          names the pieces and the requests
       thalweg-work calls NODE REQUEST [KEY=VALUE..] a request's instructions and system calls, by name
       thalweg-work time                          how long the pieces take here, in nanoseconds
       thalweg-work bare PORT DIR                  the least that answers a Kafka client: a floor for comparisons
       thalweg-work load ADDRESS PID SECONDS [REQUEST..] requests to any broker here, as fast as it answers
       thalweg-work piece NAME                    runs one piece: what valgrind looks at
NODE is a release build of thalweg. Needs valgrind.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["check", node, baseline] => check(Path::new(node), Path::new(baseline)),
        ["record", node, baseline] => record(Path::new(node), Path::new(baseline)),
        ["list"] => {
            Piece::ALL.iter().for_each(|piece| println!("piece    {:<16} {}", piece.name(), piece.sentence()));
            Ask::ALL.iter().for_each(|ask| println!("request  {:<16} {}", ask.name(), ask.sentence()));
            Ok(())
        }
        ["calls", node, name, ref properties @ ..] => counted::calls(Path::new(node), name, properties),
        ["time"] => pieces::time(),
        ["bare", port, dir] => match port.parse() {
            Ok(port) => bare::serve(port, Path::new(dir)),
            Err(e) => Err(format!("{port} is no port: {e}")),
        },
        ["load", address, pid, seconds, ref names @ ..] => match seconds.parse() {
            Ok(seconds) => load::run(address, pid, Duration::from_secs(seconds), names),
            Err(e) => Err(format!("{seconds} are no seconds: {e}")),
        },
        ["piece", name] => pieces::run(name),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every figure beside what was recorded, then one counting line.
fn check(node: &Path, file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let recorded = baseline::parse(&text)?;
    let mut verdicts = baseline::compare(&recorded, &counted::all(node)?);
    // Valgrind's order of threads is not quite the same every time: what is off counts only when it is off again.
    if verdicts.iter().any(|verdict| verdict.is_off()) {
        verdicts = baseline::calmer(verdicts, baseline::compare(&recorded, &counted::all(node)?));
    }
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let off = verdicts.iter().filter(|verdict| verdict.is_off()).count();
    println!("{} passed, {off} failed", verdicts.len() - off);
    if off == 0 { Ok(()) } else { Err(baseline::ADVICE.to_owned()) }
}

fn record(node: &Path, file: &Path) -> Result<(), String> {
    let text = baseline::print(&counted::all(node)?);
    std::fs::write(file, &text).map_err(|e| format!("{}: {e}", file.display()))?;
    print!("{text}");
    Ok(())
}

/// A directory that vanishes.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("thalweg-work-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
