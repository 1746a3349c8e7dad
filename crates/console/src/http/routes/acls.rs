//! `/acl`: ACLs.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::{Answer, Wants};
use super::{Console, answered};
use crate::pages::AclPage;

/// All ACLs.
pub(super) async fn list(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let acls = shared.kafka.acls().await?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let entry = |acl: &crate::kafka::Acl| {
                serde_json::json!({
                    "name": acl.name,
                    "resourceType": acl.resource_type,
                    "patternType": acl.pattern_type,
                    "principal": acl.principal,
                    "host": acl.host,
                    "operation": acl.operation,
                    "permissionType": acl.permission_type,
                })
            };
            return Ok(Answer::json(&acls.unwrap_or_default().iter().map(entry).collect::<Vec<_>>()));
        }
        let frame = shared.frame(&headers).at("acls").with_tool("kafka-acls.sh", "--list").with_curl("/acl");
        Ok(Answer::page(&AclPage::new(frame, acls)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
