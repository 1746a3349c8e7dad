//! The brokers that are measured: started here, or running already.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::tls::Trust;

/// How long a broker may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a broker that was asked to end may take before it is killed.
const END_MAX: Duration = Duration::from_secs(30);
/// How long a work waits at most for the broker to rest before it begins.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// For how long the broker is watched to see whether it rests.
const SETTLE_LOOK: Duration = Duration::from_millis(200);
/// A broker that takes less than this share of a core rests.
const RESTING_SHARE: f64 = 0.03;

/// A broker or a cluster, by its address and its processes. One that was started here is stopped when it is dropped.
pub struct Broker {
    /// What the tables call it.
    pub name: String,
    /// `host:port`, or several of them with commas.
    pub address: String,
    /// The processes whose CPU and memory are counted, at least one.
    pub pids: Vec<u32>,
    /// How many replicas the topics of a work have.
    pub replicas: i32,
    /// How long it took from its start to its first answer to a client.
    pub started: Option<Duration>,
    /// The certificate of a listener with TLS.
    pub trust: Option<Trust>,
    running: Running,
}

enum Running {
    Elsewhere,
    Child(Child),
    /// With a directory that goes when it does.
    Within(Child, PathBuf),
}

/// The CPU time of each thread of some processes, in nanoseconds.
pub struct Cpu(BTreeMap<OsString, u64>);

impl Broker {
    fn new(name: &str, address: String, pid: u32, running: Running) -> Self {
        Self { name: name.to_owned(), address, pids: vec![pid], replicas: 1, started: None, trust: None, running }
    }

    /// The nodes of a cluster that somebody else starts and stops, for works that do not care how many there are.
    pub fn nodes(name: &str, address: String, pids: Vec<u32>, replicas: i32) -> Self {
        Self { name: name.to_owned(), address, pids, replicas, started: None, trust: None, running: Running::Elsewhere }
    }

    /// The process of a broker that is one.
    pub fn pid(&self) -> u32 {
        self.pids[0]
    }

