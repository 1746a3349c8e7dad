//! What groups cost a node that runs: members that only send heartbeats, and commits of many partitions.
//!
//! ```text
//! group_load HOST:PORT classic  MEMBERS SECONDS [PID]     heartbeats of the classic protocol, every 3 s
//! group_load HOST:PORT consumer MEMBERS SECONDS [PID]     heartbeats of the consumer protocol (KIP-848), every 5 s
//! group_load HOST:PORT commit   COMMITS                   commits of 100 partitions, one after the other
//! ```
//!
//! Ten members make a group, and each has a connection of its own. With the node's PID its CPU time and memory are told.
//! For `classic` the node needs `group.initial.rebalance.delay.ms` of some seconds, so that members join together.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut as _, BytesMut};
use m::create_topics_request::CreatableTopic;
use m::join_group_request::JoinGroupRequestProtocol;
use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use m::sync_group_request::SyncGroupRequestAssignment;
use thalweg_base::Uuid;
use thalweg_sys::net::TcpStream;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now, sleep_until};
use thalweg_wire::messages as m;
use thalweg_wire::{Codec as _, Reader, Request, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Failure = Box<dyn Error + Send + Sync>;

const GROUP_SIZE: usize = 10;
const COMMIT_PARTITIONS: i32 = 100;
const TOPIC: &str = "group-load";

/// What all members count together.
#[derive(Default)]
struct Counts {
    joined: AtomicUsize,
    heartbeats: AtomicUsize,
    errors: AtomicUsize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        [node, "commit", commits] => commit(node, commits.parse()?).await,
        [node, protocol @ ("classic" | "consumer"), members, seconds] => {
            members_of(node, protocol, members.parse()?, seconds.parse()?, None).await
        }
        [node, protocol @ ("classic" | "consumer"), members, seconds, pid] => {
            members_of(node, protocol, members.parse()?, seconds.parse()?, Some(pid)).await
        }
        _ => {
            Err("usage: group_load HOST:PORT classic|consumer MEMBERS SECONDS [PID], or HOST:PORT commit COMMITS"
                .into())
        }
    }
}

async fn members_of(
    node: &str,
    protocol: &str,
    members: usize,
    seconds: u64,
    pid: Option<&str>,
) -> Result<(), Failure> {
    let mut first = TcpStream::connect(node).await?;
    create_topic(&mut first).await?;
    let counts = Arc::new(Counts::default());
    let began = now();
    for number in 0..members {
        let (node, counts, is_classic) = (node.to_owned(), Arc::clone(&counts), protocol == "classic");
        task::spawn(async move {
            let lived = match is_classic {
                true => classic_member(&node, number, &counts).await,
                false => consumer_member(&node, number, &counts).await,
            };
            if let Err(e) = lived {
                counts.errors.fetch_add(1, Ordering::Relaxed);
                eprintln!("member {number}: {e}");
            }
        });
        if number % 100 == 99 {
            sleep_until(now() + Duration::from_millis(20)).await;
        }
    }
    while counts.joined.load(Ordering::Relaxed) + counts.errors.load(Ordering::Relaxed) < members {
        sleep_until(now() + Duration::from_millis(100)).await;
    }
    println!("{members} members have joined after {:.1} s", began.elapsed().as_secs_f64());
    // The first heartbeats spread over one interval.
    sleep_until(now() + Duration::from_secs(6)).await;
    let (cpu, heartbeats, began) = (cpu_ticks(pid)?, counts.heartbeats.load(Ordering::Relaxed), now());
    sleep_until(now() + Duration::from_secs(seconds)).await;
    let elapsed = began.elapsed().as_secs_f64();
    let rate = (counts.heartbeats.load(Ordering::Relaxed) - heartbeats) as f64 / elapsed;
    println!("{rate:.0} heartbeats a second, {} errors", counts.errors.load(Ordering::Relaxed));
    if let (Some(name), Some(before), Some(after)) = (pid, cpu, cpu_ticks(pid)?) {
        // The kernel counts in hundredths of a second.
        println!("{:.1}% of a core, {} resident", (after - before) as f64 / elapsed, resident(name)?);
    }
    Ok(())
}

async fn create_topic(stream: &mut TcpStream) -> Result<Uuid, Failure> {
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: COMMIT_PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = m::CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    exchange(stream, &request, 7).await?;
    let topics = vec![m::metadata_request::MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() }];
    let known = exchange(stream, &m::MetadataRequest { topics: Some(topics), ..Default::default() }, 12).await?;
    let find = m::FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    exchange(stream, &find, 6).await?;
    Ok(known.topics.first().ok_or("the topic is missing")?.topic_id)
}

