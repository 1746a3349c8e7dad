//! Produce: where a request begins.

pub(super) mod append;
mod guards;
mod transactional;

use thalweg_network::Reply;
use thalweg_wire::messages::produce_request::ProduceRequest;

use self::append::{append_and_reply, has_transactional};
use self::guards::Guards;
use crate::call::Call;

pub(crate) fn handle(call: Call, request: ProduceRequest) -> Reply {
    if request.transactional_id.is_some() && has_transactional(&request) {
        return transactional::handle(call, request);
    }
    append_and_reply(call, request, &Guards::default())
}
