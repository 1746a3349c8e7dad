//! How handlers have the active controller decide.

use bytestring::ByteString;
use thalweg_controller::{Ask, Context, Principal, Refusal};
use thalweg_sys::time::Duration;
use thalweg_wire::{ErrorCode, Request};

use crate::call::Call;
use crate::drivers::metadata::{Asker, ForwardedClient};
use thalweg_network::ListenerType;

/// The context of a client's request that names no time.
pub(super) fn context(call: &Call) -> Context {
    Context {
        principal: principal(call),
        client_id: Some(client_id(call)),
        ..call.broker.metadata.context(call.version)
    }
}

/// The context of what is asked in the name of a client, at a version and within a time of its own.
pub(super) fn context_within(call: &Call, version: i16, timeout: Duration) -> Context {
    Context {
        principal: principal(call),
        client_id: Some(client_id(call)),
        ..call.broker.metadata.context_within(version, timeout)
    }
}

fn client_id(call: &Call) -> ByteString {
    call.client_id.clone().unwrap_or_default()
}

fn principal(call: &Call) -> Principal {
    Principal { kind: (&*call.identity.principal.kind).into(), name: (&*call.identity.principal.name).into() }
}

/// Has the controller decide a request, and waits until that is committed. What reaches a controller is decided there or
/// nowhere; a broker forwards.
pub(super) async fn ask<Q: Ask>(call: &Call, request: Q) -> Result<Q::Response, Refusal> {
    let context = context(call);
    ask_with(call, context, request).await
}

/// The same, as long as the client wants to wait.
pub(super) async fn ask_within<Q: Ask>(call: &Call, timeout_ms: i32, request: Q) -> Result<Q::Response, Refusal> {
    let timeout = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0);
    let Some(ms) = timeout else { return Err(Refusal::bare(ErrorCode::RequestTimedOut)) };
    ask_with(call, context_within(call, call.version, Duration::from_millis(ms)), request).await
}

/// Sends a request that only the leader of the quorum can answer to where that is; `None` when it is not reached in time.
pub(super) async fn forward<Q: Request>(call: &Call, request: &Q) -> Option<Q::Response> {
    let client = ForwardedClient { address: call.origin.address.ip(), id: call.client_id.clone() };
    let metadata = &call.broker.metadata;
    metadata.forward(&client, &context(call), request).await
}

/// The same in a context that the handler has made.
pub(super) async fn ask_with<Q: Ask>(call: &Call, context: Context, request: Q) -> Result<Q::Response, Refusal> {
    let asker = match call.listener_type {
        ListenerType::Broker => {
            Asker::Client(ForwardedClient { address: call.origin.address.ip(), id: call.client_id.clone() })
        }
        ListenerType::Controller => Asker::OfThisController,
    };
    call.broker.metadata.ask(asker, context, request).await
}
