//! `/v3/api-docs` and `/api/v1/openapi.json`: what the addresses take and give, as OpenAPI documents; and `/actuator/health`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::Answer;
use super::Console;

/// An address that gives JSON.
struct Operation {
    method: &'static str,
    /// As Kafdrop has it, or as a page has it; empty if it is only below `/api/v1`.
    path: &'static str,
    /// Below `/api/v1`; empty if it is not there.
    api: &'static str,
    does: &'static str,
    /// The values of its query, of a GET; the fields of its form, of a POST.
    takes: &'static [&'static str],
}

const fn get(path: &'static str, api: &'static str, does: &'static str, takes: &'static [&'static str]) -> Operation {
    Operation { method: "get", path, api, does, takes }
}

const fn post(path: &'static str, api: &'static str, does: &'static str, takes: &'static [&'static str]) -> Operation {
    Operation { method: "post", path, api, does, takes }
}

/// What narrows a search.
const SEARCH: &[&str] = &[
    "searchText",
    "regex",
    "in",
    "keys",
    "header",
    "json",
    "partition",
    "startTimestamp",
    "endTimestamp",
    "format",
    "keyFormat",
    "as",
];

/// What an ACL consists of.
const ACL: &[&str] =
    &["resourceType", "name", "patternType", "principal", "host", "operation", "permissionType", "confirm"];

const OPERATIONS: &[Operation] = &[
    get("/", "/cluster", "The cluster: summary, brokers and topics", &[]),
    get("/broker", "/brokers", "All brokers", &[]),
    get("/broker/{id}", "/brokers/{id}", "A broker", &[]),
    get("/topic", "/topics", "All topics", &[]),
    post(
        "/topic",
        "/topics",
        "Creates a topic",
        &["name", "partitionsNumber", "replicationFactor", "configs", "dryRun"],
    ),
    get("/topic/{name}", "/topics/{name}", "A topic with the offsets of its partitions", &[]),
    post("/topic/{name}/delete", "/topics/{name}/delete", "Deletes a topic", &["confirm", "dryRun"]),
    post("/topic/{name}/configs", "/topics/{name}/configs", "Changes configs", &["configs", "remove", "confirm"]),
    post("/topic/{name}/partitions", "/topics/{name}/partitions", "Adds partitions", &["count", "confirm"]),
    post(
        "/topic/{name}/deleterecords",
        "/topics/{name}/deleterecords",
        "Deletes records from the beginning of partitions",
        &["to", "value", "partitions", "confirm"],
    ),
    post(
        "/topic/{name}/addmessage",
        "/topics/{name}/addmessage",
        "Writes a record",
        &["topicPartition", "key", "value"],
    ),
    post(
        "/topic/{name}/replay",
        "/topics/{name}/replay",
        "Writes the records that a search finds again, to another topic, whose name is what confirm has; with cursor, from \
         where an earlier answer stopped",
        &[
            "to",
            "count",
            "keepPartition",
            "cursor",
            "searchText",
            "regex",
            "in",
            "keys",
            "header",
            "json",
            "partition",
            "startTimestamp",
            "endTimestamp",
            "confirm",
        ],
    ),
    get(
        "/topic/{name}/messages",
        "/topics/{name}/messages",
        "Records of a partition; without partition, offset and count, the offsets of each partition",
        &["partition", "offset", "count", "format", "keyFormat"],
    ),
    get("/topic/{name}/allmessages", "", "Records of all partitions, by time", &["count", "which"]),
    get(
        "/topic/{name}/newest",
        "/topics/{name}/newest",
        "The newest records of all partitions, and with a cursor those before them",
        &["count", "cursor", "format", "keyFormat"],
    ),
    get(
        "/topic/{name}/record",
        "/topics/{name}/record",
        "What is known about an offset: the record, its batch, the fate of its transaction, the groups that have passed it",
        &["partition", "offset", "groups"],
    ),
    get("/topic/{name}/download", "/topics/{name}/download", "All records that a search finds, as a file", SEARCH),
    get(
        "/topic/{name}/tail/events",
        "/topics/{name}/tail",
        "Records as they are written, as server-sent events",
        SEARCH,
    ),
    post(
        "/topic/{name}/search-messages",
        "/topics/{name}/search",
        "Searches records, from a JSON document with searchText, maximumCount, partition, format, keyFormat, \
         startTimestamp, endTimestamp, keys, regex, in, header, json",
        &[],
    ),
    get("/topic/{name}/consumers", "/topics/{name}/groups", "The groups that have offsets in a topic", &[]),
    get("/consumer", "/groups", "All groups", &[]),
    get("/consumer/{groupId}", "/groups/{groupId}", "How far a group has read", &[]),
    post(
        "/consumer/{groupId}/reset",
        "/groups/{groupId}/reset",
        "Resets offsets of a group",
        &["to", "value", "topic", "partitions", "confirm"],
    ),
    post("/consumer/{groupId}/delete", "/groups/{groupId}/delete", "Deletes a group", &["confirm"]),
    get("/acl", "/acls", "All ACLs", &["filter"]),
    post("/acl", "/acls", "Creates an ACL; the principal is what confirm has", ACL),
    post("/acl/delete", "/acls/delete", "Deletes an ACL; the principal is what confirm has", ACL),
    get("/user", "/users", "The users that log in by SCRAM", &[]),
    post(
        "/user",
        "/users",
        "Gives a user a password of a SCRAM mechanism",
        &["name", "mechanism", "iterations", "password", "confirm"],
    ),
    post("/user/delete", "/users/delete", "Takes a user's password away", &["name", "mechanism", "confirm"]),
    get("/quota", "/quotas", "All quotas", &[]),
    post(
        "/quota",
        "/quotas",
        "Sets a quota, or removes it without a value; confirm has what the quota is of, such as `user alice`",
        &["user", "clientId", "ip", "key", "value", "confirm"],
    ),
    get("/transaction", "/transactions", "Transactional ids; with a topic, what is open and hangs there", &["topic"]),
    post(
        "/transaction/abort",
        "/transactions/abort",
        "Aborts a transaction that hangs in a partition",
        &["topic", "partition", "producerId", "confirm"],
    ),
    get("/reassignment", "/reassignments", "Partitions whose replicas move", &[]),
    get("/history", "/history", "What the node did in the last hour or, with span=day, day", &["span"]),
    get("/quorum", "/quorum", "The quorum of the metadata log", &[]),
    get("/health_check", "", "Nothing, while the console runs", &[]),
    get("/actuator/health", "", "The status UP, while the console runs", &[]),
];

/// The OpenAPI document of Kafdrop's addresses and of the pages.
pub(super) async fn document(State(shared): Console) -> Response {
    described(&shared.base, OPERATIONS.iter().map(|it| (it, it.path.to_owned())))
}

/// The OpenAPI document of what is below `/api/v1`.
pub(super) async fn api_document(State(shared): Console) -> Response {
    let below = OPERATIONS.iter().filter(|it| !it.api.is_empty());
    described(&shared.base, below.map(|it| (it, format!("/api/v1{}", it.api))))
}

fn described(base: &str, operations: impl Iterator<Item = (&'static Operation, String)>) -> Response {
    let mut paths = Map::new();
    for (operation, path) in operations {
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = in_path.map(|name| parameter(name, "path")).collect();
        let mut document = json!({
            "summary": operation.does,
            "responses": { "200": { "description": "Success" } },
        });
        if operation.method == "get" {
            parameters.extend(operation.takes.iter().map(|name| parameter(name, "query")));
        } else if !operation.takes.is_empty() {
            let fields = operation.takes.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" })));
            let schema = json!({ "type": "object", "properties": fields.collect::<Map<String, Value>>() });
            document["requestBody"] =
                json!({ "content": { "application/x-www-form-urlencoded": { "schema": schema } } });
        }
        document["parameters"] = parameters.into();
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(operation.method.to_owned(), document);
        }
    }
    let document = json!({
        "openapi": "3.0.1",
        "info": { "title": "Thalweg console", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": if base.is_empty() { "/" } else { base } }],
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
