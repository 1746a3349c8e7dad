//! CreatePartitions.

use thalweg_wire::messages::CreatePartitionsRequest;
use thalweg_wire::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

use super::controller::ask_within;
use super::has_single;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    // Names that are there twice are refused without looking at the clock.
    let timeout_ms = if has_single(&names) { request.timeout_ms } else { i32::MAX };
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| CreatePartitionsResponse {
        results: names
            .into_iter()
            .map(|name| CreatePartitionsTopicResult {
                name,
                error_code: refusal.code.code(),
                error_message: refusal.text(),
            })
            .collect(),
        ..CreatePartitionsResponse::default()
    })
}
