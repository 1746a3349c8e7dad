//! From a frame to its handler and back: the one table of APIs that this node serves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, Codec, DecodeError, EncodeError, Reader, Request, Writer};
use tracing::{debug, error};

use crate::broker::Broker;
use crate::config::NodeConfig;
use crate::frame::{FileRange, Frame};
use crate::handlers as h;
use crate::listener::{ListenerName, ListenerType, Origin};
use crate::telemetry::Client;

/// A future answer, ready to be written.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Frame> + Send>>;

/// What becomes of a request.
pub(crate) enum Reply {
    /// It is answered.
    Now(Frame),
    /// It waits for an event; later requests of its connection go ahead, their answers wait for this one.
    Parked(Answer),
    /// It waits for an event; no later request of its connection is taken before.
    Exclusive(Answer),
    /// There is no answer (`acks=0`).
    Nothing,
    /// The connection is closed, for this reason.
    Close(String),
}

/// One request's surroundings: what its header says and who sent it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) broker: Arc<Broker>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    correlation_id: i32,
    pub(crate) client_id: Option<ByteString>,
    pub(crate) listener: Arc<str>,
    pub(crate) listener_type: ListenerType,
    /// Who is at the other end.
    pub(crate) origin: Arc<Origin>,
}

impl Call {
    /// The client by what subscriptions to its metrics tell clients apart. Copies: it is kept longer than the request's
    /// frame should live.
    pub(crate) fn client(&self, instance_id: Uuid) -> Client {
        let (software_name, software_version) = self.origin.software();
        let id = self.client_id.as_deref().map(Into::into);
        Client { instance_id, id, software_name, software_version, address: self.origin.address }
    }

    /// Frames an answer.
    pub(crate) fn answer(&self, response: &impl Codec) -> Frame {
        self.answer_at(self.version, response)
    }

    fn answer_at(&self, version: i16, response: &impl Codec) -> Frame {
        self.encode(version, response).and_then(Writer::into_frame).map_or_else(|e| self.failed(&e), Frame::from)
    }

    /// Frames an answer whose records stand in files: a range for each of the records that are elsewhere.
    pub(crate) fn answer_with_ranges(&self, response: &impl Codec, ranges: Vec<FileRange>) -> Frame {
        match self.encode(self.version, response).and_then(Writer::into_frame_with_gaps) {
            Ok((parts, gaps)) => Frame::with_ranges(parts, gaps, ranges),
            Err(e) => self.failed(&e),
        }
    }

    fn encode(&self, version: i16, response: &impl Codec) -> Result<Writer, EncodeError> {
        let mut writer = Writer::new();
        let header = m::ResponseHeader { correlation_id: self.correlation_id };
        header.encode(&mut writer, self.api.response_header_version(version))?;
        response.encode(&mut writer, version)?;
        response.errors(&mut |error| self.broker.metrics.requests.told(self.api, error));
        Ok(writer)
    }

    /// A handler filled in what the version cannot carry: a bug, which costs the client its connection.
    fn failed(&self, e: &EncodeError) -> Frame {
        error!(api = self.api.name(), version = self.version, error = %e, "an answer cannot be encoded");
        Frame::default()
    }
}

type Handle = fn(Call, &mut Reader) -> Result<Reply, DecodeError>;

/// An API that this node serves, at every version that Kafka 4.3 advertises for it.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    handle: Handle,
}

