//! UpdateFeatures: the cluster agrees on other feature levels (KIP-584, 778, 1022).

use std::collections::BTreeMap;

use thalweg_base::NodeId;
use thalweg_metadata::feature::{ELIGIBLE_LEADER_REPLICAS_VERSION, Feature, KRAFT_VERSION, supported_ranges};
use thalweg_metadata::image::{ConfigResourceType, VersionRange};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::update_features_request::FeatureUpdateKey;
use thalweg_wire::messages::update_features_response::UpdatableFeatureResult;
use thalweg_wire::messages::{
    ConfigRecord, FeatureLevelRecord, NoOpRecord, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use crate::alter_configs::MIN_INSYNC_REPLICAS;
use crate::{Controller, Outcome, Refusal};

/// What an update may do to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

/// The feature `kraft.version`, which the quorum keeps.
#[derive(Clone, Copy)]
pub struct KRaftFeature<'a> {
    /// Its level.
    pub level: i16,
    /// Asks the quorum whether another level is possible, and why not.
    pub may_become: &'a dyn Fn(i16) -> Result<(), String>,
}

/// Why an update is not possible.
enum Why {
    /// No feature may go that way, or not this one.
    Invalid(String),
    /// The older metadata version could not hold what the newer one does.
    Loses(&'static str),
    /// The quorum does not take this version.
    Quorum(String),
}

impl Why {
    fn invalid(text: &str) -> Self {
        Self::Invalid(text.to_owned())
    }
}

impl Controller {
    /// Gives features other levels: all that are asked for, or none. Whoever asks has the quorum change
    /// `kraft.version` if that is among them.
    ///
    /// # Errors
    /// The first update that is not possible.
    pub fn update_features(
        &self,
        image: &MetadataImage,
        kraft: KRaftFeature<'_>,
        request: &UpdateFeaturesRequest,
        request_version: i16,
    ) -> Result<Outcome<UpdateFeaturesResponse>, Refusal> {
        let mut proposed: BTreeMap<&str, i16> = image.features().iter().collect();
        proposed.insert(KRAFT_VERSION.name, kraft.level);
        proposed.extend(request.feature_updates.iter().map(|update| (&*update.feature, update.max_version_level)));
        let mut levels = Vec::new();
        for update in &request.feature_updates {
            let refused = |why: Why| {
                let (feature, level) = (&update.feature, update.max_version_level);
                let text = match why {
                    Why::Invalid(why) => format!("Invalid update version {level} for feature {feature}. {why}"),
                    Why::Quorum(why) => why,
                    Why::Loses(why) => {
                        let now = image.metadata_version().0;
                        format!("Unsupported {feature} downgrade from {now} to {level}. {why}")
                    }
                };
                Refusal::because(ErrorCode::InvalidUpdateVersion, text)
            };
            let changed = self.check_update(image, kraft, update, request_version, &proposed);
            levels.extend(changed.map_err(refused)?);
        }
        let mut records = Vec::new();
        let elr = |record: &MetadataRecord| match record {
            MetadataRecord::FeatureLevel(level) => {
                &*level.name == ELIGIBLE_LEADER_REPLICAS_VERSION.name && level.feature_level > 0
            }
            _ => false,
        };
        if levels.iter().any(elr) {
            records.extend(self.prepare_elr(image));
        }
        records.extend(levels);
        if request.validate_only {
            records.clear();
        }
        let done = |update: &FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature.clone(),
            // What Kafka answers, strange as it reads.
            error_message: Some("NONE".into()),
            ..UpdatableFeatureResult::default()
        };
        let results = match request_version {
            ..2 => request.feature_updates.iter().map(done).collect(),
            _ => Vec::new(),
        };
        Ok(Outcome { records, response: UpdateFeaturesResponse { results, error_message: None, ..Default::default() } })
    }

