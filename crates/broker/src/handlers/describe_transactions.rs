//! DescribeTransactions: how transactional ids are (KIP-664).

use thalweg_transactions::{Answer, Request};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeTransactionsRequest;
use thalweg_wire::messages::describe_transactions_response::{DescribeTransactionsResponse, TransactionState};

use crate::call::Call;
use crate::drivers::transactions::answered;

pub(crate) async fn handle(call: Call, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let asked = call.broker.transactions.ask(&transactional_id, Request::Describe(transactional_id.clone()));
        let refused = |error: ErrorCode| TransactionState {
            error_code: error.code(),
            transactional_id: transactional_id.clone(),
            ..TransactionState::default()
        };
        transaction_states.push(match answered(asked).await {
            Ok(Answer::Described(described)) => described,
            Ok(_) => refused(ErrorCode::UnknownServerError),
            Err(error) => refused(error),
        });
    }
    DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }
}
