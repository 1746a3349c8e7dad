//! The APIs that create, delete and enlarge topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_base::Uuid;
use thalweg_metadata::topic_name::CLUSTER_METADATA;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Attempt, Gate, Guarded, Restricted};

const FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();

/// The names that stand in a list once; the handlers refuse the others.
fn single<'a>(names: impl Iterator<Item = &'a ByteString>) -> BTreeSet<&'a ByteString> {
    let mut counts: BTreeMap<&ByteString, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count == 1).map(|(name, _)| name).collect()
}

impl Guarded for m::CreateTopicsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::create_topics_response::CreatableTopicResult;
        let may_all = gate.may_silently(Operation::Create, Resource::CLUSTER);
        let may_create = |name: &ByteString| may_all || gate.may(Operation::Create, Resource::topic(name));
        let names = single(self.topics.iter().map(|topic| &topic.name));
        let refused: BTreeSet<ByteString> =
            names.into_iter().filter(|name| &***name != CLUSTER_METADATA && !may_create(name)).cloned().collect();
        self.topics.retain(|topic| !refused.contains(&topic.name));
        let gate = Arc::clone(gate);
        Restricted::filtered(move |response: &mut m::CreateTopicsResponse| {
            for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
                let resource = Resource::topic(&topic.name);
                if !gate.decides(Operation::DescribeConfigs, resource, Attempt::Silent, 1) {
                    topic.topic_config_error_code = FAILED;
                    topic.num_partitions = -1;
                    topic.replication_factor = -1;
                    topic.configs = Some(Vec::new());
                }
            }
            response.topics.extend(refused.iter().map(|name| CreatableTopicResult {
                name: name.clone(),
                error_code: FAILED,
                error_message: Some("Authorization failed.".into()),
                ..Default::default()
            }));
        })
    }
}

/// From this version on DeleteTopics names topics by id or by name in one list.
const DELETE_BY_ID: i16 = 6;
/// From this version on errors come with a sentence.
const DELETE_MESSAGES: i16 = 5;

impl Guarded for m::DeleteTopicsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let may_all = gate.may_silently(Operation::Delete, Resource::CLUSTER);
        let version = gate.call.version;
        let mut refused: Vec<m::delete_topics_response::DeletableTopicResult> = Vec::new();
        let error = ErrorCode::TopicAuthorizationFailed;
        let mut refuse = |name: Option<ByteString>, topic_id: Uuid| {
            refused.push(m::delete_topics_response::DeletableTopicResult {
                name,
                topic_id,
                error_code: error.code(),
                error_message: (version >= DELETE_MESSAGES).then(|| error.message().into()),
            });
        };
        let named: BTreeSet<ByteString> = match version {
            DELETE_BY_ID.. => single(self.topics.iter().filter_map(|topic| topic.name.as_ref())),
            _ => single(self.topic_names.iter()),
        }
        .into_iter()
        .cloned()
        .collect();
        let mut kept: BTreeMap<ByteString, bool> = BTreeMap::new();
        for name in named.iter().filter(|_| !may_all) {
            let may = may_delete(gate, name);
            if !may {
                refuse(Some(name.clone()), Uuid::ZERO);
            }
            kept.insert(name.clone(), may);
        }
        self.topic_names.retain(|name| kept.get(name).is_none_or(|kept| *kept));
        let mut by_id: BTreeMap<Uuid, bool> = BTreeMap::new();
        for topic in self.topics.iter().filter(|topic| !may_all && topic.name.is_none()) {
            let Some(found) = gate.image.topics().by_id(topic.topic_id) else { continue };
            if by_id.contains_key(&topic.topic_id) {
                continue;
            }
            let resource = Resource::topic(&found.name);
            let may = gate.may(Operation::Delete, resource);
            if !may {
                // The name of a topic is only for clients that may see it.
                let shown = gate.may(Operation::Describe, resource).then(|| (&*found.name).into());
                refuse(shown, topic.topic_id);
            }
            by_id.insert(topic.topic_id, may);
        }
        self.topics.retain(|topic| match &topic.name {
            Some(name) => kept.get(name).is_none_or(|kept| *kept),
            None => by_id.get(&topic.topic_id).is_none_or(|kept| *kept),
        });
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DeleteTopicsResponse| {
            response.responses.extend(refused.iter().cloned());
        })
    }
}

/// Whether a name is left to the handler: the client may delete the topic, or it may see that there is none.
fn may_delete(gate: &Gate, name: &ByteString) -> bool {
    let resource = Resource::topic(name);
    let describable = gate.may(Operation::Describe, resource);
    let deletable = gate.may(Operation::Delete, resource);
    describable && (deletable || gate.image.topics().by_name(name).is_none())
}

impl Guarded for m::CreatePartitionsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        let names = single(self.topics.iter().map(|topic| &topic.name));
        let refused: BTreeSet<ByteString> =
            names.into_iter().filter(|name| !gate.may(Operation::Alter, Resource::topic(name))).cloned().collect();
        self.topics.retain(|topic| !refused.contains(&topic.name));
        Restricted::amended(!refused.is_empty(), move |response: &mut m::CreatePartitionsResponse| {
            let result = |name: &ByteString| m::create_partitions_response::CreatePartitionsTopicResult {
                name: name.clone(),
                error_code: FAILED,
                error_message: None,
            };
            response.results.extend(refused.iter().map(result));
        })
    }
}
