//! ShareFetch: records for a member of a share group, which it holds from then on, and acknowledgements of those that it
//! was given before (KIP-932).
//!
//! A fetch waits without polling: it is woken when records arrive, or when other members' records are free again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_network::{Frame, Reply};
use thalweg_replica::TopicRef;
use thalweg_share::{AcquireMode, Limits, SessionKey};
use thalweg_sys::time::{Duration, Instant, now, sleep_until};
use thalweg_wire::messages::ShareFetchRequest;
use thalweg_wire::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchResponse, ShareFetchableTopicResponse,
};
use thalweg_wire::{ErrorCode, Records};

use super::authorization::Gate;
use super::share::{
    Acknowledged, Batches, FINAL_EPOCH, INITIAL_EPOCH, acknowledge, may_read, serves_share_groups, session_error,
    session_key, waiting_bytes,
};
use crate::call::Call;
use crate::drivers::parked::Parked;
use crate::drivers::partition::reading::Isolation;
use crate::drivers::share::{Delivered, Fetching, ShareState};
use crate::endpoints::{Endpoint, Leaders};

/// The acquire modes of the protocol (KIP-1206).
const BATCH_OPTIMIZED: i8 = 0;
const RECORD_LIMIT: i8 = 1;

pub(crate) fn handle(call: Call, request: ShareFetchRequest) -> Reply {
    let began = begin(&call, &request);
    match began {
        Ok((key, partitions)) => {
            let bytes = bytes_while_waiting(&request, partitions.len());
            Reply::Parked(Box::pin(serve(call, request, key, partitions)), bytes)
        }
        Err(ErrorCode::ShareSessionLimitReached) => {
            let named = request.topics.iter().map(|topic| topic.partitions.len()).sum();
            let bytes = bytes_while_waiting(&request, named);
            Reply::Parked(Box::pin(wait_for_session(call, request)), bytes)
        }
        Err(error) => Reply::Now(call.answer(&refused(error))),
    }
}

fn bytes_while_waiting(request: &ShareFetchRequest, partitions: usize) -> usize {
    let named = request.topics.iter().flat_map(|topic| &topic.partitions);
    let acknowledged = named.flat_map(|partition| &partition.acknowledgement_batches);
    waiting_bytes(partitions, acknowledged.map(|batch| batch.acknowledge_types.len()))
}

/// Serves the client once another session has ended. If none does, it is refused only at its deadline, so that it does not ask
/// again at once.
async fn wait_for_session(call: Call, request: ShareFetchRequest) -> Frame {
    let until = deadline(request.max_wait_ms);
    let mut closing = call.broker.closing.clone();
    loop {
        // It is listened for before the look, so that no end is missed in between.
        let ended = call.broker.share.session_ended.notified();
        let mut ended = std::pin::pin!(ended);
        ended.as_mut().enable();
        match begin(&call, &request) {
            Ok((key, partitions)) => return serve(call.clone(), request, key, partitions).await,
            Err(ErrorCode::ShareSessionLimitReached) => {}
            Err(error) => return call.answer(&refused(error)),
        }
        tokio::select! {
            biased;
            () = closing.begun() => break,
            () = ended => {}
            () = sleep_until(until) => break,
        }
    }
    call.answer(&refused(ErrorCode::ShareSessionLimitReached))
}

fn refused(error: ErrorCode) -> ShareFetchResponse {
    ShareFetchResponse { error_code: error.code(), ..ShareFetchResponse::default() }
}

fn deadline(max_wait_ms: i32) -> Instant {
    now() + Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0))
}

/// The session, and the partitions that are fetched.
type Begun = (SessionKey, Vec<(Uuid, i32)>);