    /// Whether one update is possible, and what to write for it.
    fn check_update(
        &self,
        image: &MetadataImage,
        kraft: KRaftFeature<'_>,
        update: &FeatureUpdateKey,
        request_version: i16,
        proposed: &BTreeMap<&str, i16>,
    ) -> Result<Option<MetadataRecord>, Why> {
        let (name, level) = (&*update.feature, update.max_version_level);
        let kind = upgrade_type(update, request_version)
            .ok_or_else(|| Why::invalid("The controller does not support the given upgrade type."))?;
        if level < 0 {
            return Err(Why::invalid("A feature version cannot be less than 0."));
        }
        let current = if name == KRAFT_VERSION.name { kraft.level } else { image.features().level(name) };
        self.check_supported(image, name, level).map_err(Why::Invalid)?;
        if level < current && kind == UpgradeType::Upgrade {
            return Err(Why::invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
                 downgrade.",
            ));
        }
        if level > current && kind != UpgradeType::Upgrade {
            return Err(Why::invalid("Can't downgrade to a newer version."));
        }
        let record = Some(FeatureLevelRecord { name: name.into(), feature_level: level }.into());
        if name == MetadataVersion::FEATURE {
            check_downgrade(MetadataVersion(current), MetadataVersion(level), kind)?;
            return Ok(record);
        }
        if name == KRAFT_VERSION.name {
            return match kind {
                UpgradeType::Upgrade => {
                    (kraft.may_become)(level).map_err(Why::Quorum)?;
                    // The answer waits for a record, and the quorum's own ones are not the controller's.
                    Ok(Some(NoOpRecord::default().into()))
                }
                _ if level == current => Ok(None),
                _ => Err(Why::invalid("Can't downgrade the version of this feature.")),
            };
        }
        let feature = Feature::by_name(name).ok_or_else(|| Why::Invalid(format!("Feature {name} not found.")))?;
        feature
            .validate(level, |other| proposed.get(other).copied())
            .map_err(|error| Why::Invalid(error.to_string()))?;
        Ok(record)
    }

    /// Whether this controller and every registered node support the level.
    fn check_supported(&self, image: &MetadataImage, name: &str, level: i16) -> Result<(), String> {
        let none = VersionRange { min: 0, max: 0 };
        let check = |what: &str, node: NodeId, range: VersionRange| match range.contains(level) {
            true => Ok(()),
            false if range.max == 0 => Err(format!("{what} {node} does not support this feature.")),
            false => Err(format!("{what} {node} only supports versions {}-{}", range.min, range.max)),
        };
        let local =
            supported_ranges(self.settings().unstable_features).into_iter().find(|(feature, ..)| *feature == name);
        let local = local.map_or(none, |(_, min, max)| VersionRange { min, max });
        check("Local controller", self.settings().node_id, local)?;
        for broker in image.cluster().brokers() {
            check("Broker", broker.id, broker.features.get(name).copied().unwrap_or(none))?;
        }
        for controller in image.cluster().controllers().filter(|other| other.id != self.settings().node_id) {
            check("Controller", controller.id, controller.features.get(name).copied().unwrap_or(none))?;
        }
        Ok(())
    }

    /// Eligible leader replicas need one `min.insync.replicas` for the whole cluster, and none of single brokers.
    fn prepare_elr(&self, image: &MetadataImage) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let cluster = thalweg_metadata::image::ConfigResource::cluster();
        if image.configs().value(&cluster, MIN_INSYNC_REPLICAS).is_none() {
            records.push(self.cluster_min_insync_replicas().into());
        }
        let brokers = image.configs().iter().filter(|(resource, configs)| {
            let own = resource.kind == ConfigResourceType::Broker && !resource.name.is_empty();
            own && configs.contains_key(MIN_INSYNC_REPLICAS)
        });
        records.extend(brokers.map(|(resource, _)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.kind.id(),
                resource_name: (&*resource.name).into(),
                name: MIN_INSYNC_REPLICAS.into(),
                value: None,
            })
        }));
        records
    }
}

fn upgrade_type(update: &FeatureUpdateKey, request_version: i16) -> Option<UpgradeType> {
    match (request_version, update.upgrade_type, update.allow_downgrade) {
        (0, _, true) => Some(UpgradeType::SafeDowngrade),
        (0, _, false) | (_, 1, _) => Some(UpgradeType::Upgrade),
        (_, 2, _) => Some(UpgradeType::SafeDowngrade),
        (_, 3, _) => Some(UpgradeType::UnsafeDowngrade),
        _ => None,
    }
}

/// A downgrade of `metadata.version` must not lose what only newer records can say.
fn check_downgrade(current: MetadataVersion, new: MetadataVersion, kind: UpgradeType) -> Result<(), Why> {
    let crossed = MetadataVersion::all().any(|v| new < v && v <= current && v.changed_metadata());
    match kind {
        _ if new >= current || !crossed => Ok(()),
        UpgradeType::UnsafeDowngrade => Err(Why::Loses("Unsafe metadata downgrade is not supported in this version.")),
        _ => {
            Err(Why::Loses("Refusing to perform the requested downgrade because it might delete metadata information."))
        }
    }
}

#[cfg(test)]
mod tests;
