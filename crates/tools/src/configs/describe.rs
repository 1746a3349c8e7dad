//! `kafka-configs.sh --describe`.

use serde_json::{Value, json};
use thalweg_metadata::topic_name;

use super::entities::{Entities, Kind};
use super::{quotas, scram};
use crate::admin::{Admin, ConfigEntry, Resource, ResourceKind, Synonym, WithSynonyms, source_name};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub(super) async fn describe(line: &Line, entities: &Entities, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    match entities.kinds[0] {
        Kind::Users | Kind::Clients => {
            quotas::describe(entities, admin, out).await?;
            if !entities.kinds.contains(&Kind::Clients) && !entities.has_default() {
                scram::describe(&entities.names, admin, out).await?;
            }
            Ok(())
        }
        Kind::Ips => quotas::describe(entities, admin, out).await,
        kind => resources(line, kind, entities.names.first(), admin, out).await,
    }
}

/// Where values that were set at run time come from.
fn dynamic_source(resource: &Resource) -> i8 {
    match resource.kind {
        ResourceKind::Topic => 1,
        ResourceKind::Broker if resource.name.is_empty() => 3,
        ResourceKind::Broker => 2,
        ResourceKind::BrokerLogger => 6,
        ResourceKind::ClientMetrics => 7,
        ResourceKind::Group => 8,
    }
}

async fn resources(line: &Line, kind: Kind, name: Option<&String>, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let Some(resource_kind) = kind.resource() else { return Ok(()) };
    let all = line.has("all");
    if let Some(name) = name.filter(|_| !all) {
        if kind == Kind::Topics {
            topic_name::validate(name)
                .map_err(|e| Thrown::new("org.apache.kafka.common.errors.InvalidTopicException", e.to_string()))?;
        }
        let is_default = name.is_empty() && resource_kind == ResourceKind::Broker;
        if !is_default && !existing(kind, admin).await?.contains(name) {
            out.line(format_args!("The {} '{name}' doesn't exist and doesn't have dynamic config.", kind.singular()));
            return Ok(());
        }
    }
    let names = match name {
        Some(name) => vec![name.clone()],
        None => {
            let mut names = existing(kind, admin).await?;
            if matches!(kind, Kind::Brokers | Kind::BrokerLoggers) {
                names.push(String::new());
            }
            names
        }
    };
    let resources: Vec<Resource> = names.into_iter().map(|name| Resource { kind: resource_kind, name }).collect();
    if resources.is_empty() {
        return Ok(());
    }
    let described = admin.describe_configs(&resources, WithSynonyms::Yes).await.map_err(Thrown::execution)?;
    for (resource, entries) in resources.iter().zip(described) {
        if out.is_json() {
            // Each object says whose config it is.
        } else if resource.name.is_empty() {
            out.line(format_args!("Default configs for {} in the cluster are:", kind.plural()));
        } else {
            let which = if all { "All" } else { "Dynamic" };
            out.line(format_args!("{which} configs for {} {} are:", kind.singular(), resource.name));
        }
        let mut entries = entries.map_err(Thrown::execution)?;
        entries.retain(|entry| all || entry.source == dynamic_source(resource));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in &entries {
            if out.is_json() {
                out.object(&object(kind, resource, entry));
            } else {
                print(entry, out);
            }
        }
    }
    Ok(())
}

fn object(kind: Kind, resource: &Resource, entry: &ConfigEntry) -> Value {
    let synonym = |synonym: &Synonym| json!({"source": source_name(synonym.source), "name": synonym.name, "value": synonym.value});
    json!({
        "entityType": kind.plural(),
        "entityName": resource.name,
        "name": entry.name,
        "value": entry.value,
        "source": source_name(entry.source),
        "isSensitive": entry.is_sensitive,
        "isReadOnly": entry.is_read_only,
        "synonyms": entry.synonyms.iter().map(synonym).collect::<Vec<_>>(),
    })
}

fn print(entry: &ConfigEntry, out: &mut Out) {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms = entry
        .synonyms
        .iter()
        .map(|synonym| format!("{}:{}={}", source_name(synonym.source), synonym.name, shown(&synonym.value)));
    let synonyms = synonyms.collect::<Vec<_>>().join(", ");
    let (name, value, sensitive) = (&entry.name, shown(&entry.value), entry.is_sensitive);
    out.line(format_args!("  {name}={value} sensitive={sensitive} synonyms={{{synonyms}}}"));
}

/// The configs of a resource that were set at run time.
pub(super) async fn entries(admin: &Admin, resource: &Resource) -> Result<Vec<ConfigEntry>, Thrown> {
    let described = admin.describe_configs(std::slice::from_ref(resource), WithSynonyms::No).await;
    let entries = described.map_err(Thrown::execution)?.remove(0).map_err(Thrown::execution)?;
    Ok(entries.into_iter().filter(|entry| entry.source == dynamic_source(resource)).collect())
}

/// The names of the entities of a kind.
async fn existing(kind: Kind, admin: &Admin) -> Result<Vec<String>, Thrown> {
    match kind {
        Kind::Topics => {
            let topics = admin.list_topics().await.map_err(Thrown::execution)?;
            Ok(java::names_in_hash_order(topics.into_iter().map(|topic| topic.name).collect(), 16))
        }
        Kind::Brokers | Kind::BrokerLoggers => {
            let brokers = admin.brokers("describeCluster").await.map_err(Thrown::execution)?;
            Ok(brokers.iter().map(ToString::to_string).collect())
        }
        Kind::Groups => {
            let groups = admin.list_groups(&[], &[]).await.map_err(Thrown::execution)?;
            let mut names: Vec<String> = groups.into_iter().map(|group| group.id).collect();
            match admin.list_config_resources(ResourceKind::Group).await {
                Ok(more) => names.extend(more),
                Err(thrown) if thrown.is("UnsupportedVersionException") => {}
                Err(thrown) if thrown.is("ClusterAuthorizationException") => {}
                Err(thrown) => return Err(thrown),
            }
            names.sort();
            names.dedup();
            Ok(names)
        }
        _ => admin.list_config_resources(ResourceKind::ClientMetrics).await.map_err(Thrown::execution),
    }
}
