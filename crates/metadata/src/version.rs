//! `metadata.version`: which metadata records and inter-broker requests the whole cluster understands.

use std::fmt;

use thalweg_wire::Unstable;

/// A level of the feature `metadata.version` (KIP-778). Newer levels are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(pub i16);

/// Level, release, and the name within the release; oldest first, one row for each level without a gap.
const TABLE: &[(i16, &str, &str)] = &[
    (7, "3.3", "IV3"),
    (8, "3.4", "IV0"),
    (9, "3.5", "IV0"),
    (10, "3.5", "IV1"),
    (11, "3.5", "IV2"),
    (12, "3.6", "IV0"),
    (13, "3.6", "IV1"),
    (14, "3.6", "IV2"),
    (15, "3.7", "IV0"),
    (16, "3.7", "IV1"),
    (17, "3.7", "IV2"),
    (18, "3.7", "IV3"),
    (19, "3.7", "IV4"),
    (20, "3.8", "IV0"),
    (21, "3.9", "IV0"),
    (22, "4.0", "IV0"),
    (23, "4.0", "IV1"),
    (24, "4.0", "IV2"),
    (25, "4.0", "IV3"),
    (26, "4.1", "IV0"),
    (27, "4.1", "IV1"),
    (28, "4.2", "IV0"),
    (29, "4.2", "IV1"),
    (30, "4.3", "IV0"),
];

/// The levels at which a metadata record changed: a downgrade across one of them could lose something.
const METADATA_CHANGED: &[i16] = &[7, 8, 11, 13, 14, 15, 17, 23, 30];

/// The text names no version that this node knows. Its text is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown metadata.version '{0}'. Supported metadata.version are: {list}", list = MetadataVersion::list())]
pub struct UnknownVersion(pub String);

impl MetadataVersion {
    /// The name of the feature.
    pub const FEATURE: &'static str = "metadata.version";
    /// The oldest level that Kafka 4.3 still runs with: 3.3-IV3.
    pub const MINIMUM: Self = Self(7);
    /// What a new cluster is formatted with: 4.3-IV0.
    pub const LATEST: Self = Self(30);
    /// What Kafka 4.3 knows beyond that, and runs with only where `unstable.feature.versions.enable` says so: 4.4-IV0.
    pub const UNSTABLE: Self = Self(31);

    /// KRaft keeps SCRAM credentials (3.5-IV2).
    pub const SCRAM: Self = Self(11);
    /// An ISR shrink needs no new leader epoch any more (3.6-IV0, KAFKA-15021).
    pub const NO_EPOCH_BUMP_ON_SHRINK: Self = Self(12);
    /// Records may be grouped into metadata transactions (3.6-IV1, KIP-868).
    pub const TRANSACTIONS: Self = Self(13);
    /// KRaft keeps delegation tokens (3.6-IV2).
    pub const DELEGATION_TOKENS: Self = Self(14);
    /// Controllers register (3.7-IV0, KIP-919).
    pub const CONTROLLER_REGISTRATION: Self = Self(15);
    /// Replicas are assigned to log directories (3.7-IV2, KIP-858).
    pub const DIRECTORY_ASSIGNMENT: Self = Self(17);
    /// Eligible leader replicas are recorded (4.0-IV1, KIP-966).
    pub const ELIGIBLE_LEADER_REPLICAS: Self = Self(23);
    /// Log directories can be cordoned (4.3-IV0, KIP-1066).
    pub const CORDONED_DIRECTORIES: Self = Self(30);

