//! The first records of a controller that becomes active.

use thalweg_metadata::image::ConfigResourceType;
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, feature};
use thalweg_wire::messages::{
    AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
};

use crate::Controller;
use crate::alter_configs::MIN_INSYNC_REPLICAS;

impl Controller {
    /// What a controller appends before anything else.
    ///
    /// In a log without a metadata version these are the bootstrap records, which `storage format` left (see
    /// `thalweg_metadata::bootstrap`), within one metadata transaction, and the `min.insync.replicas` of the cluster
    /// when eligible leader replicas are kept: they need one value that every broker agrees on (KIP-966). A
    /// transaction that the controller before left open is aborted (KIP-868).
    #[must_use]
    pub fn activate(&self, image: &MetadataImage, bootstrap: &[MetadataRecord]) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if image.in_transaction() {
            let reason = Some("Controller failover".into());
            records.push(AbortTransactionRecord { reason }.into());
        }
        // What an open transaction said about features does not count.
        if image.visible().features().metadata_version().is_some() {
            return records;
        }
        let level = |name: &str| bootstrap.iter().rev().find_map(|record| level_of(record, name));
        let version = MetadataVersion(level(MetadataVersion::FEATURE).unwrap_or(MetadataVersion::MINIMUM.0));
        let elr = level(feature::ELIGIBLE_LEADER_REPLICAS_VERSION.name).unwrap_or(0) > 0;
        let transaction = version >= MetadataVersion::TRANSACTIONS;
        if transaction {
            records.push(BeginTransactionRecord { name: Some("Bootstrap records".into()) }.into());
        }
        records.extend_from_slice(bootstrap);
        if elr {
            records.push(self.cluster_min_insync_replicas().into());
        }
        if transaction {
            records.push(EndTransactionRecord::default().into());
        }
        records
    }

    pub(crate) fn cluster_min_insync_replicas(&self) -> ConfigRecord {
        let value = self.settings().static_configs.get(MIN_INSYNC_REPLICAS).map_or("1", |text| text.trim());
        ConfigRecord {
            resource_type: ConfigResourceType::Broker.id(),
            resource_name: "".into(),
            name: MIN_INSYNC_REPLICAS.into(),
            value: Some(value.into()),
        }
    }
}

fn level_of(record: &MetadataRecord, feature: &str) -> Option<i16> {
    match record {
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name, feature_level }) if &**name == feature => {
            Some(*feature_level)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
