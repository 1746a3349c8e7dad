//! The configuration of streams groups: the broker's, and what a group's own makes of it.

use std::time::Duration;

use thalweg_metadata::MetadataImage;

use crate::own_config::Bounded;

/// The broker's configuration of streams groups. The defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsSettings {
    /// `group.streams.session.timeout.ms`
    pub session_timeout_ms: Bounded,
    /// `group.streams.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Bounded,
    /// `group.streams.assignment.interval.ms`
    pub assignment_interval_ms: Bounded,
    /// `group.streams.num.standby.replicas`
    pub standby_replicas: Bounded,
    /// `group.streams.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: Bounded,
    /// `group.streams.max.size`: members of a streams group.
    pub group_size_max: usize,
}

impl Default for StreamsSettings {
    fn default() -> Self {
        let bounded = |value, min, max| Bounded { value, min, max };
        Self {
            session_timeout_ms: bounded(45_000, 45_000, 60_000),
            heartbeat_interval_ms: bounded(5_000, 5_000, 15_000),
            assignment_interval_ms: bounded(1_000, 0, 15_000),
            standby_replicas: bounded(0, 0, 2),
            initial_rebalance_delay_ms: bounded(3_000, 0, i32::MAX),
            group_size_max: i32::MAX as usize,
        }
    }
}

impl StreamsSettings {
    /// `streams.session.timeout.ms`: how long a member of the group may be silent.
    #[must_use]
    pub fn session_timeout(&self, image: &MetadataImage, group: &str) -> Duration {
        self.session_timeout_ms.time_of(image, group, "streams.session.timeout.ms")
    }

    /// `streams.heartbeat.interval.ms`: how often members of the group are to send heartbeats.
    #[must_use]
    pub fn heartbeat_interval_ms(&self, image: &MetadataImage, group: &str) -> i32 {
        self.heartbeat_interval_ms.of(image, group, "streams.heartbeat.interval.ms")
    }

    /// `streams.assignment.interval.ms`: the least time between two assignments of the group.
    #[must_use]
    pub fn assignment_interval(&self, image: &MetadataImage, group: &str) -> Duration {
        self.assignment_interval_ms.time_of(image, group, "streams.assignment.interval.ms")
    }

    /// `streams.num.standby.replicas`: how many standby copies each task with state has.
    #[must_use]
    pub fn standby_replicas(&self, image: &MetadataImage, group: &str) -> i32 {
        self.standby_replicas.of(image, group, "streams.num.standby.replicas")
    }

    /// `streams.initial.rebalance.delay.ms`: how long a group that was empty waits for more members.
    #[must_use]
    pub fn initial_rebalance_delay(&self, image: &MetadataImage, group: &str) -> Duration {
        self.initial_rebalance_delay_ms.time_of(image, group, "streams.initial.rebalance.delay.ms")
    }
}
