//! What a broker checks before it hands a change of configurations to the controller.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::image::ConfigResourceType;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    alter_configs_response, incremental_alter_configs_response,
};

use super::broker_rules::{self, Level};
use crate::Refusal;
use crate::refusal::parts;

/// A request of which the broker has refused some resources. `rest` goes to the controller, whose response
/// [`Preprocessed::complete`] turns into the response to the whole request.
#[derive(Clone, Debug)]
pub struct Preprocessed<R> {
    /// What the controller is to decide.
    pub rest: R,
    /// Every resource of the request, in its order, and why the broker refused it.
    answered: Vec<(i8, ByteString, Option<Refusal>)>,
}

/// One configuration of a request: its name, its operation and its value.
type Given<'a> = (&'a ByteString, i8, Option<&'a ByteString>);

const SET: i8 = 0;
const DELETE: i8 = 1;

/// What a request sets: the value where it is the whole of it.
fn set<'a>(configs: &[Given<'a>]) -> Vec<(&'a str, Option<&'a str>)> {
    let kept = configs.iter().filter(|(_, operation, _)| *operation != DELETE);
    kept.map(|(name, operation, value)| (&***name, value.filter(|_| *operation == SET).map(|text| &**text))).collect()
}

/// Checks a request as the broker `node` that received it.
#[must_use]
pub fn preprocess_incremental_alter_configs(
    node: NodeId,
    request: &IncrementalAlterConfigsRequest,
) -> Preprocessed<IncrementalAlterConfigsRequest> {
    let twice = named_twice(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let mut rest = request.clone();
    rest.resources.clear();
    let mut answered = Vec::new();
    for resource in &request.resources {
        let configs: Vec<Given<'_>> =
            resource.configs.iter().map(|c| (&c.name, c.config_operation, c.value.as_ref())).collect();
        let key = (resource.resource_type, resource.resource_name.clone());
        let refusal = check(node, &twice, &key, &configs).err();
        if refusal.is_none() {
            rest.resources.push(resource.clone());
        }
        answered.push((key.0, key.1, refusal));
    }
    Preprocessed { rest, answered }
}

/// Checks a request as the broker `node` that received it.
#[must_use]
pub fn preprocess_alter_configs(node: NodeId, request: &AlterConfigsRequest) -> Preprocessed<AlterConfigsRequest> {
    let twice = named_twice(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let mut rest = request.clone();
    rest.resources.clear();
    let mut answered = Vec::new();
    for resource in &request.resources {
        let configs: Vec<Given<'_>> = resource.configs.iter().map(|c| (&c.name, 0, c.value.as_ref())).collect();
        let key = (resource.resource_type, resource.resource_name.clone());
        let refusal = check(node, &twice, &key, &configs).err();
        if refusal.is_none() {
            rest.resources.push(resource.clone());
        }
        answered.push((key.0, key.1, refusal));
    }
    Preprocessed { rest, answered }
}

impl Preprocessed<IncrementalAlterConfigsRequest> {
    /// The response to the whole request, with what the controller said about the rest.
    #[must_use]
    pub fn complete(self, response: IncrementalAlterConfigsResponse) -> IncrementalAlterConfigsResponse {
        use incremental_alter_configs_response::AlterConfigsResourceResponse;
        let said = response.responses.into_iter().map(|r| ((r.resource_type, r.resource_name.clone()), r)).collect();
        let responses = reassemble(self.answered, said, |kind, name, refusal| {
            let (error_code, error_message) = parts::<()>(&Err(refusal));
            AlterConfigsResourceResponse { error_code, error_message, resource_type: kind, resource_name: name }
        });
        IncrementalAlterConfigsResponse { responses, ..response_throttle(response.throttle_time_ms) }
    }
}

fn response_throttle(throttle_time_ms: i32) -> IncrementalAlterConfigsResponse {
    IncrementalAlterConfigsResponse { throttle_time_ms, ..Default::default() }
}

impl Preprocessed<AlterConfigsRequest> {
    /// The response to the whole request, with what the controller said about the rest.
    #[must_use]
    pub fn complete(self, response: AlterConfigsResponse) -> AlterConfigsResponse {
        use alter_configs_response::AlterConfigsResourceResponse;
        let said = response.responses.into_iter().map(|r| ((r.resource_type, r.resource_name.clone()), r)).collect();
        let responses = reassemble(self.answered, said, |kind, name, refusal| {
            let (error_code, error_message) = parts::<()>(&Err(refusal));
            AlterConfigsResourceResponse { error_code, error_message, resource_type: kind, resource_name: name }
        });
        AlterConfigsResponse { throttle_time_ms: response.throttle_time_ms, responses }
    }
}

fn reassemble<T>(
    answered: Vec<(i8, ByteString, Option<Refusal>)>,
    mut said: BTreeMap<(i8, ByteString), T>,
    refused: impl Fn(i8, ByteString, Refusal) -> T,
) -> Vec<T> {
    let one = |(kind, name, refusal): (i8, ByteString, Option<Refusal>)| {
        let key = (kind, name);
        let from_controller = if refusal.is_none() { said.remove(&key) } else { None };
        // A controller that says nothing about a resource is broken.
        let missing = || refusal.unwrap_or_else(|| Refusal::usual(ErrorCode::UnknownServerError));
        from_controller.unwrap_or_else(|| refused(key.0, key.1, missing()))
    };
    answered.into_iter().map(one).collect()
}

fn named_twice<'a>(keys: impl Iterator<Item = (i8, &'a ByteString)>) -> BTreeSet<(i8, ByteString)> {
    let mut seen = BTreeSet::new();
    keys.filter(|key| !seen.insert(*key)).map(|(kind, name)| (kind, name.clone())).collect()
}

fn check(
    node: NodeId,
    twice: &BTreeSet<(i8, ByteString)>,
    key: &(i8, ByteString),
    configs: &[Given<'_>],
) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidRequest, text));
    if twice.contains(key) {
        return invalid("Each resource must appear at most once.".to_owned());
    }
    let mut names = BTreeSet::new();
    if !configs.iter().all(|(name, ..)| names.insert(*name)) {
        return invalid("Error due to duplicate config keys".to_owned());
    }
    let nulls = configs.iter().filter(|(_, operation, value)| *operation != DELETE && value.is_none());
    let nulls: Vec<&str> = nulls.map(|(name, ..)| &***name).collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for : {}", nulls.join(", ")));
    }
    match ConfigResourceType::from_id(key.0) {
        Some(ConfigResourceType::Broker) if key.1.is_empty() => broker_rules::check(Level::Cluster, &set(configs)),
        Some(ConfigResourceType::Broker) => match key.1.parse::<i32>() {
            Err(_) => invalid(format!("Node id must be an integer, but it is: {}", key.1)),
            Ok(id) if NodeId(id) != node => {
                invalid(format!("Unexpected broker id, expected {node}, but received {}", key.1))
            }
            Ok(_) => broker_rules::check(Level::Broker, &set(configs)),
        },
        Some(ConfigResourceType::BrokerLogger) | None => invalid(format!("Unknown resource type {}", key.0)),
        Some(_) => Ok(()),
    }
}
