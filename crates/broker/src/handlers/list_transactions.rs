//! ListTransactions: the transactional ids that this node coordinates (KIP-664, KIP-994, KIP-1152).

use thalweg_transactions::{Answer, Filter, Request};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::call::Call;
use crate::drivers::transactions::answered;

pub(crate) async fn handle(call: Call, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let refused =
        |error: ErrorCode| ListTransactionsResponse { error_code: error.code(), ..ListTransactionsResponse::default() };
    let (filter, unknown_state_filters) = match Filter::of(&request) {
        Ok(filter) => filter,
        Err(error) => return refused(error),
    };
    let mut response = ListTransactionsResponse { unknown_state_filters, ..ListTransactionsResponse::default() };
    for coordinator in call.broker.transactions.all() {
        match answered(coordinator.ask_for(Request::List(filter.clone()))).await {
            Ok(Answer::Listed(listed)) => response.transaction_states.extend(listed),
            Ok(_) => return refused(ErrorCode::UnknownServerError),
            // It is coordinated elsewhere by now.
            Err(ErrorCode::NotCoordinator) => {}
            Err(error) => return refused(error),
        }
    }
    response
}
