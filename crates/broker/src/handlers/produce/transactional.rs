//! Records of transactions: before the first one in a partition, the coordinator is asked whether the partition is part of the
//! transaction, or is told that it is (KIP-890).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::TopicPartition;
use thalweg_network::{Frame, Reply};
use thalweg_records::BatchHeader;
use thalweg_sys::time::{Instant, now, sleep_until};
use thalweg_transactions::{Partitions, Producer};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::produce_request::ProduceRequest;

use super::append::{append_and_reply, find};
use super::guards::Guards;
use crate::call::Call;
use crate::drivers::guard::Guard;
use crate::drivers::partition::Partition;
use crate::drivers::transactions::{Asked, Outcome, answered};
use crate::handlers::transactions::Membership;

/// From this version on clients understand that they have to abort, and after it partitions are added by the way.
const ABORTABLE: i16 = 11;

/// What is to be asked for a request.
struct Question {
    transactional_id: ByteString,
    producer: Producer,
    membership: Membership,
    /// What to append with if the coordinator agrees.
    unverified: BTreeMap<TopicPartition, (Arc<Partition>, Guard)>,
}

/// What has been asked for a request.
struct Asking {
    guards: Guards,
    question: Question,
    asked: Asked,
}

impl Question {
    fn ask(&self, call: &Call) -> Asked {
        let mut partitions = Partitions::new();
        for place in self.unverified.keys() {
            partitions.entry(Box::from(&*place.topic)).or_default().insert(place.partition);
        }
        self.membership.ask(&call.broker.transactions, &self.transactional_id, self.producer, partitions)
    }

    /// Whether the coordinator is to be asked again: the transaction before is being completed, which takes a moment.
    fn is_too_early(&self, outcome: &Outcome, until: Instant) -> bool {
        self.membership == Membership::Added
            && now() < until
            && matches!(outcome, Ok(thalweg_transactions::Answer::Added(Err(ErrorCode::ConcurrentTransactions))))
    }

    /// Whether a transaction of this producer has ended here since the coordinator was asked. It was the one before if the
    /// coordinator takes the partition into the next one when it is asked again.
    fn is_overtaken(&self, until: Instant) -> bool {
        let Producer { id, epoch } = self.producer;
        let mut places = self.unverified.values();
        self.membership == Membership::Added
            && now() < until
            && places.any(|(place, guard)| !place.is_in_transaction(id, epoch, guard))
    }

    fn settle(self, outcome: Outcome, guards: &mut Guards) {
        let missing = self.membership.missing(outcome);
        for (place, (_, guard)) in self.unverified {
            match &missing {
                Ok((missing, error)) => {
                    let indexes = missing.get(&*place.topic);
                    match indexes.is_some_and(|indexes| indexes.contains(&place.partition)) {
                        true => guards.refuse(place, told(*error, self.membership)),
                        false => guards.allow(place, guard),
                    }
                }
                Err(error) => guards.refuse(place, told(*error, self.membership)),
            }
        }
    }
}

pub(super) fn handle(call: Call, request: ProduceRequest) -> Reply {
    let asking = match ask(&call, &request) {
        Ok(asking) => asking,
        Err(guards) => return append_and_reply(call, request, &guards),
    };
    let until = now() + call.broker.config.transactions.add_backoff_max;
    let asking = match asking {
        Asking { mut guards, question, asked: Asked::Now(outcome) } if !question.is_too_early(&outcome, until) => {
            question.settle(outcome, &mut guards);
            return append_and_reply(call, request, &guards);
        }
        asking => asking,
    };
    Reply::Exclusive(Box::pin(async move {
        let guards = settled(&call, &request, asking, until).await;
        match append_and_reply(call, request, &guards) {
            Reply::Now(frame) => frame,
            Reply::Parked(answer, _) | Reply::Exclusive(answer) | Reply::Last(answer, _) => answer.await,
            Reply::Nothing | Reply::Close(_) => Frame::default(),
        }
    }))
}

/// Asks the coordinator. The error is what counts without a question.
fn ask(call: &Call, request: &ProduceRequest) -> Result<Asking, Guards> {
    let (guards, question) = prepare(call, request)?;
    let Some(question) = question else { return Err(guards) };
    let asked = question.ask(call);
    Ok(Asking { guards, question, asked })
}

/// Waits for the coordinator, and asks it again while it completes the transaction before. Each time the partitions are
/// looked at anew: the end of the transaction before may be written there meanwhile.
async fn settled(call: &Call, request: &ProduceRequest, mut asking: Asking, until: Instant) -> Guards {
    loop {
        let Asking { mut guards, question, asked } = asking;
        let outcome = answered(asked).await;
        if question.is_too_early(&outcome, until) {
            sleep_until(now() + call.broker.config.transactions.add_backoff).await;
        } else if !question.is_overtaken(until) {
            question.settle(outcome, &mut guards);
            return guards;
        }
        asking = match ask(call, request) {
            Ok(asking) => asking,
            Err(guards) => return guards,
        };
    }
}

/// Finds what the coordinator has to be asked about. The error refuses everything.
fn prepare(call: &Call, request: &ProduceRequest) -> Result<(Guards, Option<Question>), Guards> {
    let membership = Membership::of(call.version, ABORTABLE);
    let verifies = membership == Membership::Added || call.broker.partitions.verifies_transactions();
    let mut guards = Guards::default();
    let mut places: Vec<(Arc<Partition>, BatchHeader)> = Vec::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let header = data.records.as_ref().and_then(|records| BatchHeader::parse(records).ok());
            let Some(header) = header.filter(|header| header.attributes.is_transactional()) else { continue };
            // What is not here is refused when it is to be appended.
            if let Ok(place) = find(call, topic, data.index) {
                places.push((place, header));
            }
        }
    }
    let Some((_, first)) = places.first() else { return Ok((guards, None)) };
    let producer = Producer { id: first.producer_id, epoch: first.producer_epoch };
    if places.iter().any(|(_, header)| (header.producer_id, header.producer_epoch) != (producer.id, producer.epoch)) {
        for (place, _) in places {
            guards.refuse(place.id.clone(), told(ErrorCode::InvalidProducerIdMapping, membership));
        }
        return Err(guards);
    }
    let mut unverified = BTreeMap::new();
    for (place, header) in places {
        match place.begin_verification(producer.id, producer.epoch, verifies.then_some(header.base_sequence)) {
            _ if !verifies => guards.allow(place.id.clone(), Guard::Unchecked),
            Ok(None) => {}
            Ok(Some(guard)) => {
                let guard = guard.beginning_at_zero_if(membership == Membership::Added);
                unverified.insert(place.id.clone(), (place, guard));
            }
            Err(error) => guards.refuse(place.id.clone(), told(error, membership)),
        }
    }
    let transactional_id = request.transactional_id.clone().filter(|_| !unverified.is_empty());
    let question =
        transactional_id.map(|transactional_id| Question { transactional_id, producer, membership, unverified });
    Ok((guards, question))
}

/// What a client is told that cannot write. Older ones do not go on after the errors of coordinators.
fn told(error: ErrorCode, membership: Membership) -> (ErrorCode, Option<String>) {
    let is_passing = match error {
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => true,
        ErrorCode::ConcurrentTransactions => membership != Membership::Added,
        _ => false,
    };
    match error {
        _ if is_passing => {
            let why = "Unable to verify the partition has been added to the transaction. Underlying error:";
            (ErrorCode::NotEnoughReplicas, Some(format!("{why} {}", error.name())))
        }
        ErrorCode::InvalidTxnState => (error, Some("Partition was not added to the transaction".to_owned())),
        other => (other, None),
    }
}
