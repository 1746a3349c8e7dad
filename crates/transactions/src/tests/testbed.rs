//! A shard with its log, and a clock that the test moves.

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_coordinator::{Effect, LogRecord, Machine, Now, Origin, Ticket};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{FeatureLevelRecord, PartitionRecord, TopicRecord};

use crate::errand::{Errand, Markers, Written};
use crate::records;
use crate::request::{Answer, Producer, Refusal, Request};
use crate::transaction::{Partitions, Transaction};
use crate::{Settings, Shard};

/// The date at which every story begins.
const BEGINNING: i64 = 1_700_000_000_000;

/// See the module.
pub(super) struct Testbed {
    pub(super) shard: Shard,
    pub(super) log: Vec<LogRecord>,
    pub(super) image: MetadataImage,
    /// Milliseconds since the beginning.
    pub(super) time: i64,
    /// How far somebody has set the wall clock, in milliseconds.
    pub(super) wall_clock_set_by: i64,
    /// What is to be done elsewhere.
    pub(super) errands: Vec<Errand>,
    pub(super) answers: Vec<(Ticket, Answer)>,
    /// Why the log takes nothing.
    pub(super) refuses: Option<ErrorCode>,
    epoch: i32,
    next_ticket: u64,
}

/// A cluster with the topics `a` and `b` of four partitions, at a level of `transaction.version`.
pub(super) fn image(level: i16) -> MetadataImage {
    let mut image = MetadataImage::default();
    let metadata = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 29 };
    let feature = FeatureLevelRecord { name: "transaction.version".into(), feature_level: level };
    let mut records: Vec<MetadataRecord> = vec![metadata.into(), feature.into()];
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let topic_id = thalweg_base::Uuid::from_random([number as u8 + 1; 16]);
        records.push(TopicRecord { name: name.into(), topic_id }.into());
        for partition_id in 0..4 {
            records.push(PartitionRecord { partition_id, topic_id, ..PartitionRecord::default() }.into());
        }
    }
    for (offset, record) in records.iter().enumerate() {
        image.replay(record, Offset(offset as i64));
    }
    image
}

/// A set of partitions of one topic.
pub(super) fn partitions(topic: &str, indexes: &[i32]) -> Partitions {
    Partitions::from([(Box::from(topic), indexes.iter().copied().collect())])
}

/// A producer.
pub(super) fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

impl Testbed {
    pub(super) fn new(level: i16) -> Self {
        let mut this = Self {
            shard: Shard::new(Settings::default(), LeaderEpoch(0)),
            log: Vec::new(),
            image: image(level),
            time: 0,
            wall_clock_set_by: 0,
            errands: Vec::new(),
            answers: Vec::new(),
            refuses: None,
            epoch: 0,
            next_ticket: 0,
        };
        this.tell(|shard, now, image| shard.loaded(now, image));
        this
    }

    pub(super) fn now(&self) -> Now {
        Now { moment: Moment(self.time), timestamp: Timestamp(BEGINNING + self.time + self.wall_clock_set_by) }
    }

