//! What loading and heartbeats cost: run one of these under `time`, with and without the work, and take the difference.
//!
//! `cost records N` makes the records of N commits, `cost load N` replays them too; `cost members N` makes a group of N
//! members in groups of 100, `cost heartbeats N` has each of them send 20 heartbeats, a minute's worth at the default of 3 s.

use std::error::Error;

use thalweg_base::{LeaderEpoch, Moment, Offset, Timestamp};
use thalweg_coordinator::{Effect, LogRecord, Machine, Origin, Ticket};
use thalweg_groups::records::Record;
use thalweg_groups::{Answer, Caller, Describable, Now, Request, Settings, Shard};
use thalweg_metadata::MetadataImage;
use thalweg_wire::messages as m;
use thalweg_wire::messages::group_metadata_value::MemberMetadata;

const MEMBERS_PER_GROUP: usize = 100;
const HEARTBEATS: i64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, count] = &arguments[..] else { return Err("cost records|load|members|heartbeats N".into()) };
    let count: usize = count.parse()?;
    let mut shard = Shard::new(Settings::default(), LeaderEpoch(0), 1);
    match what.as_str() {
        "records" => println!("{} bytes of keys", commits(count)?.iter().map(|r| r.key.len()).sum::<usize>()),
        "load" => replay(&mut shard, &commits(count)?),
        "members" => replay(&mut shard, &groups(count)?),
        "heartbeats" => {
            replay(&mut shard, &groups(count)?);
            println!("{} heartbeats", heartbeats(&mut shard, count)?);
        }
        other => return Err(format!("{other} is nothing to measure").into()),
    }
    Ok(())
}

fn replay(shard: &mut Shard, records: &[LogRecord]) {
    for (offset, record) in (0..).zip(records) {
        shard.replay(Origin { offset: Offset(offset), timestamp: Timestamp(1), producer: None }, record);
    }
}

/// Offsets of 1000 groups in 10 topics each.
fn commits(count: usize) -> Result<Vec<LogRecord>, Box<dyn Error>> {
    let mut records = Vec::with_capacity(count);
    for at in 0..count {
        let (group, topic) = (format!("group-{}", at % 1_000), format!("topic-{}", at / 1_000 % 10));
        let partition = i32::try_from(at / 10_000)?;
        let key = m::OffsetCommitKey { group: group.into(), topic: topic.into(), partition };
        let value = m::OffsetCommitValue { offset: 1, ..Default::default() };
        records.push(Record::from((key, value)).encode()?);
    }
    Ok(records)
}

fn member_id(at: usize) -> String {
    format!("consumer-{at:08}-0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f")
}

fn groups(members: usize) -> Result<Vec<LogRecord>, Box<dyn Error>> {
    let mut records = Vec::new();
    for group in 0..members.div_ceil(MEMBERS_PER_GROUP) {
        let first = group * MEMBERS_PER_GROUP;
        let members = (first..first + MEMBERS_PER_GROUP).map(|at| MemberMetadata {
            member_id: member_id(at).into(),
            client_id: "consumer".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout: 300_000,
            session_timeout: 45_000,
            subscription: vec![0; 200].into(),
            assignment: vec![0; 200].into(),
            ..Default::default()
        });
        let value = m::GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 1,
            protocol: Some("range".into()),
            leader: Some(member_id(first).into()),
            members: members.collect(),
            ..Default::default()
        };
        let key = m::GroupMetadataKey { group: format!("group-{group}").into() };
        records.push(Record::from((key, value)).encode()?);
    }
    Ok(records)
}

fn heartbeats(shard: &mut Shard, members: usize) -> Result<u64, Box<dyn Error>> {
    let image = MetadataImage::default();
    let at = |ms: i64| Now { moment: Moment(ms), timestamp: Timestamp(ms) };
    let caller = Caller {
        version: 4,
        client_id: "consumer".into(),
        client_host: "/127.0.0.1".into(),
        listener: "PLAINTEXT".into(),
        describable: Describable::all(),
    };
    shard.loaded(at(0), &image);
    let mut sent = 0;
    for round in 1..=HEARTBEATS {
        for member in 0..members {
            let request = m::HeartbeatRequest {
                group_id: format!("group-{}", member / MEMBERS_PER_GROUP).into(),
                generation_id: 1,
                member_id: member_id(member).into(),
                group_instance_id: None,
            };
            let effects = shard.request(at(round * 3_000), &image, Ticket(sent), &caller, Request::Heartbeat(request));
            sent += 1;
            match &effects[..] {
                [Effect::Answer { answer: Answer::Heartbeat(response), .. }] if response.error_code == 0 => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
        shard.tick(at(round * 3_000), &image);
    }
    Ok(sent)
}
