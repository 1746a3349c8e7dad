//! A shard, its log whose end may be lost, and time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, Moment, Offset, Timestamp, Uuid};
use thalweg_coordinator::{Effect, LogRecord, Machine, Now, Origin, Ticket};
use thalweg_metadata::{Changes, MetadataImage, Provenance};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, PartitionRecord, RemoveTopicRecord, TopicRecord,
};

use crate::describable::Describable;
use crate::request::{Answer, Caller, Request};
use crate::settings::Settings;
use crate::shard::Shard;

/// The group of every run.
pub(super) const GROUP: &str = "g";

/// The topic that its members read, by name and id.
pub(super) const TOPIC: (&str, Uuid) = ("t", Uuid([7; 16]));

/// How many partitions the topic has.
pub(super) const PARTITIONS: i32 = 7;

/// Within what time the shard has said its answer: two rebalances that nobody else joins fit into it.
const ANSWERED_WITHIN_MS: i64 = 60_000;

/// Random numbers from a seed.
pub(in crate::tests) struct Random(u64);

impl Random {
    pub(in crate::tests) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(in crate::tests) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(in crate::tests) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    pub(in crate::tests) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// See the module.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: i64,
    pub(super) shard: Shard,
    /// The leader stops in the middle of its next write.
    pub(super) crash_soon: bool,
    /// It has done so.
    pub(super) has_crashed: bool,
    /// The log refuses the next write.
    pub(super) refuse_next_write: bool,
    /// The highest offset of each partition whose commit a member was told to have succeeded.
    pub(super) acknowledged: BTreeMap<i32, i64>,
    /// Who was told to own a partition, by generation and partition.
    pub(super) owners: BTreeMap<(i32, i32), String>,
    image: MetadataImage,
    settings: Settings,
    log: Vec<(Origin, LogRecord)>,
    /// Where its batches end.
    ends: Vec<usize>,
    committed: usize,
    /// Answers that wait until so much of the log is committed.
    held: VecDeque<(usize, Ticket, Answer)>,
    open: BTreeMap<Ticket, i64>,
    tickets: u64,
    epoch: i32,
    next_offset: i64,
    faulty: bool,
}

impl World {
    pub(super) fn new(random: Random) -> Self {
        let settings = Settings {
            initial_rebalance_delay: Duration::from_secs(1),
            // Short ones, so that much happens.
            session_timeout_min: Duration::from_secs(1),
            consumer_session_timeout: Duration::from_secs(6),
            consumer_session_timeout_min: Duration::from_secs(1),
            consumer_heartbeat_interval: Duration::from_secs(1),
            consumer_heartbeat_interval_min: Duration::from_secs(1),
            consumer_assignment_interval: Duration::ZERO,
            ..Settings::default()
        };
        let shard = Shard::new(settings.clone(), LeaderEpoch(0), 0);
        let mut image = MetadataImage::default();
        let topic = TopicRecord { name: TOPIC.0.into(), topic_id: TOPIC.1 };
        image.replay(&topic.into(), Offset(0));
        for partition_id in 0..PARTITIONS {
            let partition = PartitionRecord { partition_id, topic_id: TOPIC.1, ..PartitionRecord::default() };
            image.replay(&partition.into(), Offset(1));
        }
        let mut world = Self {
            random,
            now: 0,
            shard,
            crash_soon: false,
            has_crashed: false,
            refuse_next_write: false,
            acknowledged: BTreeMap::new(),
            owners: BTreeMap::new(),
            image,
            settings,
            log: Vec::new(),
            ends: Vec::new(),
            committed: 0,
            held: VecDeque::new(),
            open: BTreeMap::new(),
            tickets: 0,
            epoch: 0,
            next_offset: 1,
            faulty: true,
        };
        let effects = world.shard.loaded(world.moment(), &world.image);
        world.carry_out(effects);
        world
    }

    pub(super) fn moment(&self) -> Now {
        Now { moment: Moment(self.now), timestamp: Timestamp(1_700_000_000_000 + self.now) }
    }

