//! Metadata: which topics and partitions there are and who leads them. The first request for a missing topic may create
//! it (`auto.create.topics.enable`), and is still answered that the topic is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_metadata::image::TopicImage;
use thalweg_metadata::image::partition::ids;
use thalweg_metadata::{MetadataImage, topic_name};
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::MetadataRequest;
use thalweg_wire::messages::metadata_request::MetadataRequestTopic;
use thalweg_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::topic_view::{
    CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, brokers, controller_id, leader, offline_replicas,
};
use crate::call::Call;

/// From this version on topics may be asked for by id.
const BY_ID: i16 = 12;
/// From this version on the whole answer may be an error.
const WHOLE_ERROR: i16 = 13;

pub(crate) fn handle(call: Call, request: MetadataRequest) -> Reply {
    if let Some(response) = refuse(&call, &request) {
        return Reply::Now(call.answer(&response));
    }
    let missing = missing_topics(&call, &request);
    let response = answer(&call, &request);
    if missing.is_empty() {
        return Reply::Now(call.answer(&response));
    }
    // The answer is the one from before the creation, as in Kafka: programs that ask for a topic that they have just
    // deleted are told that it is gone. Whoever asks again after this answer finds the topic.
    Reply::Exclusive(Box::pin(async move {
        call.broker.auto_create_topics(missing).await;
        call.answer(&response)
    }))
}

/// Topics asked for in a way that the version does not have.
fn refuse(call: &Call, request: &MetadataRequest) -> Option<MetadataResponse> {
    let topics = request.topics.as_ref()?;
    let early = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_zero();
    let unnamed = |topic: &MetadataRequestTopic| topic.name.is_none() && topic.topic_id.is_zero();
    let error = match call.version {
        ..BY_ID if topics.iter().any(early) => ErrorCode::InvalidRequest,
        // Kafka fails on what has neither a name nor an id.
        BY_ID.. if topics.iter().any(unnamed) => ErrorCode::UnknownServerError,
        _ => return None,
    };
    Some(MetadataResponse {
        error_code: if call.version >= WHOLE_ERROR { error.code() } else { 0 },
        topics: topics
            .iter()
            .map(|topic| MetadataResponseTopic {
                error_code: error.code(),
                name: Some(topic.name.clone().unwrap_or_default()),
                topic_id: topic.topic_id,
                ..MetadataResponseTopic::default()
            })
            .collect(),
        ..MetadataResponse::default()
    })
}

/// The topics that are asked for, are missing, and may be created for that.
fn missing_topics(call: &Call, request: &MetadataRequest) -> Vec<ByteString> {
    let Some(topics) = &request.topics else { return Vec::new() };
    let may_create = request.allow_auto_topic_creation && call.broker.config.topics.auto_create_topics_enable;
    if !may_create || topics.iter().any(|topic| !topic.topic_id.is_zero()) {
        return Vec::new();
    }
    let image = call.broker.image();
    let names: BTreeSet<&ByteString> = topics.iter().filter_map(|topic| topic.name.as_ref()).collect();
    let is_missing = |name: &&ByteString| image.topics().by_name(name).is_none() && topic_name::validate(name).is_ok();
    names.into_iter().filter(is_missing).cloned().collect()
}

fn answer(call: &Call, request: &MetadataRequest) -> MetadataResponse {
    let image = call.broker.image();
    let view = View {
        image: &image,
        listener: &call.listener,
        version: call.version,
        operations: request.include_topic_authorized_operations,
    };
    let wants_cluster = (8..=10).contains(&call.version) && request.include_cluster_authorized_operations;
    MetadataResponse {
        brokers: brokers(&image, &call.listener)
            .filter(|broker| !broker.fenced)
            .map(|broker| MetadataResponseBroker {
                node_id: broker.id,
                host: broker.host.into(),
                port: broker.port,
                rack: broker.rack.map(Into::into),
            })
            .collect(),
        cluster_id: Some(call.broker.cluster_id.clone()),
        controller_id: controller_id(&image),
        topics: view.topics(request),
        cluster_authorized_operations: if wants_cluster { CLUSTER_OPERATIONS } else { OPERATIONS_NOT_ASKED },
        ..MetadataResponse::default()
    }
}

/// The cluster as one request sees it.
struct View<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    version: i16,
    operations: bool,
}

impl View<'_> {
    fn topics(&self, request: &MetadataRequest) -> Vec<MetadataResponseTopic> {
        let topics = self.image.topics();
        // Version 0 could not say null: there an empty list asks for all.
        let Some(asked) = request.topics.as_ref().filter(|list| self.version > 0 || !list.is_empty()) else {
            return topics.iter_by_name("").map(|topic| self.found(topic)).collect();
        };
        let ids: BTreeSet<Uuid> = asked.iter().map(|topic| topic.topic_id).filter(|id| !id.is_zero()).collect();
        if !ids.is_empty() {
            return ids
                .into_iter()
                .map(|id| topics.by_id(id).map_or_else(|| self.unknown_id(id), |t| self.found(t)))
                .collect();
        }
        let names: BTreeSet<&ByteString> = asked.iter().filter_map(|topic| topic.name.as_ref()).collect();
        names
            .into_iter()
            .map(|name| topics.by_name(name).map_or_else(|| self.missing(name), |t| self.found(t)))
            .collect()
    }

    fn found(&self, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some((&*topic.name).into()),
            topic_id: topic.id,
            is_internal: topic_name::is_internal(&topic.name),
            partitions: topic
                .partitions
                .iter()
                .map(|(&index, partition)| {
                    // Before version 6 a missing listener could not be told apart from a missing leader.
                    let missing_listener = match self.version {
                        6.. => ErrorCode::ListenerNotFound,
                        _ => ErrorCode::LeaderNotAvailable,
                    };
                    let (error, leader) = leader(self.image, partition, self.listener, missing_listener);
                    MetadataResponsePartition {
                        error_code: error.code(),
                        partition_index: index,
                        leader_id: leader.0,
                        leader_epoch: partition.leader_epoch.0,
                        replica_nodes: ids(&partition.replicas),
                        isr_nodes: ids(&partition.isr),
                        offline_replicas: offline_replicas(self.image, partition),
                    }
                })
                .collect(),
            topic_authorized_operations: self.topic_operations(),
            ..MetadataResponseTopic::default()
        }
    }

    fn missing(&self, name: &ByteString) -> MetadataResponseTopic {
        let error = match topic_name::validate(name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        MetadataResponseTopic {
            error_code: error.code(),
            name: Some(name.clone()),
            is_internal: topic_name::is_internal(name),
            topic_authorized_operations: self.topic_operations(),
            ..MetadataResponseTopic::default()
        }
    }

    fn unknown_id(&self, id: Uuid) -> MetadataResponseTopic {
        MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicId.code(),
            name: None,
            topic_id: id,
            ..MetadataResponseTopic::default()
        }
    }

    fn topic_operations(&self) -> i32 {
        if self.operations { TOPIC_OPERATIONS } else { OPERATIONS_NOT_ASKED }
    }
}
