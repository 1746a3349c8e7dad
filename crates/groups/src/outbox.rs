//! What a shard of groups waits for, and what follows its writes.

use std::ops::{Deref, DerefMut};

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId, Uuid};
use thalweg_coordinator::Ticket;

use crate::consumer;
use crate::records::Record;
use crate::request::Answer;
use crate::tally::Tally;

/// How many records go into one batch at most when there is no need for them to be one: far below what a topic takes.
const RECORDS_PER_BATCH_MAX: usize = 1_000;

/// What a shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Offsets are to be looked through for those that have expired.
    OffsetExpiry,
    /// A classic group waits for members to join.
    ClassicJoin(ByteString),
    /// A classic group waits for members to ask for their assignment.
    ClassicSync(ByteString),
    /// A classic group's member, or one that was only given its id, is to be heard of.
    ClassicMember(ByteString, ByteString),
    /// Something of a consumer group.
    Consumer(ByteString, consumer::Timer),
    /// A consumer group's regular expressions are to be resolved.
    ConsumerRegexes(ByteString),
    /// A share group's member is to be heard of.
    ShareMember(ByteString, ByteString),
    /// A streams group's member is to be heard of.
    StreamsMember(ByteString, ByteString),
    /// A streams group's member is to give up tasks.
    StreamsRebalance(ByteString, ByteString),
    /// A streams group waits for more members before its first assignment.
    StreamsDelay(ByteString),
}

/// What follows once a write was carried out or refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum After {
    /// Nothing: nobody waits for it.
    Nothing,
    /// The answer; if the write was refused, the refusal that belongs to it.
    Answer(Ticket, Answer),
    /// The assignment that a classic group's leader has made goes to the members.
    ClassicSync(crate::classic::PendingAssignment),
    /// A static member has taken the place of its former self.
    ClassicReplace(crate::classic::PendingReplacement),
    /// Something of a consumer group.
    Consumer(consumer::After),
}

/// What the shard has decided and its driver is to do, where its ids come from, and what is counted of it.
#[derive(Debug)]
pub(crate) struct Outbox {
    decided: Decided,
    random: u64,
    /// What is counted for those who watch.
    pub(crate) tally: Tally,
}

type Decided = thalweg_coordinator::Outbox<Timer, After, Answer>;

impl Deref for Outbox {
    type Target = Decided;

    fn deref(&self) -> &Decided {
        &self.decided
    }
}

impl DerefMut for Outbox {
    fn deref_mut(&mut self) -> &mut Decided {
        &mut self.decided
    }
}

impl Outbox {
    pub(crate) fn new(random: u64) -> Self {
        Self { decided: Decided::default(), random, tally: Tally::default() }
    }

    /// Writes `records` as one batch if there are any; `after` follows in any case.
    pub(crate) fn write(&mut self, records: &[Record], after: After) {
        self.write_for(None, records, after);
    }

    /// Like [`Self::write`], in the transaction of `producer`.
    pub(crate) fn write_for(
        &mut self,
        producer: Option<(ProducerId, ProducerEpoch)>,
        records: &[Record],
        after: After,
    ) {
        if records.is_empty() {
            if let After::Answer(ticket, answer) = after {
                self.answer(ticket, answer);
            }
            return;
        }
        self.decided.write(producer, records.iter().map(Record::encode).collect(), after);
    }

    /// Writes any number of records in as many batches as it takes; `after` follows the last.
    pub(crate) fn write_all(&mut self, records: &[Record], after: After) {
        let last = records.len().saturating_sub(1) / RECORDS_PER_BATCH_MAX * RECORDS_PER_BATCH_MAX;
        let (before, rest) = records.split_at(last);
        for batch in before.chunks(RECORDS_PER_BATCH_MAX) {
            self.write(batch, After::Nothing);
        }
        self.write(rest, after);
    }

    /// A random UUID (version 4) as text, from the seed.
    pub(crate) fn random_uuid(&mut self) -> String {
        let high = (self.next_random() & !0xf000) | 0x4000;
        let low = (self.next_random() & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// A random UUID as Kafka's own ids are written: 22 characters of base64.
    pub(crate) fn random_id(&mut self) -> String {
        let (high, low) = (self.next_random(), self.next_random());
        Uuid::from_random((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).to_string()
    }

    /// SplitMix64: every seed gives a sequence of its own.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
