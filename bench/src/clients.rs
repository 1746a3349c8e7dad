//! Clients beside each other on one broker: Thalweg's tools, librdkafka, kcat and Kafka's own tools, each as a process of its
//! own from its start to its end, so that what they cost can be told apart.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::broker::Broker;
use crate::load::{self, Production};
use crate::report::Results;
use crate::work::{Figure, PARTITIONS};

/// The size of each record's value.
const RECORD_BYTES: usize = 1024;
/// Members of a group are not waited for.
pub const SETTINGS: [&str; 1] = ["group.initial.rebalance.delay.ms=0"];
/// The kernel's unit of CPU time in /proc: 1/100 s on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientWork {
    /// Idempotent batches of at most 1 MB.
    Produce,
    /// Idempotent batches of at most 16 KiB, Java's default.
    ProduceSmall,
    /// Reading from the beginning, without doing anything with it.
    Consume,
    /// Reading from the beginning, and writing each value as a line.
    Console,
}

/// A program with a client in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// A tool of the Thalweg binary, on its own client.
    Thalweg,
    /// This program, on librdkafka.
    Librdkafka,
    /// kcat, if it is installed.
    Kcat,
    /// A tool of Kafka's, on Java's client.
    Kafka,
}

/// Where the programs are.
pub struct Programs<'a> {
    /// The Thalweg binary.
    pub thalweg: &'a str,
    /// The script that runs Kafka's tools, if they are to be measured.
    pub kafka: Option<&'a Path>,
}

impl ClientWork {
    const ALL: [Self; 4] = [Self::Produce, Self::ProduceSmall, Self::Consume, Self::Console];

    fn name(self) -> &'static str {
        match self {
            Self::Produce => "client-produce-1k",
            Self::ProduceSmall => "client-produce-16k-batches",
            Self::Consume => "client-consume-1k",
            Self::Console => "client-console-1k",
        }
    }

    fn batch_bytes(self) -> &'static str {
        if self == Self::ProduceSmall { "16384" } else { "1000000" }
    }
}

impl Program {
    const ALL: [Self; 4] = [Self::Thalweg, Self::Librdkafka, Self::Kcat, Self::Kafka];

    fn name(self) -> &'static str {
        match self {
            Self::Thalweg => "Thalweg's client",
            Self::Librdkafka => "librdkafka",
            Self::Kcat => "kcat",
            Self::Kafka => "Kafka's client",
        }
    }

    fn is_there(self, programs: &Programs<'_>) -> bool {
        match self {
            Self::Thalweg | Self::Librdkafka => true,
            Self::Kcat => Command::new("kcat").arg("-V").stdout(Stdio::null()).status().is_ok(),
            Self::Kafka => programs.kafka.is_some(),
        }
    }

    /// The command that does a work; `None` if the program cannot do it.
    fn command(self, work: ClientWork, programs: &Programs<'_>, job: &Job<'_>) -> Result<Option<Command>, String> {
        let tool = match self {
            Self::Librdkafka if work == ClientWork::Console => return Ok(None),
            Self::Librdkafka => {
                let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
                let kind = if work == ClientWork::Consume { "consume" } else { "produce" };
                command.args(["--client-load", kind, job.address, job.topic, &job.records, work.batch_bytes()]);
                return Ok(Some(command));
            }
            Self::Kcat if work != ClientWork::Console => return Ok(None),
            Self::Kcat => {
                let mut command = Command::new("kcat");
                command.args(["-C", "-q", "-b", job.address, "-t", job.topic, "-o", "beginning", "-c", &job.records]);
                return Ok(Some(command));
            }
            Self::Thalweg => |name: &str, programs: &Programs<'_>| {
                let mut command = Command::new(programs.thalweg);
                command.arg(name);
                command
            },
            Self::Kafka => |name: &str, programs: &Programs<'_>| {
                let mut command = Command::new(programs.kafka.unwrap_or(Path::new("")));
                command.args(["bin", &format!("kafka-{name}.sh")]);
                command
            },
        };
        let servers = format!("bootstrap.servers={}", job.address);
        let batch = format!("batch.size={}", work.batch_bytes());
        let mut command = match work {
            ClientWork::Produce | ClientWork::ProduceSmall => tool("producer-perf-test", programs),
            ClientWork::Consume => tool("consumer-perf-test", programs),
            ClientWork::Console => tool("console-consumer", programs),
        };
        match work {
            ClientWork::Produce | ClientWork::ProduceSmall => command
                .args(["--topic", job.topic, "--num-records", &job.records, "--record-size", "1024"])
                .args(["--throughput", "-1", "--producer-props", &servers, &batch, "acks=all", "linger.ms=5"]),
            ClientWork::Consume => command
                .args(["--topic", job.topic, "--bootstrap-server", job.address, "--num-records", &job.records])
                .args(["--timeout", "60000"]),
            ClientWork::Console => command
                .args(["--topic", job.topic, "--bootstrap-server", job.address, "--max-messages", &job.records])
                .args(["--from-beginning", "--timeout-ms", "60000"]),
        };
        Ok(Some(command))
    }
}

