//! What each member is to have: the assignor's input and output.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::assignor::{Assignment, Assignor, MemberSpec, Spec};
use super::decision::Context;
use super::group::{ConsumerGroup, Subscriptions};
use super::member::Member;
use super::reconcile::Subscription;
use super::refusal::Refusal;
use crate::records::Record;

/// A target as a member sees it.
pub(super) struct Target<'a> {
    pub(super) epoch: i32,
    pub(super) assignment: Cow<'a, Assignment>,
}

impl ConsumerGroup {
    /// The target for a member that is about to be `updated`: a new one if the group's epoch is to be `epoch`, which
    /// no target was computed for, and the last one is not too fresh; its records go to `records`.
    ///
    /// # Errors
    /// If the assignor fails.
    pub(super) fn target_for(
        &self,
        context: Context<'_>,
        epoch: i32,
        before: &Member,
        updated: &Member,
        records: &mut Vec<Record>,
    ) -> Result<Target<'_>, Refusal> {
        if self.assignment_epoch >= epoch || !self.may_assign(context) {
            return Ok(self.last_target(updated));
        }
        let assignor = self.preferred_assignor(context, before, updated);
        let spec = self.spec(context.at.image, before, updated);
        let mut target = assignor.assign(&spec).map_err(|why| {
            let message = format!("Failed to compute a new target assignment for epoch {epoch}: {why}");
            Refusal::new(ErrorCode::UnknownServerError, message)
        })?;
        let replaced = self.replaced_by(updated);
        let ids = self.members.keys().filter(|id| Some(*id) != replaced && **id != updated.id);
        let mut ids: Vec<&ByteString> = ids.chain([&updated.id]).collect();
        ids.sort_unstable();
        for id in ids {
            let after = target.get(id).unwrap_or(const { &Assignment::new() });
            if self.target.get(id) != Some(after) {
                records.push(target_record(&self.id, id, after));
            }
        }
        let key = m::ConsumerGroupTargetAssignmentMetadataKey { group_id: self.id.clone() };
        let assignment_timestamp = context.at.now.timestamp.0;
        let value = m::ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch: epoch, assignment_timestamp };
        records.push((key, value).into());
        Ok(Target { epoch, assignment: Cow::Owned(target.remove(&updated.id).unwrap_or_default()) })
    }

    /// The target that was computed last.
    pub(super) fn last_target(&self, member: &Member) -> Target<'_> {
        let assignment = self.target_of(member).map_or_else(|| Cow::Owned(Assignment::new()), Cow::Borrowed);
        Target { epoch: self.assignment_epoch, assignment }
    }

    /// Whether the last target is old enough, so that members that join together are assigned to together.
    fn may_assign(&self, context: Context<'_>) -> bool {
        let interval = context.settings.consumer_assignment_interval_of(context.at.image, &self.id).as_millis();
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        let (last, now) = (self.assignment_timestamp, context.at.now.timestamp.0);
        // A date ahead was written before the wall clock was set back: nobody waits until it has caught up.
        last == 0 || interval == 0 || now >= last.saturating_add(interval) || now < last
    }

    /// The assignor that most members ask for; the first of the configured ones if nobody does.
    fn preferred_assignor(&self, context: Context<'_>, before: &Member, updated: &Member) -> Assignor {
        let mut counts = self.assignors.clone();
        shift(&mut counts, before.assignor.as_ref(), updated.assignor.as_ref());
        assignor_of(&counts, &context.settings.consumer_assignors)
    }

    /// The member whose place `updated` takes under the same instance id.
    pub(super) fn replaced_by(&self, updated: &Member) -> Option<&ByteString> {
        self.static_members.get(updated.instance_id.as_ref()?).filter(|id| **id != updated.id)
    }

    fn spec<'a>(&'a self, image: &MetadataImage, before: &Member, updated: &'a Member) -> Spec<'a> {
        let replaced = self.replaced_by(updated);
        let mut subscribed = SubscribedIds { group: self, image, known: BTreeMap::new() };
        let mut members = BTreeMap::new();
        for (id, member) in &self.members {
            if Some(id) != replaced && *id != updated.id {
                members.insert(id.clone(), subscribed.spec(member, self.target.get(id)));
            }
        }
        let assigned = self.target.get(replaced.unwrap_or(&updated.id));
        members.insert(updated.id.clone(), subscribed.spec(updated, assigned));
        let topics = subscribed.known.values().flat_map(|ids| ids.iter());
        let topics = topics.filter_map(|id| image.topics().by_id(*id));
        let topics = topics.map(|topic| (topic.id, i32::try_from(topic.partition_count()).unwrap_or(i32::MAX)));
        let topics: BTreeMap<Uuid, i32> = topics.collect();
        let homogeneous = self.is_homogeneous_after(before, updated, members.len());
        Spec::new(members, homogeneous, topics)
    }

    /// Whether all members subscribe to the same topics once `updated` has taken the place of `before`.
    fn is_homogeneous_after(&self, before: &Member, updated: &Member, members: usize) -> bool {
        if before.subscribes_like(updated) {
            return is_homogeneous(&self.regexes, &self.topics, members);
        }
        let unused = self.unused_regexes(before, updated);
        let topics = self.subscriptions_after(&[before], &unused, Some(updated));
        let mut regexes = self.regexes.clone();
        shift(&mut regexes, before.regex(), updated.regex());
        is_homogeneous(&regexes, &topics, members)
    }
}