    /// Sends a request, whose answer comes when it is committed.
    pub(super) fn send(&mut self, version: i16, request: Request) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.open.insert(ticket, self.now);
        if !self.has_crashed {
            let effects = self.shard.request(self.moment(), &self.image, ticket, &caller(version), request);
            self.carry_out(effects);
        }
        self.pass(0);
        ticket
    }

    /// Looks at what is so at this moment, committed or not, with a request that writes nothing.
    pub(super) fn look(&mut self, request: Request) -> Answer {
        let effects = self.shard.request(self.moment(), &self.image, Ticket(u64::MAX), &caller(9), request);
        match <[_; 1]>::try_from(effects) {
            Ok([Effect::Answer { answer, .. }]) => answer,
            other => panic!("it is answered at once: {other:?}"),
        }
    }

    /// Time passes, and what is due is done.
    pub(super) fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(due) = self.shard.next_deadline().filter(|due| due.0 <= until && !self.has_crashed) {
            self.now = self.now.max(due.0);
            let effects = self.shard.tick(self.moment(), &self.image);
            self.carry_out(effects);
        }
        self.now = until;
        self.check_open();
    }

    /// Nobody waits for longer than it can be explained.
    pub(super) fn check_open(&self) {
        for (ticket, asked) in &self.open {
            assert!(self.now - asked <= ANSWERED_WITHIN_MS, "{ticket:?} of {asked} is not answered at {}", self.now);
        }
    }

    /// Some of the log is committed.
    pub(super) fn commit_some(&mut self) {
        let upto = self.committed + self.random.below(self.log.len() - self.committed + 1);
        self.committed = self.end_of_batch(upto);
    }

    /// The end of the last batch that is complete there: batches are committed and lost as a whole.
    fn end_of_batch(&self, at: usize) -> usize {
        self.ends.iter().rev().copied().find(|end| *end <= at).unwrap_or(0)
    }

    /// All of the log is committed.
    pub(super) fn commit_all(&mut self) {
        self.committed = self.log.len();
    }

    /// Nothing fails from now on.
    pub(super) fn calm(&mut self) {
        self.faulty = false;
        self.crash_soon = false;
        self.refuse_next_write = false;
        self.commit_all();
    }

    /// An answer that may be known.
    pub(super) fn next_delivery(&mut self) -> Option<(Ticket, Answer)> {
        if self.random.percent(70) {
            self.commit_some();
        }
        let (needs, _, _) = self.held.front()?;
        if *needs > self.committed {
            return None;
        }
        self.held.pop_front().map(|(_, ticket, answer)| (ticket, answer))
    }

    /// Whether things still go wrong.
    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// The id of a topic and how many partitions it has.
    pub(super) fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        let topic = self.image.topics().by_name(name)?;
        Some((topic.id, i32::try_from(topic.partition_count()).expect("a small topic")))
    }

    /// A topic is created, grows, or is deleted.
    pub(super) fn change_topic(&mut self, name: &str) {
        let mut image = self.image.clone();
        let offset = Offset(image.provenance().offset.0 + 1);
        let add = |image: &mut MetadataImage, topic_id, partition_id| {
            let partition = PartitionRecord { partition_id, topic_id, ..PartitionRecord::default() };
            image.replay(&partition.into(), offset);
        };
        match self.topic(name) {
            None => {
                let topic_id = Uuid(u128::from(self.random.next()).to_be_bytes());
                image.replay(&TopicRecord { name: name.into(), topic_id }.into(), offset);
                add(&mut image, topic_id, 0);
            }
            Some((topic_id, count)) if count < 5 && self.random.percent(60) => add(&mut image, topic_id, count),
            Some((topic_id, _)) => image.replay(&RemoveTopicRecord { topic_id }.into(), offset),
        }
        image.set_provenance(Provenance { offset, ..image.provenance() });
        let changes = Changes::between(&self.image, &image);
        self.image = image;
        let effects = self.shard.metadata_changed(self.moment(), &self.image, &changes);
        self.carry_out(effects);
    }

    /// Another node leads the partition. It may have less of the log, but all that was committed.
    pub(super) fn fail_over(&mut self) {
        let lost = self.random.below(self.log.len() - self.committed + 1);
        let end = self.end_of_batch(self.log.len() - lost);
        self.log.truncate(end);
        self.ends.retain(|other| *other <= end);
        self.commit_all();
        self.epoch += 1;
        self.open.clear();
        self.held.clear();
        (self.has_crashed, self.crash_soon) = (false, false);
        let seed = self.random.next();
        self.shard = Shard::new(self.settings.clone(), LeaderEpoch(self.epoch), seed);
        for (origin, record) in &self.log {
            self.shard.replay(*origin, record);
        }
        let effects = self.shard.loaded(self.moment(), &self.image);
        self.carry_out(effects);
        self.pass(0);
    }

    fn carry_out(&mut self, effects: Vec<Effect<Answer>>) {
        for effect in effects {
            if self.has_crashed {
                return;
            }
            match effect {
                Effect::Answer { ticket, answer } => {
                    let asked = self.open.remove(&ticket);
                    assert!(asked.is_some(), "{ticket:?} is answered though it does not wait: {answer:?}");
                    self.held.push_back((self.log.len(), ticket, answer));
                }
                Effect::Write { write, producer, records } => {
                    assert_eq!(producer, None);
                    let result = self.append(records);
                    if !self.has_crashed {
                        let next = self.shard.written(self.moment(), &self.image, write, result);
                        self.carry_out(next);
                    }
                }
            }
        }
    }

    fn append(&mut self, records: Vec<LogRecord>) -> Result<(), ErrorCode> {
        if std::mem::take(&mut self.refuse_next_write) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        if self.crash_soon && self.random.percent(50) {
            self.has_crashed = true;
            return Ok(());
        }
        for record in records {
            let offset = Offset(i64::try_from(self.log.len()).expect("a short log"));
            let origin = Origin { offset, timestamp: self.moment().timestamp, producer: None };
            self.shard.replay(origin, &record);
            self.log.push((origin, record));
        }
        self.ends.push(self.log.len());
        self.has_crashed = self.crash_soon;
        Ok(())
    }

    /// The group's members as far as a description shows them.
    pub(super) fn members_in_group(&mut self) -> usize {
        match self.look(Request::ConsumerGroupDescribe(GROUP.into())) {
            Answer::ConsumerGroupDescribe(group) if group.error_code == 0 => group.members.len(),
            _ => match self.look(Request::DescribeGroup(GROUP.into())) {
                Answer::DescribeGroup(group) => group.members.len(),
                other => panic!("{other:?}"),
            },
        }
    }

    /// A member was told that it owns these partitions in a generation.
    pub(super) fn owns(&mut self, generation: i32, partitions: &[i32], who: &str) {
        for &partition in partitions {
            let owner = self.owners.entry((generation, partition)).or_insert_with(|| who.to_owned());
            assert_eq!(owner, who, "one owner of partition {partition} in generation {generation}");
        }
    }

    /// The state of the group, of whichever kind it is.
    pub(super) fn group_state(&mut self) -> String {
        match self.look(Request::ConsumerGroupDescribe(GROUP.into())) {
            Answer::ConsumerGroupDescribe(group) if group.error_code == 0 => group.group_state.to_string(),
            _ => match self.look(Request::DescribeGroup(GROUP.into())) {
                Answer::DescribeGroup(group) => group.group_state.to_string(),
                other => panic!("{other:?}"),
            },
        }
    }

    /// The ids of the members of the consumer group.
    pub(super) fn consumer_member_ids(&mut self) -> BTreeSet<String> {
        match self.look(Request::ConsumerGroupDescribe(GROUP.into())) {
            Answer::ConsumerGroupDescribe(group) => group.members.iter().map(|m| m.member_id.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// A member commits the next offset of a partition.
    pub(super) fn commit_as_member(
        &mut self,
        member_id: &ByteString,
        instance_id: Option<ByteString>,
        epoch: i32,
        partition: i32,
    ) -> (Ticket, i32, i64) {
        self.next_offset += 1;
        let offset = self.next_offset;
        let partitions = vec![OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            ..Default::default()
        }];
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: epoch,
            member_id: member_id.clone(),
            group_instance_id: instance_id,
            topics: vec![OffsetCommitRequestTopic { name: TOPIC.0.into(), topic_id: TOPIC.1, partitions }],
            ..Default::default()
        };
        (self.send(9, Request::OffsetCommit(request)), partition, offset)
    }

    /// A member was told what became of its commit.
    pub(super) fn committed_by_member(&mut self, commit: Option<(i32, i64)>, response: &OffsetCommitResponse) {
        if let Some((partition, offset)) = commit
            && response.topics[0].partitions[0].error_code == 0
        {
            let acknowledged = self.acknowledged.entry(partition).or_default();
            *acknowledged = offset.max(*acknowledged);
        }
    }

    /// How much of the log there is.
    pub(super) fn log_len(&self) -> usize {
        self.log.len()
    }
}

fn caller(version: i16) -> Caller {
    Caller {
        version,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        listener: "PLAINTEXT".into(),
        describable: Describable::all(),
    }
}
