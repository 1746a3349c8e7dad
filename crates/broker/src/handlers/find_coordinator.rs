//! FindCoordinator: which node keeps a group, a transactional id or the state of a share partition. The first request creates
//! the topic that they are kept in.

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::FindCoordinatorRequest;
use thalweg_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use super::topic_view::brokers;
use crate::call::Call;

/// From this version on several keys are asked for at once (KIP-699).
const BATCHED: i16 = 4;
/// From this version on share groups have coordinators (KIP-932).
const SHARE: i16 = 6;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE_GROUP: i8 = 2;

pub(crate) fn handle(call: Call, request: FindCoordinatorRequest) -> Reply {
    let is_asked = call.version < BATCHED || !request.coordinator_keys.is_empty();
    let missing = topic_of(request.key_type).filter(|topic| call.broker.image().topics().by_name(topic).is_none());
    let (true, Some(missing)) = (is_asked, missing) else {
        let response = answer(&call, &request);
        return Reply::Now(call.answer(&response));
    };
    Reply::Exclusive(Box::pin(async move {
        // If it cannot be created, the answer says that there is no coordinator.
        call.broker.auto_create_topics(vec![missing.into()]).await;
        let response = answer(&call, &request);
        call.answer(&response)
    }))
}

fn answer(call: &Call, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let image = call.broker.image();
    if call.version >= BATCHED {
        let coordinators = request.coordinator_keys.iter().map(|key| coordinator(call, &image, request.key_type, key));
        return FindCoordinatorResponse { coordinators: coordinators.collect(), ..FindCoordinatorResponse::default() };
    }
    let found = coordinator(call, &image, request.key_type, &request.key);
    let message = match ErrorCode::from_code(found.error_code) {
        ErrorCode::None => "NONE",
        error => error.message(),
    };
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: (call.version >= 1).then(|| message.into()),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn coordinator(call: &Call, image: &MetadataImage, key_type: i8, key: &ByteString) -> Coordinator {
    let refused = |error: ErrorCode, message: &str| Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: Some(message.into()),
        ..Coordinator::default()
    };
    match key_type {
        GROUP | TRANSACTION => {}
        SHARE_GROUP if call.version >= SHARE && is_share_key(key) => {}
        SHARE_GROUP => return refused(ErrorCode::InvalidRequest, ""),
        _ => return refused(ErrorCode::InvalidRequest, ErrorCode::InvalidRequest.message()),
    }
    let index = match key_type {
        TRANSACTION => call.broker.transactions.partition_of(key),
        SHARE_GROUP => call.broker.share.coordinators().partition_of(key),
        _ => call.broker.groups.partition_of(key),
    };
    let topic = topic_of(key_type).and_then(|topic| image.topics().by_name(topic));
    let leader = topic.and_then(|topic| Some(topic.partition(index)?.leader));
    let found =
        brokers(image, &call.listener).find(|broker| Some(broker.id) == leader.map(|id| id.0) && !broker.fenced);
    match found {
        Some(broker) => Coordinator {
            key: key.clone(),
            node_id: broker.id,
            host: broker.host.into(),
            port: broker.port,
            error_message: Some("".into()),
            ..Coordinator::default()
        },
        None => refused(ErrorCode::CoordinatorNotAvailable, ""),
    }
}

/// The topic in which things of this kind are kept.
fn topic_of(key_type: i8) -> Option<&'static str> {
    match key_type {
        GROUP => Some(CONSUMER_OFFSETS),
        TRANSACTION => Some(TRANSACTION_STATE),
        SHARE_GROUP => Some(SHARE_GROUP_STATE),
        _ => None,
    }
}

/// Whether it is a group, a topic's id and a partition, with colons between.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().is_some_and(|partition| partition.parse::<i32>().is_ok());
    let topic = parts.next().is_some_and(|id| id.parse::<thalweg_base::Uuid>().is_ok());
    partition && topic && parts.next().is_some_and(|group| !group.is_empty())
}
