//! Reads what a fetch has found and writes its answer.

use std::sync::Arc;

use thalweg_access::quotas::QuotaKind;
use thalweg_base::Offset;
use thalweg_network::Frame;
use thalweg_replica::{NewSession, SessionId, Shown, Topic};
use thalweg_storage::{AbortedTxn, Fault, ReadPlan};
use thalweg_sys::task;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use thalweg_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use thalweg_wire::{ErrorCode, Records};

use super::{Answering, Fetch, Found, Target};
use crate::drivers::partition::reading::{Isolation, Look, Reader};
use crate::drivers::planned_read::file_range;
use crate::endpoints::Leaders;

/// Records of this size or more stay in their file until they are written: a copy through a buffer that is in the core's
/// cache is cheaper than fresh memory. Smaller ones are read at once, so that they leave in one write with what is
/// around them.
const FROM_FILE_MIN: usize = 64 << 10;
/// One answer takes no more memory than this for records, however many partitions it has.
const IN_MEMORY_MAX: usize = 512 << 10;

/// What an answer has around its partitions, and around the records of each, counted against the quota of its client.
const ANSWER_BYTES: usize = 40;
const PARTITION_BYTES: usize = 60;

/// The records of one target, or why they could not be read.
type Read = Result<Records, ErrorCode>;

/// How the records of the targets are read, in their order.
#[derive(Default)]
struct InMemory(usize);

impl InMemory {
    /// Whether a plan's records are read into memory; the others stay in their file.
    fn takes(&mut self, plan: &ReadPlan) -> bool {
        let takes = plan.len() < FROM_FILE_MIN && self.0 + plan.len() <= IN_MEMORY_MAX;
        self.0 += if takes { plan.len() } else { 0 };
        takes
    }
}

impl Fetch {
    /// The records of every target, if none of them has to be waited for; `None` if the disk has to be.
    pub(super) fn read_cached(&self, found: &Found) -> Option<Vec<Read>> {
        let mut records = Vec::with_capacity(found.looks.len());
        let mut memory = InMemory::default();
        for (target, look) in self.targets.iter().zip(&found.looks) {
            records.push(match &look.read {
                None => Ok(Records::default()),
                Some(plan) if !memory.takes(plan) => Ok(Records::Elsewhere(plan.len())),
                Some(plan) => match plan.read_cached() {
                    Ok(Some(bytes)) => {
                        target.has_read(plan, &bytes);
                        Ok(bytes.into())
                    }
                    Ok(None) => return None,
                    Err(fault) => Err(target.fail(plan, &fault)),
                },
            });
        }
        Some(records)
    }

    /// The records of every target; waits for the disk where it must.
    pub(super) async fn read(&self, found: &Found) -> Vec<Read> {
        match self.read_cached(found) {
            Some(records) => records,
            None => self.read_from_disk(found).await,
        }
    }

    /// The records of every target, where not all of them are in the page cache.
    pub(super) async fn read_from_disk(&self, found: &Found) -> Vec<Read> {
        let mut records = Vec::with_capacity(found.looks.len());
        let mut memory = InMemory::default();
        for (target, look) in self.targets.iter().zip(&found.looks) {
            records.push(match look.read.clone() {
                None => Ok(Records::default()),
                Some(plan) if !memory.takes(&plan) => Ok(Records::Elsewhere(plan.len())),
                Some(plan) => match task::blocking(move || plan.read().map_err(|fault| (plan, fault))).await {
                    Ok(Ok(bytes)) => Ok(bytes.into()),
                    Ok(Err((plan, fault))) => Err(target.fail(&plan, &fault)),
                    Err(_) => Err(ErrorCode::UnknownServerError),
                },
            });
        }
        records
    }

