//! What is measured of a cluster: what copies cost, and how long clients wait when a node goes.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::metadata::MetadataTopic;

use super::steady::{self, Acknowledged};
use super::{ANSWER_MAX, Cluster, LOOK, NODES, Place, READY_MAX, ask};
use crate::load;
use crate::work::{Figure, PARTITIONS, Work};

/// The partitions of the topic that is produced to while nodes go: each node leads some.
const STEADY_PARTITIONS: i32 = 12;
/// How long the steady producer runs before and after what is measured.
const AROUND: Duration = Duration::from_secs(3);
/// How long an idle cluster is watched.
const IDLE: Duration = Duration::from_secs(10);
/// How long one attempt to create a topic may take: brokers may name one that is dead as the one to ask.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Nodes that take less than this share of a core each, for so long, rest.
const RESTING_SHARE: f64 = 0.05;
const REST: Duration = Duration::from_millis(500);
/// The partitions of an idle cluster.
const IDLE_PARTITIONS: i32 = 1_000;
/// At most this many partitions are asked for in one topic.
const TOPIC_PARTITIONS: i32 = 1_000;
/// The size of the records that followers copy.
const RECORD_BYTES: usize = 1024;

/// One way to use a cluster, or to hurt it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ClusterWork {
    /// A work of a single broker, with three replicas.
    Replicated(Work),
    /// What copying takes of a node that leads nothing.
    Follower,
    /// `kill -9` of a leader under a producer.
    LeaderKilled,
    /// A clean stop of a leader under a producer.
    LeaderStopped,
    /// `kill -9` of the active controller.
    ControllerKilled,
    /// A cluster with partitions that nobody uses.
    Idle,
    /// Many partitions: their creation, the death of a node, a restart of all.
    Many,
}

impl ClusterWork {
    /// Every work, in the order in which a round plays them.
    pub const ALL: [Self; 9] = [
        Self::Replicated(Work::Produce1K),
        Self::Replicated(Work::Latency1000),
        Self::Replicated(Work::Latency10000),
        Self::Follower,
        Self::LeaderKilled,
        Self::LeaderStopped,
        Self::ControllerKilled,
        Self::Idle,
        Self::Many,
    ];

    /// A name for tables and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replicated(work) => work.name(),
            Self::Follower => "follower",
            Self::LeaderKilled => "leader-killed",
            Self::LeaderStopped => "leader-stopped",
            Self::ControllerKilled => "controller-killed",
            Self::Idle => "idle-1000-partitions",
            Self::Many => "many-partitions",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Replicated(work) => work.sentence(),
            Self::Follower => "produce records of 1 KiB, acks=all; the CPU of the nodes that only copy",
            Self::LeaderKilled => "1,000 records a second, acks=all, while a leader is killed with -9",
            Self::LeaderStopped => "1,000 records a second, acks=all, while a leader is stopped in order",
            Self::ControllerKilled => "from kill -9 of the active controller until a topic is created",
            Self::Idle => "the CPU of a node with 1,000 partitions, three replicas each, that nobody uses",
            Self::Many => "--partitions N: create them, kill a node, restart all",
        }
    }

    /// Plays it once.
    pub fn play(self, cluster: &mut Cluster, megabytes: usize, seconds: u64, many: i32) -> Result<Vec<Figure>, String> {
        match self {
            Self::Replicated(work) => work.play(&cluster.view(), megabytes, seconds),
            Self::Follower => follower(cluster, megabytes),
            Self::LeaderKilled => leader_goes(cluster, Cluster::kill),
            Self::LeaderStopped => leader_goes(cluster, |cluster, place| cluster.stop(&[place])),
            Self::ControllerKilled => controller_killed(cluster),
            Self::Idle => idle(cluster),
            Self::Many => many_partitions(cluster, many),
        }
    }
}

