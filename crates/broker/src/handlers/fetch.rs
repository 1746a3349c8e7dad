//! Fetch: records from where the client stands, with incremental sessions (KIP-227), topic ids (KIP-516), leader epochs
//! (KIP-320) and long polling.
//!
//! A fetch first looks, in memory, how much there is. If that is enough, or nothing more can be waited for, the records
//! are read and the answer is written; else the fetch is parked until enough has become readable or its time is over.

mod answer;
mod lent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_base::{BrokerEpoch, LeaderEpoch, NodeId, Offset};
use thalweg_network::Reply;
use thalweg_replica::{
    Begun, FetchParams, SessionEpoch, SessionError, SessionId, SessionRequest, Slot, Topic, TopicRef,
};
use thalweg_storage::FirstBatch;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::fetch_request::FetchRequest;
use thalweg_wire::messages::fetch_response::FetchResponse;

use self::lent::Lent;
use super::authorization::{Attempt, Gate};
use crate::call::Call;
use crate::drivers::parked::Parked;
use crate::drivers::partition::Partition;
use crate::drivers::partition::reading::{FollowerFetch, Isolation, Look, Reader, Turn};

/// From this version on topics are named by id.
const BY_ID: i16 = 13;
/// From this version on consumers may read from followers (KIP-392).
const ANY_REPLICA: i16 = 11;
/// From this version on a follower tells its broker epoch (KIP-903).
const REPLICA_STATE: i16 = 15;

pub(crate) fn handle(call: Call, request: FetchRequest) -> Reply {
    let fetch = match Fetch::begin(call, &request) {
        Ok(fetch) => fetch,
        Err((call, error)) => {
            let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
            return Reply::Now(call.answer(&response));
        }
    };
    // What has no meaning ends the request, though not before its session has counted it.
    if !matches!(request.isolation_level, 0 | 1) && fetch.targets.iter().any(Target::is_known) {
        let response = answer::refused(&request, fetch.call.version, ErrorCode::UnknownServerError);
        return Reply::Now(fetch.call.answer(&response));
    }
    let found = fetch.look(Turn::First);
    if fetch.is_enough(&found) {
        return match fetch.read_cached(&found) {
            Some(records) => Reply::Now(fetch.answer(found, records)),
            None => {
                let bytes = fetch.memory();
                let answer = async move {
                    let records = fetch.read_from_disk(&found).await;
                    fetch.answer(found, records)
                };
                Reply::Parked(Box::pin(answer), bytes)
            }
        };
    }
    let bytes = fetch.memory();
    let answer = async move {
        let found = fetch.wait().await;
        let records = fetch.read(&found).await;
        fetch.answer(found, records)
    };
    Reply::Parked(Box::pin(answer), bytes)
}

/// One partition that a fetch reads.
struct Target {
    topic: Topic,
    partition: i32,
    params: FetchParams,
    /// Its place in the session, if there is one.
    slot: Option<Slot>,
    /// The partition on this node, or why there is none.
    place: Result<Arc<Partition>, ErrorCode>,
}

/// What a look at every target found.
struct Found {
    looks: Vec<Look>,
    /// How many bytes of records there are to read.
    bytes: usize,
    /// Something that the client should learn at once.
    urgent: bool,
}

/// Whether the answer makes a session, continues one, or does without.
enum Answering {
    Sessionless,
    NewSession,
    Session(Lent),
}

/// A fetch under way.
struct Fetch {
    call: Call,
    targets: Vec<Target>,
    answering: Answering,
    reader: Reader,
    /// Where the client is, if it may be sent to a replica that is nearer.
    rack: Option<ByteString>,
    isolation: Isolation,
    bytes_min: usize,
    /// Of all partitions together; one that is asked for less than nothing is an error.
    bytes_max: i32,
    deadline: Instant,
}

