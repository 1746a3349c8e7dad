//! `kafka-server-start.sh`, `kafka-server-stop.sh` and `kafka-run-class.sh`: what needs the node or all tools.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use thalweg_sys::{fs, process};
use thalweg_tools::out::Out;
use thalweg_tools::tool::{Grammar, Tool};

/// `kafka-server-start.sh`.
pub(crate) const START: Tool = Tool {
    name: "server-start",
    script: "kafka-server-start",
    classes: &["kafka.Kafka"],
    about: "Run a node: [-daemon] server.properties [--override KEY=VALUE]...",
    run: start,
    grammar: Grammar::Words,
};

/// `kafka-server-stop.sh`.
pub(crate) const STOP: Tool = Tool {
    name: "server-stop",
    script: "kafka-server-stop",
    classes: &[],
    about: "Stop the nodes that run on this machine.",
    run: stop,
    grammar: Grammar::Words,
};

/// `kafka-run-class.sh`.
pub(crate) const RUN_CLASS: Tool = Tool {
    name: "run-class",
    script: "kafka-run-class",
    classes: &[],
    about: "Run a tool by the name of its class in Kafka, such as kafka.tools.GetOffsetShell.",
    run: run_class,
    grammar: Grammar::Words,
};

fn start(words: &[String], out: &mut Out) -> u8 {
    let (is_daemon, words) = match words.split_first() {
        Some((first, rest)) if first == "-daemon" || first == "--daemon" => (true, rest),
        _ => (false, words),
    };
    if words.is_empty() {
        out.error("USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*");
        return 1;
    }
    let Ok(program) = std::env::current_exe() else {
        out.error("cannot find the program that is running");
        return 1;
    };
    let mut node = Command::new(program);
    node.arg("serve").args(words);
    if !is_daemon {
        out.flush();
        let error = node.exec();
        out.error(format_args!("cannot start the node: {error}"));
        return 1;
    }
    let started = node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
    match started {
        Ok(_) => 0,
        Err(error) => {
            out.error(format_args!("cannot start the node: {error}"));
            1
        }
    }
}

/// The processes of this program that serve.
fn serving() -> Vec<u32> {
    let Ok(ours) = std::env::current_exe().and_then(|path| fs::canonicalize(&path)) else { return Vec::new() };
    let entries = fs::read_dir(Path::new("/proc")).unwrap_or_default();
    let pids = entries.iter().filter_map(|entry| entry.name.parse::<u32>().ok());
    let serves = |pid: &u32| {
        let dir = Path::new("/proc").join(pid.to_string());
        let is_ours = fs::canonicalize(&dir.join("exe")).is_ok_and(|exe| exe == ours);
        let words = fs::read(&dir.join("cmdline")).unwrap_or_default();
        is_ours && words.split(|byte| *byte == 0).nth(1) == Some(b"serve")
    };
    pids.filter(serves).collect()
}

fn stop(_: &[String], out: &mut Out) -> u8 {
    let pids = serving();
    if pids.is_empty() {
        out.line("No kafka server to stop");
        return 1;
    }
    let mut code = 0;
    for pid in pids {
        if let Err(error) = process::terminate(pid) {
            out.error(format_args!("cannot stop process {pid}: {error}"));
            code = 1;
        }
    }
    code
}

fn run_class(words: &[String], out: &mut Out) -> u8 {
    let Some((class, words)) = words.split_first() else {
        out.error("USAGE: kafka-run-class classname [opts]");
        return 1;
    };
    let mut tools = thalweg_tools::TOOLS.iter().chain(crate::TOOLS);
    match tools.find(|tool| tool.classes.contains(&class.as_str())) {
        Some(tool) => (tool.run)(words, out),
        None => {
            out.error(format_args!(
                "Error: Could not find or load main class {class}\nCaused by: java.lang.ClassNotFoundException: {class}"
            ));
            1
        }
    }
}
