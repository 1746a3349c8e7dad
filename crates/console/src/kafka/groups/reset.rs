//! Resetting the offsets of a group, in all of Kafka's ways, and deleting a group.

use std::collections::BTreeMap;

use thalweg_base::{Timestamp, TopicPartition};
use thalweg_client::{Destination, OffsetSpec};
use thalweg_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::messages::{AlterShareGroupOffsetsRequest, DeleteGroupsRequest, OffsetCommitRequest};

use super::super::Kafka;
use super::{Committed, Group, GroupKind};
use crate::trouble::Trouble;

/// The last version of OffsetCommit that names topics instead of their ids.
const NAMES_UP_TO: i16 = 9;

/// Where offsets are reset to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetTo {
    Earliest,
    Latest,
    /// This offset.
    Offset(i64),
    /// So many offsets further; fewer if negative.
    Shift(i64),
    /// The first record that is not older, in milliseconds since 1970.
    Time(i64),
}

/// What a reset changes in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reset {
    pub(crate) partition: TopicPartition,
    /// The offset that the group has; `None` if it has none.
    pub(crate) before: Option<i64>,
    /// The offset that it gets.
    pub(crate) after: i64,
    /// Where the partition ends.
    pub(crate) end: i64,
    /// Why that is not the one that was asked for.
    pub(crate) note: Option<&'static str>,
}

/// An offset that was asked for, moved into the log where it lies outside.
fn in_log(asked: i64, first: i64, end: i64) -> (i64, Option<&'static str>) {
    if asked < first {
        return (first, Some("moved to the first offset: the one asked for is gone"));
    }
    if asked > end {
        return (end, Some("moved to the end: the one asked for is behind it"));
    }
    (asked, None)
}

/// Refuses to change a group that has members.
pub(crate) fn check_is_empty(id: &str, group: Option<&Group>) -> Result<(), Trouble> {
    let Some(group) = group else { return Ok(()) };
    if group.members.is_empty() && !matches!(group.state.as_str(), "Stable" | "PreparingRebalance") {
        return Ok(());
    }
    let (state, members) = (&group.state, group.members.len());
    Err(Trouble::Conflict(format!("group {id} is {state} and has {members} members: stop them first")))
}

impl Kafka {
    /// What a reset of these partitions would change.
    pub(crate) async fn plan_reset(
        &self,
        partitions: Vec<TopicPartition>,
        committed: &Committed,
        to: ResetTo,
    ) -> Result<Vec<Reset>, Trouble> {
        let first = self.look_up(&partitions, OffsetSpec::Earliest).await?;
        let end = self.look_up(&partitions, OffsetSpec::Latest).await?;
        let timed = match to {
            ResetTo::Time(ms) => self.look_up(&partitions, OffsetSpec::At(Timestamp(ms.max(0)))).await?,
            _ => Vec::new(),
        };
        let mut resets = Vec::with_capacity(partitions.len());
        for (at, partition) in partitions.into_iter().enumerate() {
            let unknown = || Trouble::NotFound(format!("partition {partition} has no leader that answers now"));
            let (first, end) = (first[at].ok_or_else(unknown)?, end[at].ok_or_else(unknown)?);
            let before = committed.get(&partition).copied();
            let (after, note) = match to {
                ResetTo::Earliest => (first, None),
                ResetTo::Latest => (end, None),
                ResetTo::Offset(offset) => in_log(offset, first, end),
                ResetTo::Shift(by) => {
                    let none = || Trouble::Bad(format!("{partition} cannot be shifted: the group has no offset there"));
                    in_log(before.ok_or_else(none)?.saturating_add(by), first, end)
                }
                ResetTo::Time(_) => match timed[at] {
                    Some(offset) => (offset, None),
                    None => (end, Some("moved to the end: all records are older")),
                },
            };
            resets.push(Reset { partition, before, after, end, note });
        }
        Ok(resets)
    }

