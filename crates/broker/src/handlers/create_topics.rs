//! CreateTopics.

use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};

use super::has_single;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    // Names that are there twice are refused without looking at the clock.
    let timeout_ms = if has_single(&names) { request.timeout_ms } else { i32::MAX };
    let decided = call
        .broker
        .metadata
        .decide_within(timeout_ms, move |d| {
            d.controller.create_topics(d.image, &mut thalweg_sys::random::u64, &request)
        })
        .await;
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
