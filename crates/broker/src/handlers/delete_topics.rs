//! DeleteTopics, by name or by id (KIP-516).

use thalweg_wire::messages::DeleteTopicsRequest;
use thalweg_wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use super::controller::ask_within;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let version = call.version;
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), thalweg_base::Uuid::ZERO));
    let by_either = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let asked: Vec<_> = by_name.chain(by_either).collect();
    let timeout_ms = if asked.is_empty() { i32::MAX } else { request.timeout_ms };
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| DeleteTopicsResponse {
        responses: asked
            .into_iter()
            .map(|(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code: refusal.code.code(),
                error_message: if version >= 5 { refusal.text() } else { None },
            })
            .collect(),
        ..DeleteTopicsResponse::default()
    })
}
