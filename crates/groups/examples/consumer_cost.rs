//! What members of the consumer protocol (KIP-848) cost: `consumer_cost MEMBERS PER_GROUP ROUNDS` lets so many members
//! join groups of that size, heartbeats until all groups are stable, and then lets everyone send so many heartbeats, one
//! each five seconds. Run it under `time -v` with and without the rounds, and take the difference.

use std::collections::BTreeMap;
use std::error::Error;

use thalweg_base::{LeaderEpoch, Moment, Offset, Timestamp, Uuid};
use thalweg_coordinator::{Effect, Machine, Origin, Ticket};
use thalweg_groups::{Answer, Caller, Describable, Now, Request, Settings, Shard};
use thalweg_metadata::MetadataImage;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

/// The interval of heartbeats.
const INTERVAL_MS: i64 = 5_000;

/// The topic that all members read, and how many partitions it has.
const TOPIC: Uuid = Uuid([7; 16]);
const PARTITIONS: i32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [members, per_group, rounds] = arguments[..] else {
        return Err("consumer_cost MEMBERS PER_GROUP ROUNDS".into());
    };
    let mut bench = Bench::new();
    let mut members: Vec<Member> = (0..members).map(|number| Member::new(number, per_group)).collect();
    for member in &mut members {
        bench.beat(member)?;
    }
    let mut settling = 0;
    while bench.changed {
        bench.changed = false;
        bench.now += INTERVAL_MS;
        for member in &mut members {
            bench.beat(member)?;
        }
        settling += 1;
    }
    let owned: usize = members.iter().map(|member| member.owned.values().map(Vec::len).sum::<usize>()).sum();
    println!("{} members have {owned} partitions after {settling} rounds, {} records", members.len(), bench.records);
    for _ in 0..rounds {
        bench.now += INTERVAL_MS;
        for member in &mut members {
            bench.beat(member)?;
        }
    }
    println!("{} heartbeats", bench.tickets);
    Ok(())
}

struct Member {
    group: String,
    id: String,
    epoch: i32,
    owned: BTreeMap<Uuid, Vec<i32>>,
    /// Whether the next heartbeat says what it has.
    says: bool,
}

impl Member {
    fn new(number: usize, per_group: usize) -> Self {
        Self {
            group: format!("group-{}", number / per_group),
            id: format!("{number:08}-0f0f-4f0f-8f0f-0f0f0f0f0f0f"),
            epoch: 0,
            owned: BTreeMap::new(),
            says: true,
        }
    }

    fn request(&self) -> m::ConsumerGroupHeartbeatRequest {
        let owned = || self.owned.iter().map(|(topic, partitions)| (*topic, partitions.clone()));
        let listed = || owned().map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions }).collect();
        m::ConsumerGroupHeartbeatRequest {
            group_id: self.group.as_str().into(),
            member_id: self.id.as_str().into(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if self.epoch == 0 { 300_000 } else { -1 },
            subscribed_topic_names: (self.epoch == 0).then(|| vec!["topic".into()]),
            topic_partitions: self.says.then(listed),
            ..Default::default()
        }
    }
}

struct Bench {
    shard: Shard,
    image: MetadataImage,
    caller: Caller,
    now: i64,
    tickets: u64,
    records: i64,
    /// Whether something moved since it was last set back.
    changed: bool,
}

impl Bench {
    fn new() -> Self {
        let mut image = MetadataImage::default();
        let topic = m::TopicRecord { name: "topic".into(), topic_id: TOPIC };
        image.replay(&topic.into(), Offset(0));
        for partition_id in 0..PARTITIONS {
            let partition = m::PartitionRecord { partition_id, topic_id: TOPIC, ..Default::default() };
            image.replay(&partition.into(), Offset(0));
        }
        let caller = Caller {
            version: 1,
            client_id: "consumer".into(),
            client_host: "/127.0.0.1".into(),
            listener: "PLAINTEXT".into(),
            describable: Describable::all(),
        };
        let mut shard = Shard::new(Settings::default(), LeaderEpoch(0), 1);
        shard.loaded(moment(0), &image);
        Self { shard, image, caller, now: 0, tickets: 0, records: 0, changed: false }
    }

    fn beat(&mut self, member: &mut Member) -> Result<(), Box<dyn Error>> {
        let request = Request::ConsumerGroupHeartbeat(member.request());
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut effects = self.shard.request(moment(self.now), &self.image, ticket, &self.caller, request);
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Write { write, records, .. } => {
                    self.changed = true;
                    for record in &records {
                        let timestamp = moment(self.now).timestamp;
                        let origin = Origin { offset: Offset(self.records), timestamp, producer: None };
                        self.shard.replay(origin, record);
                        self.records += 1;
                    }
                    effects.extend(self.shard.written(moment(self.now), &self.image, write, Ok(())));
                }
                Effect::Answer { answer: Answer::ConsumerGroupHeartbeat(response), .. } if response.error_code == 0 => {
                    member.hear(response);
                }
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok(())
    }
}

impl Member {
    fn hear(&mut self, response: m::ConsumerGroupHeartbeatResponse) {
        self.epoch = response.member_epoch;
        self.says = response.assignment.is_some();
        if let Some(assignment) = response.assignment {
            let topics = assignment.topic_partitions.into_iter();
            self.owned = topics.map(|topic| (topic.topic_id, topic.partitions)).collect();
        }
    }
}

fn moment(ms: i64) -> Now {
    Now { moment: Moment(ms), timestamp: Timestamp(1_700_000_000_000 + ms) }
}
