//! What AlterConfigs and IncrementalAlterConfigs have in common.

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    alter_configs_response, incremental_alter_configs_response,
};

use super::operation::Operation;
use crate::refusal::parts;
use crate::{Controller, Outcome, Refusal};

/// One resource of a request, with what is to become of its configurations.
pub struct Asked<'a> {
    pub(super) kind: i8,
    pub(super) name: &'a ByteString,
    /// The name, the number of the operation and the value of each.
    pub(super) configs: Vec<(&'a ByteString, i8, Option<&'a ByteString>)>,
}

/// What is said about one resource.
pub struct Answer {
    pub(super) kind: i8,
    pub(super) name: ByteString,
    pub(super) error_code: i16,
    pub(super) error_message: Option<ByteString>,
}

impl Answer {
    pub(super) fn new(kind: i8, name: ByteString, result: &Result<(), Refusal>) -> Self {
        let (error_code, error_message) = parts(result);
        Self { kind, name, error_code, error_message }
    }
}

/// A request that changes configurations of several resources, each of which succeeds or fails by itself.
pub trait ConfigsRequest: Clone + Send + 'static {
    /// What it is answered with.
    type Answered: Send + 'static;

    /// Whether it may change levels of loggers.
    const CHANGES_LOGGERS: bool;

    /// Whether nothing is to change.
    fn validate_only(&self) -> bool;

    /// Its resources, in their order.
    fn asked(&self) -> Vec<Asked<'_>>;

    /// Drops every resource that is not to be kept.
    fn keep(&mut self, kept: &[bool]);

    /// Has the controller decide.
    fn decide(&self, controller: &Controller, image: &MetadataImage) -> Outcome<Self::Answered>;

    /// The response that says all of this.
    fn answered(answers: Vec<Answer>) -> Self::Answered;

    /// What a response says about each resource.
    fn answers(response: Self::Answered) -> Vec<Answer>;
}

impl ConfigsRequest for IncrementalAlterConfigsRequest {
    type Answered = IncrementalAlterConfigsResponse;

    const CHANGES_LOGGERS: bool = true;

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        let asked = self.resources.iter().map(|resource| Asked {
            kind: resource.resource_type,
            name: &resource.resource_name,
            configs: resource.configs.iter().map(|c| (&c.name, c.config_operation, c.value.as_ref())).collect(),
        });
        asked.collect()
    }

    fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.resources.retain(|_| kept.next().copied().unwrap_or(false));
    }

    fn decide(&self, controller: &Controller, image: &MetadataImage) -> Outcome<Self::Answered> {
        controller.incremental_alter_configs(image, self)
    }

    fn answered(answers: Vec<Answer>) -> Self::Answered {
        use incremental_alter_configs_response::AlterConfigsResourceResponse;
        let response = |answer: Answer| AlterConfigsResourceResponse {
            error_code: answer.error_code,
            error_message: answer.error_message,
            resource_type: answer.kind,
            resource_name: answer.name,
        };
        Self::Answered { responses: answers.into_iter().map(response).collect(), ..Self::Answered::default() }
    }

    fn answers(response: Self::Answered) -> Vec<Answer> {
        let answer = |r: incremental_alter_configs_response::AlterConfigsResourceResponse| Answer {
            kind: r.resource_type,
            name: r.resource_name,
            error_code: r.error_code,
            error_message: r.error_message,
        };
        response.responses.into_iter().map(answer).collect()
    }
}

impl ConfigsRequest for AlterConfigsRequest {
    type Answered = AlterConfigsResponse;

    const CHANGES_LOGGERS: bool = false;

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        let set = Operation::Set.id();
        let asked = self.resources.iter().map(|resource| Asked {
            kind: resource.resource_type,
            name: &resource.resource_name,
            configs: resource.configs.iter().map(|c| (&c.name, set, c.value.as_ref())).collect(),
        });
        asked.collect()
    }

    fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.resources.retain(|_| kept.next().copied().unwrap_or(false));
    }

    fn decide(&self, controller: &Controller, image: &MetadataImage) -> Outcome<Self::Answered> {
        controller.alter_configs(image, self)
    }

    fn answered(answers: Vec<Answer>) -> Self::Answered {
        use alter_configs_response::AlterConfigsResourceResponse;
        let response = |answer: Answer| AlterConfigsResourceResponse {
            error_code: answer.error_code,
            error_message: answer.error_message,
            resource_type: answer.kind,
            resource_name: answer.name,
        };
        Self::Answered { responses: answers.into_iter().map(response).collect(), ..Self::Answered::default() }
    }

    fn answers(response: Self::Answered) -> Vec<Answer> {
        let answer = |r: alter_configs_response::AlterConfigsResourceResponse| Answer {
            kind: r.resource_type,
            name: r.resource_name,
            error_code: r.error_code,
            error_message: r.error_message,
        };
        response.responses.into_iter().map(answer).collect()
    }
}