/// The CPU of the followers of one leader.
fn follower(cluster: &Cluster, megabytes: usize) -> Result<Vec<Figure>, String> {
    let (view, bytes) = (cluster.view(), megabytes * 1_000_000);
    let replicas = [1, 2, 3];
    let topic = load::create_placed(&view, "follower", PARTITIONS, &replicas, load::PATIENCE)?;
    let production = load::Production { settings: &[("linger.ms", "5")], record_bytes: RECORD_BYTES, keys: 0 };
    production.run(&view, &topic, 1_000_000)?;
    view.settle();
    let nodes = (0..NODES).map(|place| cluster.node(place)).collect::<Result<Vec<_>, _>>()?;
    let before: Vec<_> = nodes.iter().map(|node| node.cpu()).collect();
    production.run(&view, &topic, bytes)?;
    let per_gigabyte: Vec<f64> = (nodes.iter().zip(&before))
        .map(|(node, before)| node.cpu_seconds_since(before) / (bytes as f64 / 1e9))
        .collect();
    load::delete_topic(&view, &topic)?;
    let followers = &per_gigabyte[1..];
    Ok(vec![
        ("leader's CPU s/GB", per_gigabyte[0]),
        ("a follower's CPU s/GB", followers.iter().sum::<f64>() / followers.len() as f64),
    ])
}

/// How long producers wait when the leader of some partitions goes.
fn leader_goes(cluster: &mut Cluster, goes: impl Fn(&mut Cluster, Place)) -> Result<Vec<Figure>, String> {
    let view = cluster.view();
    let topic = load::create_topic(&view, "steady", STEADY_PARTITIONS)?;
    cluster.until_ready(Some(&topic))?;
    // Not the active controller: that is another work.
    let victim = (cluster.active_controller()? + 1) % NODES;
    let led = leads(cluster, &topic, victim)?;
    if led.is_empty() {
        return Err("the node leads nothing".to_owned());
    }
    let (all, gone) = steady::during(&view, &topic, STEADY_PARTITIONS, |origin| {
        thread::sleep(AROUND);
        let gone = origin.elapsed();
        goes(cluster, victim);
        until(|| Ok(leads(cluster, &topic, victim)?.is_empty()))?;
        thread::sleep(AROUND);
        Ok(gone)
    })?;
    cluster.heal(&topic)?;
    load::delete_topic(&cluster.view(), &topic)?;
    let resumed = |partition: &i32| {
        let later = all.iter().filter(|record| record.partition == *partition && record.due >= gone);
        later.map(|record| record.at).min().unwrap_or(Duration::MAX)
    };
    let resumed = led.iter().map(resumed).max().unwrap_or(Duration::MAX).saturating_sub(gone);
    // The first records wait until the client knows the cluster.
    let later = all.iter().filter(|record: &&Acknowledged| record.due >= AROUND / 2);
    let longest = later.map(|record| record.at.saturating_sub(record.due)).max();
    Ok(vec![
        ("to the next acknowledged record, s", resumed.as_secs_f64()),
        ("longest wait of a record, s", longest.unwrap_or_default().as_secs_f64()),
    ])
}

/// From the death of the active controller until the cluster decides again.
fn controller_killed(cluster: &mut Cluster) -> Result<Vec<Figure>, String> {
    let active = cluster.active_controller()?;
    let began = Instant::now();
    cluster.kill(active);
    let view = cluster.view();
    // A topic of the two nodes that are there.
    let replicas: Vec<i32> = (0..NODES).filter(|place| *place != active).map(|place| place as i32 + 1).collect();
    let topic = loop {
        match load::create_placed(&view, "controller", 1, &replicas, ATTEMPT) {
            Ok(topic) => break topic,
            Err(why) if began.elapsed() > READY_MAX => return Err(why),
            Err(_) => thread::sleep(LOOK),
        }
    };
    let took = began.elapsed();
    load::delete_topic(&view, &topic)?;
    cluster.launch(active)?;
    cluster.until_ready(None)?;
    Ok(vec![("to the next topic, s", took.as_secs_f64())])
}