    /// What a consumer that uses more than its quotas allow is answered: no records, and for how long it is throttled. Its
    /// session stays as it was.
    fn throttled_answer(&self, records: &[Read]) -> Option<Frame> {
        let (call, quotas) = (&self.call, &self.call.broker.quotas);
        if quotas.is_idle() || matches!(self.reader, Reader::Follower(_)) {
            return None;
        }
        let per_partition = |read: &Read| PARTITION_BYTES + read.as_ref().map_or(0, Records::len);
        let bytes = (ANSWER_BYTES + records.iter().map(per_partition).sum::<usize>()) as f64;
        let now = call.broker.moment();
        let of_bytes = quotas.record(QuotaKind::Fetch, call.user(), bytes, now);
        let throttle_ms = of_bytes.max(call.request_throttle_ms());
        if throttle_ms == 0 {
            return None;
        }
        quotas.unrecord(QuotaKind::Fetch, call.user(), bytes, now);
        let session_id = match &self.answering {
            Answering::Sessionless | Answering::NewSession => SessionId::NONE,
            Answering::Session(lent) => lent.id,
        };
        let throttle_time_ms = i32::try_from(throttle_ms).unwrap_or(i32::MAX);
        call.mute(throttle_ms);
        let response = FetchResponse { session_id: session_id.0, throttle_time_ms, ..FetchResponse::default() };
        Some(call.answer_at(call.version, &response))
    }

    /// The answer as a frame.
    pub(super) fn answer(mut self, found: Found, records: Vec<Read>) -> Frame {
        if let Some(throttled) = self.throttled_answer(&records) {
            return throttled;
        }
        let call = self.call.clone();
        let mut leaders = Leaders::new(&call);
        let mut shown = Vec::with_capacity(self.targets.len());
        let mut data = Vec::with_capacity(self.targets.len());
        let mut ranges = Vec::new();
        for ((target, mut look), records) in self.targets.iter().zip(found.looks).zip(records) {
            if let (Ok(Records::Elsewhere(_)), Some(plan), Ok(place)) = (&records, look.read.take(), &target.place) {
                ranges.push(file_range(plan, Arc::clone(place)));
            }
            let partition = self.partition_data(target, look, records, &mut leaders);
            shown.push(Shown {
                high_watermark: Offset(partition.high_watermark),
                log_start: Offset(partition.log_start_offset),
                has_records: partition.records.as_ref().is_some_and(|records| !records.is_empty()),
                urgent: partition.diverging_epoch != EpochEndOffset::default() || partition.preferred_read_replica >= 0,
                has_error: partition.error_code != ErrorCode::None.code(),
            });
            data.push(Some(partition));
        }
        let session_id = self.note_in_session(&shown, &mut data);
        let mut responses: Vec<FetchableTopicResponse> = Vec::new();
        for (target, data) in self.targets.iter().zip(data) {
            let Some(data) = data else { continue };
            match responses.last_mut().filter(|last| target.is_of(last)) {
                Some(last) => last.partitions.push(data),
                None => responses.push(target.topic_response(data)),
            }
        }
        let node_endpoints = leaders.endpoints().map(|node| NodeEndpoint {
            node_id: node.id,
            host: node.host,
            port: node.port,
            rack: node.rack,
        });
        let response = FetchResponse {
            session_id: session_id.0,
            responses,
            // Followers know the nodes from the metadata log.
            node_endpoints: if self.call.version >= 16 && !matches!(self.reader, Reader::Follower(_)) {
                node_endpoints.collect()
            } else {
                Vec::new()
            },
            ..FetchResponse::default()
        };
        self.call.answer_with_ranges(&response, ranges)
    }

    /// Tells the session what the answer says, and leaves out what an incremental answer need not mention.
    fn note_in_session(&mut self, shown: &[Shown], data: &mut [Option<PartitionData>]) -> SessionId {
        match &mut self.answering {
            Answering::Sessionless => SessionId::NONE,
            Answering::NewSession => {
                let head = NewSession {
                    privileged: matches!(self.reader, Reader::Follower(_)),
                    uses_topic_ids: self.call.version >= super::BY_ID,
                    size: self.targets.len(),
                };
                let answer = self
                    .targets
                    .iter()
                    .zip(shown)
                    .map(|(target, shown)| (target.topic.as_ref(), target.partition, target.params, *shown));
                let broker = &self.call.broker;
                let random = thalweg_sys::random::u64() as u32;
                broker.fetch_sessions.lock().create(head, answer, random, broker.moment())
            }
            Answering::Session(lent) => {
                let id = lent.id;
                let Some(session) = lent.session() else { return id };
                for ((target, shown), data) in self.targets.iter().zip(shown).zip(data) {
                    if !target.slot.is_some_and(|slot| session.answered(slot, shown)) {
                        *data = None;
                    }
                }
                id
            }
        }
    }

