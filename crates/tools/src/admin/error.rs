//! What Kafka's `AdminClient` throws where the client has no answer.

use thalweg_client::Error;
use thalweg_wire::ErrorCode;

use crate::thrown::{Thrown, authentication_failed};

/// The exception for a request that has no answer.
pub(super) fn thrown(call: &str, error: &Error) -> Thrown {
    if let Some(reason) = error.authentication() {
        return authentication_failed(reason);
    }
    match error {
        Error::Refused { code, message, .. } => Thrown::of_code(*code, message.as_deref()),
        Error::UnsupportedVersion { api, .. } => {
            let text = format!("The node does not support {api}");
            Thrown::of_code(ErrorCode::UnsupportedVersion, Some(&text))
        }
        Error::Encode { source, .. } => Thrown::of_code(ErrorCode::UnsupportedVersion, Some(&source.to_string())),
        Error::Decode { .. } => {
            Thrown::new("org.apache.kafka.common.protocol.types.SchemaException", error.to_string())
        }
        Error::TimedOut { .. } | Error::Disconnected { .. } => {
            Thrown::of_code(ErrorCode::RequestTimedOut, Some(&format!("Call {call} timed out: {error}")))
        }
        _ => super::no_node(call),
    }
}
