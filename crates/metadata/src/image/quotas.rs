//! The quotas of users, clients and addresses.

use std::sync::Arc;

use imbl::OrdMap;
use thalweg_wire::messages::ClientQuotaRecord;
use thalweg_wire::messages::client_quota_record::EntityData;

use crate::MetadataRecord;

/// Whom a quota is for: pairs of a type (`user`, `client-id`, `ip`) and a name, sorted by type. No name stands for the
/// default of that type.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity(Vec<(Arc<str>, Option<Arc<str>>)>);

impl QuotaEntity {
    /// The entity of these parts, whatever their order. A type that stands twice counts with its last name.
    pub fn new(parts: impl IntoIterator<Item = (Arc<str>, Option<Arc<str>>)>) -> Self {
        let sorted: std::collections::BTreeMap<_, _> = parts.into_iter().collect();
        Self(sorted.into_iter().collect())
    }

    /// The parts, sorted by type.
    #[must_use]
    pub fn parts(&self) -> &[(Arc<str>, Option<Arc<str>>)] {
        &self.0
    }
}

/// Every client quota.
///
/// Invariant: no entity is there without a quota.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotasImage {
    entities: OrdMap<QuotaEntity, OrdMap<Arc<str>, f64>>,
}

impl ClientQuotasImage {
    /// Every entity with its quotas by key, such as `producer_byte_rate`.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &OrdMap<Arc<str>, f64>)> {
        self.entities.iter()
    }

    /// Whether both are one state of the quotas. Says no of equal ones that came about apart from each other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.entities.ptr_eq(&other.entities)
    }

    /// The quotas of exactly this entity.
    #[must_use]
    pub fn get(&self, entity: &QuotaEntity) -> Option<&OrdMap<Arc<str>, f64>> {
        self.entities.get(entity)
    }

    pub(super) fn replay(&mut self, record: &ClientQuotaRecord) {
        let part = |e: &EntityData| (Arc::from(&*e.entity_type), e.entity_name.as_deref().map(Arc::from));
        let entity = QuotaEntity::new(record.entity.iter().map(part));
        let mut quotas = self.entities.get(&entity).cloned().unwrap_or_default();
        if record.remove {
            quotas.remove(&*record.key);
        } else {
            quotas.insert(Arc::from(&*record.key), record.value);
        }
        if quotas.is_empty() {
            self.entities.remove(&entity);
        } else {
            self.entities.insert(entity, quotas);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<MetadataRecord>) {
        for (entity, quotas) in &self.entities {
            let part = |(kind, name): &(Arc<str>, Option<Arc<str>>)| EntityData {
                entity_type: (&**kind).into(),
                entity_name: name.as_deref().map(Into::into),
            };
            let parts: Vec<EntityData> = entity.0.iter().map(part).collect();
            for (key, &value) in quotas {
                let key = (&**key).into();
                out.push(ClientQuotaRecord { entity: parts.clone(), key, value, remove: false }.into());
            }
        }
    }
}
