//! The broker's configuration as groups need it, and what a group's own configuration makes of it.

use std::time::Duration;

use thalweg_metadata::MetadataImage;
use thalweg_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::consumer::{Refusal, validate};
use crate::own_config::own;
use crate::share::ShareSettings;
use crate::streams::StreamsSettings;

/// The broker's configuration as groups need it. The defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `group.initial.rebalance.delay.ms`: how long an empty classic group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max: Duration,
    /// `group.max.size`: members of a classic group.
    pub group_size_max: usize,
    /// `offset.metadata.max.bytes`: in UTF-16 units, as Kafka counts.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval: Duration,
    /// `group.coordinator.rebalance.protocols` names `consumer`.
    pub consumer_protocol: bool,
    /// `group.consumer.session.timeout.ms`
    pub consumer_session_timeout: Duration,
    /// `group.consumer.min.session.timeout.ms`
    pub consumer_session_timeout_min: Duration,
    /// `group.consumer.max.session.timeout.ms`
    pub consumer_session_timeout_max: Duration,
    /// `group.consumer.heartbeat.interval.ms`
    pub consumer_heartbeat_interval: Duration,
    /// `group.consumer.min.heartbeat.interval.ms`
    pub consumer_heartbeat_interval_min: Duration,
    /// `group.consumer.max.heartbeat.interval.ms`
    pub consumer_heartbeat_interval_max: Duration,
    /// `group.consumer.assignment.interval.ms`: the least time between two assignments of one group.
    pub consumer_assignment_interval: Duration,
    /// `group.consumer.min.assignment.interval.ms`
    pub consumer_assignment_interval_min: Duration,
    /// `group.consumer.max.assignment.interval.ms`
    pub consumer_assignment_interval_max: Duration,
    /// `group.consumer.max.size`: members of a consumer group.
    pub consumer_group_size_max: usize,
    /// `group.consumer.assignors`: names, the default first.
    pub consumer_assignors: Vec<String>,
    /// `group.consumer.migration.policy`
    pub consumer_migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`
    pub consumer_regex_refresh_interval: Duration,
    /// `group.share.*`
    pub share: ShareSettings,
    /// `group.coordinator.rebalance.protocols` names `streams`.
    pub streams_protocol: bool,
    /// `group.streams.*`
    pub streams: StreamsSettings,
}

/// Which way a group may go online between the classic and the consumer protocol (`group.consumer.migration.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither way.
    Disabled,
    /// From the consumer protocol to the classic one.
    Downgrade,
    /// From the classic protocol to the consumer one.
    Upgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    /// The policy of that name in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "DISABLED" => Self::Disabled,
            "DOWNGRADE" => Self::Downgrade,
            "UPGRADE" => Self::Upgrade,
            "BIDIRECTIONAL" => Self::Bidirectional,
            _ => return None,
        })
    }

    /// Whether a classic group may become a consumer group.
    #[must_use]
    pub fn may_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether a consumer group may become a classic group.
    #[must_use]
    pub fn may_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            initial_rebalance_delay: ms(3_000),
            session_timeout_min: ms(6_000),
            session_timeout_max: ms(1_800_000),
            group_size_max: i32::MAX as usize,
            offset_metadata_max: 4_096,
            offsets_retention: ms(10_080 * 60_000),
            offsets_retention_check_interval: ms(600_000),
            consumer_protocol: true,
            consumer_session_timeout: ms(45_000),
            consumer_session_timeout_min: ms(45_000),
            consumer_session_timeout_max: ms(60_000),
            consumer_heartbeat_interval: ms(5_000),
            consumer_heartbeat_interval_min: ms(5_000),
            consumer_heartbeat_interval_max: ms(15_000),
            consumer_assignment_interval: ms(1_000),
            consumer_assignment_interval_min: ms(0),
            consumer_assignment_interval_max: ms(15_000),
            consumer_group_size_max: i32::MAX as usize,
            consumer_assignors: vec!["uniform".to_owned(), "range".to_owned()],
            consumer_migration: MigrationPolicy::Bidirectional,
            consumer_regex_refresh_interval: ms(600_000),
            share: ShareSettings::default(),
            streams_protocol: true,
            streams: StreamsSettings::default(),
        }
    }
}

