//! From a frame to its handler and back: the one table of APIs that this node serves.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_network::{ListenerName, ListenerType, Origin, Reply};
use thalweg_sys::time::now;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, DecodeError, ErrorCode, Reader};
use tracing::debug;

use crate::broker::Broker;
use crate::call::{Call, Identity};
use crate::config::NodeConfig;
use crate::handlers as h;
use crate::handlers::authorization::{Guarded, guard};

type Handle = fn(Call, &mut Reader) -> Result<Reply, DecodeError>;

/// An API that this node serves, at every version that Kafka 4.3 advertises for it.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    handle: Handle,
}

impl Api {
    /// Whether it is served on such listeners.
    pub(crate) fn on(&self, listener: ListenerType) -> bool {
        listener.has(self.key)
    }

    /// Whether clients are told of it. Those that ask are answered, but clients are not asked for their metrics where nobody
    /// could see them (KIP-714).
    pub(crate) fn is_shown(&self, config: &NodeConfig) -> bool {
        let telemetry = matches!(self.key, ApiKey::GetTelemetrySubscriptions | ApiKey::PushTelemetry);
        !telemetry || config.network.http_listen.is_some()
    }
}

const fn api(key: ApiKey, handle: Handle) -> Api {
    Api { key, handle }
}

/// A handler that answers at once.
fn at_once<Q: Guarded>(
    call: &Call,
    body: &mut Reader,
    handler: impl FnOnce(&Call, Q) -> Q::Response,
) -> Result<Reply, DecodeError> {
    custom(call.clone(), body, |call, request| {
        let response = handler(&call, request);
        Reply::Now(call.answer(&response))
    })
}

/// A handler that waits for the controller or the disk.
fn waiting<Q, F>(call: Call, body: &mut Reader, handler: impl FnOnce(Call, Q) -> F) -> Result<Reply, DecodeError>
where
    Q: Guarded,
    F: Future<Output = Q::Response> + Send + 'static,
{
    custom(call, body, |call, request| {
        let response = handler(call.clone(), request);
        Reply::Exclusive(Box::pin(async move { call.answer(&response.await) }))
    })
}

/// A handler that waits, and lets later requests of its connection go ahead.
fn parked<Q, F>(call: Call, body: &mut Reader, handler: impl FnOnce(Call, Q) -> F) -> Result<Reply, DecodeError>
where
    Q: Guarded,
    F: Future<Output = Q::Response> + Send + 'static,
{
    custom(call, body, |call, request| {
        let response = handler(call.clone(), request);
        Reply::Parked(Box::pin(async move { call.answer(&response.await) }), 0)
    })
}

/// A handler that decides itself how to reply. It gets what the client may ask for.
fn custom<Q: Guarded>(
    mut call: Call,
    body: &mut Reader,
    handler: impl FnOnce(Call, Q) -> Reply,
) -> Result<Reply, DecodeError> {
    let mut request = Q::decode(body, call.version)?;
    Ok(match guard(&mut call, &mut request) {
        None => handler(call, request),
        Some(refused) => Reply::Now(call.answer(&refused)),
    })
}

/// An envelope holds a request of this table, whose answer goes back in another envelope.
fn envelope(mut call: Call, body: &mut Reader) -> Result<Reply, DecodeError> {
    let mut request = m::EnvelopeRequest::decode(body, call.version)?;
    if let Some(refused) = guard(&mut call, &mut request) {
        return Ok(Reply::Now(call.answer(&refused)));
    }
    let listener = ListenerName { name: Arc::clone(&call.listener), kind: call.listener_type };
    let inner = h::envelope::open(request).map(|forwarded| {
        let origin = Arc::new(call.origin.forwarded((forwarded.address, call.origin.address.port()).into()));
        let identity = Identity::new(forwarded.principal, forwarded.address, forwarded.by_token);
        open(&call.broker, &listener, &origin, &identity, forwarded.request).map_or_else(|reply| reply, handle)
    });
    Ok(Reply::Exclusive(Box::pin(async move {
        let frame = match inner {
            Ok(Reply::Now(frame)) => Ok(frame),
            Ok(Reply::Parked(answer, _) | Reply::Exclusive(answer)) => Ok(answer.await),
            Ok(Reply::Nothing | Reply::Close(_) | Reply::Last(..)) => Err(ErrorCode::InvalidRequest),
            Err(error) => Err(error),
        };
        let payload = frame.and_then(|frame| frame.into_payload().ok_or(ErrorCode::UnknownServerError));
        call.answer(&h::envelope::answer(payload))
    })))
}

