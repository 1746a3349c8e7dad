//! Members that leave, for good or for a while, or are put out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_wire::messages as m;

use super::decision::{Context, Decision, Timer};
use super::group::ConsumerGroup;
use super::hash::metadata_hash;
use super::heartbeat::Heartbeat;
use super::member::{LEAVE_STATIC_EPOCH, Member};
use super::refusal::Refusal;
use super::regex::regex_tombstone;
use super::written::epoch_record;

impl ConsumerGroup {
    /// The member that a request to leave names.
    ///
    /// # Errors
    /// If there is none, or another one has its instance id by now.
    pub(super) fn leaving(
        &self,
        member_id: &ByteString,
        instance_id: Option<&ByteString>,
    ) -> Result<&Arc<Member>, Refusal> {
        let Some(instance_id) = instance_id else {
            return self.members.get(member_id).ok_or_else(|| Refusal::unknown_member(&self.id, member_id));
        };
        let member = self.static_member(Some(instance_id)).ok_or_else(|| Refusal::unknown_instance(instance_id))?;
        if member.id != *member_id {
            return Err(Refusal::fenced_instance(member_id, instance_id, &member.id));
        }
        Ok(member)
    }

    /// A static member leaves for a while: it keeps what it has for whoever comes under its name.
    pub(super) fn leave_for_a_while(&self, member: &Member) -> Heartbeat {
        let mut leaving = member.clone();
        leaving.epoch = LEAVE_STATIC_EPOCH;
        leaving.revoking.clear();
        leaving.assigned.values_mut().flat_map(BTreeMap::values_mut).for_each(|epoch| *epoch = 0);
        let response = left(&member.id, LEAVE_STATIC_EPOCH);
        Decision { records: vec![leaving.assignment_record(&self.id)], ..Decision::answer(response) }
    }

    /// These members are no members any more, and the others are to have what they had. If all others speak the classic
    /// protocol, the group becomes a classic one.
    pub(super) fn fence<R>(&self, context: Context<'_>, members: &[Arc<Member>], response: R) -> Decision<R> {
        let mut decision = Decision::answer(response);
        if members.is_empty() {
            return decision;
        }
        if let Some((records, downgrade)) = self.downgrade_without(context, members) {
            decision.stop.extend(self.members.keys().flat_map(Timer::all));
            (decision.records, decision.downgrade) = (records, Some(downgrade));
            return decision;
        }
        for member in members {
            self.remove_records(&member.id, &mut decision.records);
            decision.stop.extend(Timer::all(&member.id));
        }
        let unused = self.regexes_of_only(members);
        for regex in &unused {
            decision.records.push(regex_tombstone(&self.id, regex));
        }
        let without: Vec<&Member> = members.iter().map(|member| &**member).collect();
        let topics = self.subscriptions_after(&without, &unused, None);
        let hash = metadata_hash(&topics, context.at.image);
        decision.records.push(epoch_record(&self.id, self.epoch.saturating_add(1), hash));
        decision
    }

    /// The regular expressions that nobody but these members subscribes to.
    fn regexes_of_only(&self, members: &[Arc<Member>]) -> BTreeSet<ByteString> {
        let mut counts: BTreeMap<&ByteString, usize> = BTreeMap::new();
        for regex in members.iter().filter_map(|member| member.regex()) {
            *counts.entry(regex).or_default() += 1;
        }
        counts
            .into_iter()
            .filter(|(regex, count)| self.subscribers_of(regex) == *count)
            .map(|(r, _)| r.clone())
            .collect()
    }
}

/// The answer to a member that leaves.
pub(super) fn left(member_id: &ByteString, member_epoch: i32) -> m::ConsumerGroupHeartbeatResponse {
    m::ConsumerGroupHeartbeatResponse { member_id: Some(member_id.clone()), member_epoch, ..Default::default() }
}
