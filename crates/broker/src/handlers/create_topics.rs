//! CreateTopics.

use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};

use super::controller::ask_within;
use super::has_single;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    // Names that are there twice are refused without looking at the clock.
    let timeout_ms = if has_single(&names) { request.timeout_ms } else { i32::MAX };
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| CreateTopicsResponse {
        topics: names
            .into_iter()
            .map(|name| CreatableTopicResult {
                name,
                error_code: refusal.code.code(),
                error_message: refusal.text(),
                ..CreatableTopicResult::default()
            })
            .collect(),
        ..CreateTopicsResponse::default()
    })
}