impl Settings {
    /// Whether a member of a classic group may ask for this session timeout. It is looked at before it is asked where the
    /// group's coordinator is.
    #[must_use]
    pub fn allows_session_timeout(&self, ms: i32) -> bool {
        let asked = u64::try_from(ms).map(Duration::from_millis);
        asked.is_ok_and(|asked| self.session_timeout_min <= asked && asked <= self.session_timeout_max)
    }

    /// What a heartbeat of a consumer group is answered that no group would take, wherever the group's coordinator is.
    #[must_use]
    pub fn refuse_consumer_heartbeat(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        version: i16,
    ) -> Option<ConsumerGroupHeartbeatResponse> {
        validate(request, version, &self.consumer_assignors).err().map(Refusal::into_heartbeat)
    }

    /// The session timeout of members of the consumer group `group`: its own if it has one that the broker allows.
    #[must_use]
    pub fn consumer_session_timeout_of(&self, image: &MetadataImage, group: &str) -> Duration {
        own_time(image, group, "consumer.session.timeout.ms").map_or(self.consumer_session_timeout, |own| {
            within(own, self.consumer_session_timeout_min, self.consumer_session_timeout_max)
        })
    }

    /// How often members of the consumer group `group` are to send heartbeats.
    #[must_use]
    pub fn consumer_heartbeat_interval_of(&self, image: &MetadataImage, group: &str) -> Duration {
        own_time(image, group, "consumer.heartbeat.interval.ms").map_or(self.consumer_heartbeat_interval, |own| {
            within(own, self.consumer_heartbeat_interval_min, self.consumer_heartbeat_interval_max)
        })
    }

    /// The least time between two assignments of the consumer group `group`.
    #[must_use]
    pub fn consumer_assignment_interval_of(&self, image: &MetadataImage, group: &str) -> Duration {
        own_time(image, group, "consumer.assignment.interval.ms").map_or(self.consumer_assignment_interval, |own| {
            within(own, self.consumer_assignment_interval_min, self.consumer_assignment_interval_max)
        })
    }
}

/// A duration that the group's own dynamic configuration sets.
fn own_time(image: &MetadataImage, group: &str, name: &str) -> Option<Duration> {
    Some(Duration::from_millis(own(image, group, name)?.trim().parse().ok()?))
}

/// `value`, moved to the nearest bound when it lies outside: bounds may be set in a broker's file after a group's own
/// value was accepted.
fn within(value: Duration, min: Duration, max: Duration) -> Duration {
    value.min(max).max(min)
}

#[cfg(test)]
mod tests {
    use thalweg_base::Offset;
    use thalweg_metadata::image::ConfigResourceType;
    use thalweg_wire::messages::ConfigRecord;

    use super::*;

    #[test]
    fn a_groups_own_timeout_counts_within_the_brokers_bounds() {
        let mut image = MetadataImage::default();
        let settings = Settings::default();
        let timeout = |image: &MetadataImage| settings.consumer_session_timeout_of(image, "g").as_millis();
        assert_eq!(timeout(&image), 45_000);
        for (text, expected) in [("50000", 50_000), ("99000", 60_000), ("1", 45_000), ("x", 45_000)] {
            let record = ConfigRecord {
                resource_type: ConfigResourceType::Group.id(),
                resource_name: "g".into(),
                name: "consumer.session.timeout.ms".into(),
                value: Some(text.into()),
            };
            image.replay(&record.into(), Offset(1));
            assert_eq!(timeout(&image), expected, "{text}");
        }
    }

    #[test]
    fn migration_policies_are_named_in_any_case() {
        assert_eq!(MigrationPolicy::from_name("upgrade"), Some(MigrationPolicy::Upgrade));
        assert!(MigrationPolicy::Bidirectional.may_upgrade() && MigrationPolicy::Bidirectional.may_downgrade());
        assert!(!MigrationPolicy::Upgrade.may_downgrade() && !MigrationPolicy::Disabled.may_upgrade());
        assert_eq!(MigrationPolicy::from_name("sideways"), None);
    }
}