async fn classic_member(node: &str, number: usize, counts: &Counts) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(node).await?;
    let group = format!("classic-{}", number / GROUP_SIZE);
    let mut join = m::JoinGroupRequest {
        group_id: group.as_str().into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: vec![7; 60].into() }],
        ..Default::default()
    };
    // Version 3 does not ask for a member id first.
    let mut joined = exchange(&mut stream, &join, 3).await?;
    loop {
        ok(joined.error_code, "JoinGroup")?;
        let member = |member: &m::join_group_response::JoinGroupResponseMember| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: vec![7; 80].into(),
        };
        let sync = m::SyncGroupRequest {
            group_id: group.as_str().into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments: joined.members.iter().map(member).collect(),
            ..Default::default()
        };
        let synced = exchange(&mut stream, &sync, 2).await?;
        if synced.error_code == 0 {
            break;
        }
        join.member_id = joined.member_id.clone();
        joined = exchange(&mut stream, &join, 3).await?;
    }
    counts.joined.fetch_add(1, Ordering::Relaxed);
    let heartbeat = m::HeartbeatRequest {
        group_id: group.as_str().into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        ..Default::default()
    };
    let mut due = spread(number, 3000);
    loop {
        sleep_until(due).await;
        due += Duration::from_millis(3000);
        ok(exchange(&mut stream, &heartbeat, 4).await?.error_code, "Heartbeat")?;
        counts.heartbeats.fetch_add(1, Ordering::Relaxed);
    }
}

async fn consumer_member(node: &str, number: usize, counts: &Counts) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(node).await?;
    let member = Uuid::from_random((number as u128 + 1).to_be_bytes()).to_string();
    let mut heartbeat = m::ConsumerGroupHeartbeatRequest {
        group_id: format!("consumer-{}", number / GROUP_SIZE).into(),
        member_id: member.into(),
        rebalance_timeout_ms: 300_000,
        subscribed_topic_names: Some(vec![TOPIC.into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let mut due = spread(number, 5000);
    let mut is_first = true;
    loop {
        let answer = exchange(&mut stream, &heartbeat, 1).await?;
        ok(answer.error_code, "ConsumerGroupHeartbeat")?;
        let counter = if std::mem::take(&mut is_first) { &counts.joined } else { &counts.heartbeats };
        counter.fetch_add(1, Ordering::Relaxed);
        heartbeat.member_epoch = answer.member_epoch;
        // What has not changed is not said again.
        heartbeat.rebalance_timeout_ms = -1;
        heartbeat.subscribed_topic_names = None;
        heartbeat.topic_partitions = answer.assignment.map(|given| {
            let owned = |topic: m::consumer_group_heartbeat_response::TopicPartitions| {
                m::consumer_group_heartbeat_request::TopicPartitions {
                    topic_id: topic.topic_id,
                    partitions: topic.partitions,
                }
            };
            given.topic_partitions.into_iter().map(owned).collect()
        });
        if heartbeat.topic_partitions.is_none() {
            sleep_until(due).await;
            due += Duration::from_millis(5000);
        }
    }
}

/// When a member sends its first heartbeat, so that all of them spread over the interval.
fn spread(number: usize, interval_ms: u64) -> Instant {
    now() + Duration::from_millis(number as u64 * 7919 % interval_ms)
}

async fn commit(node: &str, commits: usize) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(node).await?;
    stream.set_nodelay(true)?;
    let topic_id = create_topic(&mut stream).await?;
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    let partitions: Vec<_> = (0..COMMIT_PARTITIONS).map(partition).collect();
    let topics = vec![OffsetCommitRequestTopic { topic_id, partitions, ..Default::default() }];
    let mut request = m::OffsetCommitRequest { topics, ..Default::default() };
    let mut took = Vec::with_capacity(commits);
    for number in 0..commits {
        // A group of its own each time: nothing replaces what was committed before.
        request.group_id = format!("commit-{number}").into();
        let began = now();
        let response = exchange(&mut stream, &request, 10).await?;
        took.push(began.elapsed());
        ok(response.topics[0].partitions[0].error_code, "OffsetCommit")?;
    }
    took.sort();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    println!("{commits} commits of {COMMIT_PARTITIONS} partitions: half within {:?}, 99% within {:?}", at(50), at(99));
    Ok(())
}

fn ok(error_code: i16, what: &str) -> Result<(), Failure> {
    if error_code == 0 { Ok(()) } else { Err(format!("{what} was answered with error {error_code}").into()) }
}

/// User and system time of a process, in the kernel's ticks.
fn cpu_ticks(pid: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(pid) = pid else { return Ok(None) };
    let stat = String::from_utf8(thalweg_sys::fs::read(format!("/proc/{pid}/stat").as_ref())?)?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Some(field(11) + field(12)))
}

/// The memory that a process holds now, as the kernel writes it.
fn resident(pid: &str) -> Result<String, Failure> {
    let status = String::from_utf8(thalweg_sys::fs::read(format!("/proc/{pid}/status").as_ref())?)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.unwrap_or("unknown").trim().to_owned())
}

/// Asks, and gives the answer.
async fn exchange<Q: Request>(stream: &mut TcpStream, request: &Q, version: i16) -> Result<Q::Response, Failure> {
    let header = m::RequestHeader {
        request_api_key: Q::API.code(),
        request_api_version: version,
        client_id: Some("group-load".into()),
        ..Default::default()
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, Q::API.request_header_version(version))?;
    request.encode(&mut writer, version)?;
    let body = writer.into_bytes();
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(body.len())?);
    frame.extend_from_slice(&body);
    stream.write_all(&frame).await?;
    let mut answer = vec![0; usize::try_from(stream.read_i32().await?)?];
    stream.read_exact(&mut answer).await?;
    let mut reader = Reader::new(answer.into());
    m::ResponseHeader::decode(&mut reader, Q::API.response_header_version(version))?;
    Ok(Q::Response::decode(&mut reader, version)?)
}
