//! One node of the cluster as a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use thalweg_sys::{process, task};
use tokio::sync::mpsc;

use super::cluster::Node;

/// What the supervisor acts upon.
pub(super) enum Event {
    /// A line of a node's standard output, with its node.
    Output(String),
    /// A node's process has ended.
    Exited {
        id: u16,
        /// As the system says it.
        status: String,
    },
    /// A line of standard input.
    Command(String),
}

/// A node, and its process while it runs.
pub(super) struct Child {
    node: Node,
    pid: Option<u32>,
    events: mpsc::Sender<Event>,
}

impl Child {
    pub(super) fn new(node: Node, events: mpsc::Sender<Event>) -> Self {
        Self { node, pid: None, events }
    }

    pub(super) fn id(&self) -> u16 {
        self.node.id
    }

    pub(super) fn is_running(&self) -> bool {
        self.pid.is_some()
    }

    /// Its process has ended.
    pub(super) fn exited(&mut self) {
        self.pid = None;
    }

    /// Where it is and whether it runs, for people.
    pub(super) fn description(&self) -> String {
        let Node { id, port, dir } = &self.node;
        let state = self.pid.map_or("stopped".to_owned(), |pid| format!("pid {pid}"));
        format!(
            "node {id}: 127.0.0.1:{port}, controller 127.0.0.1:{}, {state}, in {} (log: {})",
            port + 1,
            dir.display(),
            self.node.log().display()
        )
    }

    /// Starts the process, its log appended to the node's log file.
    ///
    /// # Errors
    /// A message for people: the log cannot be written, or the process cannot be started.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let log = self.node.log();
        let file = process::output_to(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let binary = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let mut child = Command::new(binary)
            .args(["serve", "--with-parent"])
            .arg(self.node.properties())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(|e| format!("cannot start node {}: {e}", self.node.id))?;
        self.pid = Some(child.id());
        let (id, events) = (self.node.id, self.events.clone());
        task::spawn(task::blocking(move || {
            // Nobody listens any more when the supervisor has ended: then there is nothing to say.
            for line in
                child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines().map_while(Result::ok))
            {
                let _ = events.blocking_send(Event::Output(format!("node {id}: {line}")));
            }
            let status = child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
            let _ = events.blocking_send(Event::Exited { id, status });
        }));
        Ok(())
    }

    /// Asks it to shut down cleanly.
    pub(super) fn stop(&mut self) {
        if let Some(pid) = self.pid {
            // It fails for a process that has just ended, and there is nothing to do then.
            let _ = process::terminate(pid);
        }
    }

    /// As `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(pid) = self.pid {
            let _ = process::kill(pid);
        }
    }
}

/// Reads commands from standard input until it ends.
pub(super) async fn commands(events: mpsc::Sender<Event>) {
    let read = task::blocking(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if events.blocking_send(Event::Command(line.trim().to_owned())).is_err() {
                return;
            }
        }
    });
    // The runtime ends before the thread does when Ctrl-C came.
    let _ = read.await;
}