impl Api {
    /// Whether it is served on such listeners. Controllers do not hand out the metadata log yet.
    pub(crate) fn on(&self, listener: ListenerType) -> bool {
        listener.has(self.key) && (listener == ListenerType::Broker || self.key != ApiKey::Fetch)
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
fn at_once<Q: Request>(
    call: &Call,
    body: &mut Reader,
    handler: impl FnOnce(&Call, Q) -> Q::Response,
) -> Result<Reply, DecodeError> {
    let response = handler(call, Q::decode(body, call.version)?);
    Ok(Reply::Now(call.answer(&response)))
}

/// A handler that waits for the controller or the disk.
fn waiting<Q, F>(call: Call, body: &mut Reader, handler: impl FnOnce(Call, Q) -> F) -> Result<Reply, DecodeError>
where
    Q: Request,
    F: Future<Output = Q::Response> + Send + 'static,
{
    let response = handler(call.clone(), Q::decode(body, call.version)?);
    Ok(Reply::Exclusive(Box::pin(async move { call.answer(&response.await) })))
}

/// A handler that decides itself how to reply.
fn custom<Q: Request>(
    call: Call,
    body: &mut Reader,
    handler: impl FnOnce(Call, Q) -> Reply,
) -> Result<Reply, DecodeError> {
    let request = Q::decode(body, call.version)?;
    Ok(handler(call, request))
}

/// Every API that this node serves; `ApiVersions` advertises exactly these. The busiest come first.
pub(crate) const APIS: &[Api] = &[
    api(ApiKey::Produce, |call, body| custom(call, body, h::produce::handle)),
    api(ApiKey::Fetch, |call, body| custom(call, body, h::fetch::handle)),
    api(ApiKey::Metadata, |call, body| custom(call, body, h::metadata::handle)),
    api(ApiKey::ListOffsets, |call, body| waiting(call, body, h::list_offsets::handle)),
    api(ApiKey::ApiVersions, |call, body| at_once(&call, body, h::api_versions::handle)),
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
    api(ApiKey::ConsumerGroupDescribe, |call, body| custom(call, body, h::consumer_group_describe::handle)),
    api(ApiKey::DeleteGroups, |call, body| custom(call, body, h::delete_groups::handle)),
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
    api(ApiKey::DescribeQuorum, |call, body| at_once(&call, body, h::describe_quorum::handle)),
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
    api(ApiKey::CreateDelegationToken, |call, body| at_once(&call, body, h::delegation_tokens::create)),
    api(ApiKey::RenewDelegationToken, |call, body| at_once(&call, body, h::delegation_tokens::renew)),
    api(ApiKey::ExpireDelegationToken, |call, body| at_once(&call, body, h::delegation_tokens::expire)),
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
    api(ApiKey::AddRaftVoter, |call, body| waiting(call, body, h::raft_voters::add)),
    api(ApiKey::RemoveRaftVoter, |call, body| waiting(call, body, h::raft_voters::remove)),
    api(ApiKey::UpdateRaftVoter, |call, body| waiting(call, body, h::raft_voters::update)),
];

/// Handles one frame, without its length.
pub(crate) fn handle(broker: &Arc<Broker>, listener: &ListenerName, origin: &Arc<Origin>, frame: Bytes) -> Reply {
    let Some((api, version)) = peek(&frame) else {
        return Reply::Close("a request is too short for its header".to_owned());
    };
    let Some(key) = ApiKey::from_i16(api) else {
        return Reply::Close(format!("there is no API with key {api}"));
    };
    let Some(served) = APIS.iter().find(|served| served.key == key && served.on(listener.kind)) else {
        return Reply::Close(format!("API {} is not served on listener {}", key.name(), listener.name));
    };
    let supported = key.advertised_versions(broker.config.unstable_apis).contains(&version);
    if !supported && key != ApiKey::ApiVersions {
        return Reply::Close(format!("version {version} of API {} is not served here", key.name()));
    }
    // A client that is newer than this node learns from the answer what it may ask (KIP-511).
    let header_version = key.request_header_version(version);
    let mut reader = Reader::new(frame);
    let header = match m::RequestHeader::decode(&mut reader, header_version) {
        Ok(header) => header,
        Err(e) => return Reply::Close(format!("the header of a request to {} is malformed: {e}", key.name())),
    };
    debug!(
        api = key.name(),
        version,
        correlation = header.correlation_id,
        client = header.client_id.as_deref(),
        listener = %listener.name,
        "a request"
    );
    let call = Call {
        broker: Arc::clone(broker),
        api: key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        listener: Arc::clone(&listener.name),
        listener_type: listener.kind,
        origin: Arc::clone(origin),
    };
    if !supported {
        let response = h::api_versions::unsupported();
        return Reply::Now(call.answer_at(0, &response));
    }
    match (served.handle)(call, &mut reader) {
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