fn begin(call: &Call, request: &ShareFetchRequest) -> Result<Begun, ErrorCode> {
    if !serves_share_groups(call) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let key = session_key(request.group_id.as_ref(), request.member_id.as_ref()).ok_or(ErrorCode::InvalidRequest)?;
    // A request for more time fetches nothing.
    let limits = [request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms];
    if request.is_renew_ack && limits != [0; 4] {
        return Err(ErrorCode::InvalidRequest);
    }
    let added =
        request.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, p.partition_index)));
    let forgotten =
        request.forgotten_topics_data.iter().flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, *p)));
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    let acknowledges = partitions.into_iter().any(|partition| !partition.acknowledgement_batches.is_empty());
    let mut sessions = call.broker.share.sessions.lock();
    let fetched = sessions.fetch(&key, call.origin.id, request.share_session_epoch, added, forgotten, acknowledges);
    let partitions = fetched.map_err(session_error)?;
    // Kafka looks at it once the session has counted the request.
    match request.share_acquire_mode {
        BATCH_OPTIMIZED | RECORD_LIMIT => Ok((key, partitions)),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

async fn serve(call: Call, request: ShareFetchRequest, key: SessionKey, mut partitions: Vec<(Uuid, i32)>) -> Frame {
    let batches = acknowledgements(&request);
    let acknowledges = batches.iter().any(|(_, batches)| !batches.is_empty());
    let acknowledged = match acknowledges {
        true => acknowledge(&call, &key, batches, request.is_renew_ack).await,
        false => Acknowledged::new(),
    };
    if let Ok(epoch) = usize::try_from(request.share_session_epoch)
        && !partitions.is_empty()
    {
        // Every partition comes first once in a while.
        let turn = epoch % partitions.len();
        partitions.rotate_left(turn);
    }
    let fetched = match request.is_renew_ack {
        true => Vec::new(),
        false => Fetch::new(&call, &request, &key, partitions).run().await,
    };
    if request.share_session_epoch == FINAL_EPOCH {
        call.broker.share.end_session(&call.broker.image(), &key).await;
    }
    let response = response(&call, &key, fetched, acknowledged);
    call.answer(&response)
}

fn acknowledgements(request: &ShareFetchRequest) -> Vec<((Uuid, i32), Batches)> {
    let mut all = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter();
            let batches =
                batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types.clone())).collect();
            all.push(((topic.topic_id, partition.partition_index), batches));
        }
    }
    all
}

/// A partition that a fetch reads, or why it cannot.
type Target = ((Uuid, i32), Result<Arc<ShareState>, ErrorCode>);

/// What became of one partition of a fetch.
type Fetched = ((Uuid, i32), Result<Delivered, ErrorCode>);

/// A fetch under way.
struct Fetch<'a> {
    call: &'a Call,
    member: Arc<str>,
    targets: Vec<Target>,
    session_begins: bool,
    mode: AcquireMode,
    records_max: i64,
    batch_size: i64,
    bytes_min: usize,
    bytes_max: usize,
    isolation: Isolation,
    limits: Limits,
    deadline: Instant,
}

impl<'a> Fetch<'a> {
    fn new(call: &'a Call, request: &ShareFetchRequest, key: &SessionKey, partitions: Vec<(Uuid, i32)>) -> Self {
        let broker = &call.broker;
        let image = broker.image();
        let gate = Gate::of(call);
        let group = ByteString::from(&*key.group);
        let limit = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let bytes_max = request.max_bytes.min(broker.config.fetch.max_bytes);
        let (bytes_max, bytes_min) = (limit(bytes_max), limit(request.min_bytes.min(bytes_max)));
        let target = |(topic, partition): (Uuid, i32)| {
            let state = match image.topics().by_id(topic) {
                None => Err(ErrorCode::UnknownTopicId),
                Some(found) if !may_read(gate.as_deref(), &found.name) => Err(ErrorCode::TopicAuthorizationFailed),
                Some(found) if found.partition(partition).is_none() => Err(ErrorCode::UnknownTopicOrPartition),
                Some(_) => broker.share.get(&image, &group, topic, partition),
            };
            ((topic, partition), state)
        };
        let fetches = request.max_records > 0 && bytes_max > 0;
        let committed = thalweg_groups::reads_committed(&image, &group);
        Self {
            call,
            member: Arc::clone(&key.member),
            targets: if fetches { partitions.into_iter().map(target).collect() } else { Vec::new() },
            session_begins: request.share_session_epoch == INITIAL_EPOCH,
            mode: if request.share_acquire_mode == RECORD_LIMIT {
                AcquireMode::RecordLimit
            } else {
                AcquireMode::BatchOptimized
            },
            records_max: i64::from(request.max_records),
            batch_size: i64::from(request.batch_size),
            bytes_min,
            bytes_max,
            isolation: if committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
            limits: broker.share.limits(&image, &group),
            deadline: deadline(request.max_wait_ms),
        }
    }

    /// What the client is told. The first fetch of a session tells of every partition that it can read.
    async fn run(&self) -> Vec<Fetched> {
        let mut fetched = self.wait().await;
        if self.session_begins {
            let told: BTreeSet<_> = fetched.iter().map(|(at, _)| *at).collect();
            let is_active = |state: &Result<Arc<ShareState>, _>| state.as_ref().is_ok_and(|state| state.is_active());
            let others = self.targets.iter().filter(|(at, state)| is_active(state) && !told.contains(at));
            fetched.extend(others.map(|(at, _)| (*at, Ok(Delivered::default()))));
        }
        fetched
    }

