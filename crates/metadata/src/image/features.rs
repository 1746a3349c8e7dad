//! The finalized level of each feature.

use std::sync::Arc;

use imbl::OrdMap;
use thalweg_wire::messages::FeatureLevelRecord;

use crate::{MetadataRecord, MetadataVersion, feature};

/// The levels that the whole cluster has agreed on. `kraft.version` is not among them: the quorum keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeaturesImage {
    metadata_version: Option<MetadataVersion>,
    /// Every other feature with a level above 0.
    levels: OrdMap<Arc<str>, i16>,
}

impl FeaturesImage {
    /// The level of `metadata.version`; `None` in a log that has not even its bootstrap records.
    #[must_use]
    pub fn metadata_version(&self) -> Option<MetadataVersion> {
        self.metadata_version
    }

    /// The level of a feature, `metadata.version` included; 0 if it has none.
    #[must_use]
    pub fn level(&self, name: &str) -> i16 {
        match name {
            MetadataVersion::FEATURE => self.metadata_version.map_or(0, |version| version.0),
            _ => self.levels.get(name).copied().unwrap_or(0),
        }
    }

    /// Every feature with a level above 0, `metadata.version` first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        let metadata = self.metadata_version.map(|version| (MetadataVersion::FEATURE, version.0));
        metadata.into_iter().chain(self.levels.iter().map(|(name, &level)| (&**name, level)))
    }

    /// Whether eligible leader replicas are kept (KIP-966).
    #[must_use]
    pub fn elr_enabled(&self) -> bool {
        self.level(feature::ELIGIBLE_LEADER_REPLICAS_VERSION.name) > 0
    }

    pub(super) fn replay(&mut self, record: &FeatureLevelRecord) {
        if &*record.name == MetadataVersion::FEATURE {
            self.metadata_version = Some(MetadataVersion(record.feature_level));
        } else if record.feature_level == 0 {
            self.levels.remove(&*record.name);
        } else {
            self.levels.insert(Arc::from(&*record.name), record.feature_level);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<MetadataRecord>) {
        out.extend(self.iter().map(|(name, feature_level)| {
            let name = name.into();
            MetadataRecord::from(FeatureLevelRecord { name, feature_level })
        }));
    }
}