/// ApiVersions says what this table says.
fn api_versions(call: Call, body: &mut Reader) -> Result<Reply, DecodeError> {
    at_once(&call, body, |call, request| {
        h::api_versions::handle(call, request, shown(call.listener_type, &call.broker.config))
    })
}

/// The APIs that ApiVersions advertises on such listeners, in the order of their keys.
fn shown(listener: ListenerType, config: &NodeConfig) -> impl Iterator<Item = ApiKey> {
    BY_KEY.iter().map(|at| &APIS[*at]).filter(move |api| api.on(listener) && api.is_shown(config)).map(|api| api.key)
}

/// The places of all APIs in [`APIS`], in the order of their keys.
const BY_KEY: [usize; APIS.len()] = {
    let mut places = [0; APIS.len()];
    let mut count = 0;
    while count < APIS.len() {
        let mut at = count;
        while at > 0 && APIS[places[at - 1]].key.code() > APIS[count].key.code() {
            places[at] = places[at - 1];
            at -= 1;
        }
        places[at] = count;
        count += 1;
    }
    places
};

/// Every API that this node serves; `ApiVersions` advertises exactly these. The busiest come first.
pub(crate) const APIS: &[Api] = &[
    api(ApiKey::Produce, |call, body| custom(call, body, h::produce::handle)),
    api(ApiKey::Fetch, |call, body| match call.listener_type {
        ListenerType::Broker => custom(call, body, h::fetch::handle),
        ListenerType::Controller => parked(call, body, h::quorum::fetch),
    }),
    api(ApiKey::Metadata, |call, body| custom(call, body, h::metadata::handle)),
    api(ApiKey::ListOffsets, |call, body| waiting(call, body, h::list_offsets::handle)),
    api(ApiKey::ApiVersions, api_versions),
    api(ApiKey::Heartbeat, |call, body| custom(call, body, h::heartbeat::handle)),
    api(ApiKey::ConsumerGroupHeartbeat, |call, body| custom(call, body, h::consumer_group_heartbeat::handle)),
    api(ApiKey::OffsetCommit, |call, body| custom(call, body, h::offset_commit::handle)),
    api(ApiKey::OffsetFetch, |call, body| custom(call, body, h::offset_fetch::handle)),
    api(ApiKey::FindCoordinator, |call, body| custom(call, body, h::find_coordinator::handle)),
    api(ApiKey::JoinGroup, |call, body| custom(call, body, h::join_group::handle)),
    api(ApiKey::SyncGroup, |call, body| custom(call, body, h::sync_group::handle)),
    api(ApiKey::LeaveGroup, |call, body| custom(call, body, h::leave_group::handle)),
    api(ApiKey::ListGroups, |call, body| custom(call, body, h::list_groups::handle)),
    api(ApiKey::DescribeGroups, |call, body| custom(call, body, h::describe_groups::handle)),
    api(ApiKey::ShareFetch, |call, body| custom(call, body, h::share_fetch::handle)),
    api(ApiKey::ShareAcknowledge, |call, body| custom(call, body, h::share_acknowledge::handle)),
    api(ApiKey::ShareGroupHeartbeat, |call, body| custom(call, body, h::share_group_heartbeat::handle)),
    api(ApiKey::ShareGroupDescribe, |call, body| custom(call, body, h::share_group_describe::handle)),
    api(ApiKey::StreamsGroupHeartbeat, |call, body| custom(call, body, h::streams_group_heartbeat::handle)),
    api(ApiKey::StreamsGroupDescribe, |call, body| custom(call, body, h::streams_group_describe::handle)),
    api(ApiKey::InitializeShareGroupState, |call, body| waiting(call, body, h::share_state::initialize)),
    api(ApiKey::ReadShareGroupState, |call, body| waiting(call, body, h::share_state::read)),
    api(ApiKey::WriteShareGroupState, |call, body| waiting(call, body, h::share_state::write)),
    api(ApiKey::DeleteShareGroupState, |call, body| waiting(call, body, h::share_state::delete)),
    api(ApiKey::ReadShareGroupStateSummary, |call, body| waiting(call, body, h::share_state::read_summary)),
    api(ApiKey::DescribeShareGroupOffsets, |call, body| waiting(call, body, h::share_group_offsets::describe)),
    api(ApiKey::AlterShareGroupOffsets, |call, body| waiting(call, body, h::share_group_offsets::alter)),
    api(ApiKey::DeleteShareGroupOffsets, |call, body| waiting(call, body, h::share_group_offsets::delete)),
    api(ApiKey::ConsumerGroupDescribe, |call, body| custom(call, body, h::consumer_group_describe::handle)),
    api(ApiKey::DeleteGroups, |call, body| waiting(call, body, h::delete_groups::handle)),
    api(ApiKey::OffsetDelete, |call, body| custom(call, body, h::offset_delete::handle)),
    api(ApiKey::InitProducerId, |call, body| waiting(call, body, h::init_producer_id::handle)),
    api(ApiKey::AddPartitionsToTxn, |call, body| waiting(call, body, h::add_partitions_to_txn::handle)),
    api(ApiKey::AddOffsetsToTxn, |call, body| waiting(call, body, h::add_offsets_to_txn::handle)),
    api(ApiKey::TxnOffsetCommit, |call, body| waiting(call, body, h::txn_offset_commit::handle)),
    api(ApiKey::EndTxn, |call, body| waiting(call, body, h::end_txn::handle)),
    api(ApiKey::WriteTxnMarkers, |call, body| waiting(call, body, h::write_txn_markers::handle)),
    api(ApiKey::DescribeTransactions, |call, body| waiting(call, body, h::describe_transactions::handle)),
    api(ApiKey::ListTransactions, |call, body| waiting(call, body, h::list_transactions::handle)),
    api(ApiKey::CreateTopics, |call, body| waiting(call, body, h::create_topics::handle)),
    api(ApiKey::DeleteTopics, |call, body| waiting(call, body, h::delete_topics::handle)),
    api(ApiKey::CreatePartitions, |call, body| waiting(call, body, h::create_partitions::handle)),
    api(ApiKey::IncrementalAlterConfigs, |call, body| {
        waiting(call, body, h::alter_configs::handle::<m::IncrementalAlterConfigsRequest>)
    }),
    api(ApiKey::DescribeConfigs, |call, body| at_once(&call, body, h::describe_configs::handle)),
    api(ApiKey::DescribeCluster, |call, body| at_once(&call, body, h::describe_cluster::handle)),
    api(ApiKey::DescribeTopicPartitions, |call, body| at_once(&call, body, h::describe_topic_partitions::handle)),
    api(ApiKey::DescribeQuorum, |call, body| waiting(call, body, h::describe_quorum::handle)),
    api(ApiKey::DeleteRecords, |call, body| waiting(call, body, h::delete_records::handle)),
    api(ApiKey::OffsetForLeaderEpoch, |call, body| at_once(&call, body, h::offset_for_leader_epoch::handle)),
    api(ApiKey::DescribeProducers, |call, body| at_once(&call, body, h::describe_producers::handle)),
    api(ApiKey::DescribeLogDirs, |call, body| waiting(call, body, h::describe_log_dirs::handle)),
    api(ApiKey::AlterReplicaLogDirs, |call, body| waiting(call, body, h::alter_replica_log_dirs::handle)),
    api(ApiKey::AlterConfigs, |call, body| waiting(call, body, h::alter_configs::handle::<m::AlterConfigsRequest>)),
    api(ApiKey::ListConfigResources, |call, body| at_once(&call, body, h::list_config_resources::handle)),
    api(ApiKey::ElectLeaders, |call, body| waiting(call, body, h::elect_leaders::handle)),
    api(ApiKey::AlterPartitionReassignments, |call, body| {
        waiting(call, body, h::alter_partition_reassignments::handle)
    }),
    api(ApiKey::ListPartitionReassignments, |call, body| at_once(&call, body, h::list_partition_reassignments::handle)),
    api(ApiKey::UnregisterBroker, |call, body| waiting(call, body, h::unregister_broker::handle)),
    api(ApiKey::UpdateFeatures, |call, body| waiting(call, body, h::update_features::handle)),
    api(ApiKey::DescribeClientQuotas, |call, body| at_once(&call, body, h::describe_client_quotas::handle)),
    api(ApiKey::AlterClientQuotas, |call, body| waiting(call, body, h::alter_client_quotas::handle)),
    api(ApiKey::DescribeUserScramCredentials, |call, body| {
        at_once(&call, body, h::describe_user_scram_credentials::handle)
    }),
    api(ApiKey::AlterUserScramCredentials, |call, body| waiting(call, body, h::alter_user_scram_credentials::handle)),
    api(ApiKey::DescribeAcls, |call, body| custom(call, body, h::acls::describe)),
    api(ApiKey::CreateAcls, |call, body| custom(call, body, h::acls::create)),
    api(ApiKey::DeleteAcls, |call, body| custom(call, body, h::acls::delete)),
    api(ApiKey::CreateDelegationToken, |call, body| waiting(call, body, h::delegation_tokens::create)),
    api(ApiKey::RenewDelegationToken, |call, body| waiting(call, body, h::delegation_tokens::renew)),
    api(ApiKey::ExpireDelegationToken, |call, body| waiting(call, body, h::delegation_tokens::expire)),
    api(ApiKey::DescribeDelegationToken, |call, body| at_once(&call, body, h::delegation_tokens::describe)),
    api(ApiKey::SaslHandshake, |call, body| at_once(&call, body, h::sasl::handshake)),
    api(ApiKey::SaslAuthenticate, |call, body| at_once(&call, body, h::sasl::authenticate)),
    api(ApiKey::AllocateProducerIds, |call, body| waiting(call, body, h::allocate_producer_ids::handle)),
    api(ApiKey::BrokerRegistration, |call, body| waiting(call, body, h::broker_registration::handle)),
    api(ApiKey::BrokerHeartbeat, |call, body| waiting(call, body, h::broker_heartbeat::handle)),
    api(ApiKey::AlterPartition, |call, body| waiting(call, body, h::alter_partition::handle)),
    api(ApiKey::AssignReplicasToDirs, |call, body| waiting(call, body, h::assign_replicas_to_dirs::handle)),
    api(ApiKey::ControllerRegistration, |call, body| waiting(call, body, h::controller_registration::handle)),
    api(ApiKey::GetTelemetrySubscriptions, |call, body| at_once(&call, body, h::get_telemetry_subscriptions::handle)),
    api(ApiKey::PushTelemetry, |call, body| waiting(call, body, h::push_telemetry::handle)),
    api(ApiKey::Envelope, envelope),
    api(ApiKey::Vote, |call, body| waiting(call, body, h::quorum::vote)),
    api(ApiKey::BeginQuorumEpoch, |call, body| waiting(call, body, h::quorum::begin_quorum_epoch)),
    api(ApiKey::EndQuorumEpoch, |call, body| waiting(call, body, h::quorum::end_quorum_epoch)),
    api(ApiKey::FetchSnapshot, |call, body| waiting(call, body, h::quorum::fetch_snapshot)),
    api(ApiKey::AddRaftVoter, |call, body| waiting(call, body, h::raft_voters::add)),
    api(ApiKey::RemoveRaftVoter, |call, body| waiting(call, body, h::raft_voters::remove)),
    api(ApiKey::UpdateRaftVoter, |call, body| waiting(call, body, h::raft_voters::update)),
];

