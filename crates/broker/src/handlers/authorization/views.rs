//! APIs that show the cluster, its topics and its coordinators: what a client may not see is left out, or looks as if it
//! did not say whether it exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_base::Uuid;
use thalweg_metadata::topic_name;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::metadata_response::MetadataResponseTopic;

use super::{Attempt, Gate, Guarded, Restricted, refusal, split};
use thalweg_network::ListenerType;

const FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();
/// What an answer carries if nobody asked for authorized operations.
const NOT_ASKED: i32 = i32::MIN;
/// Before this version an empty list of topics asks for all.
const EMPTY_IS_NONE: i16 = 1;

impl Guarded for m::MetadataRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let version = gate.call.version;
        let own = Arc::clone(gate);
        let Some(topics) = self.topics.as_mut().filter(|list| version >= EMPTY_IS_NONE || !list.is_empty()) else {
            return Restricted::filtered(move |response: &mut m::MetadataResponse| {
                let may_see = |topic: &MetadataResponseTopic| {
                    let name = topic.name.as_deref().unwrap_or_default();
                    own.decides(Operation::Describe, Resource::topic(name), Attempt::Silent, 1)
                };
                response.topics.retain(may_see);
                show_operations(&own, response);
            });
        };
        let asked = std::mem::take(topics);
        let mut hidden: Vec<MetadataResponseTopic> = Vec::new();
        let may_create_any = || gate.may_silently(Operation::Create, Resource::CLUSTER);
        let creates = self.allow_auto_topic_creation && gate.call.broker.config.topics.auto_create_topics_enable;
        for topic in asked {
            match hidden_topic(gate, &topic) {
                Some(entry) => hidden.push(entry),
                None => {
                    let missing = topic.topic_id.is_zero()
                        && topic.name.as_ref().is_some_and(|name| gate.image.topics().by_name(name).is_none());
                    let name = topic.name.clone().unwrap_or_default();
                    let may_create = || may_create_any() || gate.may(Operation::Create, Resource::topic(&name));
                    if creates && missing && !may_create() {
                        let is_internal = topic_name::is_internal(&name);
                        hidden.push(MetadataResponseTopic { is_internal, ..refused(Some(name), Uuid::ZERO) });
                    } else {
                        topics.push(topic);
                    }
                }
            }
        }
        // The empty list that is left would ask for all topics.
        let shows_all = version < EMPTY_IS_NONE && topics.is_empty();
        Restricted::filtered(move |response: &mut m::MetadataResponse| {
            if shows_all {
                response.topics.clear();
            }
            show_operations(&own, response);
            response.topics.extend(hidden.iter().cloned());
        })
    }
}

/// How a topic that was asked for is hidden; `None` if the client may see it, or if the handler finds no such topic.
fn hidden_topic(gate: &Gate, asked: &m::metadata_request::MetadataRequestTopic) -> Option<MetadataResponseTopic> {
    let name = match asked.topic_id.is_zero() {
        true => asked.name.as_ref()?,
        false => &(&*gate.image.topics().by_id(asked.topic_id)?.name).into(),
    };
    if gate.may(Operation::Describe, Resource::topic(name)) {
        return None;
    }
    // Ids tell nothing: only names are secret.
    let shown = if asked.topic_id.is_zero() { Some(name.clone()) } else { None };
    Some(refused(shown, asked.topic_id))
}

fn refused(name: Option<ByteString>, topic_id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: FAILED, name, topic_id, ..Default::default() }
}

/// Fills in what the client may do, where that was asked for.
fn show_operations(gate: &Gate, response: &mut m::MetadataResponse) {
    for topic in response.topics.iter_mut().filter(|topic| topic.topic_authorized_operations != NOT_ASKED) {
        let name = topic.name.as_deref().unwrap_or_default();
        topic.topic_authorized_operations = gate.operations(Resource::topic(name));
    }
    show_cluster_operations(gate, &mut response.cluster_authorized_operations);
}

fn show_cluster_operations(gate: &Gate, operations: &mut i32) {
    if *operations != NOT_ASKED {
        let may_describe = gate.may(Operation::Describe, Resource::CLUSTER);
        *operations = if may_describe { gate.operations(Resource::CLUSTER) } else { 0 };
    }
}

impl Guarded for m::DescribeClusterRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let is_controller = gate.call.listener_type == ListenerType::Controller;
        if is_controller && !gate.may(Operation::Alter, Resource::CLUSTER) {
            return Restricted::Refused(m::DescribeClusterResponse {
                error_code: refusal(Resource::CLUSTER.kind).code(),
                error_message: Some(gate.needs(Operation::Alter).into()),
                ..Default::default()
            });
        }
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::DescribeClusterResponse| {
            show_cluster_operations(&gate, &mut response.cluster_authorized_operations);
        })
    }
}