/// Counts one less of `from` and one more of `to`.
pub(super) fn shift(counts: &mut BTreeMap<ByteString, usize>, from: Option<&ByteString>, to: Option<&ByteString>) {
    if let Some(count) = from.and_then(|from| counts.get_mut(from)) {
        *count -= 1;
    }
    if let Some(to) = to {
        *counts.entry(to.clone()).or_default() += 1;
    }
    counts.retain(|_, count| *count > 0);
}

/// The assignor that most ask for; the first of the configured ones if nobody does.
pub(super) fn assignor_of(counts: &BTreeMap<ByteString, usize>, configured: &[String]) -> Assignor {
    let default = configured.first().and_then(|name| Assignor::from_name(name)).unwrap_or(Assignor::Uniform);
    let most = counts.iter().max_by_key(|(_, count)| **count);
    most.and_then(|(name, _)| Assignor::from_name(name)).unwrap_or(default)
}

/// Members with one regular expression are alike, if nobody names a topic besides.
fn is_homogeneous(regexes: &BTreeMap<ByteString, usize>, topics: &Subscriptions, members: usize) -> bool {
    match regexes.values().next() {
        None => topics.values().all(|subscribers| subscribers.by_name == members),
        Some(count) => {
            *count == members
                && topics.values().all(|subscribers| subscribers.by_regex == 1 && subscribers.by_name == 0)
        }
    }
}

/// The record of what a member is to have.
pub(super) fn target_record(group: &ByteString, member: &ByteString, target: &Assignment) -> Record {
    let key = m::ConsumerGroupTargetAssignmentMemberKey { group_id: group.clone(), member_id: member.clone() };
    let topic = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
        m::consumer_group_target_assignment_member_value::TopicPartition {
            topic_id: *topic,
            partitions: partitions.iter().copied().collect(),
        }
    };
    let topic_partitions = target.iter().map(topic).collect();
    (key, m::ConsumerGroupTargetAssignmentMemberValue { topic_partitions }).into()
}

/// The topics that members subscribe to; those of members that subscribe alike are looked up once.
struct SubscribedIds<'a, 'b> {
    group: &'a ConsumerGroup,
    image: &'b MetadataImage,
    /// By where the set of names stands in memory, and by the regular expression.
    known: BTreeMap<(usize, Option<ByteString>), Arc<BTreeSet<Uuid>>>,
}

impl<'a> SubscribedIds<'a, '_> {
    fn spec(&mut self, member: &Member, assigned: Option<&'a Assignment>) -> MemberSpec<'a> {
        let key = (Arc::as_ptr(&member.topics).addr(), member.regex().cloned());
        let ids = || Arc::new(Subscription::of(member, &self.group.resolved, self.image).ids());
        let topics = self.known.entry(key).or_insert_with(ids).clone();
        let assigned = assigned.map_or_else(|| Cow::Owned(Assignment::new()), Cow::Borrowed);
        MemberSpec { instance_id: member.instance_id.clone(), topics, assigned }
    }
}