    fn partition_data(&self, target: &Target, look: Look, records: Read, leaders: &mut Leaders<'_>) -> PartitionData {
        let error = match (&look.error, &records) {
            (ErrorCode::None, Err(error)) => *error,
            (error, _) => *error,
        };
        if let Ok(place) = &target.place {
            let bytes = records.as_ref().map_or(0, Records::len);
            place.traffic.fetch_asked();
            match self.reader {
                Reader::Follower(_) => place.sent_to_follower(bytes),
                Reader::Consumer | Reader::ConsumerOfAnyReplica => place.traffic.consumed(bytes),
            }
        }
        let mut data = PartitionData {
            partition_index: target.partition,
            error_code: for_version(error, self.call.version).code(),
            high_watermark: look.high_watermark.0,
            last_stable_offset: look.last_stable.0,
            log_start_offset: look.log_start.0,
            // Null says that nobody asked; what nobody could look into has an empty list in Kafka.
            aborted_transactions: (target.place.is_err()
                || self.isolation == Isolation::ReadCommitted && error == ErrorCode::None)
                .then(|| look.aborted.iter().map(aborted).collect()),
            records: Some(records.unwrap_or_default()),
            ..PartitionData::default()
        };
        if let Some(replica) = look.preferred.filter(|_| error == ErrorCode::None) {
            data.preferred_read_replica = replica.0;
        }
        if let Some(diverging) = look.diverging {
            data.diverging_epoch = EpochEndOffset { epoch: diverging.epoch.0, end_offset: diverging.end.0 };
        }
        if self.call.version >= 16 && matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            let (leader_id, leader_epoch) = leaders.of(target.topic.as_ref(), target.partition);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
        }
        data
    }
}

fn aborted(txn: &AbortedTxn) -> AbortedTransaction {
    AbortedTransaction { producer_id: txn.producer_id.0, first_offset: txn.first_offset.0 }
}

/// Clients of version 5 and before do not know storage errors; this one makes them ask for the leader again.
fn for_version(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::KafkaStorageError if version <= 5 => ErrorCode::NotLeaderOrFollower,
        other => other,
    }
}

/// The answer to a request that cannot be served at all: its partitions have the error too, until they are named by id.
pub(super) fn refused(request: &FetchRequest, version: i16, error: ErrorCode) -> FetchResponse {
    let partition = |asked: &FetchPartition| PartitionData {
        partition_index: asked.partition,
        error_code: error.code(),
        high_watermark: -1,
        aborted_transactions: Some(Vec::new()),
        records: Some(Records::default()),
        ..PartitionData::default()
    };
    let topic = |asked: &FetchTopic| FetchableTopicResponse {
        topic: asked.topic.clone(),
        partitions: asked.partitions.iter().map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    FetchResponse {
        error_code: if version >= 7 { error.code() } else { 0 },
        session_id: request.session_id,
        responses: if version < super::BY_ID { request.topics.iter().map(topic).collect() } else { Vec::new() },
        ..FetchResponse::default()
    }
}

impl Target {
    /// Whether there is such a partition.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self.place, Err(ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition))
    }

    fn has_read(&self, plan: &ReadPlan, bytes: &[u8]) {
        if let Ok(partition) = &self.place
            && plan.is_cut()
        {
            partition.has_read(plan, bytes);
        }
    }

    /// A read has failed: the client learns why.
    fn fail(&self, plan: &ReadPlan, fault: &Fault) -> ErrorCode {
        self.place.as_ref().map_or(ErrorCode::KafkaStorageError, |partition| partition.read_failed(plan, fault))
    }

    fn is_of(&self, response: &FetchableTopicResponse) -> bool {
        match &self.topic {
            Topic::Id(id) => response.topic_id == *id,
            Topic::Name(name) => *response.topic == **name,
        }
    }

    fn topic_response(&self, first: PartitionData) -> FetchableTopicResponse {
        let mut response = FetchableTopicResponse { partitions: vec![first], ..FetchableTopicResponse::default() };
        match &self.topic {
            Topic::Id(id) => response.topic_id = *id,
            Topic::Name(name) => response.topic = (&**name).into(),
        }
        response
    }
}