    /// Starts a Thalweg binary with a directory that vanishes with it, and with some of Kafka's own settings.
    pub fn thalweg(name: &str, path: &str, settings: &[&str], trust: Option<Trust>) -> Result<Self, String> {
        let began = Instant::now();
        let mut child = Command::new(path)
            .args(["serve", "--ephemeral"])
            .args(settings.iter().flat_map(|setting| ["--override", setting]))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("{path} cannot be started: {e}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        let address = line.trim().split_once('=').map(|(_, address)| address.to_owned());
        let address = address.ok_or_else(|| format!("{path} did not say where it listens but {line:?}"))?;
        let pid = child.id();
        let mut broker = Self::new(name, address, pid, Running::Child(child));
        broker.trust = trust;
        broker.answers()?;
        broker.started = Some(began.elapsed());
        Ok(broker)
    }

    /// Formats and starts Apache Kafka with the script that the interoperability tests use, with its own defaults.
    pub fn kafka(script: &Path, settings: &[&str], trust: Option<Trust>) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("bench-kafka-{}", std::process::id()));
        let (port, controller) = (free_port()?, free_port()?);
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\noffsets.topic.replication.factor=1\nlog.dirs={}\n{}\n",
            dir.join("data").display(),
            settings.join("\n")
        );
        let file = dir.join("server.properties");
        fs::create_dir_all(&dir).and_then(|()| fs::write(&file, properties)).map_err(|e| e.to_string())?;
        let failed = |e| format!("{} cannot be started: {e}", script.display());
        let mut storage = Command::new(script);
        format(storage.args(["bin", "kafka-storage.sh"]), &file).map_err(|e| format!("Kafka: {e}"))?;
        let began = Instant::now();
        let log = fs::File::create(dir.join("node.log")).map_err(|e| e.to_string())?;
        let child = Command::new(script).arg("node").arg(&file).stdout(log).stderr(Stdio::null()).spawn();
        let child = child.map_err(failed)?;
        let (address, pid) = (format!("127.0.0.1:{port}"), child.id());
        let mut broker = Self::new("Kafka", address, pid, Running::Within(child, dir));
        broker.trust = trust;
        broker.listens()?;
        broker.answers()?;
        broker.started = Some(began.elapsed());
        Ok(broker)
    }

    /// Starts any broker by its command line, with a directory that vanishes with it. What `prepare` does before, such as
    /// formatting that directory, is not part of the time to start. In both, `{port}` is where it shall listen and
    /// `{dir}` an empty directory.
    pub fn command(name: &str, prepare: Option<&str>, command: &str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("bench-{name}-{}", std::process::id()));
        let (data, output, port) = (dir.join("data"), dir.join("output.log"), free_port()?);
        let log = fs::create_dir_all(&data).and_then(|()| fs::File::create(&output)).map_err(|e| e.to_string())?;
        let shell = |text: &str| -> Result<Command, String> {
            let text = text.replace("{port}", &port.to_string()).replace("{dir}", &data.display().to_string());
            let (out, err) = (log.try_clone(), log.try_clone());
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec {text}")]).current_dir(&dir).stdin(Stdio::null());
            shell.stdout(out.map_err(|e| e.to_string())?).stderr(err.map_err(|e| e.to_string())?);
            Ok(shell)
        };
        let told = || fs::read_to_string(&output).unwrap_or_default();
        if let Some(prepare) = prepare {
            let prepared = shell(prepare)?.status().map_err(|e| format!("sh cannot be started: {e}"))?;
            if !prepared.success() {
                return Err(format!("{name} cannot be prepared: {}", told()));
            }
        }
        let began = Instant::now();
        let child = shell(command)?.spawn().map_err(|e| format!("sh cannot be started: {e}"))?;
        let (address, pid) = (format!("127.0.0.1:{port}"), child.id());
        let running = Running::Within(child, dir.clone());
        let mut broker = Self::new(name, address, pid, running);
        broker.listens().and_then(|()| broker.answers()).map_err(|e| format!("{e}: {}", told()))?;
        broker.started = Some(began.elapsed());
        Ok(broker)
    }

    /// One that runs already: `NAME=HOST:PORT,PID`.
    pub fn running(named: &str) -> Result<Self, String> {
        let parsed = named.split_once('=').and_then(|(name, rest)| {
            let (address, pid) = rest.split_once(',')?;
            Some((name, address.to_owned(), pid.parse().ok()?))
        });
        let (name, address, pid) = parsed.ok_or_else(|| format!("{named} is not NAME=HOST:PORT,PID"))?;
        let broker = Self::new(name, address, pid, Running::Elsewhere);
        broker.answers()?;
        Ok(broker)
    }

    /// Waits until the broker takes connections. A client that was refused once would wait longer than that.
    fn listens(&self) -> Result<(), String> {
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            self.check()?;
            if began.elapsed() > START_MAX {
                return Err(format!("{} does not listen at {}", self.name, self.address));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether all its processes still run.
    pub fn lives(&self) -> bool {
        let lives = |pid| status(pid).lines().any(|line| line.starts_with("State:") && !line.contains("zombie"));
        self.pids.iter().all(|pid| lives(*pid))
    }

    /// Fails when the process has ended: its clients would wait for minutes.
    pub fn check(&self) -> Result<(), String> {
        if self.lives() { Ok(()) } else { Err(format!("{} has ended", self.name)) }
    }

    fn answers(&self) -> Result<(), String> {
        let consumer: BaseConsumer = self.config().create().map_err(|e| e.to_string())?;
        let metadata = consumer.fetch_metadata(None, START_MAX);
        metadata.map(drop).map_err(|e| format!("{} at {} does not answer: {e}", self.name, self.address))
    }

    /// A client's configuration for this broker.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("log_level", "3");
        if let Some(trust) = &self.trust {
            trust.apply(&mut config);
        }
        config
    }

    /// Waits until the broker rests, so that no work pays for what an earlier one has left behind, such as the files of a
    /// deleted topic. A JVM may never rest: after a while the work begins all the same.
    pub fn settle(&self) {
        self.rest(SETTLE_MAX, SETTLE_LOOK, RESTING_SHARE);
    }

    /// Waits until all its processes together take less than this share of a core during one look; says since when.
    pub fn rest(&self, longest: Duration, look: Duration, share: f64) -> Instant {
        let began = Instant::now();
        loop {
            let (since, before) = (Instant::now(), self.cpu());
            thread::sleep(look);
            if self.cpu_seconds_since(&before) < look.as_secs_f64() * share || began.elapsed() > longest {
                return since;
            }
        }
    }

    /// What each thread of its processes has taken so far; give it to [`Broker::cpu_seconds_since`].
    pub fn cpu(&self) -> Cpu {
        let tasks = |pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let tasks = self.pids.iter().flat_map(tasks);
        let nanos = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.file_name(), text.split_whitespace().next()?.parse().ok()?))
        };
        Cpu(tasks.filter_map(nanos).collect())
    }

    /// The CPU time that its processes have taken since then, in seconds. What threads took that have ended meanwhile is
    /// left out; the kernel's sum of all threads has a resolution of only 10 ms.
    pub fn cpu_seconds_since(&self, before: &Cpu) -> f64 {
        let since = |(task, nanos): (&OsString, &u64)| nanos - before.0.get(task).unwrap_or(&0).min(nanos);
        self.cpu().0.iter().map(since).sum::<u64>() as f64 / 1e9
    }

    /// The most memory that one of its processes has held, in megabytes.
    pub fn peak_resident_mb(&self) -> f64 {
        self.status_mb("VmHWM:")
    }

    /// The memory that its largest process holds now, in megabytes.
    pub fn resident_mb(&self) -> f64 {
        self.status_mb("VmRSS:")
    }

    fn status_mb(&self, name: &str) -> f64 {
        let kib =
            |pid| status(pid).lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        self.pids.iter().filter_map(|pid| kib(*pid)).fold(0.0, f64::max) / 1024.0
    }
}

/// What the kernel says about a process; nothing when there is none.
fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

impl Drop for Broker {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Elsewhere => {}
            // A Thalweg's directory is removed by itself, which it does when it is asked to end.
            Running::Child(child) => stop(child),
            Running::Within(child, dir) => {
                stop(child);
                let _ = fs::remove_dir_all(dir);
            }
        }
    }
}

/// Formats the directories that a `server.properties` names, with a tool that takes Kafka's words.
pub fn format(storage: &mut Command, properties: &Path) -> Result<(), String> {
    let formatted =
        storage.args(["format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]).arg(properties).stdin(Stdio::null()).output();
    let formatted = formatted.map_err(|e| format!("the storage tool cannot be started: {e}"))?;
    match formatted.status.success() {
        true => Ok(()),
        false => Err(format!("a directory cannot be formatted: {}", String::from_utf8_lossy(&formatted.stderr))),
    }
}

/// Asks a process to end, and ends it when it does not.
pub fn stop(child: &mut Child) {
    ask_to_end(child);
    wait_for_end(child);
}

/// Waits for a process that was asked to end, and ends it when it does not. It is not asked twice: a second time means at once.
pub fn wait_for_end(child: &mut Child) {
    let asked = Instant::now();
    while asked.elapsed() < END_MAX && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Asks a process to end, and does not wait.
pub fn ask_to_end(child: &Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
}

/// A port of loopback where nobody listens.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}
