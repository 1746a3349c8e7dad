//! AlterClientQuotas: how much users, clients and addresses may use (KIP-546).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_metadata::image::QuotaEntity;
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_client_quotas_request::{EntryData, OpData};
use thalweg_wire::messages::alter_client_quotas_response as answered;
use thalweg_wire::messages::client_quota_record::EntityData;
use thalweg_wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse, ClientQuotaRecord};

use crate::refusal::parts;
use crate::{Controller, Outcome, Refusal};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// What a quota counts: texts of refusals depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Long,
    Double,
}

/// The quotas of users and clients.
const OF_USERS: [(&str, Kind); 4] = [
    ("consumer_byte_rate", Kind::Long),
    ("controller_mutation_rate", Kind::Double),
    ("producer_byte_rate", Kind::Long),
    ("request_percentage", Kind::Double),
];
/// The quotas of addresses.
const OF_ADDRESSES: [(&str, Kind); 1] = [("connection_creation_rate", Kind::Int)];

/// New quotas of one entity by key; `None` removes.
type Values = BTreeMap<ByteString, Option<f64>>;

impl Controller {
    /// Changes quotas. Each entity succeeds or fails by itself; with `validate_only` nothing changes. `unknown_hosts` are
    /// the names of addresses in the request that are neither an address nor can be resolved: the controller asks nobody.
    #[must_use]
    pub fn alter_client_quotas(
        &self,
        image: &MetadataImage,
        request: &AlterClientQuotasRequest,
        unknown_hosts: &BTreeSet<ByteString>,
    ) -> Outcome<AlterClientQuotasResponse> {
        let mut results: BTreeMap<QuotaEntity, Result<(), Refusal>> = BTreeMap::new();
        let mut records = Vec::new();
        for entry in &request.entries {
            let entity = entity(entry);
            let altered = match values(&entry.ops) {
                Some(values) if !results.contains_key(&entity) => alter(image, &entity, values, unknown_hosts),
                // A key that stands twice is answered so too.
                _ => {
                    let text = format!("Ignoring duplicate entity {}", shown(&entity));
                    Err(Refusal::because(ErrorCode::InvalidRequest, text))
                }
            };
            let result = altered.map(|mut changes| records.append(&mut changes));
            results.insert(entity, result);
        }
        if request.validate_only {
            records.clear();
        }
        let entries = results.iter().map(|(entity, result)| {
            let (error_code, error_message) = parts(result);
            let part = |(kind, name): &(Arc<str>, Option<Arc<str>>)| answered::EntityData {
                entity_type: (&**kind).into(),
                entity_name: name.as_deref().map(Into::into),
            };
            answered::EntryData { error_code, error_message, entity: entity.parts().iter().map(part).collect() }
        });
        let response = AlterClientQuotasResponse { entries: entries.collect(), ..Default::default() };
        Outcome { records, response }
    }
}

fn entity(entry: &EntryData) -> QuotaEntity {
    QuotaEntity::new(entry.entity.iter().map(|part| {
        let name = part.entity_name.as_deref().map(Arc::from);
        (Arc::from(&*part.entity_type), name)
    }))
}

/// The new values by key; `None` if a key stands twice.
fn values(ops: &[OpData]) -> Option<Values> {
    let mut values = Values::new();
    for op in ops {
        let value = if op.remove { None } else { Some(op.value) };
        if values.insert(op.key.clone(), value).is_some() {
            return None;
        }
    }
    Some(values)
}

/// An entity as Kafka's messages show it: its types in the order of a Java hash map of up to four places.
fn shown(entity: &QuotaEntity) -> String {
    let place = |kind: &str| {
        let hash = kind.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) & 3
    };
    let mut parts: Vec<_> = entity.parts().iter().collect();
    parts.sort_by_key(|(kind, _)| place(kind));
    let part = |(kind, name): &&(Arc<str>, Option<Arc<str>>)| format!("{kind}={}", name.as_deref().unwrap_or("null"));
    let parts: Vec<String> = parts.iter().map(part).collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

fn alter(
    image: &MetadataImage,
    entity: &QuotaEntity,
    values: Values,
    unknown_hosts: &BTreeSet<ByteString>,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let keys = check_entity(entity, unknown_hosts)?;
    let current = image.client_quotas().get(entity);
    let part = |(kind, name): &(Arc<str>, Option<Arc<str>>)| EntityData {
        entity_type: (&**kind).into(),
        entity_name: name.as_deref().map(Into::into),
    };
    let parts: Vec<EntityData> = entity.parts().iter().map(part).collect();
    let mut records = Vec::new();
    for (key, value) in values {
        let now = current.and_then(|quotas| quotas.get(&*key)).copied();
        let record = match value {
            None if now.is_none() => continue,
            None => ClientQuotaRecord { entity: parts.clone(), key, value: 0.0, remove: true },
            Some(value) => {
                check_value(keys, &key, value)?;
                if now.is_some_and(|now| now.to_bits() == value.to_bits()) {
                    continue;
                }
                ClientQuotaRecord { entity: parts.clone(), key, value, remove: false }
            }
        };
        records.push(record.into());
    }
    Ok(records)
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::because(ErrorCode::InvalidRequest, text)
}

/// The quotas that such an entity may have.
fn check_entity(
    entity: &QuotaEntity,
    unknown_hosts: &BTreeSet<ByteString>,
) -> Result<&'static [(&'static str, Kind)], Refusal> {
    if entity.parts().is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    for (kind, name) in entity.parts() {
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name.as_deref() == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
    }
    match entity.parts().iter().find(|(kind, _)| &**kind == IP) {
        None => Ok(&OF_USERS),
        Some(_) if entity.parts().len() > 1 => {
            // Kafka's text lacks the blank as well.
            Err(invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"))
        }
        Some((_, Some(name))) if unknown_hosts.contains(&**name) => {
            Err(invalid(format!("{name} is not a valid IP or resolvable host.")))
        }
        Some(_) => Ok(&OF_ADDRESSES),
    }
}

fn check_value(keys: &[(&str, Kind)], key: &str, value: f64) -> Result<(), Refusal> {
    let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    // As a double, as Java compares them.
    const LONG_MAX: f64 = 9_223_372_036_854_775_807.0;
    match kind {
        Kind::Double => return Ok(()),
        Kind::Int if value > f64::from(i32::MAX) => {
            return Err(invalid(format!("Proposed value for {key} is too large for an INT.")));
        }
        Kind::Long if value > LONG_MAX => {
            return Err(invalid(format!("Proposed value for {key} is too large for a LONG.")));
        }
        Kind::Int | Kind::Long => {}
    }
    if (value % 1.0).abs() > 1e-6 {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
