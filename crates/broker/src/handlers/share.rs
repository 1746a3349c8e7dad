//! What the handlers of share groups have in common (KIP-932).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_base::Uuid;
use thalweg_groups::{Answer, Caller, Describable, Initialize, Request};
use thalweg_metadata::feature::SHARE_VERSION;
use thalweg_metadata::topic_name::SHARE_GROUP_STATE;
use thalweg_share::state::{self, Failure, Key};
use thalweg_share::{AckBatch, AckType, SessionError, SessionKey, Span};
use thalweg_wire::ErrorCode;

use super::authorization::Gate;
use crate::broker::Broker;
use crate::call::Call;
use crate::drivers::share::Refused;

/// A member id is never longer.
const MEMBER_ID_LEN_MAX: usize = 36;
/// The session epoch with which a member begins.
pub(super) const INITIAL_EPOCH: i32 = 0;
/// The session epoch with which a member leaves.
pub(super) const FINAL_EPOCH: i32 = -1;

/// How many bytes a share fetch or its acknowledgements take while they wait, estimated: for each partition its name and
/// what is found there, for each batch of acknowledgements its range and one byte for each type.
pub(super) fn waiting_bytes(partitions: usize, types_by_batch: impl Iterator<Item = usize>) -> usize {
    const PARTITION: usize = 256;
    const BATCH: usize = 64;
    partitions * PARTITION + types_by_batch.map(|types| BATCH + types).sum::<usize>()
}

/// Whether the cluster's features allow share groups.
pub(super) fn serves_share_groups(call: &Call) -> bool {
    call.broker.image().features().level(SHARE_VERSION.name) >= 1
}

/// Whose session a request belongs to; `None` if there is no group, or the member's id cannot be one.
pub(super) fn session_key(group: Option<&ByteString>, member: Option<&ByteString>) -> Option<SessionKey> {
    let member = member.filter(|id| !id.is_empty() && id.encode_utf16().count() <= MEMBER_ID_LEN_MAX)?;
    Some(SessionKey { group: (&**group?).into(), member: (&**member).into() })
}

/// What a client is told of its session.
pub(super) fn session_error(error: SessionError) -> ErrorCode {
    match error {
        SessionError::NotFound => ErrorCode::ShareSessionNotFound,
        SessionError::InvalidEpoch => ErrorCode::InvalidShareSessionEpoch,
        SessionError::LimitReached => ErrorCode::ShareSessionLimitReached,
        SessionError::AcknowledgesAtFirst => ErrorCode::InvalidRequest,
    }
}

/// What became of acknowledgements: an error and its text, by partition.
pub(super) type Acknowledged = BTreeMap<(Uuid, i32), (ErrorCode, Option<ByteString>)>;

/// Acknowledgements as a request has them: first and last offset, and the types.
pub(super) type Batches = Vec<(i64, i64, Vec<i8>)>;

/// Whether the client may read a topic.
pub(super) fn may_read(gate: Option<&Gate>, topic: &str) -> bool {
    gate.is_none_or(|gate| gate.may(Operation::Read, Resource::topic(topic)))
}

/// Carries out what a member says of records that it holds.
pub(super) async fn acknowledge(
    call: &Call,
    key: &SessionKey,
    partitions: Vec<((Uuid, i32), Batches)>,
    renews: bool,
) -> Acknowledged {
    let image = call.broker.image();
    let gate = Gate::of(call);
    let group = ByteString::from(&*key.group);
    let limits = call.broker.share.limits(&image, &group);
    let type_max = if call.version >= 2 { 4 } else { 3 };
    let mut done = Acknowledged::new();
    let mut empty = Vec::new();
    let mut carried_out = false;
    for (at, batches) in partitions {
        let (topic, partition) = at;
        let found = image.topics().by_id(topic);
        let is_there = found.map(|topic| topic.partition(partition).is_some());
        let may_read = found.is_none_or(|topic| may_read(gate.as_deref(), &topic.name));
        let checked = checked(&batches, type_max, renews);
        let result = match (is_there, checked) {
            (None, _) => Err((ErrorCode::UnknownTopicId, None)),
            (_, Err(error)) => Err((error, None)),
            _ if !may_read => Err((ErrorCode::TopicAuthorizationFailed, None)),
            (Some(false), _) => Err((ErrorCode::UnknownTopicOrPartition, None)),
            (Some(true), Ok(checked)) if checked.is_empty() => {
                empty.push(at);
                continue;
            }
            (Some(true), Ok(checked)) => {
                carried_out = true;
                match call.broker.share.known(&group, topic, partition) {
                    Some(state) => {
                        let acknowledged = state.acknowledge(call.broker.moment(), &key.member, &checked, limits).await;
                        acknowledged.map_err(|refused| refusal(&refused))
                    }
                    None => refusal_of(ErrorCode::UnknownTopicOrPartition),
                }
            }
        };
        let result = result.map_or_else(
            |(code, text): (ErrorCode, Option<&str>)| (code, text.map(Into::into)),
            |()| (ErrorCode::None, None),
        );
        done.insert(at, result);
    }
    if carried_out {
        done.extend(empty.into_iter().map(|at| (at, (ErrorCode::None, None))));
    }
    done
}

