//! Reads what a fetch has found and writes its answer.

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_replica::{NewSession, SessionId, Shown, Topic};
use thalweg_storage::ReadPlan;
use thalweg_sys::task;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::fetch_response::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};

use super::{Answering, Fetch, Found, Target};
use crate::drivers::partition::{Isolation, Look, Reader};
use crate::drivers::reading::read_cached;
use crate::endpoints::Leaders;

/// The records of one target, or why they could not be read.
type Records = Result<Bytes, ErrorCode>;

impl Fetch {
    /// The records of every target, if all of them are in memory; `None` if the disk has to be waited for.
    pub(super) fn read_cached(&self, found: &Found) -> Option<Vec<Records>> {
        let mut records = Vec::with_capacity(found.looks.len());
        for (target, look) in self.targets.iter().zip(&found.looks) {
            let Some(plan) = &look.read else {
                records.push(Ok(Bytes::new()));
                continue;
            };
            match read_cached(plan) {
                Ok(Some(bytes)) => {
                    target.has_read(plan, &bytes);
                    records.push(Ok(bytes));
                }
                Ok(None) => return None,
                Err(e) => records.push(Err(target.fail(&e))),
            }
        }
        Some(records)
    }

    /// The records of every target; waits for the disk where it must.
    pub(super) async fn read(&self, found: &Found) -> Vec<Records> {
        match self.read_cached(found) {
            Some(records) => records,
            None => self.read_from_disk(found).await,
        }
    }

    /// The records of every target, where not all of them are in memory.
    pub(super) async fn read_from_disk(&self, found: &Found) -> Vec<Records> {
        let mut records = Vec::with_capacity(found.looks.len());
        for (target, look) in self.targets.iter().zip(&found.looks) {
            let read = match look.read.clone() {
                Some(plan) => match task::blocking(move || plan.read()).await {
                    Ok(Ok(bytes)) => Ok(bytes),
                    Ok(Err(fault)) => Err(target.fail(&fault)),
                    Err(_) => Err(ErrorCode::UnknownServerError),
                },
                None => Ok(Bytes::new()),
            };
            records.push(read);
        }
        records
    }

    /// The answer as a frame.
    pub(super) fn answer(mut self, found: Found, records: Vec<Records>) -> Vec<Bytes> {
        let call = self.call.clone();
        let mut leaders = Leaders::new(&call);
        let mut shown = Vec::with_capacity(self.targets.len());
        let mut data = Vec::with_capacity(self.targets.len());
        for ((target, look), records) in self.targets.iter().zip(found.looks).zip(records) {
            let partition = self.partition_data(target, look, records, &mut leaders);
            shown.push(Shown {
                high_watermark: Offset(partition.high_watermark),
                log_start: Offset(partition.log_start_offset),
                has_records: partition.records.as_ref().is_some_and(|records| !records.is_empty()),
                urgent: partition.diverging_epoch != EpochEndOffset::default(),
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
            node_endpoints: if self.call.version >= 16 { node_endpoints.collect() } else { Vec::new() },
            ..FetchResponse::default()
        };
        self.call.answer(&response)
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

    fn partition_data(
        &self,
        target: &Target,
        look: Look,
        records: Records,
        leaders: &mut Leaders<'_>,
    ) -> PartitionData {
        let error = match (&look.error, &records) {
            (ErrorCode::None, Err(error)) => *error,
            (error, _) => *error,
        };
        let mut data = PartitionData {
            partition_index: target.partition,
            error_code: for_version(error, self.call.version).code(),
            high_watermark: look.high_watermark.0,
            last_stable_offset: look.last_stable.0,
            log_start_offset: look.log_start.0,
            // Kafka sends an empty list for a read of committed records, and null for any other.
            aborted_transactions: (self.isolation == Isolation::ReadCommitted && error == ErrorCode::None)
                .then(Vec::new),
            records: Some(records.unwrap_or_default().into()),
            ..PartitionData::default()
        };
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

/// Clients of version 5 and before do not know storage errors; this one makes them ask for the leader again.
fn for_version(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::KafkaStorageError if version <= 5 => ErrorCode::NotLeaderOrFollower,
        other => other,
    }
}

impl Target {
    fn has_read(&self, plan: &ReadPlan, bytes: &[u8]) {
        if let Ok(partition) = &self.place
            && plan.is_cut()
        {
            partition.has_read(plan, bytes);
        }
    }

    /// A read has failed: its log goes offline, and the client learns of it.
    fn fail(&self, fault: &dyn std::fmt::Display) -> ErrorCode {
        if let Ok(partition) = &self.place {
            partition.failed(fault);
        }
        ErrorCode::KafkaStorageError
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