/// A request whose header was read.
pub(crate) struct Opened {
    pub(crate) call: Call,
    /// What comes after the header.
    pub(crate) body: Reader,
    served: &'static Api,
    is_supported: bool,
}

/// Reads the header of one frame, without its length, and finds who handles it.
pub(crate) fn open(
    broker: &Arc<Broker>,
    listener: &ListenerName,
    origin: &Arc<Origin>,
    identity: &Arc<Identity>,
    frame: Bytes,
) -> Result<Opened, Reply> {
    let close = |why: String| Err(Reply::Close(why));
    let Some((api, version)) = peek(&frame) else {
        return close("a request is too short for its header".to_owned());
    };
    let Some(key) = ApiKey::from_i16(api) else {
        return close(format!("there is no API with key {api}"));
    };
    let Some(served) = APIS.iter().find(|served| served.key == key && served.on(listener.kind)) else {
        return close(format!("API {} is not served on listener {}", key.name(), listener.name));
    };
    // What is advertised is not always served: Produce below version 3 is advertised for old libraries (KAFKA-18659).
    let versions = [key.advertised_versions(broker.config.unstable_apis), key.valid_versions()];
    let is_supported = versions.iter().all(|versions| versions.contains(&version));
    if !is_supported && key != ApiKey::ApiVersions {
        return close(format!("version {version} of API {} is not served here", key.name()));
    }
    // A client that is newer than this node learns from the answer what it may ask (KIP-511).
    let header_version = key.request_header_version(version);
    let request_bytes = frame.len();
    let mut body = Reader::new(frame);
    let header = match m::RequestHeader::decode(&mut body, header_version) {
        Ok(header) => header,
        Err(e) => return close(format!("the header of a request to {} is malformed: {e}", key.name())),
    };
    let call = Call {
        broker: Arc::clone(broker),
        api: key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        request_bytes,
        listener: Arc::clone(&listener.name),
        listener_type: listener.kind,
        origin: Arc::clone(origin),
        amendment: None,
        identity: Arc::clone(identity),
    };
    debug!(
        api = key.name(),
        version,
        correlation = call.correlation_id,
        client = call.client_id.as_deref(),
        listener = %listener.name,
        principal = %call.identity.principal,
        "a request"
    );
    Ok(Opened { call, body, served, is_supported })
}