impl Guarded for m::DescribeTopicPartitionsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
        let mut hidden: BTreeSet<ByteString> = BTreeSet::new();
        if self.topics.is_empty() {
            let names = gate.image.topics().iter_by_name("").map(|topic| ByteString::from(&*topic.name));
            let may_see = |name: &ByteString| gate.may_silently(Operation::Describe, Resource::topic(name));
            let topic = |name| m::describe_topic_partitions_request::TopicRequest { name };
            self.topics = names.filter(may_see).map(topic).collect();
            if self.topics.is_empty() {
                return Restricted::Refused(m::DescribeTopicPartitionsResponse::default());
            }
            // A page may begin with a topic that the client no longer may see.
            if let Some(cursor) = &mut self.cursor
                && !self.topics.iter().any(|topic| topic.name == cursor.topic_name)
            {
                let next = self.topics.iter().map(|topic| &topic.name).find(|name| **name > cursor.topic_name);
                let Some(next) = next else {
                    return Restricted::Refused(m::DescribeTopicPartitionsResponse::default());
                };
                (cursor.topic_name, cursor.partition_index) = (next.clone(), 0);
            }
        } else {
            let names: BTreeSet<ByteString> = self.topics.iter().map(|topic| topic.name.clone()).collect();
            let may_see = |name: &ByteString| gate.may(Operation::Describe, Resource::topic(name));
            hidden = names.into_iter().filter(|name| !may_see(name)).collect();
            self.topics.retain(|topic| !hidden.contains(&topic.name));
        }
        let refused = |name: &ByteString| DescribeTopicPartitionsResponseTopic {
            error_code: FAILED,
            name: Some(name.clone()),
            ..Default::default()
        };
        let refused: Vec<_> = hidden.iter().map(refused).collect();
        if self.topics.is_empty() {
            return Restricted::Refused(m::DescribeTopicPartitionsResponse { topics: refused, ..Default::default() });
        }
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::DescribeTopicPartitionsResponse| {
            for topic in &mut response.topics {
                let name = topic.name.as_deref().unwrap_or_default();
                topic.topic_authorized_operations = gate.operations(Resource::topic(name));
            }
            response.topics.extend(refused.iter().cloned());
        })
    }
}

const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// From this version on several keys are asked for at once (KIP-699).
const BATCHED: i16 = 4;

impl Guarded for m::FindCoordinatorRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let kind = self.key_type;
        let resource = move |key: &ByteString| match kind {
            TRANSACTION => Resource::transactional_id(key).kind,
            SHARE => Resource::CLUSTER.kind,
            _ => Resource::group(key).kind,
        };
        if !matches!(kind, 0..=SHARE) {
            return Restricted::Allowed;
        }
        let may = |key: &ByteString| match kind {
            SHARE => gate.may(Operation::ClusterAction, Resource::CLUSTER),
            _ => gate.may(Operation::Describe, Resource { kind: resource(key), name: key }),
        };
        if gate.call.version < BATCHED {
            if may(&self.key) {
                return Restricted::Allowed;
            }
            let error = refusal(resource(&self.key));
            return Restricted::Refused(m::FindCoordinatorResponse {
                error_code: error.code(),
                error_message: (gate.call.version >= 1).then(|| error.message().into()),
                node_id: -1,
                port: -1,
                ..Default::default()
            });
        }
        let (allowed, refused): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.coordinator_keys).into_iter().partition(may);
        self.coordinator_keys = allowed;
        Restricted::amended(!refused.is_empty(), move |response: &mut m::FindCoordinatorResponse| {
            let refused = refused.iter().map(|key| m::find_coordinator_response::Coordinator {
                key: key.clone(),
                node_id: -1,
                port: -1,
                error_code: refusal(resource(key)).code(),
                error_message: Some("".into()),
                ..Default::default()
            });
            response.coordinators.extend(refused);
        })
    }
}

impl Guarded for m::DescribeConfigsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let resources = std::mem::take(&mut self.resources);
        let (mut allowed, others): (Vec<_>, Vec<_>) = resources
            .into_iter()
            .partition(|asked| super::configs::resource(asked.resource_type, &asked.resource_name).is_none());
        let (known, refused) = split(gate, Operation::DescribeConfigs, others, |asked| {
            super::configs::resource(asked.resource_type, &asked.resource_name).unwrap_or(Resource::CLUSTER)
        });
        allowed.extend(known);
        self.resources = allowed;
        let result = |asked: m::describe_configs_request::DescribeConfigsResource| {
            let kind = super::configs::resource(asked.resource_type, &asked.resource_name).map(|found| found.kind);
            let error = refusal(kind.unwrap_or(Resource::CLUSTER.kind));
            m::describe_configs_response::DescribeConfigsResult {
                error_code: error.code(),
                error_message: Some(error.message().into()),
                resource_type: asked.resource_type,
                resource_name: asked.resource_name,
                ..Default::default()
            }
        };
        let refused: Vec<_> = refused.into_iter().map(result).collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DescribeConfigsResponse| {
            response.results.extend(refused.iter().cloned());
        })
    }
}