    /// Sets the offsets of a group that has no members.
    pub(crate) async fn reset(&self, id: &str, kind: GroupKind, resets: &[Reset]) -> Result<(), Trouble> {
        let mut topics: BTreeMap<&str, Vec<&Reset>> = BTreeMap::new();
        for reset in resets {
            topics.entry(&reset.partition.topic).or_default().push(reset);
        }
        match kind {
            GroupKind::Share => self.reset_share(id, topics).await,
            GroupKind::Classic | GroupKind::Consumer | GroupKind::Streams => self.reset_committed(id, topics).await,
        }
    }

    async fn reset_committed(&self, id: &str, topics: BTreeMap<&str, Vec<&Reset>>) -> Result<(), Trouble> {
        let partition = |reset: &&Reset| OffsetCommitRequestPartition {
            partition_index: reset.partition.partition,
            committed_offset: reset.after,
            committed_leader_epoch: -1,
            committed_metadata: Some("".into()),
        };
        let topics = topics.into_iter().map(|(name, resets)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions: resets.iter().map(partition).collect(),
            ..Default::default()
        });
        let request = OffsetCommitRequest { group_id: id.into(), topics: topics.collect(), ..Default::default() };
        let to = Destination::GroupCoordinator(id.into());
        let response = self.ask_up_to(&to, &request, NAMES_UP_TO).await?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                let what = format!("resetting {}-{}", &*topic.name, partition.partition_index);
                Trouble::check(what, partition.error_code, None)?;
            }
        }
        Ok(())
    }

    async fn reset_share(&self, id: &str, topics: BTreeMap<&str, Vec<&Reset>>) -> Result<(), Trouble> {
        let partition = |reset: &&Reset| AlterShareGroupOffsetsRequestPartition {
            partition_index: reset.partition.partition,
            start_offset: reset.after,
        };
        let topics = topics.into_iter().map(|(name, resets)| AlterShareGroupOffsetsRequestTopic {
            topic_name: name.into(),
            partitions: resets.iter().map(partition).collect(),
        });
        let request = AlterShareGroupOffsetsRequest { group_id: id.into(), topics: topics.collect() };
        let response = self.ask(Destination::GroupCoordinator(id.into()), &request).await?;
        Trouble::check(format!("resetting group {id}"), response.error_code, response.error_message.as_deref())?;
        for topic in &response.responses {
            for partition in &topic.partitions {
                let what = format!("resetting {}-{}", &*topic.topic_name, partition.partition_index);
                Trouble::check(what, partition.error_code, partition.error_message.as_deref())?;
            }
        }
        Ok(())
    }

    /// Deletes a group that has no members.
    pub(crate) async fn delete_group(&self, id: &str) -> Result<(), Trouble> {
        let request = DeleteGroupsRequest { groups_names: vec![id.into()] };
        let response = self.ask(Destination::GroupCoordinator(id.into()), &request).await?;
        let mut results = response.results.iter();
        results.try_for_each(|result| Trouble::check(format!("deleting group {id}"), result.error_code, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_outside_the_log_is_moved_into_it() {
        assert_eq!(in_log(5, 3, 9), (5, None));
        assert_eq!(in_log(9, 3, 9), (9, None));
        assert_eq!((in_log(2, 3, 9).0, in_log(10, 3, 9).0), (3, 9));
        assert!(in_log(2, 3, 9).1.is_some() && in_log(10, 3, 9).1.is_some());
    }

    #[test]
    fn a_group_with_members_is_not_changed() {
        let group = |state: &str| Group { state: state.to_owned(), ..Group::unknown() };
        assert!(check_is_empty("g", None).is_ok() && check_is_empty("g", Some(&group("Empty"))).is_ok());
        assert!(check_is_empty("g", Some(&group("Stable"))).is_err());
        let joining = Group { members: vec![super::super::Member::default()], ..group("Assigning") };
        assert!(check_is_empty("g", Some(&joining)).is_err());
    }
}