/// Handles a request. What the node works on it counts against the quota of its client, in answers to later requests.
pub(crate) fn handle(opened: Opened) -> Reply {
    if opened.call.is_unmeasured() {
        return reply(opened);
    }
    let (call, began) = (opened.call.clone(), now());
    let reply = reply(opened);
    call.broker.quotas.worked(call.user(), began.elapsed(), call.broker.moment());
    reply
}

fn reply(opened: Opened) -> Reply {
    let Opened { call, mut body, served, is_supported } = opened;
    let (key, version) = (call.api, call.version);
    if !is_supported {
        let response = h::api_versions::unsupported();
        return Reply::Now(call.answer_at(0, &response));
    }
    match (served.handle)(call, &mut body) {
        Ok(Reply::Now(parts)) if parts.is_empty() => Reply::Close(format!("the answer of {} failed", key.name())),
        Ok(reply) => reply,
        Err(e) => Reply::Close(format!("a request to {} (version {version}) is malformed: {e}", key.name())),
    }
}

/// The API key and version, which begin every header.
fn peek(frame: &Bytes) -> Option<(i16, i16)> {
    let [a, b, c, d] = *frame.first_chunk::<4>()?;
    Some((i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use thalweg_wire::messages::api_versions_response::ApiVersion;

    use super::*;

    fn config(more: &[(&str, &str)]) -> NodeConfig {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let overrides: Vec<_> = more.iter().map(own).collect();
        NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("it is valid").0
    }

    fn keys(listener: ListenerType, config: &NodeConfig) -> Vec<ApiVersion> {
        h::api_versions::api_keys(shown(listener, config), config.unstable_apis)
    }

    fn highest(key: ApiKey, config: &NodeConfig) -> Option<i16> {
        let keys = keys(ListenerType::Broker, config);
        keys.iter().find(|advertised| advertised.api_key == key.code()).map(|advertised| advertised.max_version)
    }

    #[test]
    fn every_served_api_is_advertised_once() {
        let config = config(&[]);
        for listener in [ListenerType::Broker, ListenerType::Controller] {
            let keys = keys(listener, &config);
            assert!(keys.windows(2).all(|pair| pair[0].api_key < pair[1].api_key));
            let served = |key: i16| APIS.iter().any(|api| api.key.code() == key && api.on(listener));
            assert!(keys.iter().all(|key| served(key.api_key)));
        }
    }

    #[test]
    fn versions_that_may_change_are_advertised_where_the_operator_wants_them() {
        assert_eq!(highest(ApiKey::InitProducerId, &config(&[])), Some(5));
        assert_eq!(highest(ApiKey::InitProducerId, &config(&[("unstable.api.versions.enable", "true")])), Some(6));
    }
}
