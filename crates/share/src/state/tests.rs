//! Stories of the share coordinator.

use thalweg_base::{Moment, Offset, Timestamp, Uuid};
use thalweg_coordinator::{Effect, LogRecord, Machine, Now, Origin, Ticket};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{PartitionRecord, TopicRecord};

use super::batches::combine;
use super::*;
use crate::partition::{DeliveryState, StateBatch};

const TOPIC: Uuid = Uuid([7; 16]);

fn image() -> MetadataImage {
    let mut image = MetadataImage::default();
    let topic = TopicRecord { name: "t".into(), topic_id: TOPIC };
    let partition = PartitionRecord { partition_id: 0, topic_id: TOPIC, ..Default::default() };
    let records: [MetadataRecord; 2] = [topic.into(), partition.into()];
    for (offset, record) in (0..).zip(&records) {
        image.replay(record, Offset(offset));
    }
    image
}

fn key(partition: i32) -> Key {
    Key { group: "g".into(), topic: TOPIC, partition }
}

/// A shard with its log, and a clock that the test moves.
struct Bed {
    shard: Shard,
    log: Vec<LogRecord>,
    now: i64,
    pruned: Option<Offset>,
}

impl Bed {
    fn new(settings: Settings) -> Self {
        let mut shard = Shard::new(settings);
        shard.loaded(at(0), &image());
        Self { shard, log: Vec::new(), now: 0, pruned: None }
    }

