//! `/v3/api-docs`: what the addresses take and give, as an OpenAPI document, and `/actuator/health`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::Answer;
use super::Console;

/// An address: its method, its path, what it does, the values of its query.
type Operation = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// The addresses that give JSON.
const OPERATIONS: [Operation; 17] = [
    ("get", "/", "The cluster: summary, brokers and topics", &[]),
    ("get", "/broker", "All brokers", &[]),
    ("get", "/broker/{id}", "A broker", &[]),
    ("get", "/topic", "All topics", &[]),
    (
        "post",
        "/topic",
        "Creates a topic, from a form with name, partitionsNumber, replicationFactor, configs, dryRun",
        &[],
    ),
    ("get", "/topic/{name}", "A topic with the offsets of its partitions", &[]),
    ("post", "/topic/{name}/delete", "Deletes a topic", &[]),
    ("post", "/topic/{name}/addmessage", "Writes a record, from a form with topicPartition, key, value", &[]),
    (
        "get",
        "/topic/{name}/messages",
        "Records of a partition; without partition, offset and count, the offsets of each partition",
        &["partition", "offset", "count", "format", "keyFormat"],
    ),
    ("get", "/topic/{name}/allmessages", "Records of all partitions, by time", &["count", "which"]),
    (
        "post",
        "/topic/{name}/search-messages",
        "Searches records, from a JSON document with searchText, maximumCount, partition, format, keyFormat, startTimestamp, keys",
        &[],
    ),
    ("get", "/topic/{name}/consumers", "The groups that have committed offsets of a topic", &[]),
    ("get", "/consumer", "All groups", &[]),
    ("get", "/consumer/{groupId}", "How far a group has read", &[]),
    ("get", "/acl", "All ACLs", &[]),
    ("get", "/health_check", "Nothing, while the console runs", &[]),
    ("get", "/actuator/health", "The status UP, while the console runs", &[]),
];

/// The OpenAPI document.
pub(super) async fn document(State(shared): Console) -> Response {
    let mut paths = Map::new();
    for (method, path, summary, query) in OPERATIONS {
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = in_path.map(|name| parameter(name, "path"));
        let parameters: Vec<Value> = in_path.chain(query.iter().map(|name| parameter(name, "query"))).collect();
        let operation = json!({
            "summary": summary,
            "parameters": parameters,
            "responses": { "200": { "description": "Success" } },
        });
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(method.to_owned(), operation);
        }
    }
    let document = json!({
        "openapi": "3.0.1",
        "info": { "title": "Thalweg console", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": if shared.base.is_empty() { "/" } else { &shared.base } }],
        "paths": paths,
    });
    Answer::json(&document).into_response()
}

fn parameter(name: &str, place: &str) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } })
}

/// What Spring Boot's health endpoint says, with which Kafdrop's containers are watched.
pub(super) async fn health() -> Response {
    Answer::json(&json!({ "status": "UP" })).into_response()
}
