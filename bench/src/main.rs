//! Loads any Kafka broker through librdkafka and measures what that costs the broker: CPU seconds per gigabyte,
//! latency from end to end, memory, and time to start.
//!
//! All brokers run at once; each round plays each work against each of them in turn, so that a machine whose speed
//! drifts drifts for all. Read the ratios, not the absolute times.

mod broker;
mod counted;
mod load;
mod report;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use broker::Broker;
use report::Results;
use work::Work;

/// Measures Kafka brokers beside each other, in interleaved rounds.
#[derive(Parser)]
struct Arguments {
    /// A Thalweg binary to start and measure, as NAME=PATH or PATH; may be repeated, to compare two commits
    #[arg(long, value_name = "[NAME=]PATH")]
    thalweg: Vec<String>,
    /// Apache Kafka, by the script that starts it (interop/kafka/kafka)
    #[arg(long, value_name = "SCRIPT")]
    kafka: Option<PathBuf>,
    /// A broker that runs already on this machine, as NAME=HOST:PORT,PID; may be repeated
    #[arg(long, value_name = "NAME=HOST:PORT,PID")]
    broker: Vec<String>,
    /// How often every work is played against every broker
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many megabytes each produce and consume work moves
    #[arg(long, default_value_t = 500)]
    megabytes: usize,
    /// How many seconds each latency work takes
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Only the works whose names contain one of these
    #[arg(value_name = "WORK")]
    works: Vec<String>,
    /// Lists the works and ends
    #[arg(long)]
    list: bool,
    /// Counts system calls with strace instead of measuring time: slow, but the same on every machine
    #[arg(long)]
    count: bool,
    /// Writes the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draws the table
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        Work::ALL.iter().for_each(|work| println!("{:<22} {}", work.name(), work.sentence()));
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let wanted = |work: &Work| {
        arguments.works.is_empty() || arguments.works.iter().any(|name| work.name().contains(name.as_str()))
    };
    let works: Vec<Work> = Work::ALL.into_iter().filter(wanted).collect();
    let mut brokers = start(arguments)?;
    if brokers.is_empty() {
        return Err("nothing to measure: name a broker with --thalweg, --kafka or --broker".to_owned());
    }
    let mut results = Results::new(brokers.iter().map(|broker| broker.name.clone()).collect());
    for broker in &brokers {
        if let Some(started) = broker.started {
            results.add(&broker.name, "start", "to first answer, s", started.as_secs_f64());
        }
    }
    if arguments.count {
        for work in works {
            for broker in &brokers {
                eprintln!("{}: {}", broker.name, work.name());
                for (what, value) in counted::count(broker, work, arguments.megabytes.min(100))? {
                    results.add(&broker.name, work.name(), &what, value);
                }
            }
        }
    } else {
        for round in 1..=arguments.rounds {
            for work in &works {
                for broker in &mut brokers {
                    eprint!("round {round} of {}: {:<22} {:<12}", arguments.rounds, work.name(), broker.name);
                    let measured = work.play(broker, arguments.megabytes, arguments.seconds)?;
                    for (what, value) in measured {
                        eprint!("  {value:.2} {what}");
                        results.add(&broker.name, work.name(), what, value);
                    }
                    eprintln!();
                }
            }
        }
        for broker in &brokers {
            results.add(&broker.name, "memory", "peak resident, MB", broker.peak_resident_mb());
        }
    }
    println!("{}", results.table());
    let write = |file: &Option<PathBuf>, text: String| match file {
        Some(file) => std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    };
    write(&arguments.markdown, results.table())?;
    write(&arguments.svg, results.svg())
}

fn start(arguments: &Arguments) -> Result<Vec<Broker>, String> {
    let mut brokers = Vec::new();
    for named in &arguments.thalweg {
        let (name, path) = named.split_once('=').unwrap_or(("Thalweg", named));
        brokers.push(Broker::thalweg(name, path)?);
    }
    if let Some(script) = &arguments.kafka {
        brokers.push(Broker::kafka(script)?);
    }
    for named in &arguments.broker {
        brokers.push(Broker::running(named)?);
    }
    Ok(brokers)
}