fn refusal_of(error: ErrorCode) -> Result<(), (ErrorCode, Option<&'static str>)> {
    Err((error, Some(error.message())))
}

fn refusal(refused: &Refused) -> (ErrorCode, Option<&'static str>) {
    match refused {
        Refused::Error(error) => (*error, Some(error.message())),
        Refused::Ack(refused) if refused.is_invalid_request() => (ErrorCode::InvalidRequest, Some(refused.message())),
        Refused::Ack(refused) => (ErrorCode::InvalidRecordState, Some(refused.message())),
    }
}

/// The acknowledgements of one partition, if they make sense.
fn checked(batches: &Batches, type_max: i8, renews: bool) -> Result<Vec<AckBatch>, ErrorCode> {
    let mut end = -1;
    let mut checked = Vec::with_capacity(batches.len());
    for (first, last, types) in batches {
        let count = i64::try_from(types.len()).unwrap_or(i64::MAX);
        let is_one_each = count == 1 || last.checked_sub(*first) == Some(count - 1);
        let is_known = types.iter().all(|number| (0..=type_max).contains(number));
        let renews_unsaid = !renews && types.contains(&(AckType::Renew as i8));
        if first > last || *first < end || count == 0 || !is_one_each || !is_known || renews_unsaid {
            return Err(ErrorCode::InvalidRequest);
        }
        end = *last;
        let types = types.iter().filter_map(|number| AckType::from_i8(*number)).collect();
        checked.push(AckBatch { span: Span { first: *first, last: *last }, types });
    }
    Ok(checked)
}

/// Who asks a group's coordinator on behalf of this node.
pub(super) fn this_node() -> Caller {
    let nothing = ByteString::new;
    Caller {
        version: 0,
        client_id: nothing(),
        client_host: nothing(),
        listener: nothing(),
        describable: Describable::all(),
    }
}

/// Has the share coordinator remember partitions, and tells the group what came of it.
pub(super) async fn initialize(
    broker: &Arc<Broker>,
    initialize: Initialize,
) -> BTreeMap<(Uuid, i32), Result<(), Failure>> {
    if broker.image().topics().by_name(SHARE_GROUP_STATE).is_none() {
        broker.auto_create_topics(vec![SHARE_GROUP_STATE.into()]).await;
    }
    let (group, partitions) = (initialize.group.clone(), initialize.partitions());
    // Whoever serves the old state is not to go on with it.
    broker.share.forget(&group, initialize.starts.keys().copied());
    let mut outcomes = BTreeMap::new();
    for ((topic, partition), start_offset) in initialize.starts {
        let key = Key { group: group.clone(), topic, partition };
        let request = state::Request::Initialize { state_epoch: initialize.state_epoch, start_offset };
        let outcome = broker.share.coordinators().ask(&key, &request).await;
        outcomes.insert((topic, partition), outcome.map(drop));
    }
    let failed = outcomes.values().find_map(|outcome| outcome.as_ref().err());
    let result = failed.map_or(Ok(()), |failure| Err(failure.code));
    let told = Request::ShareStateInitialized { group: group.clone(), partitions, result };
    // If nobody hears it, the group asks again after a while.
    let _ = broker.groups.ask(&group, &this_node(), told).outcome().await;
    outcomes
}

/// The share partitions that a group has.
pub(super) async fn partitions_of(
    broker: &Broker,
    group: &ByteString,
) -> Result<thalweg_groups::Partitions, ErrorCode> {
    let asked = broker.groups.ask(group, &this_node(), Request::SharePartitions(group.clone()));
    match asked.outcome().await? {
        Answer::SharePartitions(partitions) => partitions,
        _ => Err(ErrorCode::UnknownServerError),
    }
}
