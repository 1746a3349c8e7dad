//! `/acl`: ACLs, and changing them.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use thalweg_metadata::acl::{Operation, PatternType, Permission, ResourceType};

use super::super::{Answer, Wants};
use super::change::{Change, Fields, Sent};
use super::operations::columns;
use super::{Console, answered, queried};
use crate::kafka::Acl;
use crate::pages::{Cell, ChangeForm, Input, Plan, SheetPage, Table};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// So many ACLs are on a page; a search narrows them.
const SHOWN_MAX: usize = 500;

/// Which ACLs are shown.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct AclQuery {
    /// A part of the name of a resource or of a principal.
    filter: Option<String>,
}

/// All ACLs.
pub(super) async fn list(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<AclQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let filter = queried(query)?.filter.map(|filter| filter.trim().to_owned()).unwrap_or_default();
        let acls = shared.kafka.acls().await?;
        let are_checked = acls.is_some();
        let mut acls = acls.unwrap_or_default();
        acls.retain(|acl| acl.name.contains(&filter) || acl.principal.contains(&filter));
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            return Ok(Answer::json(&acls.iter().map(document).collect::<Vec<_>>()));
        }
        let may_change = shared.settings.writes.alter_cluster && are_checked;
        let shown = acls.iter().take(SHOWN_MAX);
        let note = match (are_checked, acls.len()) {
            (false, _) => "The cluster has no authorizer: every client may do everything.".to_owned(),
            (true, count) if count > SHOWN_MAX => {
                format!("{} ACLs, of which the first {SHOWN_MAX} are shown.", text::count(count))
            }
            (true, count) => format!("{} ACLs.", text::count(count)),
        };
        let mut names = vec![
            ("resourceType", "Resource"),
            ("name", "Name"),
            ("patternType", "Pattern"),
            ("principal", "Principal"),
            ("host", "Host"),
            ("operation", "Operation"),
            ("permissionType", "Permission"),
        ];
        if may_change {
            names.push(("", "Change"));
        }
        let table = Table {
            title: "ACLs",
            empty: "There are no ACLs.",
            columns: columns(&names),
            rows: shown.map(|acl| row(acl, may_change)).collect(),
        };
        let frame = shared.frame(&headers).at("acls").with_tool("kafka-acls.sh", "--list").with_curl("/acl");
        Ok(Answer::page(&SheetPage {
            frame,
            title: "ACLs",
            note,
            search: Some(("Name or principal", "filter", filter)),
            troubles: Vec::new(),
            tables: vec![table],
            forms: if may_change { vec![new_acl()] } else { Vec::new() },
        }))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn document(acl: &Acl) -> serde_json::Value {
    serde_json::json!({
        "name": acl.name,
        "resourceType": acl.resource_type.name(),
        "patternType": acl.pattern_type.name(),
        "principal": acl.principal,
        "host": acl.host,
        "operation": acl.operation.name(),
        "permissionType": acl.permission.name(),
    })
}

fn row(acl: &Acl, may_change: bool) -> Vec<Cell> {
    let mut cells = vec![
        Cell::plain(acl.resource_type.name()),
        Cell::plain(acl.name.as_str()),
        Cell::plain(acl.pattern_type.name()),
        Cell::plain(acl.principal.as_str()),
        Cell::plain(acl.host.as_str()),
        Cell::plain(acl.operation.name()),
        Cell::plain(acl.permission.name()).marked(acl.permission == Permission::Deny),
    ];
    if may_change {
        let fields = [
            ("resourceType", acl.resource_type.name()),
            ("name", &acl.name),
            ("patternType", acl.pattern_type.name()),
            ("principal", &acl.principal),
            ("host", &acl.host),
            ("operation", acl.operation.name()),
            ("permissionType", acl.permission.name()),
        ];
        cells.push(Cell::button(ChangeForm::button("/acl/delete", "Delete…", &fields)));
    }
    cells
}

/// The form of a new ACL. What stands only in filters cannot be chosen.
fn new_acl() -> ChangeForm {
    let kinds = ResourceType::ALL.iter().filter(|it| **it != ResourceType::Any).map(|it| it.name());
    let patterns = [PatternType::Literal, PatternType::Prefixed].map(PatternType::name);
    let operations = Operation::ALL.iter().filter(|it| **it != Operation::Any).map(|it| it.name());
    let permissions = [Permission::Allow, Permission::Deny].map(Permission::name);
    let inputs = vec![
        Input::choice("Resource", "resourceType", kinds.collect()),
        Input::text("Name", "name", "orders, or * for all"),
        Input::choice("Pattern", "patternType", patterns.to_vec()),
        Input::text("Principal", "principal", "User:alice"),
        Input::text("Host", "host", "* for every one"),
        Input::choice("Operation", "operation", operations.collect()),
        Input::choice("Permission", "permissionType", permissions.to_vec()),
    ];
    ChangeForm::to_fill("/acl", "Dry run of a new ACL", inputs)
}

