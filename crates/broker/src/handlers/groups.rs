//! What the handlers of group requests have in common: who asks, and waiting for the coordinator.

use thalweg_access::acl::{Operation, Resource};
use thalweg_groups::{Caller, Describable};
use thalweg_metadata::feature::{GROUP_VERSION, STREAMS_VERSION};
use thalweg_network::Reply;
use thalweg_sys::closing::Closing;
use thalweg_wire::{Codec, ErrorCode};
use tokio::sync::oneshot;

use super::authorization::Gate;
use crate::call::{Call, host_address};
use crate::drivers::groups::{Asked, Outcome};

/// What everybody may do with a group while there is no authorizer, as bits by ACL operation: read, delete, describe,
/// describe configs, alter configs.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Who asks.
pub(super) fn caller(call: &Call) -> Caller {
    Caller {
        version: call.version,
        // A copy: members keep it longer than the request's frame should live.
        client_id: call.client_id.as_deref().unwrap_or_default().into(),
        client_host: format!("/{}", host_address(call.origin.address.ip())).into(),
        listener: (&*call.listener).into(),
        describable: Describable::all(),
    }
}

/// Who asks with a request that may have a group's regular expressions resolved.
pub(super) fn subscriber(call: &Call) -> Caller {
    let describable = Gate::of(call).map_or_else(Describable::all, |gate| {
        Describable::only(move |topic| gate.may_silently(Operation::Describe, Resource::topic(topic)))
    });
    Caller { describable, ..caller(call) }
}

/// Whether the consumer protocol (KIP-848) is served: the configuration names it and the cluster's features allow it.
pub(super) fn serves_consumer_protocol(call: &Call) -> bool {
    call.broker.config.groups.rules.consumer_protocol && call.broker.image().features().level(GROUP_VERSION.name) >= 1
}

/// Whether the streams protocol (KIP-1071) is served: the configuration names it and the cluster's features allow it.
pub(super) fn serves_streams_protocol(call: &Call) -> bool {
    call.broker.config.groups.rules.streams_protocol && call.broker.image().features().level(STREAMS_VERSION.name) >= 1
}

/// Answers when the coordinator does.
pub(super) fn reply<R: Codec + Clone + 'static>(
    call: Call,
    asked: Asked,
    respond: impl FnOnce(&Call, Outcome) -> R + Send + 'static,
) -> Reply {
    match asked {
        Asked::Now(outcome) => {
            let response = respond(&call, outcome);
            Reply::Now(call.answer(&response))
        }
        Asked::Later(receiver) => Reply::Exclusive(Box::pin(async move {
            let outcome = outcome(receiver, call.broker.closing.clone()).await;
            let response = respond(&call, outcome);
            call.answer(&response)
        })),
    }
}

/// Answers when all coordinators have.
pub(super) fn reply_all<R: Codec + Clone + 'static>(
    call: Call,
    asked: Vec<Asked>,
    respond: impl FnOnce(&Call, Vec<Outcome>) -> R + Send + 'static,
) -> Reply {
    if asked.iter().all(|asked| matches!(asked, Asked::Now(_))) {
        let now = |asked| match asked {
            Asked::Now(outcome) => Some(outcome),
            Asked::Later(_) => None,
        };
        let response = respond(&call, asked.into_iter().filter_map(now).collect());
        return Reply::Now(call.answer(&response));
    }
    Reply::Exclusive(Box::pin(async move {
        let mut outcomes = Vec::with_capacity(asked.len());
        for asked in asked {
            outcomes.push(match asked {
                Asked::Now(outcome) => outcome,
                Asked::Later(receiver) => outcome(receiver, call.broker.closing.clone()).await,
            });
        }
        let response = respond(&call, outcomes);
        call.answer(&response)
    }))
}

/// Waits for the coordinator, but not when the node goes down: members that wait for others then ask elsewhere.
async fn outcome(receiver: oneshot::Receiver<Outcome>, mut closing: Closing) -> Outcome {
    tokio::select! {
        biased;
        answered = receiver => answered.unwrap_or(Err(ErrorCode::NotCoordinator)),
        () = closing.begun() => Err(ErrorCode::NotCoordinator),
    }
}

/// Takes the answer out of an outcome. A shard that answers another question has a bug, which the client is told.
macro_rules! expect_answer {
    ($outcome:expr, $variant:ident) => {
        match $outcome {
            Ok(thalweg_groups::Answer::$variant(answer)) => Ok(answer),
            Ok(_) => Err(thalweg_wire::ErrorCode::UnknownServerError),
            Err(error) => Err(error),
        }
    };
}
pub(super) use expect_answer;
