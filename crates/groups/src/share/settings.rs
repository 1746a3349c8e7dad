//! The configuration of share groups: the broker's, and what a group's own makes of it.

use std::time::Duration;

use thalweg_metadata::MetadataImage;

use crate::own_config::{Bounded, own};

/// Where a group begins in a partition that it never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStrategy {
    /// At the first record.
    Earliest,
    /// Behind the last record.
    Latest,
    /// So long before now, in milliseconds.
    ByDuration(i64),
}

/// The broker's configuration of share groups. The defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSettings {
    /// `group.share.session.timeout.ms`
    pub session_timeout_ms: Bounded,
    /// `group.share.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Bounded,
    /// `group.share.assignment.interval.ms`
    pub assignment_interval_ms: Bounded,
    /// `group.share.record.lock.duration.ms`
    pub record_lock_duration_ms: Bounded,
    /// `group.share.delivery.count.limit`
    pub delivery_count_limit: Bounded,
    /// `group.share.partition.max.record.locks`
    pub partition_max_record_locks: Bounded,
    /// `group.share.max.size`: members of a share group.
    pub group_size_max: usize,
    /// `group.share.max.share.sessions`
    pub sessions_max: usize,
    /// `group.share.initialize.retry.interval.ms`: after so long, initialization that was not confirmed is tried again.
    pub initialize_retry_interval: Duration,
}

impl Default for ShareSettings {
    fn default() -> Self {
        let bounded = |value, min, max| Bounded { value, min, max };
        Self {
            session_timeout_ms: bounded(45_000, 45_000, 60_000),
            heartbeat_interval_ms: bounded(5_000, 5_000, 15_000),
            assignment_interval_ms: bounded(1_000, 0, 15_000),
            record_lock_duration_ms: bounded(30_000, 15_000, 60_000),
            delivery_count_limit: bounded(5, 2, 10),
            partition_max_record_locks: bounded(2_000, 100, 4_000),
            group_size_max: 200,
            sessions_max: 2_000,
            initialize_retry_interval: Duration::from_secs(30),
        }
    }
}

impl ShareSettings {
    /// `share.session.timeout.ms`: how long a member of the group may be silent.
    #[must_use]
    pub fn session_timeout(&self, image: &MetadataImage, group: &str) -> Duration {
        self.session_timeout_ms.time_of(image, group, "share.session.timeout.ms")
    }

    /// `share.heartbeat.interval.ms`: how often members of the group are to send heartbeats.
    #[must_use]
    pub fn heartbeat_interval_ms(&self, image: &MetadataImage, group: &str) -> i32 {
        self.heartbeat_interval_ms.of(image, group, "share.heartbeat.interval.ms")
    }

    /// `share.assignment.interval.ms`: the least time between two assignments of the group.
    #[must_use]
    pub fn assignment_interval(&self, image: &MetadataImage, group: &str) -> Duration {
        self.assignment_interval_ms.time_of(image, group, "share.assignment.interval.ms")
    }

    /// `share.record.lock.duration.ms`: how long a member of the group may hold a record.
    #[must_use]
    pub fn record_lock_duration_ms(&self, image: &MetadataImage, group: &str) -> i32 {
        self.record_lock_duration_ms.of(image, group, "share.record.lock.duration.ms")
    }

    /// `share.delivery.count.limit`: how often a record is delivered to the group at most.
    #[must_use]
    pub fn delivery_count_limit(&self, image: &MetadataImage, group: &str) -> i32 {
        self.delivery_count_limit.of(image, group, "share.delivery.count.limit")
    }

    /// `share.partition.max.record.locks`: how many records of a partition may be on their way to the group.
    #[must_use]
    pub fn partition_max_record_locks(&self, image: &MetadataImage, group: &str) -> i32 {
        self.partition_max_record_locks.of(image, group, "share.partition.max.record.locks")
    }
}

/// `share.renew.acknowledge.enable`: whether members of the group may ask for more time.
#[must_use]
pub fn allows_renewal(image: &MetadataImage, group: &str) -> bool {
    own(image, group, "share.renew.acknowledge.enable").is_none_or(|text| !text.trim().eq_ignore_ascii_case("false"))
}

/// `share.isolation.level`: whether members of the group see only what was committed.
#[must_use]
pub fn reads_committed(image: &MetadataImage, group: &str) -> bool {
    own(image, group, "share.isolation.level").is_some_and(|text| text.trim().eq_ignore_ascii_case("read_committed"))
}

/// `share.auto.offset.reset`: where the group begins.
#[must_use]
pub fn reset_strategy(image: &MetadataImage, group: &str) -> ResetStrategy {
    let text = own(image, group, "share.auto.offset.reset").unwrap_or("latest").trim().to_ascii_lowercase();
    match text.as_str() {
        "earliest" => ResetStrategy::Earliest,
        text => match text.strip_prefix("by_duration:").and_then(duration_ms) {
            Some(ms) => ResetStrategy::ByDuration(ms),
            None => ResetStrategy::Latest,
        },
    }
}

/// An ISO 8601 duration of days, hours, minutes and seconds in milliseconds; fractions of these are cut off.
fn duration_ms(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut number = String::new();
    for c in text.strip_prefix('p')?.chars() {
        let unit_ms: i64 = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            't' => continue,
            'd' => 86_400_000,
            'h' => 3_600_000,
            'm' => 60_000,
            's' => 1_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
        let part = whole.parse::<i64>().ok()?.checked_mul(unit_ms)?;
        let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        total = total.checked_add(part)?.checked_add(thousandths * unit_ms / 1_000)?;
        number.clear();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use thalweg_base::Offset;
    use thalweg_metadata::image::ConfigResourceType;
    use thalweg_wire::messages::ConfigRecord;

    use super::*;

    fn configured(name: &str, text: &str) -> MetadataImage {
        let mut image = MetadataImage::default();
        let record = ConfigRecord {
            resource_type: ConfigResourceType::Group.id(),
            resource_name: "g".into(),
            name: name.into(),
            value: Some(text.into()),
        };
        image.replay(&record.into(), Offset(1));
        image
    }

    #[test]
    fn a_groups_own_value_counts_within_the_brokers_bounds() {
        let settings = ShareSettings::default();
        for (text, expected) in [("20000", 20_000), ("1", 15_000), ("99999", 60_000), ("x", 30_000)] {
            let image = configured("share.record.lock.duration.ms", text);
            assert_eq!(settings.record_lock_duration_ms(&image, "g"), expected, "{text}");
            assert_eq!(settings.record_lock_duration_ms(&image, "other"), 30_000);
        }
    }

    #[test]
    fn a_group_begins_where_its_configuration_says() {
        for (text, expected) in [
            ("earliest", ResetStrategy::Earliest),
            ("latest", ResetStrategy::Latest),
            ("by_duration:PT1H30M", ResetStrategy::ByDuration(5_400_000)),
            ("by_duration:P2DT0.5S", ResetStrategy::ByDuration(172_800_500)),
        ] {
            assert_eq!(reset_strategy(&configured("share.auto.offset.reset", text), "g"), expected, "{text}");
        }
        assert_eq!(reset_strategy(&MetadataImage::default(), "g"), ResetStrategy::Latest);
    }
}
