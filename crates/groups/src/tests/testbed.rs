//! A driver in miniature for the tests: a log in memory, and time that passes when it is told to.

use std::collections::BTreeMap;

use thalweg_base::{LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_coordinator::{Effect, LogRecord, Machine, Now, Origin, Ticket};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;

use crate::describable::Describable;
use crate::records::Record;
use crate::request::{Answer, Caller, Request};
use crate::settings::Settings;
use crate::shard::Shard;

/// The date at which every story begins.
pub(crate) const BEGIN: i64 = 1_700_000_000_000;

/// What stands in the log: a record, or the end of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Record(Origin, LogRecord),
    EndOfTransaction(ProducerId, bool),
}

/// A shard with its log.
pub(crate) struct Testbed {
    pub(crate) shard: Shard,
    pub(crate) image: MetadataImage,
    pub(crate) log: Vec<Entry>,
    /// The batches since the last look.
    pub(crate) batches: Vec<Vec<Record>>,
    /// With what error the log refuses to be written.
    pub(crate) refuse_writes: Option<ErrorCode>,
    pub(crate) settings: Settings,
    /// What whoever asks may describe.
    pub(crate) describable: Describable,
    answers: BTreeMap<Ticket, Answer>,
    now: i64,
    tickets: u64,
    epoch: i32,
}

impl Testbed {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut shard = Shard::new(settings.clone(), LeaderEpoch(0), 7);
        let image = MetadataImage::default();
        assert_eq!(shard.loaded(moment(0), &image), vec![]);
        Self {
            shard,
            image,
            log: Vec::new(),
            batches: Vec::new(),
            refuse_writes: None,
            settings,
            describable: Describable::all(),
            answers: BTreeMap::new(),
            now: 0,
            tickets: 0,
            epoch: 0,
        }
    }

    /// Sends a request; its answer may be there already.
    pub(crate) fn ask(&mut self, version: i16, request: Request) -> Ticket {
        let caller = Caller {
            version,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            listener: "PLAINTEXT".into(),
            describable: self.describable.clone(),
        };
        self.ask_as(&caller, request)
    }

    pub(crate) fn ask_as(&mut self, caller: &Caller, request: Request) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let effects = self.shard.request(moment(self.now), &self.image, ticket, caller, request);
        self.carry_out(effects);
        // What is due at once is done at once.
        self.pass(0);
        ticket
    }

    /// Sends a request that is answered at once.
    pub(crate) fn call(&mut self, version: i16, request: Request) -> Answer {
        let ticket = self.ask(version, request);
        self.take(ticket).expect("it is answered at once")
    }

    /// The answer to a request, once.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub(crate) fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(due) = self.shard.next_deadline().filter(|due| due.0 <= until) {
            self.now = self.now.max(due.0);
            let effects = self.shard.tick(moment(self.now), &self.image);
            self.carry_out(effects);
        }
        self.now = until;
    }

    /// The partition gets another leader: everything is replayed. Open requests are refused by the old driver.
    pub(crate) fn fail_over(&mut self) {
        self.epoch += 1;
        self.answers.clear();
        let mut shard = Shard::new(self.settings.clone(), LeaderEpoch(self.epoch), self.epoch.unsigned_abs().into());
        for entry in &self.log {
            match entry {
                Entry::Record(origin, record) => shard.replay(*origin, record),
                Entry::EndOfTransaction(producer, committed) => shard.replay_end_of_transaction(*producer, *committed),
            }
        }
        self.shard = shard;
        let effects = self.shard.loaded(moment(self.now), &self.image);
        self.carry_out(effects);
        self.pass(0);
    }

    /// A transaction's marker is written.
    pub(crate) fn end_transaction(&mut self, producer: i64, committed: bool) {
        self.log.push(Entry::EndOfTransaction(ProducerId(producer), committed));
        self.shard.replay_end_of_transaction(ProducerId(producer), committed);
    }

    /// The cluster changes.
    pub(crate) fn change(&mut self, image: MetadataImage) {
        let changes = Changes::between(&self.image, &image);
        self.image = image;
        let effects = self.shard.metadata_changed(moment(self.now), &self.image, &changes);
        self.carry_out(effects);
        self.pass(0);
    }

    /// The records that were written since the last look, without their batches.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.batches).into_iter().flatten().collect()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now
    }

    fn carry_out(&mut self, effects: Vec<Effect<Answer>>) {
        for effect in effects {
            match effect {
                Effect::Answer { ticket, answer } => {
                    let before = self.answers.insert(ticket, answer);
                    assert_eq!(before, None, "{ticket:?} was answered twice");
                }
                Effect::Write { write, producer, records } => {
                    let result = self.append(producer, records);
                    let next = self.shard.written(moment(self.now), &self.image, write, result);
                    self.carry_out(next);
                }
            }
        }
    }

    fn append(
        &mut self,
        producer: Option<(ProducerId, ProducerEpoch)>,
        records: Vec<LogRecord>,
    ) -> Result<(), ErrorCode> {
        if let Some(error) = self.refuse_writes {
            return Err(error);
        }
        assert!(!records.is_empty(), "a batch has records");
        self.batches.push(records.iter().map(|record| Record::decode(record).expect("it is well-formed")).collect());
        for record in records {
            let offset = Offset(i64::try_from(self.log.len()).expect("a short log"));
            let origin = Origin { offset, timestamp: Timestamp(BEGIN + self.now), producer };
            self.shard.replay(origin, &record);
            self.log.push(Entry::Record(origin, record));
        }
        Ok(())
    }
}

fn moment(now: i64) -> Now {
    Now { moment: Moment(now), timestamp: Timestamp(BEGIN + now) }
}