/// What one process has to do.
struct Job<'a> {
    address: &'a str,
    topic: &'a str,
    /// How many records.
    records: String,
}

/// Plays every work in each round with each program.
pub fn run(
    broker: &Broker,
    programs: &Programs<'_>,
    wanted: &[String],
    rounds: usize,
    megabytes: usize,
) -> Result<Results, String> {
    let there: Vec<Program> = Program::ALL.into_iter().filter(|program| program.is_there(programs)).collect();
    let mut results = Results::new(there.iter().map(|program| program.name().to_owned()).collect());
    let is_wanted = |work: &ClientWork| wanted.is_empty() || wanted.iter().any(|name| work.name().contains(&**name));
    for round in 1..=rounds {
        for work in ClientWork::ALL.into_iter().filter(is_wanted) {
            for program in &there {
                let Some(figures) = play(broker, *program, work, programs, megabytes)? else { continue };
                eprint!("round {round} of {rounds}: {:<28} {:<18}", work.name(), program.name());
                for (what, value) in figures {
                    eprint!("  {value:.2} {what}");
                    results.add(program.name(), work.name(), what, value);
                }
                eprintln!();
            }
        }
    }
    Ok(results)
}

/// One work with one program on a topic of its own: how fast it is from the start of its process to the end, and what CPU
/// time it takes. A topic that holds another number of records afterwards is an error.
fn play(
    broker: &Broker,
    program: Program,
    work: ClientWork,
    programs: &Programs<'_>,
    megabytes: usize,
) -> Result<Option<Vec<Figure>>, String> {
    let bytes = megabytes * 1_000_000;
    let records = bytes / RECORD_BYTES;
    let topic = load::create_topic(broker, work.name(), PARTITIONS)?;
    let job = Job { address: &broker.address, topic: &topic, records: records.to_string() };
    let Some(mut command) = program.command(work, programs, &job)? else {
        load::delete_topic(broker, &topic)?;
        return Ok(None);
    };
    if matches!(work, ClientWork::Consume | ClientWork::Console) {
        production("1000000").run(broker, &topic, bytes)?;
    }
    broker.settle();
    let (cpu, began) = (children_cpu()?, Instant::now());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let (cpu, took) = (children_cpu()? - cpu, began.elapsed().as_secs_f64());
    let status = status.map_err(|e| format!("{}: {e}", program.name()))?;
    let name = (program.name(), work.name());
    if !status.success() {
        return Err(format!("{} fails {}: {status}", name.0, name.1));
    }
    let stored = load::count_records(broker, &topic, PARTITIONS)?;
    if stored != records as i64 {
        return Err(format!("{} in {}: the topic has {stored} records instead of {records}", name.0, name.1));
    }
    load::delete_topic(broker, &topic)?;
    let gigabytes = bytes as f64 / 1e9;
    Ok(Some(vec![("client's CPU s/GB", cpu / gigabytes), ("MB/s", gigabytes * 1000.0 / took)]))
}

fn production(batch_bytes: &'static str) -> Production {
    let settings: &[(&str, &str)] = match batch_bytes {
        "16384" => &[("enable.idempotence", "true"), ("linger.ms", "5"), ("batch.size", "16384")],
        _ => &[("enable.idempotence", "true"), ("linger.ms", "5"), ("batch.size", "1000000")],
    };
    Production { settings, record_bytes: RECORD_BYTES, keys: 0 }
}

/// The CPU time of all processes that were started here and have ended, in seconds.
fn children_cpu() -> Result<f64, String> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|e| format!("/proc/self/stat: {e}"))?;
    // The name of the program, in parentheses, may hold blanks; behind it come state, ppid, ...
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok());
    let sum = ticks(13).zip(ticks(14)).map(|(user, system)| user + system);
    sum.map(|ticks| ticks / TICKS_A_SECOND).ok_or_else(|| "/proc/self/stat has no CPU time".to_owned())
}

/// What this program does as the client on librdkafka: what `--client-load` starts.
pub fn load(words: &[String]) -> Result<(), String> {
    let [kind, address, topic, records, batch_bytes] = words else {
        return Err("--client-load KIND ADDRESS TOPIC RECORDS BATCH_BYTES".to_owned());
    };
    let records: usize = records.parse().map_err(|e| format!("{records}: {e}"))?;
    let broker = Broker::nodes("broker", address.clone(), vec![std::process::id()], 1);
    match kind.as_str() {
        "produce" => {
            let batch_bytes = if batch_bytes == "16384" { "16384" } else { "1000000" };
            production(batch_bytes).run(&broker, topic, records * RECORD_BYTES).map(drop)
        }
        _ => load::consume(&broker, topic, PARTITIONS, records).map(drop),
    }
}