/// What partitions cost that nobody uses.
fn idle(cluster: &Cluster) -> Result<Vec<Figure>, String> {
    let view = cluster.view();
    let topic = load::create_topic(&view, "idle", IDLE_PARTITIONS)?;
    cluster.until_ready(Some(&topic))?;
    view.settle();
    thread::sleep(IDLE / 2);
    let before = view.cpu();
    thread::sleep(IDLE);
    let share = view.cpu_seconds_since(&before) / IDLE.as_secs_f64() / NODES as f64;
    load::delete_topic(&view, &topic)?;
    Ok(vec![("CPU of a node, %", share * 100.0)])
}

/// What many partitions cost: in time until they are there, until a dead node's are led by others, until all nodes are back
/// from a restart; and in memory.
fn many_partitions(cluster: &mut Cluster, partitions: i32) -> Result<Vec<Figure>, String> {
    let began = Instant::now();
    let mut topics = Vec::new();
    let mut left = partitions;
    while left > 0 {
        let of_topic = left.min(TOPIC_PARTITIONS);
        topics.push(load::create_topic(&cluster.view(), "many", of_topic)?);
        left -= of_topic;
    }
    for topic in &topics {
        cluster.until_ready(Some(topic))?;
    }
    let created = until_at_rest(cluster).saturating_duration_since(began);
    let mut figures = vec![("to create, s", created.as_secs_f64())];

    let victim = (cluster.active_controller()? + 1) % NODES;
    let began = Instant::now();
    cluster.kill(victim);
    let view = cluster.view();
    until(|| Ok(ask(&view, None)?.brokers().iter().all(|broker| broker.id() != victim as i32 + 1)))?;
    let fenced = began.elapsed();
    for topic in &topics {
        until(|| Ok(leads(cluster, topic, victim)?.is_empty()))?;
    }
    figures.push(("a killed node is fenced after, s", fenced.as_secs_f64()));
    figures.push(("its partitions are led after that, s", (began.elapsed() - fenced).as_secs_f64()));

    cluster.launch(victim)?;
    for topic in &topics {
        cluster.until_ready(Some(topic))?;
    }
    until_at_rest(cluster);
    let began = Instant::now();
    cluster.stop(&[0, 1, 2]);
    figures.push(("to stop all nodes, s", began.elapsed().as_secs_f64()));
    let began = Instant::now();
    for place in 0..NODES {
        cluster.launch(place)?;
    }
    for topic in &topics {
        cluster.until_ready(Some(topic))?;
    }
    figures.push(("to start all nodes until all is in sync, s", began.elapsed().as_secs_f64()));
    figures.push(("resident memory of a node, MB", cluster.view().resident_mb()));
    for topic in &topics {
        load::delete_topic(&cluster.view(), topic)?;
    }
    Ok(figures)
}

/// Waits until the nodes have done what follows from what was decided, such as making the directories of partitions; says since
/// when. A machine that never rests is waited for no longer than for anything else.
fn until_at_rest(cluster: &Cluster) -> Instant {
    cluster.view().rest(READY_MAX, REST, RESTING_SHARE * NODES as f64)
}

/// The partitions of a topic that a node leads, or that nobody leads.
fn leads(cluster: &Cluster, topic: &str, place: Place) -> Result<Vec<i32>, String> {
    let metadata = ask(&cluster.view(), Some(topic))?;
    let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    let led = partitions.filter(|partition| partition.leader() == place as i32 + 1 || partition.leader() < 0);
    Ok(led.map(rdkafka::metadata::MetadataPartition::id).collect())
}

/// Waits until it holds. A question that fails meanwhile is asked again.
fn until(holds: impl Fn() -> Result<bool, String>) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match holds() {
            Ok(true) => return Ok(()),
            Ok(false) | Err(_) if began.elapsed() < READY_MAX + ANSWER_MAX => thread::sleep(LOOK),
            Ok(false) => return Err("the cluster does not become what it should be".to_owned()),
            Err(why) => return Err(why),
        }
    }
}
