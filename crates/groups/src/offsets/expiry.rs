//! Offsets expire, and groups without members and offsets go away with them.

use std::time::Duration;

use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_coordinator::At;

use super::{ByTopic, Committed, Offsets, delete};
use crate::census::offsets_taken_back;
use crate::group::Group;
use crate::outbox::{After, Timer};
use crate::records::Record;
use crate::settings::Settings;
use crate::shard::Shard;

/// How many records one look writes at most. This bounds the memory of a look at a million offsets.
const RECORDS_PER_LOOK_MAX: usize = 10_000;

/// When a look goes on that found more. Not at once, since the log may have refused what was found.
const NEXT_LOOK_AFTER: Duration = Duration::from_millis(100);

/// From when on the retention of an offset counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RetentionFrom {
    /// From when it was committed.
    Commit,
    /// From when the group became empty.
    Empty(Timestamp),
}

impl RetentionFrom {
    fn has_expired(self, offset: &Committed, now: Timestamp, settings: &Settings) -> bool {
        if let Some(expires) = offset.expires_at {
            return now >= expires;
        }
        let from = match self {
            Self::Commit => offset.committed_at,
            Self::Empty(since) => since,
        };
        i128::from(now.0) - i128::from(from.0) >= settings.offsets_retention.as_millis().cast_signed()
    }
}

impl Shard {
    /// Looks through all offsets for those that have expired.
    pub(crate) fn expire_offsets(&mut self, at: At<'_>) {
        let mut records = Vec::new();
        let mut due = at.now.moment.after(self.settings.offsets_retention_check_interval);
        for (id, group) in &self.groups {
            if records.len() >= RECORDS_PER_LOOK_MAX {
                due = at.now.moment.after(NEXT_LOOK_AFTER);
                break;
            }
            let gone = self.offsets.expire(id, group, at.now.timestamp, &self.settings, &mut records);
            if gone && group.is_empty() {
                records.extend(group.tombstones(id));
            }
        }
        self.outbox.timers.set(Timer::OffsetExpiry, due);
        self.outbox.tally.offset_expirations += offsets_taken_back(&records);
        self.outbox.write_all(&records, After::Nothing);
    }
}

impl Offsets {
    /// Adds the tombstones of a group's expired offsets. Says whether none is left then.
    fn expire(
        &self,
        id: &ByteString,
        group: &Group,
        now: Timestamp,
        settings: &Settings,
        records: &mut Vec<Record>,
    ) -> bool {
        let open = self.has_open(id);
        let Some(topics) = self.of_group(id) else { return !open };
        let from = match group {
            Group::Classic(group) => group.retention_from(),
            Group::Consumer(_) | Group::Streams(_) => Some(RetentionFrom::Commit),
            // It has no committed offsets, and stays until it is deleted.
            Group::Share(_) => return false,
        };
        let Some(from) = from else { return false };
        let all = self.expire_topics(id, group, topics, &|offset| from.has_expired(offset, now, settings), records);
        all && !open
    }

    fn expire_topics(
        &self,
        id: &ByteString,
        group: &Group,
        topics: &ByTopic,
        has_expired: &dyn Fn(&Committed) -> bool,
        records: &mut Vec<Record>,
    ) -> bool {
        let mut all = true;
        for (topic, partitions) in topics {
            if group.is_subscribed_to(topic) {
                all = false;
                continue;
            }
            for (&partition, offset) in partitions {
                if has_expired(offset) && !self.is_open(id, topic, partition) {
                    records.push(delete::tombstone(id, topic, partition));
                } else {
                    all = false;
                }
            }
        }
        all
    }
}