    /// Every level that this node knows, oldest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        TABLE.iter().map(|&(level, ..)| Self(level))
    }

    /// The newest level that a node runs with.
    #[must_use]
    pub fn newest(unstable: Unstable) -> Self {
        match unstable {
            Unstable::Hidden => Self::LATEST,
            Unstable::Shown => Self::UNSTABLE,
        }
    }

    /// Whether this node knows the level as a stable one.
    #[must_use]
    pub fn is_known(self) -> bool {
        Self::MINIMUM <= self && self <= Self::LATEST
    }

    /// The release that brought the level, such as `4.3`; `None` for a level that this node does not know.
    #[must_use]
    pub fn release(self) -> Option<&'static str> {
        TABLE.iter().find(|row| row.0 == self.0).map(|row| row.1)
    }

    /// Whether some metadata record has another form at this level than at the one before.
    #[must_use]
    pub fn changed_metadata(self) -> bool {
        METADATA_CHANGED.contains(&self.0)
    }

    /// Reads `4.3-IV0`, `4.3`, or any text that begins with the two numbers of a release, such as `4.3.1`; a release
    /// stands for its last level. [`Self::UNSTABLE`] has no name here.
    ///
    /// # Errors
    /// If no known level has that name.
    pub fn parse(text: &str) -> Result<Self, UnknownVersion> {
        let key = match text.match_indices('.').nth(1) {
            Some((end, _)) => &text[..end],
            None => text,
        };
        let named = |&&(level, release, _): &&(i16, &str, &str)| key == release || key == Self(level).to_string();
        let found = TABLE.iter().rev().find(named);
        found.map(|&(level, ..)| Self(level)).ok_or_else(|| UnknownVersion(text.to_owned()))
    }

    /// The newest version of `RegisterBrokerRecord` that every member understands.
    #[must_use]
    pub fn register_broker_record_version(self) -> i16 {
        match self {
            v if v >= Self::CORDONED_DIRECTORIES => 4,
            v if v >= Self::DIRECTORY_ASSIGNMENT => 3,
            v if v >= Self(8) => 2,
            _ => 1,
        }
    }

    /// The newest version of `PartitionRecord` and `PartitionChangeRecord` that every member understands.
    #[must_use]
    pub fn partition_record_version(self) -> i16 {
        match self {
            v if v >= Self::ELIGIBLE_LEADER_REPLICAS => 2,
            v if v >= Self::DIRECTORY_ASSIGNMENT => 1,
            _ => 0,
        }
    }

    /// The version of Fetch that followers send.
    #[must_use]
    pub fn fetch_request_version(self) -> i16 {
        match self.0 {
            27.. => 18,
            21.. => 17,
            19.. => 16,
            10.. => 15,
            9.. => 14,
            _ => 13,
        }
    }

    /// The version of ListOffsets that followers send.
    #[must_use]
    pub fn list_offsets_request_version(self) -> i16 {
        match self.0 {
            29.. => 11,
            25.. => 10,
            21.. => 9,
            9.. => 8,
            _ => 7,
        }
    }

    fn list() -> String {
        Self::all().map(|version| version.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for MetadataVersion {
    /// Writes `4.3-IV0`, or `UNKNOWN 32` for a level that this node does not know, as `kafka-features.sh` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TABLE.iter().chain([&(Self::UNSTABLE.0, "4.4", "IV0")]).find(|row| row.0 == self.0) {
            Some((_, release, name)) => write!(f, "{release}-{name}"),
            None => write!(f, "UNKNOWN {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_for_each_level() {
        let levels: Vec<i16> = MetadataVersion::all().map(|version| version.0).collect();
        assert_eq!(levels, (MetadataVersion::MINIMUM.0..=MetadataVersion::LATEST.0).collect::<Vec<_>>());
    }

    #[test]
    fn a_release_stands_for_its_last_level() {
        for (text, level) in [("4.3", 30), ("4.3-IV0", 30), ("4.3.1", 30), ("4.0", 25), ("4.0-IV1", 23), ("3.3", 7)] {
            assert_eq!(MetadataVersion::parse(text), Ok(MetadataVersion(level)), "{text}");
        }
        assert!(MetadataVersion::parse("4.4").is_err());
        assert!(MetadataVersion::parse("").is_err());
    }

    #[test]
    fn an_unknown_version_is_answered_with_the_known_ones() {
        let text = UnknownVersion("9".to_owned()).to_string();
        assert!(text.starts_with("Unknown metadata.version '9'. Supported metadata.version are: 3.3-IV3, 3.4-IV0,"));
        assert!(text.ends_with("4.2-IV1, 4.3-IV0"));
    }
}
