//! `/quota` and `/user`: quotas and users that log in by SCRAM, and changing them.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use thalweg_metadata::scram::{ITERATIONS_MAX, ITERATIONS_MIN, Mechanism};

use super::super::Wants;
use super::change::{Change, Fields, Sent};
use super::operations::{TOO_OLD, columns, in_form, sheet};
use super::{Console, answered};
use crate::kafka::{DEFAULT_ENTITY, Mode, Quota, QuotaEntity, ScramUser};
use crate::pages::{Cell, ChangeForm, Input, Plan, Table};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// The parts of which an entity of quotas consists: the fields of the form, and Kafka's words.
const PARTS: [(&str, &str); 3] = [("user", "user"), ("clientId", "client-id"), ("ip", "ip")];
/// Kafka's quotas.
const QUOTAS: [&str; 5] = [
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "connection_creation_rate",
];
const MECHANISMS: [Mechanism; 2] = [Mechanism::Sha256, Mechanism::Sha512];

/// All quotas.
pub(super) async fn quotas(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let quotas = shared.kafka.quotas().await?;
        let may_change = shared.settings.writes.alter_cluster && quotas.is_some();
        let tool = "--describe --entity-type users --entity-type clients";
        let frame = shared.frame(&headers).at("quotas").with_tool("kafka-configs.sh", tool).with_curl("/quota");
        let mut names = vec![("entity", "Of"), ("key", "Quota"), ("value", "Value")];
        if may_change {
            names.push(("", "Change"));
        }
        let table = Table {
            title: "Quotas",
            empty: if quotas.is_some() { "There are no quotas." } else { TOO_OLD },
            columns: columns(&names),
            rows: quotas.iter().flatten().map(|quota| quota_row(quota, may_change)).collect(),
        };
        let mut page = sheet(frame, "Quotas", String::new(), vec![table]);
        if may_change {
            page.forms.push(new_quota());
        }
        Ok(in_form(&page, &headers))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn quota_row(quota: &Quota, may_change: bool) -> Vec<Cell> {
    let entity = quota.entity.to_string();
    let mut cells = vec![Cell::plain(entity), Cell::plain(quota.key.as_str()), Cell::plain(quota.value)];
    if may_change {
        let parts = PARTS.iter().map(|(field, kind)| (*field, quota.entity.part(kind)));
        let fields: Vec<(&str, &str)> = parts.chain([("key", quota.key.as_str())]).collect();
        cells.push(Cell::button(ChangeForm::button("/quota", "Remove…", &fields)));
    }
    cells
}

fn new_quota() -> ChangeForm {
    let inputs = vec![
        Input::text("User", "user", "alice, or <default>"),
        Input::text("Client id", "clientId", "or <default>"),
        Input::text("IP", "ip", "alone, or <default>"),
        Input::choice("Quota", "key", QUOTAS.to_vec()),
        Input::text("Value", "value", "empty to remove it"),
    ];
    ChangeForm::to_fill("/quota", "Dry run of setting the quota", inputs)
}

fn entity_of(fields: &Fields) -> Result<QuotaEntity, Trouble> {
    let part = |(field, kind): &(&str, &str)| {
        let name = fields.get(field)?;
        Some(((*kind).to_owned(), (name != DEFAULT_ENTITY).then(|| name.to_owned())))
    };
    let parts: Vec<_> = PARTS.iter().filter_map(part).collect();
    if parts.is_empty() {
        return Err(Trouble::Bad("the quota is of nobody: name a user, a client id or an IP address".to_owned()));
    }
    Ok(QuotaEntity(parts))
}

/// Sets or removes a quota, or shows what that would change.
pub(super) async fn alter_quota(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let entity = entity_of(fields)?;
        let key = fields.need("key")?;
        let value = match fields.get("value") {
            None => None,
            Some(typed) => {
                let number = typed.parse::<f64>().ok().filter(|number| number.is_finite());
                Some(number.ok_or_else(|| Trouble::Bad(format!("the value must be a number, not `{typed}`")))?)
            }
        };
        let (name, paths) = (entity.to_string(), ("/quota".to_owned(), "/quota".to_owned()));
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "change a quota", &name, paths)?;
        let there = shared.kafka.quotas().await?.unwrap_or_default();
        let now = there.iter().find(|quota| quota.key == key && same_entity(&quota.entity, &entity));
        if value.is_none() && now.is_none() {
            return Err(Trouble::NotFound(format!("{name} has no quota {key}")));
        }
        shared.kafka.alter_quota(&entity, key, value, Mode::Check).await?;
        let shown = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
        let plan = Plan {
            title: if value.is_some() { "Set a quota".to_owned() } else { "Remove a quota".to_owned() },
            effect: format!("The quota {key} of {name} becomes {}.", shown(value)),
            warnings: Vec::new(),
            columns: vec!["Of", "Quota", "Now", "Then"],
            rows: vec![vec![name.clone(), key.to_owned(), shown(now.map(|quota| quota.value)), shown(value)]],
        };
        if !change.is_confirmed()? {
            let frame = shared.frame(headers).at("quotas");
            let frame = frame.with_tool("kafka-configs.sh", &quota_arguments(&entity, key, value));
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.alter_quota(&entity, key, value, Mode::CarryOut).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

/// Whether two entities are the same, in whatever order their parts stand.
fn same_entity(one: &QuotaEntity, other: &QuotaEntity) -> bool {
    one.0.len() == other.0.len() && one.0.iter().all(|part| other.0.contains(part))
}

fn quota_arguments(entity: &QuotaEntity, key: &str, value: Option<f64>) -> String {
    let mut arguments = match value {
        Some(value) => format!("--alter --add-config {key}={value}"),
        None => format!("--alter --delete-config {key}"),
    };
    for (kind, name) in &entity.0 {
        let kind = if kind == "client-id" { "client" } else { kind };
        arguments += &match name {
            Some(name) => format!(" --entity-type {kind}s --entity-name {}", text::shell(name)),
            None => format!(" --entity-type {kind}s --entity-default"),
        };
    }
    arguments
}

/// The users that log in by SCRAM.
pub(super) async fn users(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let users = shared.kafka.scram_users().await?;
        let may_change = shared.settings.writes.alter_cluster && users.is_some();
        let frame = shared.frame(&headers).at("users");
        let frame = frame.with_tool("kafka-configs.sh", "--describe --entity-type users").with_curl("/user");
        let mut names = vec![("name", "Name"), ("mechanism", "Mechanism"), ("iterations", "Iterations")];
        if may_change {
            names.push(("", "Change"));
        }
        let table = Table {
            title: "Users",
            empty: if users.is_some() { "No user logs in by SCRAM." } else { TOO_OLD },
            columns: columns(&names),
            rows: users.iter().flatten().map(|user| user_row(user, may_change)).collect(),
        };
        let mut page = sheet(frame, "SCRAM users", String::new(), vec![table]);
        if may_change {
            page.forms.push(new_user());
        }
        Ok(in_form(&page, &headers))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn user_row(user: &ScramUser, may_change: bool) -> Vec<Cell> {
    let mechanism = user.mechanism.map_or("unknown", Mechanism::name);
    let mut cells = vec![Cell::plain(user.name.as_str()), Cell::plain(mechanism), Cell::plain(user.iterations)];
    if may_change {
        let fields = [("name", user.name.as_str()), ("mechanism", mechanism)];
        cells.push(Cell::button(ChangeForm::button("/user/delete", "Delete…", &fields)));
    }
    cells
}

fn new_user() -> ChangeForm {
    let inputs = vec![
        Input::text("Name", "name", "alice"),
        Input::choice("Mechanism", "mechanism", MECHANISMS.map(Mechanism::name).to_vec()),
        Input::text("Iterations", "iterations", "4096"),
    ];
    ChangeForm::to_fill("/user", "Set a password…", inputs)
}

fn mechanism_of(fields: &Fields) -> Result<Mechanism, Trouble> {
    let typed = fields.need("mechanism")?;
    let found = MECHANISMS.into_iter().find(|mechanism| mechanism.name() == typed);
    found.ok_or_else(|| Trouble::Bad(format!("`{typed}` is none of SCRAM-SHA-256 and SCRAM-SHA-512")))
}

/// Gives a user a password, or shows what that would change.
pub(super) async fn set_user(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let (name, mechanism) = (fields.need("name")?, mechanism_of(fields)?);
        let iterations = fields.get("iterations").map_or(Ok(ITERATIONS_MIN), |_| fields.number::<i32>("iterations"))?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            let text = format!("iterations must be between {ITERATIONS_MIN} and {ITERATIONS_MAX}, not {iterations}");
            return Err(Trouble::Bad(text));
        }
        let paths = ("/user".to_owned(), "/user".to_owned());
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "set a user's password", name, paths)?;
        let change = change.asking_password();
        let there = shared.kafka.scram_users().await?.unwrap_or_default();
        let is_there = there.iter().any(|user| user.name == name && user.mechanism == Some(mechanism));
        let effect = match is_there {
            true => format!("User {name} gets a new password of {}: the old one no longer counts.", mechanism.name()),
            false => format!("User {name} can log in by {}.", mechanism.name()),
        };
        let plan = Plan {
            title: "Set a user's password".to_owned(),
            effect,
            warnings: Vec::new(),
            columns: vec!["Name", "Mechanism", "Iterations"],
            rows: vec![vec![name.to_owned(), mechanism.name().to_owned(), iterations.to_string()]],
        };
        if !change.is_confirmed()? {
            let scram = format!("{}=[iterations={iterations},password=...]", mechanism.name());
            let arguments = format!(
                "--alter --add-config {} --entity-type users --entity-name {}",
                text::shell(&scram),
                text::shell(name)
            );
            let frame = shared.frame(headers).at("users").with_tool("kafka-configs.sh", &arguments);
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.set_scram_user(name, mechanism, iterations, fields.need("password")?).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

/// Takes a user's password away, or shows what that would mean.
pub(super) async fn delete_user(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let (name, mechanism) = (fields.need("name")?, mechanism_of(fields)?);
        let paths = ("/user/delete".to_owned(), "/user".to_owned());
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "delete a user's password", name, paths)?;
        let there = shared.kafka.scram_users().await?.unwrap_or_default();
        if !there.iter().any(|user| user.name == name && user.mechanism == Some(mechanism)) {
            return Err(Trouble::NotFound(format!("user {name} has no password of {}", mechanism.name())));
        }
        let plan = Plan {
            title: "Delete a user's password".to_owned(),
            effect: format!("User {name} can no longer log in by {}.", mechanism.name()),
            warnings: vec!["Connections that are logged in stay until they end.".to_owned()],
            columns: Vec::new(),
            rows: Vec::new(),
        };
        if !change.is_confirmed()? {
            let arguments = format!(
                "--alter --delete-config {} --entity-type users --entity-name {}",
                mechanism.name(),
                text::shell(name)
            );
            let frame = shared.frame(headers).at("users").with_tool("kafka-configs.sh", &arguments);
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.delete_scram_user(name, mechanism).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}
