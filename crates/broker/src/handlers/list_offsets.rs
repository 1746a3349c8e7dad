//! ListOffsets: the first, last and largest offsets of partitions, and the first one from a time on.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::LeaderEpoch;
use thalweg_replica::TopicRef;
use thalweg_storage::TimestampedOffset;
use thalweg_sys::task;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ListOffsetsRequest;
use thalweg_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use thalweg_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use crate::call::Call;
use crate::drivers::partition::reading::{Answering, Isolation, OffsetQuery, Position};

/// From this version on answers carry leader epochs (KIP-320).
const LEADER_EPOCHS: i16 = 4;
/// From this version on clients know the error of that name.
const OFFSET_NOT_AVAILABLE: i16 = 5;
/// The replica id of clients.
const CONSUMER: i32 = -1;
/// The replica id of clients that look for faults: every replica answers them, up to the end of its own log.
const DEBUGGING_REPLICA: i32 = -2;

/// Who asks: it decides which replicas answer, and up to where.
#[derive(Clone, Copy)]
struct Asker {
    answering: Answering,
    isolation: Isolation,
}

impl Asker {
    fn of(request: &ListOffsetsRequest) -> Self {
        let answering = if request.replica_id == DEBUGGING_REPLICA { Answering::AnyReplica } else { Answering::Leader };
        let isolation = match (request.replica_id, request.isolation_level) {
            (CONSUMER, 1) => Isolation::ReadCommitted,
            (CONSUMER, _) => Isolation::ReadUncommitted,
            _ => Isolation::LogEnd,
        };
        Self { answering, isolation }
    }
}

pub(crate) async fn handle(call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let asker = Asker::of(&request);
    let is_meaningless = !matches!(request.isolation_level, 0 | 1);
    let mut topics: Vec<ListOffsetsTopicResponse> = Vec::with_capacity(request.topics.len());
    for (name, asked) in once_each(&request.topics) {
        let mut partitions = Vec::with_capacity(asked.len());
        for (asked, times) in asked {
            let found = match times {
                _ if is_meaningless => Err(ErrorCode::UnknownServerError),
                1 => position(&call, name, asked, asker).await.map_err(|e| for_version(e, call.version)),
                _ => Err(ErrorCode::InvalidRequest),
            };
            partitions.push(response(call.version, asked.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: name.clone(), partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

/// A topic's name, and each of its partitions with how many times it is asked for.
type Asked<'a> = (&'a ByteString, Vec<(&'a ListOffsetsPartition, usize)>);

/// Each topic and partition once, where it is named first. Topics without partitions say nothing.
fn once_each(topics: &[ListOffsetsTopic]) -> Vec<Asked<'_>> {
    let mut once: Vec<Asked<'_>> = Vec::with_capacity(topics.len());
    let (mut topic_places, mut places) = (BTreeMap::new(), BTreeMap::new());
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let at = *topic_places.entry(&topic.name).or_insert(once.len());
        if at == once.len() {
            once.push((&topic.name, Vec::with_capacity(topic.partitions.len())));
        }
        let known = &mut once[at].1;
        for asked in &topic.partitions {
            let place = *places.entry((at, asked.partition_index)).or_insert(known.len());
            if place == known.len() {
                known.push((asked, 1));
            } else {
                known[place].1 += 1;
            }
        }
    }
    once
}

async fn position(
    call: &Call,
    topic: &str,
    asked: &ListOffsetsPartition,
    asker: Asker,
) -> Result<Option<TimestampedOffset>, ErrorCode> {
    let query = query(call.version, asked.timestamp)?;
    let partition = call.broker.partitions.find(TopicRef::Name(topic), asked.partition_index)?;
    let epoch = (asked.current_leader_epoch != -1).then_some(LeaderEpoch(asked.current_leader_epoch));
    match partition.position(query, asker.isolation, epoch, asker.answering)? {
        Position::Known(known) => Ok(known),
        Position::Search(search) => {
            let _turn = call.broker.partitions.search_turn().await;
            let found = task::blocking(move || partition.search(&search)).await;
            found.unwrap_or(Err(ErrorCode::UnknownServerError))
        }
    }
}

/// Older clients do not know that the offset will be known soon (KIP-207); this makes them ask again, too.
fn for_version(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::OffsetNotAvailable if version < OFFSET_NOT_AVAILABLE => ErrorCode::LeaderNotAvailable,
        other => other,
    }
}

/// What a timestamp asks for: the negative ones have a meaning of their own, each since some version.
fn query(version: i16, timestamp: i64) -> Result<OffsetQuery, ErrorCode> {
    Ok(match (timestamp, version) {
        (-1, _) => OffsetQuery::Latest,
        (-2, _) => OffsetQuery::Earliest,
        (-3, 7..) => OffsetQuery::MaxTimestamp,
        (-4, 8..) => OffsetQuery::EarliestLocal,
        (-5, 9..) => OffsetQuery::LatestTiered,
        (-6, 11..) => OffsetQuery::EarliestPendingUpload,
        (0.., _) => OffsetQuery::At(thalweg_base::Timestamp(timestamp)),
        _ => return Err(ErrorCode::UnsupportedVersion),
    })
}

fn response(
    version: i16,
    partition_index: i32,
    found: Result<Option<TimestampedOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match found {
        Ok(Some(position)) => {
            response.timestamp = position.timestamp.0;
            response.offset = position.offset.0;
            if version >= LEADER_EPOCHS {
                response.leader_epoch = position.leader_epoch.0;
            }
        }
        // Nothing there is no error.
        Ok(None) => {}
        Err(error) => response.error_code = error.code(),
    }
    response
}
