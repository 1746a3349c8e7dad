//! The features of Kafka 4.3: named levels that the whole cluster agrees on (KIP-584).

use thalweg_wire::Unstable;

use crate::MetadataVersion;

/// One feature that this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, such as `group.version`.
    pub name: &'static str,
    /// Its levels, from 0 on; for `metadata.version` this is empty, see [`MetadataVersion`].
    levels: &'static [Level],
}

/// One level of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    /// From which `metadata.version` on a new cluster begins with this level.
    default_since: MetadataVersion,
    /// The features that must have at least the given levels before this level may be chosen.
    needs: &'static [(&'static str, i16)],
}

const fn since(level: i16) -> Level {
    Level { default_since: MetadataVersion(level), needs: &[] }
}

/// `kraft.version`: 1 allows changing the set of voters (KIP-853). It lives in control records, not in the image.
pub const KRAFT_VERSION: Feature = Feature { name: "kraft.version", levels: &[since(7), since(21)] };
/// `transaction.version`: 2 is the stronger protocol of KIP-890.
pub const TRANSACTION_VERSION: Feature =
    Feature { name: "transaction.version", levels: &[since(7), since(24), since(24)] };
/// `group.version`: 1 brings the consumer groups of KIP-848.
pub const GROUP_VERSION: Feature = Feature { name: "group.version", levels: &[since(7), since(22)] };
/// `eligible.leader.replicas.version`: 1 turns on KIP-966.
pub const ELIGIBLE_LEADER_REPLICAS_VERSION: Feature = Feature {
    name: "eligible.leader.replicas.version",
    levels: &[since(7), Level { default_since: MetadataVersion(26), needs: &[(MetadataVersion::FEATURE, 23)] }],
};
/// `share.version`: 1 brings share groups (KIP-932).
pub const SHARE_VERSION: Feature = Feature { name: "share.version", levels: &[since(7), since(28)] };
/// `streams.version`: 1 brings streams groups (KIP-1071).
pub const STREAMS_VERSION: Feature = Feature { name: "streams.version", levels: &[since(7), since(29)] };

/// Every feature besides `metadata.version`, in the order in which Kafka's tools list them.
pub const FEATURES: &[Feature] = &[
    KRAFT_VERSION,
    TRANSACTION_VERSION,
    GROUP_VERSION,
    ELIGIBLE_LEADER_REPLICAS_VERSION,
    SHARE_VERSION,
    STREAMS_VERSION,
];

/// Why a feature may not have a level. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevel {
    /// There is no such level.
    #[error("No feature:{name} with feature level {level}")]
    Unknown {
        /// The feature.
        name: String,
        /// The level asked for.
        level: i16,
    },
    /// Another feature is too low.
    #[error("{name} could not be set to {level} because it depends on {on} level {needed}")]
    Dependency {
        /// The feature.
        name: String,
        /// The level asked for.
        level: i16,
        /// The feature that is too low.
        on: &'static str,
        /// The level that it would need.
        needed: i16,
    },
}

impl Feature {
    /// The feature of that name, `metadata.version` aside.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        FEATURES.iter().copied().find(|feature| feature.name == name)
    }

    /// The highest level that this node supports; the lowest is 0.
    #[must_use]
    pub fn level_max(self) -> i16 {
        i16::try_from(self.levels.len().saturating_sub(1)).unwrap_or(i16::MAX)
    }

    /// The level that a new cluster of that metadata version begins with.
    #[must_use]
    pub fn default_level(self, version: MetadataVersion) -> i16 {
        let newer = self.levels.iter().skip(1).take_while(|level| level.default_since <= version).count();
        i16::try_from(newer).unwrap_or(i16::MAX)
    }

    /// What the level needs of other features: their names and lowest levels.
    #[must_use]
    pub fn needs(self, level: i16) -> &'static [(&'static str, i16)] {
        usize::try_from(level).ok().and_then(|index| self.levels.get(index)).map_or(&[], |level| level.needs)
    }

    /// Whether the feature may have this level beside the levels of the others, which `level_of` tells.
    ///
    /// # Errors
    /// If there is no such level, or it needs more of another feature.
    pub fn validate(self, level: i16, level_of: impl Fn(&str) -> Option<i16>) -> Result<(), InvalidLevel> {
        if level < 0 || level > self.level_max() {
            return Err(InvalidLevel::Unknown { name: self.name.to_owned(), level });
        }
        let unmet = self.needs(level).iter().find(|(on, needed)| level_of(on).is_none_or(|has| has < *needed));
        match unmet {
            Some(&(on, needed)) => Err(InvalidLevel::Dependency { name: self.name.to_owned(), level, on, needed }),
            None => Ok(()),
        }
    }
}

/// The features and ranges that this node announces when it registers or is asked for its API versions: name, lowest
/// and highest level, sorted by name.
#[must_use]
pub fn supported_ranges(unstable: Unstable) -> Vec<(&'static str, i16, i16)> {
    let newest = MetadataVersion::newest(unstable);
    let metadata = (MetadataVersion::FEATURE, MetadataVersion::MINIMUM.0, newest.0);
    let mut ranges: Vec<_> = FEATURES.iter().map(|feature| (feature.name, 0, feature.level_max())).collect();
    ranges.push(metadata);
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(version: i16) -> Vec<i16> {
        FEATURES.iter().map(|feature| feature.default_level(MetadataVersion(version))).collect()
    }

    #[test]
    fn a_cluster_begins_with_the_levels_of_its_release() {
        assert_eq!(defaults(30), [1, 2, 1, 1, 1, 1]);
        assert_eq!(defaults(28), [1, 2, 1, 1, 1, 0]);
        assert_eq!(defaults(25), [1, 2, 1, 0, 0, 0]);
        assert_eq!(defaults(20), [0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_level_is_refused_while_another_feature_is_too_low() {
        let elr = ELIGIBLE_LEADER_REPLICAS_VERSION;
        assert_eq!(elr.validate(1, |_| Some(23)), Ok(()));
        assert_eq!(
            elr.validate(1, |_| Some(22)).map_err(|e| e.to_string()),
            Err("eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23"
                .to_owned())
        );
        assert_eq!(
            SHARE_VERSION.validate(2, |_| None).map_err(|e| e.to_string()),
            Err("No feature:share.version with feature level 2".to_owned())
        );
    }

    #[test]
    fn the_ranges_are_those_that_kafka_announces() {
        let text: Vec<String> =
            supported_ranges(Unstable::Hidden).iter().map(|(n, min, max)| format!("{n} {min}-{max}")).collect();
        let expected = [
            "eligible.leader.replicas.version 0-1",
            "group.version 0-1",
            "kraft.version 0-1",
            "metadata.version 7-30",
            "share.version 0-1",
            "streams.version 0-1",
            "transaction.version 0-2",
        ];
        assert_eq!(text, expected);
    }
}
