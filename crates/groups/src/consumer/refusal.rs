//! Why a consumer group refuses a request.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ConsumerGroupHeartbeatResponse;

/// An error code and the text that goes with it, as Kafka words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The heartbeat's answer.
    pub(crate) fn into_heartbeat(self) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse {
            error_code: self.code.code(),
            error_message: Some(self.message.into()),
            ..ConsumerGroupHeartbeatResponse::default()
        }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn unknown_member(group: &str, member: &str) -> Self {
        Self::new(ErrorCode::UnknownMemberId, format!("Member {member} is not a member of group {group}."))
    }

    pub(super) fn unknown_instance(instance: &str) -> Self {
        Self::new(ErrorCode::UnknownMemberId, format!("Instance id {instance} is unknown."))
    }

    pub(super) fn fenced_instance(member: &str, instance: &str, by: &str) -> Self {
        let message = format!("Static member {member} with instance id {instance} was fenced by member {by}.");
        Self::new(ErrorCode::FencedInstanceId, message)
    }

    pub(super) fn fenced_epoch(relation: &str, got: i32, known: i32) -> Self {
        let message = format!(
            "The consumer group member has a {relation} member epoch ({got}) than the one known by the group \
             coordinator ({known}). The member must abandon all its partitions and rejoin."
        );
        Self::new(ErrorCode::FencedMemberEpoch, message)
    }
}