/// The item of this name, in Kafka's letters.
fn named<T: Copy>(fields: &Fields, field: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, Trouble> {
    let typed = fields.need(field)?;
    let found = all.iter().copied().find(|item| name(*item).eq_ignore_ascii_case(typed));
    let names: Vec<&str> = all.iter().map(|item| name(*item)).collect();
    found.ok_or_else(|| Trouble::Bad(format!("{field} must be one of {}, not `{typed}`", names.join(", "))))
}

fn acl_of(fields: &Fields) -> Result<Acl, Trouble> {
    let resource_type = named(fields, "resourceType", &ResourceType::ALL[1..], ResourceType::name)?;
    let patterns = [PatternType::Literal, PatternType::Prefixed];
    let principal = fields.need("principal")?.to_owned();
    if principal.split_once(':').is_none_or(|(kind, name)| kind.is_empty() || name.is_empty()) {
        return Err(Trouble::Bad(format!("the principal `{principal}` must have the form User:name")));
    }
    let name = match resource_type {
        ResourceType::Cluster => fields.get("name").unwrap_or(thalweg_metadata::acl::CLUSTER_NAME),
        _ => fields.need("name")?,
    };
    Ok(Acl {
        resource_type,
        name: name.to_owned(),
        pattern_type: named(fields, "patternType", &patterns, PatternType::name)?,
        principal,
        host: fields.get("host").unwrap_or("*").to_owned(),
        operation: named(fields, "operation", &Operation::ALL[1..], Operation::name)?,
        permission: named(fields, "permissionType", &Permission::ALL[1..], Permission::name)?,
    })
}

fn plan(title: &str, effect: String, acl: &Acl) -> Plan {
    let row = [
        acl.resource_type.name(),
        &acl.name,
        acl.pattern_type.name(),
        &acl.principal,
        &acl.host,
        acl.operation.name(),
        acl.permission.name(),
    ];
    Plan {
        title: title.to_owned(),
        effect,
        warnings: Vec::new(),
        columns: vec!["Resource", "Name", "Pattern", "Principal", "Host", "Operation", "Permission"],
        rows: vec![row.map(str::to_owned).to_vec()],
    }
}

/// The arguments of Kafka's tool that name an ACL.
fn tool_arguments(action: &str, acl: &Acl) -> String {
    let resource = match acl.resource_type {
        ResourceType::Cluster => "--cluster".to_owned(),
        kind => format!("--{} {}", kind.name().to_ascii_lowercase().replace('_', "-"), text::shell(&acl.name)),
    };
    let who = if acl.permission == Permission::Deny { "deny" } else { "allow" };
    format!(
        "--{action} {resource} --resource-pattern-type {} --{who}-principal {} --{who}-host {} --operation {}",
        acl.pattern_type.name().to_ascii_lowercase(),
        text::shell(&acl.principal),
        text::shell(&acl.host),
        acl.operation.name()
    )
}

/// Creates an ACL, or shows what that would mean.
pub(super) async fn create(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let acl = acl_of(fields)?;
        let paths = ("/acl".to_owned(), "/acl".to_owned());
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "create an ACL", &acl.principal, paths)?;
        let there = shared.kafka.acls().await?;
        let there = there.ok_or_else(|| Trouble::Conflict("the cluster has no authorizer".to_owned()))?;
        let of_resource = |it: &&Acl| (it.resource_type, &it.name) == (acl.resource_type, &acl.name);
        let mut plan =
            plan("Create an ACL", format!("{} is {} {}.", acl.principal, said(&acl), acl.operation.name()), &acl);
        if there.contains(&acl) {
            plan.warnings.push("There is this very ACL already: nothing changes.".to_owned());
        } else if acl.permission == Permission::Allow && there.iter().filter(of_resource).count() == 0 {
            let text = "It is the first ACL of this name. Where allow.everyone.if.no.acl.found lets others in so far, they \
                        are refused from then on.";
            plan.warnings.push(text.to_owned());
        }
        if !change.is_confirmed()? {
            let frame = shared.frame(headers).at("acls").with_tool("kafka-acls.sh", &tool_arguments("add", &acl));
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.create_acl(&acl).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

fn said(acl: &Acl) -> &'static str {
    if acl.permission == Permission::Deny { "denied" } else { "allowed" }
}

/// Deletes an ACL, or shows which.
pub(super) async fn delete(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let acl = acl_of(fields)?;
        let paths = ("/acl/delete".to_owned(), "/acl".to_owned());
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "delete an ACL", &acl.principal, paths)?;
        let there = shared.kafka.acls().await?.unwrap_or_default();
        if !there.contains(&acl) {
            return Err(Trouble::NotFound("there is no such ACL".to_owned()));
        }
        let effect = format!("{} is no longer {} {} by it.", acl.principal, said(&acl), acl.operation.name());
        let plan = plan("Delete an ACL", effect, &acl);
        if !change.is_confirmed()? {
            let frame = shared.frame(headers).at("acls").with_tool("kafka-acls.sh", &tool_arguments("remove", &acl));
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.delete_acl(&acl).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}
