//! What Kafka's `AdminClient` throws where the client has no answer.

use thalweg_client::Error;
use thalweg_wire::ErrorCode;

use crate::out::Out;
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
        Error::Unreachable { tried } => {
            say_unreachable(tried);
            super::no_node(call)
        }
        _ => super::no_node(call),
    }
}

/// Says of each address why it could not be reached, in the words of Kafka's client, which says it again and again.
fn say_unreachable(tried: &[Error]) {
    // What it writes goes to standard error.
    let mut out = Out::default();
    for error in tried {
        let error = error.to_string();
        let why = error.split(" (os error").next().unwrap_or_default();
        let text = format!(
            "[AdminClient clientId=adminclient-1] Connection to node -1 ({why}) could not be established. Node may not be \
             available."
        );
        out.log("WARN", text, "org.apache.kafka.clients.NetworkClient");
    }
}
