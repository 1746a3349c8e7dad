//! Loads any Kafka broker through librdkafka and measures what that costs the broker: CPU seconds per gigabyte,
//! latency from end to end, memory, and time to start.
//!
//! All brokers run at once; each round plays each work against each of them in turn, so that a machine whose speed
//! drifts drifts for all. Read the ratios, not the absolute times.

mod broker;
mod clients;
mod cluster;
mod counted;
mod curves;
mod load;
mod pressure;
mod raw;
mod report;
mod tls;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use broker::Broker;
use cluster::{Cluster, ClusterWork, Kind};
use report::Results;
use tls::Tls;
use work::{Figure, Work};

/// For the brokers that are started here and take Kafka's settings: the memory that a deleted topic's files had is there
/// for the next round. The first touch of memory that a virtual machine has not used for a while costs more than the
/// work that is measured.
const SETTING: &str = "file.delete.delay.ms=0";

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
    /// A broker to start, as NAME=COMMAND in which {port} is where it shall listen on 127.0.0.1 and {dir} an empty
    /// directory; may be repeated
    #[arg(long, value_name = "NAME=COMMAND")]
    command: Vec<String>,
    /// What is to be done before a --command starts, and is not part of its time to start, as NAME=COMMAND
    #[arg(long, value_name = "NAME=COMMAND")]
    prepare: Vec<String>,
    /// How often every work is played against every broker
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many megabytes each produce and consume work moves
    #[arg(long, default_value_t = 500)]
    megabytes: usize,
    /// How many seconds each latency work takes
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Only the works (curves, pressures) whose names contain one of these
    #[arg(value_name = "WORK")]
    works: Vec<String>,
    /// Lists the works and ends
    #[arg(long)]
    list: bool,
    /// Counts system calls with strace instead of measuring time: slow, but the same on every machine
    #[arg(long)]
    count: bool,
    /// Measures how costs grow with idle partitions, idle connections and the size of records
    #[arg(long)]
    curves: bool,
    /// Measures three nodes of each kind (--thalweg, --kafka) with three replicas: cost, and how long clients wait when a node
    /// goes
    #[arg(long)]
    cluster: bool,
    /// With --cluster: how many partitions the work many-partitions makes; without, it is left out
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// Measures a calm stream's latency while something heavy happens beside it
    #[arg(long)]
    pressure: bool,
    /// Lets --thalweg and --kafka listen with TLS
    #[arg(long, conflicts_with_all = ["cluster", "client", "broker", "command"])]
    tls: bool,
    /// Measures clients beside each other on one Thalweg node: Thalweg's tools, librdkafka, kcat and, with --kafka, Kafka's
    /// own tools
    #[arg(long)]
    client: bool,
    /// Is the client on librdkafka: what --client starts
    #[arg(long, hide = true, num_args = 5, value_names = ["KIND", "ADDRESS", "TOPIC", "RECORDS", "BATCH_BYTES"])]
    client_load: Vec<String>,
    /// Makes pressure on the first broker until it is killed: what --pressure starts
    #[arg(long, hide = true, num_args = 2, value_names = ["KIND", "TOPIC"])]
    load: Vec<String>,
    /// Writes the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draws the table
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Arguments {
    /// The binaries of `--thalweg`, each with the name that tables call it.
    fn thalweg(&self) -> impl Iterator<Item = (&str, &str)> {
        self.thalweg.iter().map(|named| named.split_once('=').unwrap_or(("Thalweg", named)))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        Work::ALL.iter().for_each(|work| println!("{:<22} {}", work.name(), work.sentence()));
        println!("\nwith --cluster:");
        ClusterWork::ALL.iter().for_each(|work| println!("{:<22} {}", work.name(), work.sentence()));
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
    if !arguments.client_load.is_empty() {
        return clients::load(&arguments.client_load);
    }
    if arguments.client {
        return measure_clients(arguments);
    }
    if arguments.cluster {
        return measure_clusters(arguments);
    }
    let works: Vec<Work> = Work::ALL.into_iter().filter(wanted).collect();
    let tls = if arguments.tls { Some(Tls::new()?) } else { None };
    let brokers = start(arguments, tls.as_ref())?;
    if brokers.is_empty() {
        return Err("nothing to measure: name a broker with --thalweg, --kafka, --broker or --command".to_owned());
    }
    if let ([kind, topic], Some(broker)) = (&arguments.load[..], brokers.first()) {
        return pressure::load(broker, kind, topic);
    }
    let (rounds, megabytes, seconds) = (arguments.rounds, arguments.megabytes, arguments.seconds);
    if arguments.curves {
        let curves = curves::run(&brokers, &arguments.works, rounds, megabytes, seconds)?;
        return write(arguments, &curves.table(), curves.svg());
    }
    if arguments.pressure {
        let results = pressure::run(&brokers, &arguments.works, rounds, megabytes, seconds)?;
        return write(arguments, &results.table(), results.svg());
    }
    let mut results = Results::new(brokers.iter().map(|broker| broker.name.clone()).collect());
    if arguments.count {
        count(arguments, &works, &brokers, &mut results)?;
    } else {
        measure(arguments, &works, &brokers, &mut results);
    }
    write(arguments, &results.table(), results.svg())?;
    let first = brokers.first().filter(|first| works.iter().any(|work| results.failed(&first.name, work.name())));
    first.map_or(Ok(()), |first| Err(format!("{} has failed", first.name)))
}

/// Every work once against each broker, counted.
fn count(arguments: &Arguments, works: &[Work], brokers: &[Broker], results: &mut Results) -> Result<(), String> {
    for work in works {
        for broker in brokers {
            eprintln!("{}: {}", broker.name, work.name());
            for (what, value) in counted::count(broker, *work, arguments.megabytes.min(100))? {
                results.add(&broker.name, work.name(), &what, value);
            }
        }
    }
    Ok(())
}

/// Every work in each round against each broker, timed. A work that fails on a broker is not played against it again:
/// it may have taken minutes to fail.
fn measure(arguments: &Arguments, works: &[Work], brokers: &[Broker], results: &mut Results) {
    for broker in brokers {
        if let Some(started) = broker.started {
            results.add(&broker.name, "start", "to first answer, s", started.as_secs_f64());
        }
    }
    for round in 1..=arguments.rounds {
        for work in works {
            for broker in brokers {
                if !results.failed(&broker.name, work.name()) {
                    eprint!("round {round} of {}: {:<22} {:<12}", arguments.rounds, work.name(), broker.name);
                    let played = work.play(broker, arguments.megabytes, arguments.seconds);
                    note(results, &broker.name, work.name(), played);
                }
            }
        }
    }
    for broker in brokers.iter().filter(|broker| broker.lives()) {
        results.add(&broker.name, "memory", "peak resident, MB", broker.peak_resident_mb());
    }
}

/// Notes what playing a work has given, and says it.
fn note(results: &mut Results, broker: &str, work: &str, played: Result<Vec<Figure>, String>) {
    match played {
        Ok(measured) => {
            for (what, value) in measured {
                eprint!("  {value:.2} {what}");
                results.add(broker, work, what, value);
            }
            eprintln!();
        }
        Err(why) => {
            eprintln!("  failed: {why}");
            results.fail(broker, work, why);
        }
    }
}

/// The works of clusters in each round against each cluster. A cluster that a work has broken is started anew.
fn measure_clusters(arguments: &Arguments) -> Result<(), String> {
    let thalweg = arguments.thalweg();
    let mut kinds: Vec<(String, Kind)> =
        thalweg.map(|(name, path)| (name.to_owned(), Kind::Thalweg(path.into()))).collect();
    let Some((_, Kind::Thalweg(tool))) = kinds.first().cloned() else {
        return Err("--cluster needs a --thalweg binary, whose tools ask each cluster".to_owned());
    };
    kinds.extend(arguments.kafka.iter().map(|script| ("Kafka".to_owned(), Kind::Kafka(script.clone()))));
    let wanted = |work: &ClusterWork| {
        let named =
            arguments.works.is_empty() || arguments.works.iter().any(|name| work.name().contains(name.as_str()));
        named && (*work != ClusterWork::Many || arguments.partitions.is_some())
    };
    let works: Vec<ClusterWork> = ClusterWork::ALL.into_iter().filter(wanted).collect();
    let mut results = Results::new(kinds.iter().map(|(name, _)| name.clone()).collect());
    let start = |(name, kind): &(String, Kind)| Cluster::start(name, kind.clone(), &tool);
    let mut clusters: Vec<Cluster> = kinds.iter().map(start).collect::<Result<_, _>>()?;
    for round in 1..=arguments.rounds {
        for work in &works {
            for (cluster, kind) in clusters.iter_mut().zip(&kinds) {
                if results.failed(&cluster.name, work.name()) {
                    continue;
                }
                eprint!("round {round} of {}: {:<22} {:<12}", arguments.rounds, work.name(), cluster.name);
                let many = arguments.partitions.unwrap_or(0);
                let played = work.play(cluster, arguments.megabytes, arguments.seconds, many);
                let broken = played.is_err();
                note(&mut results, &kind.0, work.name(), played);
                if broken {
                    *cluster = start(kind)?;
                }
            }
        }
    }
    for cluster in &clusters {
        results.add(&cluster.name, "memory", "peak resident of a node, MB", cluster.view().peak_resident_mb());
    }
    write(arguments, &results.table(), results.svg())
}

/// The works of clients on one node, which the first `--thalweg` binary is.
fn measure_clients(arguments: &Arguments) -> Result<(), String> {
    let Some((name, thalweg)) = arguments.thalweg().next() else {
        return Err("--client needs a --thalweg binary".to_owned());
    };
    let settings = [&[SETTING][..], &clients::SETTINGS].concat();
    let broker = Broker::thalweg(name, thalweg, &settings, None)?;
    let programs = clients::Programs { thalweg, kafka: arguments.kafka.as_deref() };
    let results = clients::run(&broker, &programs, &arguments.works, arguments.rounds, arguments.megabytes)?;
    write(arguments, &results.table(), results.svg())
}

/// Prints the table, and writes what was asked for.
fn write(arguments: &Arguments, table: &str, svg: String) -> Result<(), String> {
    println!("{table}");
    let write = |file: &Option<PathBuf>, text: &str| match file {
        Some(file) => std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    };
    write(&arguments.markdown, table)?;
    write(&arguments.svg, &svg)
}

fn start(arguments: &Arguments, tls: Option<&Tls>) -> Result<Vec<Broker>, String> {
    let mut brokers = Vec::new();
    let of_tls = tls.map(Tls::settings).unwrap_or_default();
    let trust = || tls.map(Tls::trust);
    let mut settings = vec![SETTING];
    settings.extend(of_tls.iter().map(String::as_str));
    if arguments.pressure {
        settings.extend(pressure::SETTINGS);
    }
    let settings = &settings[..];
    for (name, path) in arguments.thalweg() {
        brokers.push(Broker::thalweg(name, path, settings, trust())?);
    }
    if let Some(script) = &arguments.kafka {
        brokers.push(Broker::kafka(script, settings, trust())?);
    }
    for named in &arguments.broker {
        brokers.push(Broker::running(named)?);
    }
    let split = |named| str::split_once(named, '=').ok_or_else(|| format!("{named} is not NAME=COMMAND"));
    let prepare: Vec<(&str, &str)> = arguments.prepare.iter().map(|named| split(named)).collect::<Result<_, _>>()?;
    for named in &arguments.command {
        let (name, command) = split(named)?;
        let before = prepare.iter().find(|(of, _)| *of == name).map(|(_, command)| *command);
        brokers.push(Broker::command(name, before, command)?);
    }
    Ok(brokers)
}
