//! The first records of a new cluster: what `storage format` puts into `bootstrap.checkpoint`.

use std::collections::BTreeMap;

use thalweg_wire::messages::{FeatureLevelRecord, UserScramCredentialRecord};

use crate::feature::{FEATURES, KRAFT_VERSION};
use crate::{MetadataRecord, MetadataVersion};

/// The levels that a new cluster of that metadata version begins with, `metadata.version` and `kraft.version` aside.
#[must_use]
pub fn default_levels(version: MetadataVersion) -> BTreeMap<String, i16> {
    let features = FEATURES.iter().filter(|feature| feature.name != KRAFT_VERSION.name);
    features.map(|feature| (feature.name.to_owned(), feature.default_level(version))).collect()
}

/// The records that a new cluster begins with: its metadata version, the level of every other feature that has one,
/// by name, and the SCRAM credentials that were asked for.
///
/// `kraft.version` among the levels is left out, since it lives in control records. The configuration that comes with
/// eligible leader replicas is not here either: the controller adds it when it begins to write.
#[must_use]
pub fn bootstrap_records(
    version: MetadataVersion,
    levels: &BTreeMap<String, i16>,
    scram: &[UserScramCredentialRecord],
) -> Vec<MetadataRecord> {
    let record = |name: &str, feature_level| FeatureLevelRecord { name: name.into(), feature_level };
    let mut records = vec![record(MetadataVersion::FEATURE, version.0).into()];
    let others = levels
        .iter()
        .filter(|(name, level)| **level > 0 && *name != MetadataVersion::FEATURE && *name != KRAFT_VERSION.name);
    records.extend(others.map(|(name, &level)| MetadataRecord::from(record(name, level))));
    records.extend(scram.iter().cloned().map(MetadataRecord::from));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(record: &MetadataRecord) -> String {
        match record {
            MetadataRecord::FeatureLevel(r) => format!("{}={}", r.name, r.feature_level),
            other => other.name().to_owned(),
        }
    }

    #[test]
    fn a_new_cluster_begins_as_kafka_formats_it() {
        let levels = default_levels(MetadataVersion::LATEST);
        let records = bootstrap_records(MetadataVersion::LATEST, &levels, &[]);
        let expected = [
            "metadata.version=30",
            "eligible.leader.replicas.version=1",
            "group.version=1",
            "share.version=1",
            "streams.version=1",
            "transaction.version=2",
        ];
        assert_eq!(records.iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_feature_without_a_level_has_no_record() {
        let levels = BTreeMap::from([("group.version".to_owned(), 0), ("kraft.version".to_owned(), 1)]);
        let records = bootstrap_records(MetadataVersion(20), &levels, &[UserScramCredentialRecord::default()]);
        let expected = ["metadata.version=20", "UserScramCredentialRecord"];
        assert_eq!(records.iter().map(text).collect::<Vec<_>>(), expected);
    }
}