    /// Hands something to the shard and carries out what it asks for.
    pub(super) fn tell(&mut self, tell: impl FnOnce(&mut Shard, Now, &MetadataImage) -> Vec<Effect<Answer, Errand>>) {
        let now = self.now();
        let mut effects = std::collections::VecDeque::from(tell(&mut self.shard, now, &self.image));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Write { write, producer, records } => {
                    assert_eq!(producer, None, "no transaction is part of another");
                    let bytes: usize = records.iter().map(|record| record.key.len()).sum();
                    assert!(bytes < 1 << 20, "a topic takes the batch");
                    if self.refuses.is_none() {
                        for record in &records {
                            let offset = Offset(self.log.len() as i64);
                            self.shard.replay(Origin { offset, timestamp: now.timestamp, producer: None }, record);
                            self.log.push(record.clone());
                        }
                    }
                    let next = self.shard.written(now, &self.image, write, self.refuses.map_or(Ok(()), Err));
                    next.into_iter().rev().for_each(|effect| effects.push_front(effect));
                }
                Effect::Answer { ticket, answer } => self.answers.push((ticket, answer)),
                Effect::Errand(errand) => self.errands.push(errand),
            }
        }
    }

    /// Another node takes over: all that is not in the log is lost.
    pub(super) fn reload(&mut self) {
        self.epoch += 1;
        self.shard = Shard::new(Settings::default(), LeaderEpoch(self.epoch));
        self.errands.clear();
        for (offset, record) in (0..).zip(&self.log) {
            let origin = Origin { offset: Offset(offset), timestamp: Timestamp(0), producer: None };
            self.shard.replay(origin, record);
        }
        self.tell(|shard, now, image| shard.loaded(now, image));
    }

    /// The log says that an id has had many epochs.
    pub(super) fn begin_at(&mut self, id: &str, producer: Producer) {
        let now = self.now().timestamp;
        let transaction = Transaction::new(producer.id).to_empty(producer.id, producer.epoch, 60_000, now);
        self.log.push(records::encode(&ByteString::from(id), &transaction, 2).expect("a record"));
        self.reload();
    }

    /// Time passes, with whatever is due on the way.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.time + ms;
        while let Some(due) = self.shard.next_deadline().filter(|due| due.0 <= end) {
            self.time = self.time.max(due.0);
            self.tell(|shard, now, image| shard.tick(now, image));
        }
        self.time = end;
    }

    /// Asks and gives the answer, which comes at once in these stories.
    pub(super) fn ask(&mut self, request: Request) -> Answer {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tell(|shard, now, image| shard.request(now, image, ticket, request));
        let at = self.answers.iter().position(|(asked, _)| *asked == ticket).expect("an answer");
        self.answers.remove(at).1
    }

    /// InitProducerId as the node does it: with a fresh id when one is needed.
    pub(super) fn init(&mut self, id: &str, expected: Option<Producer>, fresh: i64) -> Result<Producer, ErrorCode> {
        let request = |fresh| Request::InitProducerId {
            transactional_id: ByteString::from(id),
            timeout_ms: 60_000,
            two_phase: false,
            keep_prepared: false,
            expected,
            fresh,
        };
        let answer = match self.ask(request(None)) {
            Answer::Producer(Err(Refusal::NeedsProducerId)) => self.ask(request(Some(ProducerId(fresh)))),
            other => other,
        };
        unwrapped(answer)
    }

    pub(super) fn add(
        &mut self,
        id: &str,
        producer: Producer,
        added: Partitions,
        version: i16,
    ) -> Result<(), ErrorCode> {
        let transactional_id = ByteString::from(id);
        match self.ask(Request::AddPartitions {
            transactional_id,
            producer,
            partitions: added,
            client_version: version,
        }) {
            Answer::Added(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(
        &mut self,
        id: &str,
        producer: Producer,
        committed: bool,
        version: i16,
        fresh: i64,
    ) -> Result<Producer, ErrorCode> {
        let request = |fresh| Request::EndTxn {
            transactional_id: ByteString::from(id),
            producer,
            committed,
            client_version: version,
            fresh,
        };
        let answer = match self.ask(request(None)) {
            Answer::Producer(Err(Refusal::NeedsProducerId)) => self.ask(request(Some(ProducerId(fresh)))),
            other => other,
        };
        unwrapped(answer)
    }

    /// The state by its name, as tools show it.
    pub(super) fn state(&mut self, id: &str) -> String {
        match self.ask(Request::Describe(ByteString::from(id))) {
            Answer::Described(described) if described.error_code == 0 => described.transaction_state.to_string(),
            Answer::Described(described) => ErrorCode::from(described.error_code).name().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// The markers that are to be written.
    pub(super) fn take_markers(&mut self) -> Vec<Markers> {
        let markers = std::mem::take(&mut self.errands).into_iter().map(|errand| match errand {
            Errand::WriteMarkers(markers) => markers,
            other @ Errand::FindProducerId(_) => panic!("{other:?}"),
        });
        markers.collect()
    }

    /// Every marker is written.
    pub(super) fn write_markers(&mut self) {
        for markers in self.take_markers() {
            let written = written(&markers, |_, _| Ok(()));
            self.tell(|shard, now, image| shard.markers_written(now, image, &markers, &written));
        }
    }
}

/// What became of markers.
pub(super) fn written(markers: &Markers, result: impl Fn(&str, i32) -> Result<(), ErrorCode>) -> Vec<Written> {
    let places =
        markers.partitions.iter().flat_map(|(topic, indexes)| indexes.iter().map(move |index| (topic, *index)));
    places
        .map(|(topic, partition)| Written { topic: topic.clone(), partition, result: result(topic, partition) })
        .collect()
}

fn unwrapped(answer: Answer) -> Result<Producer, ErrorCode> {
    match answer {
        Answer::Producer(Ok(producer)) => Ok(producer),
        Answer::Producer(Err(Refusal::Error(error))) => Err(error),
        other => panic!("{other:?}"),
    }
}
