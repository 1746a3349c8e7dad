//! StreamsGroupHeartbeat: everything that a member of a streams group says and hears (KIP-1071).

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_groups::{Answer, Request};
use thalweg_metadata::topic_name;
use thalweg_network::Reply;
use thalweg_sys::task;
use thalweg_sys::time::Duration;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::streams_group_heartbeat_request::Topology;
use thalweg_wire::messages::{CreateTopicsRequest, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};
use tracing::{debug, warn};

use super::authorization::Gate;
use super::controller::{ask_with, context_within};
use super::groups::{caller, reply, serves_streams_protocol};
use crate::call::Call;

/// How long internal topics may take to be created.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The status that says that internal topics are missing.
const MISSING_INTERNAL_TOPICS: i8 = 3;

pub(crate) fn handle(call: Call, request: StreamsGroupHeartbeatRequest) -> Reply {
    if !serves_streams_protocol(&call) {
        return Reply::Now(call.answer(&refused(ErrorCode::UnsupportedVersion, None)));
    }
    if let Some(response) = request.topology.as_ref().and_then(refuse_names) {
        return Reply::Now(call.answer(&response));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::StreamsGroupHeartbeat(request));
    reply(call, asked, move |call, outcome| match outcome {
        Ok(Answer::StreamsGroupHeartbeat(response, missing)) => create(call, response, missing),
        Ok(_) => refused(ErrorCode::UnknownServerError, None),
        Err(error) => refused(error, None),
    })
}

fn refused(error: ErrorCode, message: Option<ByteString>) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse { error_code: error.code(), error_message: message, ..Default::default() }
}

/// Every topic that a topology names.
pub(super) fn topics_of(topology: &Topology) -> impl Iterator<Item = &ByteString> {
    topology.subtopologies.iter().flat_map(|subtopology| {
        let infos = subtopology.repartition_source_topics.iter().chain(&subtopology.state_changelog_topics);
        let names = subtopology.source_topics.iter().chain(&subtopology.repartition_sink_topics);
        names.chain(infos.map(|info| &info.name))
    })
}

/// Tasks do not read or write Kafka's internal topics, nor topics that cannot be.
fn refuse_names(topology: &Topology) -> Option<StreamsGroupHeartbeatResponse> {
    let mut seen = BTreeSet::new();
    let topics: Vec<&ByteString> = topics_of(topology).filter(|name| seen.insert(*name)).collect();
    let join = |names: Vec<&&ByteString>| names.iter().map(|name| (***name).to_string()).collect::<Vec<_>>().join(",");
    let internal: Vec<_> = topics.iter().filter(|name| topic_name::is_internal(name)).collect();
    let invalid: Vec<_> = topics.iter().filter(|name| topic_name::validate(name).is_err()).collect();
    let message = if !internal.is_empty() {
        format!("Use of Kafka internal topics {} in a Kafka Streams topology is prohibited.", join(internal))
    } else if !invalid.is_empty() {
        format!("Topic names {} are not valid topic names.", join(invalid))
    } else {
        return None;
    };
    Some(refused(ErrorCode::StreamsInvalidTopology, Some(message.into())))
}

/// Has missing internal topics created, with the client's rights. The answer does not wait for that: a later heartbeat finds
/// them.
fn create(
    call: &Call,
    mut response: StreamsGroupHeartbeatResponse,
    missing: Vec<CreatableTopic>,
) -> StreamsGroupHeartbeatResponse {
    if missing.is_empty() {
        return response;
    }
    let forbidden = forbidden(call, &missing);
    if forbidden.is_empty() {
        task::spawn(create_topics(call.clone(), missing));
        return response;
    }
    let detail = format!("; Unauthorized to CREATE on topics {}.", forbidden.join(", "));
    for status in response.status.iter_mut().flatten().filter(|status| status.status_code == MISSING_INTERNAL_TOPICS) {
        status.status_detail = format!("{}{detail}", status.status_detail).into();
    }
    response
}

async fn create_topics(call: Call, topics: Vec<CreatableTopic>) {
    let context = context_within(&call, *CreateTopicsRequest::VERSIONS.end(), CREATE_TIMEOUT);
    match ask_with(&call, context, CreateTopicsRequest { topics, ..Default::default() }).await {
        Ok(response) => {
            let errors = response.topics.iter().map(|result| (result, ErrorCode::from(result.error_code)));
            let failed = errors.filter(|(_, error)| !matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists));
            for (result, error) in failed {
                let why = result.error_message.as_deref().unwrap_or_default();
                let (topic, error) = (&*result.name, error.name());
                warn!(topic, error, "an internal topic of a streams group is not created: {why}");
            }
        }
        // The next heartbeat asks again.
        Err(refusal) => debug!(error = %refusal, "internal topics of a streams group are not created"),
    }
}

/// The topics that the client may not create.
fn forbidden(call: &Call, missing: &[CreatableTopic]) -> Vec<String> {
    let Some(gate) = Gate::of(call) else { return Vec::new() };
    if gate.may_silently(Operation::Create, Resource::CLUSTER) {
        return Vec::new();
    }
    let names = missing.iter().map(|topic| &topic.name);
    names.filter(|name| !gate.may(Operation::Create, Resource::topic(name))).map(ToString::to_string).collect()
}
