//! Quotas of users, clients and IP addresses.

use thalweg_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use thalweg_wire::messages::describe_client_quotas_request::ComponentData;
use thalweg_wire::messages::describe_client_quotas_response::EntryData as Described;
use thalweg_wire::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use super::entities::{Entities, Kind};
use crate::admin::{Admin, check};
use crate::java;
use crate::out::Out;
use crate::thrown::Thrown;

/// Whether users and clients have this quota.
pub(super) fn is_of_principals(name: &str) -> bool {
    matches!(name, "producer_byte_rate" | "consumer_byte_rate" | "request_percentage" | "controller_mutation_rate")
}

/// Whether IP addresses have this quota.
pub(super) fn is_of_ips(name: &str) -> bool {
    name == "connection_creation_rate"
}

fn entity_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Users => "user",
        Kind::Clients => "client-id",
        _ => "ip",
    }
}

async fn described(entities: &Entities, admin: &Admin) -> Result<Vec<Described>, Thrown> {
    let component = |(at, kind): (usize, &Kind)| {
        let name = entities.names.get(at);
        ComponentData {
            entity_type: entity_type(*kind).into(),
            match_type: match name {
                None => 2,
                Some(name) if name.is_empty() => 1,
                Some(_) => 0,
            },
            match_: name.filter(|name| !name.is_empty()).map(|name| name.as_str().into()),
        }
    };
    let request = DescribeClientQuotasRequest {
        components: entities.kinds.iter().enumerate().map(component).collect(),
        strict: true,
    };
    let response = admin.any("describeClientQuotas", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, response.error_message.as_deref()).map_err(Thrown::execution)?;
    Ok(response.entries.unwrap_or_default())
}

pub(super) async fn describe(entities: &Entities, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    for entry in described(entities, admin).await? {
        let kinds = [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")];
        let whose = kinds.iter().filter_map(|(kind, shown)| {
            let entity = entry.entity.iter().find(|entity| &*entity.entity_type == *kind)?;
            Some(match entity.entity_name.as_deref() {
                Some(name) => format!("{shown} '{name}'"),
                None => format!("the default {shown}"),
            })
        });
        let whose = whose.collect::<Vec<_>>().join(", ");
        let values = entry.values.iter().map(|value| format!("{}={}", value.key, java::double(value.value)));
        let values = values.collect::<Vec<_>>().join(", ");
        out.line(format_args!("Quota configs for {whose} are {values}"));
    }
    Ok(())
}

pub(super) async fn alter(
    entities: &Entities,
    admin: &Admin,
    added: &[(String, String)],
    deleted: &[String],
) -> Result<(), Thrown> {
    let standing = described(entities, admin).await?;
    let has = |name: &str| standing.first().is_some_and(|entry| entry.values.iter().any(|value| *value.key == *name));
    let missing: Vec<&str> = deleted.iter().map(String::as_str).filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        let class = "org.apache.kafka.common.errors.InvalidConfigurationException";
        return Err(Thrown::new(class, format!("Invalid config(s): {}", missing.join(","))));
    }
    let mut ops = Vec::new();
    for (name, text) in added {
        let value = java::number::<f64>(text).map_err(|_| {
            Thrown::illegal_argument(format!("Cannot parse quota configuration value for {name}: {text}"))
        })?;
        ops.push(OpData { key: name.as_str().into(), value, remove: false });
    }
    ops.extend(deleted.iter().map(|name| OpData { key: name.as_str().into(), value: 0.0, remove: true }));
    let entity = entities.kinds.iter().zip(&entities.names).map(|(kind, name)| EntityData {
        entity_type: entity_type(*kind).into(),
        entity_name: (!name.is_empty()).then(|| name.as_str().into()),
    });
    let request =
        AlterClientQuotasRequest { entries: vec![EntryData { entity: entity.collect(), ops }], validate_only: false };
    let response = admin.any("alterClientQuotas", &request).await.map_err(Thrown::execution)?;
    let mut entries = response.entries.iter();
    entries.try_for_each(|entry| check(entry.error_code, entry.error_message.as_deref())).map_err(Thrown::execution)
}