    async fn wait(&self) -> Vec<Fetched> {
        if self.targets.is_empty() {
            return Vec::new();
        }
        let parked = Parked::new();
        let mut closing = self.call.broker.closing.clone();
        for (_, state) in &self.targets {
            if let Ok(state) = state {
                state.park(&parked);
            }
        }
        loop {
            parked.begin();
            let (bytes, urgent) = self.available();
            let is_over = now() >= self.deadline;
            if bytes >= self.bytes_min || urgent || is_over {
                let fetched = self.deliver().await;
                // Another member may have been faster.
                if !fetched.is_empty() || is_over || self.bytes_min == 0 {
                    return fetched;
                }
            }
            parked.expect(self.bytes_min.saturating_sub(bytes).max(1));
            let more = tokio::select! {
                biased;
                more = parked.woken_before(self.deadline) => more,
                () = closing.begun() => false,
            };
            if !more {
                return self.deliver().await;
            }
        }
    }

    fn fetching(&self, records_max: i64) -> Fetching<'_> {
        Fetching {
            member: &self.member,
            mode: self.mode,
            records_max,
            batch_size: self.batch_size,
            bytes_max: self.bytes_max / self.targets.len().max(1),
            isolation: self.isolation,
        }
    }

    /// How many bytes there are, and whether the client should learn of something at once.
    fn available(&self) -> (usize, bool) {
        let mut bytes = 0;
        for (_, state) in &self.targets {
            let available = state.as_ref().map_err(|error| *error);
            match available.and_then(|state| state.available(self.fetching(self.records_max), self.limits)) {
                Ok(available) => bytes += available,
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    /// Takes what there is; partitions without records are left out.
    async fn deliver(&self) -> Vec<Fetched> {
        let mut left = self.records_max;
        let mut fetched = Vec::new();
        for (at, state) in &self.targets {
            let delivered = match state {
                Err(error) => Err(*error),
                Ok(state) => match state.ended() {
                    Some(error) => Err(error),
                    None => state.deliver(self.call.broker.moment(), self.fetching(left), self.limits).await,
                },
            };
            if let Ok(delivered) = &delivered {
                left -= delivered.acquired.iter().map(|got| got.span.last - got.span.first + 1).sum::<i64>();
                if delivered.acquired.is_empty() {
                    continue;
                }
            }
            fetched.push((*at, delivered));
        }
        fetched
    }
}

fn response(call: &Call, key: &SessionKey, fetched: Vec<Fetched>, acknowledged: Acknowledged) -> ShareFetchResponse {
    let image = call.broker.image();
    let mut leaders = Leaders::new(call);
    let mut partitions: BTreeMap<(Uuid, i32), PartitionData> = BTreeMap::new();
    let empty = |partition_index| PartitionData {
        partition_index,
        records: Some(Records::default()),
        ..PartitionData::default()
    };
    for ((topic, index), delivered) in fetched {
        let mut data = empty(index);
        match delivered {
            Ok(Delivered { acquired, records }) => {
                data.records = Some(records.into());
                let acquired = acquired.iter().map(|got| AcquiredRecords {
                    first_offset: got.span.first,
                    last_offset: got.span.last,
                    delivery_count: got.delivery_count,
                });
                data.acquired_records = acquired.collect();
            }
            Err(error) => {
                data.error_code = error.code();
                data.error_message = Some(error.message().into());
                if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
                    let (leader_id, leader_epoch) = leaders.of(TopicRef::Id(topic), index);
                    data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
                }
            }
        }
        partitions.insert((topic, index), data);
    }
    for ((topic, index), (error, message)) in acknowledged {
        let data = partitions.entry((topic, index)).or_insert_with(|| empty(index));
        data.acknowledge_error_code = error.code();
        data.acknowledge_error_message = message;
    }
    let mut responses: Vec<ShareFetchableTopicResponse> = Vec::new();
    for ((topic_id, _), data) in partitions {
        match responses.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partitions.push(data),
            None => responses.push(ShareFetchableTopicResponse { topic_id, partitions: vec![data] }),
        }
    }
    let endpoint =
        |node: Endpoint| NodeEndpoint { node_id: node.id, host: node.host, port: node.port, rack: node.rack };
    ShareFetchResponse {
        acquisition_lock_timeout_ms: call.broker.share.settings().record_lock_duration_ms(&image, &key.group),
        responses,
        node_endpoints: leaders.endpoints().map(endpoint).collect(),
        ..ShareFetchResponse::default()
    }
}
