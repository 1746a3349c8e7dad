//! Programs under valgrind: what they are told, and what valgrind says in the end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Scratch;

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Instructions of the program itself; the kernel's are not counted.
    pub instructions: u64,
    /// System calls, by name.
    pub calls: BTreeMap<String, u64>,
}

/// Asking for the time is a system call under valgrind; elsewhere it costs a hundredth of one.
const CLOCK: &str = "clock_gettime";

impl Work {
    /// All system calls, but those that ask for the time.
    pub fn calls_all(&self) -> u64 {
        self.calls.values().sum::<u64>() - self.clock_reads()
    }

    /// How often it asked for the time.
    pub fn clock_reads(&self) -> u64 {
        self.calls.get(CLOCK).copied().unwrap_or(0)
    }

    /// What valgrind's log says.
    fn parse(log: &str) -> Option<Self> {
        let mut work = Self::default();
        for line in log.lines() {
            if let Some(rest) = line.strip_prefix("SYSCALL[") {
                // The second line about a call that could block begins with three dots.
                let name = rest.split_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
                if let Some(name) = name.filter(|name| *name != "...") {
                    let name = name.trim_start_matches("sys_").trim_end_matches('(');
                    *work.calls.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
        let collected = log.lines().rev().find_map(|line| line.split_once("== Collected : "))?;
        work.instructions = collected.1.trim().parse().ok()?;
        Some(work)
    }
}

/// A program that will run under valgrind.
pub struct Counted {
    command: Command,
    log: PathBuf,
    /// Holds the log.
    _scratch: Scratch,
}

impl Counted {
    /// `name` tells it from others of this process that run at the same time; `options` are valgrind's.
    pub fn new(name: &str, options: &[&str], program: &OsStr, arguments: &[&str]) -> Result<Self, String> {
        let scratch = Scratch::new(&format!("valgrind-{name}"))?;
        let log = scratch.0.join("log");
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--log-file={}", log.display()))
            .arg(format!("--callgrind-out-file={}", scratch.0.join("out").display()))
            .args(options)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(Self { command, log, _scratch: scratch })
    }

    /// The command to be started.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// What it did, after it has ended.
    pub fn work(&self) -> Result<Work, String> {
        let log = fs::read(&self.log).map_err(|e| format!("valgrind has written no log: {e}"))?;
        Work::parse(&String::from_utf8_lossy(&log)).ok_or_else(|| "valgrind has counted nothing".to_owned())
    }
}

/// Says so when valgrind is missing.
pub fn cannot_start(e: &std::io::Error) -> String {
    format!("valgrind counts the work and cannot be started ({e}); it is a package of every distribution")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_could_block_counts_once() {
        let log = "SYSCALL[7,1](  1) sys_write ( 1, 0x20, 5 ) --> [async] ... \n\
                   SYSCALL[7,1](  1) ... [async] --> Success(0x5) \n\
                   SYSCALL[7,2]( 13) sys_rt_sigaction ( 5 )[sync] --> Success(0x0) \n\
                   SYSCALL[7,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) \n\
                   ==7== Events    : Ir\n==7== Collected : 3218973\n==7== \n";
        let calls = [("exit_group", 1), ("rt_sigaction", 1), ("write", 1)];
        let calls = calls.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(Work::parse(log), Some(Work { instructions: 3_218_973, calls }));
        assert_eq!(Work::parse("killed"), None);
    }
}