impl Fetch {
    fn begin(call: Call, request: &FetchRequest) -> Result<Self, (Call, ErrorCode)> {
        let by_id = call.version >= BY_ID;
        let head = SessionRequest {
            id: SessionId(request.session_id),
            epoch: SessionEpoch(request.session_epoch),
            uses_topic_ids: by_id,
        };
        let begun = call.broker.fetch_sessions.lock().begin(
            head,
            listed(request, by_id),
            forgotten(request, by_id),
            call.broker.moment(),
        );
        let broker = Arc::clone(&call.broker);
        let target = |topic: Topic, partition, params, slot| Target {
            place: broker.partitions.find(topic.as_ref(), partition),
            topic,
            partition,
            params,
            slot,
        };
        let full = || {
            let each = |(topic, partition, params)| target(owned(topic), partition, params, None);
            once_each(listed(request, by_id)).into_iter().map(each).collect()
        };
        let (mut targets, answering): (Vec<Target>, _) = match begun {
            Begun::Sessionless => (full(), Answering::Sessionless),
            Begun::Full => (full(), Answering::NewSession),
            Begun::Incremental(session) => {
                let each = |(slot, cached): (Slot, &thalweg_replica::CachedPartition)| {
                    target(cached.topic.clone(), cached.partition, cached.params, Some(slot))
                };
                (session.partitions().map(each).collect(), Answering::Session(Lent::new(&broker, head.id, session)))
            }
            Begun::Refused(refusal) => return Err((call, session_error(refusal))),
        };
        if let Some(gate) = Gate::of(&call) {
            refuse_unreadable(&gate, replica_of(call.version, request).is_some(), &mut targets);
        }
        // What there is not is told last. Most fetches know what they ask for, and are not sorted.
        if !targets.iter().all(Target::is_known) {
            targets.sort_by_key(|target| !target.is_known());
        }
        let limit = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let bytes_max = match replica_of(call.version, request) {
            None => request.max_bytes.min(broker.config.fetch.max_bytes).min(quota_bytes_max(&call)),
            Some(_) => request.max_bytes.min(broker.config.fetch.max_bytes),
        };
        Ok(Self {
            targets,
            answering,
            reader: reader(call.version, request),
            rack: (broker.config.fetch.rack_aware && !request.rack_id.is_empty()).then(|| request.rack_id.clone()),
            isolation: match request.isolation_level {
                _ if replica_of(call.version, request).is_some() => Isolation::LogEnd,
                1 => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            bytes_min: limit(request.min_bytes.min(bytes_max)),
            bytes_max,
            deadline: now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            call,
        })
    }

    /// How many bytes it holds while it waits: for each partition its target, its place among those who wait for the
    /// partition, and what was found there.
    fn memory(&self) -> usize {
        self.targets.len() * (size_of::<Target>() + size_of::<Look>() + size_of::<Arc<Parked>>())
    }

    /// Looks at every target in order, until the answer is full. Touches no records.
    fn look(&self, turn: Turn) -> Found {
        let reader = match self.reader {
            Reader::Follower(fetch) => Reader::Follower(FollowerFetch { turn, ..fetch }),
            consumer => consumer,
        };
        let mut found = Found { looks: Vec::with_capacity(self.targets.len()), bytes: 0, urgent: false };
        let mut left = self.bytes_max;
        for target in &self.targets {
            let look = match (&target.place, usize::try_from(target.params.max_bytes.min(left))) {
                // The first batch of an answer is always whole, so that a client gets on whatever its limits are.
                (Ok(partition), Ok(bytes_max)) => {
                    let first = if found.bytes == 0 { FirstBatch::Whole } else { FirstBatch::Fitting };
                    let mut look = partition.look(&target.params, bytes_max, first, reader, self.isolation);
                    if look.error == ErrorCode::None
                        && let Some(nearer) = self.nearer_replica(partition, target.params.fetch_offset)
                    {
                        look.prefer(nearer);
                    }
                    look
                }
                (Ok(_), Err(_)) => Look::refused(ErrorCode::UnknownServerError),
                (Err(error), _) => Look::refused(*error),
            };
            found.bytes += look.bytes();
            left = left.saturating_sub(i32::try_from(look.bytes()).unwrap_or(i32::MAX)).max(0);
            found.urgent |= look.error != ErrorCode::None || look.diverging.is_some() || look.preferred.is_some();
            found.looks.push(look);
        }
        found
    }

    /// A follower in the client's rack that has the offset, if the leader is elsewhere: the one that has most (KIP-392).
    fn nearer_replica(&self, partition: &Partition, offset: Offset) -> Option<NodeId> {
        let rack = self.rack.as_deref().filter(|_| self.reader == Reader::ConsumerOfAnyReplica)?;
        let image = self.call.broker.image();
        let is_near = |node: NodeId| {
            let broker = image.cluster().broker(node).filter(|broker| !broker.fenced);
            broker.is_some_and(|broker| broker.rack.as_deref() == Some(rack))
        };
        if is_near(self.call.broker.config.node_id) {
            return None;
        }
        let near = partition.followers_with(offset).into_iter().filter(|(node, _)| is_near(*node));
        near.max_by_key(|(_, end)| *end).map(|(node, _)| node)
    }

    fn is_enough(&self, found: &Found) -> bool {
        found.bytes >= self.bytes_min || found.urgent || self.targets.is_empty() || now() >= self.deadline
    }

    /// Parks until there is enough, or until the time is over.
    async fn wait(&self) -> Found {
        let parked = Parked::new();
        let mut closing = self.call.broker.closing.clone();
        let leaderships = &self.call.broker.partitions.leaderships;
        let mut began = leaderships.changes();
        let is_follower = matches!(self.reader, Reader::Follower(_));
        let deadline = if is_follower { leaderships.patience(self.deadline) } else { self.deadline };
        for partition in self.targets.iter().filter_map(|target| target.place.as_ref().ok()) {
            match self.reader {
                Reader::Follower(_) => partition.park_follower(&parked),
                Reader::Consumer | Reader::ConsumerOfAnyReplica => partition.park(&parked),
            }
        }
        loop {
            parked.begin();
            let found = self.look(Turn::Again);
            if self.is_enough(&found) {
                return found;
            }
            parked.expect(self.bytes_min - found.bytes);
            let more = tokio::select! {
                biased;
                more = parked.woken_before(deadline) => more,
                () = closing.begun() => false,
                // What this node leads now is not among what the follower has asked for.
                _ = began.changed(), if is_follower => false,
            };
            if !more {
                return self.look(Turn::Again);
            }
        }
    }
}

/// How much the client may be given at once without being throttled for certain.
fn quota_bytes_max(call: &Call) -> i32 {
    call.broker.quotas.fetch_bytes_max(call.user()).map_or(i32::MAX, |bytes| bytes as i32)
}

/// Takes away what the client may not read: topics without READ, and all of them from a follower without CLUSTER_ACTION.
fn refuse_unreadable(gate: &Gate, is_follower: bool, targets: &mut [Target]) {
    let may_follow = is_follower && gate.may(Operation::ClusterAction, Resource::CLUSTER);
    let mut counts: BTreeMap<&Topic, usize> = BTreeMap::new();
    targets.iter().for_each(|target| *counts.entry(&target.topic).or_default() += 1);
    let may_read = |(topic, references): &(&Topic, usize)| {
        let name = match topic {
            Topic::Name(name) => Some(name),
            Topic::Id(id) => gate.image.topics().by_id(*id).map(|topic| &topic.name),
        };
        // An unknown id stays unknown.
        let may = |name| gate.decides(Operation::Read, Resource::topic(name), Attempt::Explicit, *references);
        may_follow || name.is_none_or(|name| !is_follower && may(name))
    };
    let refused = counts.into_iter().filter(|counted| !may_read(counted)).map(|(topic, _)| topic.clone());
    let refused: BTreeSet<Topic> = refused.collect();
    for target in targets.iter_mut().filter(|target| refused.contains(&target.topic)) {
        target.place = Err(ErrorCode::TopicAuthorizationFailed);
    }
}

/// The broker that follows, if it is no client that asks.
fn replica_of(version: i16, request: &FetchRequest) -> Option<NodeId> {
    let replica = if version >= REPLICA_STATE { request.replica_state.replica_id } else { request.replica_id };
    (replica >= 0).then_some(NodeId(replica))
}

fn reader(version: i16, request: &FetchRequest) -> Reader {
    match replica_of(version, request) {
        Some(follower) => {
            let epoch = request.replica_state.replica_epoch;
            let broker_epoch = (version >= REPLICA_STATE && epoch >= 0).then_some(BrokerEpoch(epoch));
            Reader::Follower(FollowerFetch { follower, broker_epoch, turn: Turn::First })
        }
        None if version >= ANY_REPLICA => Reader::ConsumerOfAnyReplica,
        None => Reader::Consumer,
    }
}

fn listed(request: &FetchRequest, by_id: bool) -> impl Iterator<Item = (TopicRef<'_>, i32, FetchParams)> {
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    request.topics.iter().flat_map(move |topic| {
        let name = if by_id { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(&topic.topic) };
        topic.partitions.iter().map(move |p| {
            let params = FetchParams {
                fetch_offset: Offset(p.fetch_offset),
                log_start: Offset(p.log_start_offset),
                max_bytes: p.partition_max_bytes,
                current_leader_epoch: epoch(p.current_leader_epoch),
                last_fetched_epoch: epoch(p.last_fetched_epoch),
            };
            (name, p.partition, params)
        })
    })
}

/// Each partition once, where it is named first; of what is asked of it, the last counts.
fn once_each<'a>(
    listed: impl Iterator<Item = (TopicRef<'a>, i32, FetchParams)>,
) -> Vec<(TopicRef<'a>, i32, FetchParams)> {
    let mut once: Vec<_> = Vec::new();
    let mut places = BTreeMap::new();
    for (topic, partition, params) in listed {
        let place = *places.entry((topic, partition)).or_insert(once.len());
        if place == once.len() {
            once.push((topic, partition, params));
        } else {
            once[place].2 = params;
        }
    }
    once
}

fn forgotten(request: &FetchRequest, by_id: bool) -> impl Iterator<Item = (TopicRef<'_>, i32)> {
    request.forgotten_topics_data.iter().flat_map(move |topic| {
        let name = if by_id { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(&topic.topic) };
        topic.partitions.iter().map(move |&partition| (name, partition))
    })
}

/// A name of its own, not a slice of the request, which could be large.
fn owned(topic: TopicRef<'_>) -> Topic {
    match topic {
        TopicRef::Id(id) => Topic::Id(id),
        TopicRef::Name(name) => Topic::Name(name.into()),
    }
}

fn session_error(refusal: SessionError) -> ErrorCode {
    match refusal {
        SessionError::IdNotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicIdError => ErrorCode::FetchSessionTopicIdError,
    }
}