    fn ask(&mut self, key: &Key, request: &Request) -> Result<Option<State>, ErrorCode> {
        let effects = self.shard.request(at(self.now), &image(), Ticket(0), key, request);
        self.carry_out(effects).expect("it is answered").0.map_err(|failure| failure.code)
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        while self.shard.next_deadline().is_some_and(|due| due.0 <= self.now) {
            let effects = self.shard.tick(at(self.now), &image());
            self.carry_out(effects);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect<Answer, Errand>>) -> Option<Answer> {
        let mut answered = None;
        for effect in effects {
            match effect {
                Effect::Answer { answer, .. } => answered = Some(answer),
                Effect::Errand(Errand::Prune(to)) => self.pruned = Some(to),
                Effect::Write { write, records, .. } => {
                    for record in records {
                        self.replay(self.log.len(), &record);
                        self.log.push(record);
                    }
                    let next = self.shard.written(at(self.now), &image(), write, Ok(()));
                    answered = self.carry_out(next).or(answered);
                }
            }
        }
        answered
    }

    fn replay(&mut self, offset: usize, record: &LogRecord) {
        let origin = Origin { offset: Offset(offset as i64), timestamp: Timestamp(self.now), producer: None };
        self.shard.replay(origin, record);
    }

    /// Another node becomes the coordinator.
    fn reload(&mut self) {
        self.shard = Shard::new(Settings::default());
        for (offset, record) in self.log.clone().iter().enumerate() {
            self.replay(offset, record);
        }
        self.shard.loaded(at(self.now), &image());
    }
}

fn at(now: i64) -> Now {
    Now { moment: Moment(now), timestamp: Timestamp(1_700_000_000_000 + now) }
}

fn batch(first: i64, last: i64, state: DeliveryState, delivery_count: i16) -> StateBatch {
    StateBatch { first, last, state, delivery_count }
}

fn write(leader_epoch: i32, start_offset: i64, batches: &[StateBatch]) -> Request {
    Request::Write { state_epoch: 3, leader_epoch, start_offset, delivery_complete_count: 0, batches: batches.to_vec() }
}

use DeliveryState::{Acknowledged, Archived, Available};

#[test]
fn what_was_written_is_read_by_the_next_leader_and_fences_the_last_one() {
    let mut bed = Bed::new(Settings::default());
    let initialize = Request::Initialize { state_epoch: 3, start_offset: 5 };
    assert_eq!(bed.ask(&key(0), &Request::Read { leader_epoch: 1 }), Err(ErrorCode::InvalidRequest));
    assert_eq!(bed.ask(&key(0), &initialize), Ok(None));
    assert_eq!(bed.ask(&key(0), &initialize), Ok(None));
    assert_eq!(bed.log.len(), 1, "repeated, it changes nothing");
    bed.ask(&key(0), &Request::Read { leader_epoch: 1 }).expect("it is there");
    assert_eq!(bed.ask(&key(0), &write(1, 5, &[batch(5, 9, Acknowledged, 1)])), Ok(None));
    assert_eq!(bed.ask(&key(0), &write(1, 8, &[batch(10, 12, Available, 2)])), Ok(None));
    bed.reload();
    let state = bed.ask(&key(0), &Request::Read { leader_epoch: 2 }).expect("it is read").expect("it is known");
    let batches = vec![batch(8, 9, Acknowledged, 1), batch(10, 12, Available, 2)];
    let expected = State { state_epoch: 3, leader_epoch: 1, start_offset: 8, delivery_complete_count: 0, batches };
    assert_eq!(state, expected);
    assert_eq!(bed.ask(&key(0), &write(1, 20, &[])), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(bed.ask(&key(0), &write(2, 3, &[batch(3, 8, Archived, 5)])), Ok(None));
    let summary = bed.ask(&key(0), &Request::ReadSummary).expect("it is read").expect("it is known");
    assert_eq!((summary.start_offset, summary.leader_epoch), (8, 2), "the start never goes back");
}

#[test]
fn an_older_state_and_nonsense_are_refused() {
    let mut bed = Bed::new(Settings::default());
    let initialize = |state_epoch| Request::Initialize { state_epoch, start_offset: -1 };
    assert_eq!(bed.ask(&key(1), &initialize(0)), Err(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(bed.ask(&key(-1), &initialize(0)), Err(ErrorCode::InvalidRequest));
    assert_eq!(bed.ask(&key(0), &initialize(4)), Ok(None));
    assert_eq!(bed.ask(&key(0), &initialize(3)), Err(ErrorCode::FencedStateEpoch));
    assert_eq!(bed.ask(&key(0), &write(0, 0, &[])), Err(ErrorCode::FencedStateEpoch));
    let unsaid = Request::Write {
        state_epoch: -1,
        leader_epoch: -1,
        start_offset: 1,
        delivery_complete_count: 0,
        batches: Vec::new(),
    };
    assert_eq!(bed.ask(&key(0), &unsaid), Ok(None), "an epoch of -1 says nothing");
    assert_eq!(bed.ask(&key(0), &Request::Delete), Ok(None));
    assert_eq!(bed.ask(&key(0), &Request::ReadSummary), Ok(None));
    assert_eq!(bed.ask(&key(0), &initialize(0)), Ok(None), "what was deleted fences nobody");
}

#[test]
fn snapshots_let_what_stands_before_them_go() {
    let mut bed = Bed::new(Settings { updates_per_snapshot: 2, ..Settings::default() });
    bed.ask(&key(0), &Request::Initialize { state_epoch: 3, start_offset: 0 }).expect("it begins");
    for offset in 0..3 {
        bed.ask(&key(0), &write(0, offset, &[batch(offset, offset, Acknowledged, 1)])).expect("it is written");
    }
    let kinds: Vec<u8> = bed.log.iter().map(|record| record.key[1]).collect();
    assert_eq!(kinds, [0, 1, 1, 0], "a snapshot follows two updates");
    bed.pass(300_000);
    assert_eq!(bed.pruned, Some(Offset(3)));
    bed.ask(&key(0), &write(0, 3, &[])).expect("it is written");
    bed.pass(300_000);
    assert_eq!(bed.log.last().map(|record| record.key[1]), Some(0), "a cold partition gets a snapshot");
    bed.reload();
    let state = bed.ask(&key(0), &Request::ReadSummary).expect("it is read").expect("it is known");
    assert_eq!(state.start_offset, 3);
}

#[test]
fn of_two_batches_the_one_with_more_deliveries_counts() {
    let known = [batch(0, 9, Available, 1), batch(10, 19, Acknowledged, 1)];
    let newer = [batch(5, 12, Available, 2), batch(0, 2, Archived, 1)];
    let expected = [
        batch(1, 2, Archived, 1),
        batch(3, 4, Available, 1),
        batch(5, 12, Available, 2),
        batch(13, 19, Acknowledged, 1),
    ];
    assert_eq!(combine(&known, &newer, 1), expected);
    assert_eq!(combine(&[], &[batch(4, 3, Available, 1)], 0), [], "what ends before it begins is nothing");
    assert_eq!(
        combine(&[batch(0, 1, Acknowledged, 1)], &[batch(2, 3, Acknowledged, 1)], -1),
        [batch(0, 3, Acknowledged, 1)]
    );
}
