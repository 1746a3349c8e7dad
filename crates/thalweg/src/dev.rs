//! `thalweg dev`: a cluster of several nodes on this machine, to look at and to break.

mod child;
mod cluster;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use thalweg_sys::process::Signals;
use thalweg_sys::task;
use tokio::sync::mpsc;

use child::{Child, Event};
use cluster::{Layout, Node};

/// So many lines and exits may wait to be printed: a child whose output is not taken waits.
const EVENTS_MAX: usize = 256;

const HELP: &str = "kill N: as kill -9; stop N: a clean shutdown; start N; status; quit";

/// Run a cluster of several nodes on this machine.
///
/// Each node is a process with its own server.properties, data directory and log file below the cluster's directory; a second
/// run with the same directory starts the same cluster again. Every node is broker and controller.
///
/// Commands are read from standard input: `kill N`, `stop N`, `start N`, `status`, `quit`. Ctrl-C stops all nodes.
#[derive(Args)]
pub(crate) struct Dev {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// The cluster's directory.
    #[arg(long, default_value = "./thalweg-dev", value_name = "DIR")]
    data: PathBuf,
    /// The first node's port; its controller has the next one, the second node the one after that, and so on.
    #[arg(long, default_value_t = 9092, value_name = "PORT")]
    port: u16,
    /// A key of server.properties and its value, for every node. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Dev {
    /// Runs until `quit`, Ctrl-C or SIGTERM.
    pub(crate) fn run(&self) -> ExitCode {
        let layout = Layout { nodes: self.nodes, dir: self.data.clone(), port: self.port, overrides: &self.overrides };
        let nodes = match cluster::prepare(&layout) {
            Ok(nodes) => nodes,
            Err(why) => return fail(&why),
        };
        // Children end with the thread that has started them: that is the main thread here.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return fail(&format!("cannot start: {e}")),
        };
        let ran = runtime.block_on(supervise(nodes));
        // A thread may still wait for a line of standard input.
        runtime.shutdown_background();
        ran.map_or_else(|why| fail(&why), |()| ExitCode::SUCCESS)
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("thalweg dev: {why}");
    ExitCode::FAILURE
}

/// Starts all nodes, carries out commands, and stops all in the end.
async fn supervise(nodes: Vec<Node>) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|e| format!("cannot listen to signals: {e}"))?;
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut children: Vec<Child> = nodes.into_iter().map(|node| Child::new(node, sender.clone())).collect();
    for child in &mut children {
        child.start()?;
    }
    for child in &children {
        println!("{}", child.description());
    }
    println!("{HELP}");
    task::spawn(child::commands(sender));
    let mut stopping = false;
    loop {
        let event = tokio::select! {
            biased;
            () = signals.asked_to_end() => Event::Command("quit".to_owned()),
            Some(event) = events.recv() => event,
        };
        match event {
            Event::Output(line) => println!("{line}"),
            Event::Exited { id, status } => {
                if let Some(child) = children.iter_mut().find(|child| child.id() == id) {
                    child.exited();
                }
                println!("node {id} has ended: {status}");
            }
            // A second Ctrl-C does not wait for clean shutdowns.
            Event::Command(line) if line == "quit" && stopping => children.iter_mut().for_each(Child::kill),
            Event::Command(line) if line == "quit" => {
                stopping = true;
                children.iter_mut().for_each(Child::stop);
            }
            Event::Command(line) => println!("{}", obey(&line, &mut children)),
        }
        if stopping && children.iter().all(|child| !child.is_running()) {
            return Ok(());
        }
    }
}

/// Carries out one command; gives the line to print.
fn obey(line: &str, children: &mut [Child]) -> String {
    let mut words = line.split_whitespace();
    let (verb, id) = (words.next().unwrap_or_default(), words.next().and_then(|id| id.parse::<u16>().ok()));
    if verb == "status" {
        let lines: Vec<String> = children.iter().map(Child::description).collect();
        return lines.join("\n");
    }
    let Some(child) = children.iter_mut().find(|child| Some(child.id()) == id) else { return HELP.to_owned() };
    match verb {
        "kill" => child.kill(),
        "stop" => child.stop(),
        "start" if child.is_running() => return format!("node {} runs already", child.id()),
        "start" => {
            if let Err(why) = child.start() {
                return why;
            }
        }
        _ => return HELP.to_owned(),
    }
    child.description()
}
