//! APIs that everybody may use, or that check more than the ACLs say.

use std::sync::Arc;

use thalweg_access::acl::{Operation, Resource};
use thalweg_network::ListenerType;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Gate, Guarded, Restricted};
use crate::call::Call;

macro_rules! open {
    ($($request:ident)*) => {
        $(impl Guarded for m::$request {
            fn is_open(_: &Call) -> bool {
                true
            }

            fn restrict(&mut self, _: &Arc<Gate>) -> Restricted<Self::Response> {
                Restricted::Allowed
            }
        })*
    };
}

open! {
    ApiVersionsRequest SaslHandshakeRequest SaslAuthenticateRequest GetTelemetrySubscriptionsRequest PushTelemetryRequest
    CreateDelegationTokenRequest RenewDelegationTokenRequest ExpireDelegationTokenRequest DescribeDelegationTokenRequest
}

/// On a broker's listener the handler asks for each partition: those of a session are not in the request. From controllers
/// only nodes of the cluster fetch.
impl Guarded for m::FetchRequest {
    fn is_open(call: &Call) -> bool {
        call.listener_type == ListenerType::Broker
    }

    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        if gate.may(Operation::ClusterAction, Resource::CLUSTER) {
            return Restricted::Allowed;
        }
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        Restricted::Refused(m::FetchResponse { error_code, ..Default::default() })
    }
}
