//! What a shard does for its consumer groups.

use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::decision::{Context, Decision, Timer};
use super::downgrade::Downgrade;
use super::group::ConsumerGroup;
use super::heartbeat::{Heartbeat, validate};
use super::leave::left;
use super::member::{LEAVE_EPOCH, LEAVE_STATIC_EPOCH, MemberState};
use super::migrate::may_upgrade;
use super::refresh::Refresh;
use super::refusal::Refusal;
use crate::group::{Group, owned};
use crate::millis::millis;
use crate::outbox;
use crate::records::Record;
use crate::request::{Answer, Caller, refused_join};
use crate::shard::Shard;

/// When a timer is tried again whose records could not be written.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// What follows a write of a consumer group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct After {
    group: ByteString,
    /// The answer and who waits for it.
    answer: Option<(Ticket, Answer)>,
    /// What not to wait for any more.
    stop: Vec<Timer>,
    /// When to look at the topics again.
    refresh: Option<Refresh>,
    /// That it is a classic group now.
    downgrade: Option<Downgrade>,
    /// What to try again if the write is refused.
    retry: Option<Timer>,
}

impl Shard {
    /// Applies a record of a consumer group.
    pub(crate) fn consumer_replay(&mut self, record: Record) {
        let id = record.group_id();
        if !matches!(self.groups.get(id), Some(Group::Consumer(_))) {
            // A group that only has committed offsets makes way; a classic one has had its tombstone before.
            if record.is_tombstone() {
                return;
            }
            let id = owned(id);
            self.groups.insert(id.clone(), Group::Consumer(Box::new(ConsumerGroup::new(id))));
        }
        if matches!(record, Record::ConsumerGroupMetadata { value: None, .. }) {
            self.groups.remove(id);
        } else if let Some(Group::Consumer(group)) = self.groups.get_mut(id) {
            group.replay(record);
        }
    }

    /// The log was replayed: timers of the members of this consumer group start.
    pub(crate) fn consumer_loaded(&mut self, at: At<'_>, id: &ByteString) {
        let Some(Group::Consumer(group)) = self.groups.get_mut(id) else { return };
        group.topics_appeared = at.image.provenance().offset.0;
        let session = self.settings.consumer_session_timeout_of(at.image, id);
        for member in group.members.values() {
            let mut start = |timer, wait| {
                let due = at.now.moment.after(wait);
                self.outbox.timers.set(outbox::Timer::Consumer(id.clone(), timer), due);
            };
            start(Timer::Session(member.id.clone()), session);
            if member.state == MemberState::UnrevokedPartitions {
                start(Timer::Rebalance(member.id.clone()), millis(member.rebalance_timeout_ms));
            }
        }
    }

    /// A timer is due: the member is put out.
    pub(crate) fn consumer_timer(&mut self, at: At<'_>, id: &ByteString, timer: &Timer) {
        let Some(Group::Consumer(group)) = self.groups.get(id) else { return };
        let Some(member) = group.members.get(timer.member()) else { return };
        let gave_up = member.state != MemberState::UnrevokedPartitions || member.epoch < 0;
        if matches!(timer, Timer::Rebalance(_)) && gave_up {
            return;
        }
        let context = Context { at, settings: &self.settings };
        let decision = group.fence(context, std::slice::from_ref(member), ());
        self.carry_out(at, id, decision, |()| None, Some(timer.clone()));
    }

    /// A group's regular expressions are to be resolved.
    pub(crate) fn resolve_consumer_regexes(&mut self, at: At<'_>, id: &ByteString) {
        let describable = self.regex_askers.remove(id);
        let Some(Group::Consumer(group)) = self.groups.get(id) else { return };
        let Some(describable) = describable else { return };
        let decision = group.resolve_regexes(Context { at, settings: &self.settings }, &describable);
        // If the write is refused, the next heartbeat asks again.
        self.carry_out(at, id, decision, |()| None, None);
    }

    /// A write was carried out or refused.
    pub(crate) fn consumer_written(&mut self, at: At<'_>, after: After, result: Result<(), ErrorCode>) {
        match result {
            Ok(()) => {
                for timer in after.stop {
                    self.outbox.timers.cancel(&outbox::Timer::Consumer(after.group.clone(), timer));
                }
                self.set_refresh(&after.group, after.refresh);
                if let (Some(downgrade), Some(desk)) = (after.downgrade, self.desk(at, &after.group)) {
                    downgrade.finish(desk);
                }
                if let Some((ticket, answer)) = after.answer {
                    self.outbox.answer(ticket, answer);
                }
            }
            Err(error) => {
                if let Some(timer) = after.retry {
                    let due = at.now.moment.after(RETRY);
                    self.outbox.timers.set(outbox::Timer::Consumer(after.group, timer), due);
                }
                if let Some((ticket, answer)) = after.answer {
                    self.outbox.answer(ticket, answer.refused(error));
                }
            }
        }
    }

    /// Topics were created, grew or went away: the groups that read them look at them with the next heartbeat.
    pub(crate) fn consumer_topics_changed(&mut self, at: At<'_>, changes: &Changes) {
        let diffs = changes.partitions_changed.iter().map(|diff| &diff.topic);
        let topics = changes.topics_created.iter().chain(&changes.topics_deleted).chain(diffs);
        let names: std::collections::BTreeSet<&str> = topics.map(|topic| &*topic.name).collect();
        let appeared = !changes.topics_created.is_empty();
        for group in self.groups.values_mut() {
            let Group::Consumer(group) = group else { continue };
            if appeared {
                group.topics_appeared = at.image.provenance().offset.0;
            }
            if names.iter().any(|name| group.is_subscribed_to(name)) {
                group.refresh = None;
            }
        }
    }

    /// ConsumerGroupHeartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: m::ConsumerGroupHeartbeatRequest,
    ) {
        let answer = |response| Some((ticket, Answer::ConsumerGroupHeartbeat(response)));
        match self.decide_heartbeat(at, caller, &request) {
            Ok(decision) => {
                self.remember_asker(&decision, &request.group_id, caller);
                self.carry_out(at, &request.group_id, decision, answer, None);
            }
            Err(refusal) => {
                self.outbox.answer(ticket, Answer::ConsumerGroupHeartbeat(refusal.into_heartbeat()));
            }
        }
    }

    /// Keeps what the member may describe that causes regular expressions to be resolved.
    fn remember_asker<R>(&mut self, decision: &Decision<R>, group: &ByteString, caller: &Caller) {
        if decision.resolve_regexes {
            self.regex_askers.insert(owned(group), caller.describable.clone());
        }
    }

    fn decide_heartbeat(
        &mut self,
        at: At<'_>,
        caller: &Caller,
        request: &m::ConsumerGroupHeartbeatRequest,
    ) -> Result<Heartbeat, Refusal> {
        validate(request, caller.version, &self.settings.consumer_assignors)?;
        let id = &request.group_id;
        let member_id = if request.member_epoch == 0 && request.member_id.is_empty() {
            ByteString::from(self.outbox.random_id())
        } else {
            request.member_id.clone()
        };
        let context = Context { at, settings: &self.settings };
        match (self.groups.get(id), request.member_epoch) {
            (group, epoch @ (LEAVE_EPOCH | LEAVE_STATIC_EPOCH)) => {
                let group = consumer_group(group, id, "Group")?;
                let member = group.leaving(&member_id, request.instance_id.as_ref())?;
                Ok(if epoch == LEAVE_STATIC_EPOCH {
                    group.leave_for_a_while(member)
                } else {
                    group.fence(context, std::slice::from_ref(member), left(&member_id, epoch))
                })
            }
            (Some(Group::Consumer(group)), _) => group.heartbeat(context, caller, request, &member_id),
            (None, 0) => ConsumerGroup::new(owned(id)).heartbeat(context, caller, request, &member_id),
            (Some(Group::Share(_) | Group::Streams(_)), 0) => {
                Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} is not a consumer group.")))
            }
            (Some(group), 0) if group.is_empty() => {
                let mut records = group.tombstones(id);
                let mut decision = ConsumerGroup::new(owned(id)).heartbeat(context, caller, request, &member_id)?;
                records.append(&mut decision.records);
                Ok(Decision { records, ..decision })
            }
            (Some(Group::Classic(classic)), 0) => {
                may_upgrade(id, classic, &self.settings)?;
                let group = ConsumerGroup::from_classic(owned(id), classic, at.image)?;
                let mut records = vec![m::GroupMetadataKey { group: owned(id) }.into()];
                records.extend(group.creation_records());
                let mut decision = group.heartbeat(context, caller, request, &member_id)?;
                records.append(&mut decision.records);
                let timers = group.members.values().filter_map(|member| {
                    let session = member.classic.as_ref()?.session_timeout_ms;
                    Some((Timer::Session(member.id.clone()), millis(session)))
                });
                decision.start.extend(timers);
                if let Some(mut desk) = self.desk(at, id) {
                    desk.interrupt();
                }
                Ok(Decision { records, ..decision })
            }
            (group, _) => {
                consumer_group(group, id, "Consumer group")?;
                Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} is not a consumer group.")))
            }
        }
    }

    /// Waits for what is to be waited for, writes, and answers.
    fn carry_out<R>(
        &mut self,
        at: At<'_>,
        id: &ByteString,
        decision: Decision<R>,
        answer: impl FnOnce(R) -> Option<(Ticket, Answer)>,
        retry: Option<Timer>,
    ) {
        let known = self.groups.get_key_value(id).map(|(id, _)| id.clone());
        let group = known.unwrap_or_else(|| owned(id));
        for (timer, wait) in decision.start {
            let is_join = matches!(timer, Timer::Join(_));
            let timer = outbox::Timer::Consumer(group.clone(), timer);
            // Being told to join again does not lengthen the time for it.
            if !is_join || self.outbox.timers.get(&timer).is_none() {
                self.outbox.timers.set(timer, at.now.moment.after(wait));
            }
        }
        if decision.resolve_regexes {
            // Not in this request: its answer does not wait for that.
            self.outbox.timers.set(outbox::Timer::ConsumerRegexes(group.clone()), at.now.moment);
        }
        let Decision { response, stop, refresh, downgrade, .. } = decision;
        let after = After { group, answer: answer(response), stop, refresh, downgrade, retry };
        if decision.records.is_empty() {
            self.consumer_written(at, after, Ok(()));
        } else {
            self.outbox.write(&decision.records, outbox::After::Consumer(after));
        }
    }

    fn set_refresh(&mut self, id: &ByteString, refresh: Option<Refresh>) {
        if let (Some(refresh), Some(Group::Consumer(group))) = (refresh, self.groups.get_mut(id)) {
            group.refresh = Some(refresh);
        }
    }

    /// ConsumerGroupDescribe, of one group.
    pub(crate) fn consumer_describe(
        &self,
        image: &MetadataImage,
        group_id: &ByteString,
    ) -> m::consumer_group_describe_response::DescribedGroup {
        match consumer_group(self.groups.get(group_id), group_id, "Group") {
            Ok(group) => group.describe(image, &self.settings.consumer_assignors),
            Err(refusal) => m::consumer_group_describe_response::DescribedGroup {
                error_code: refusal.code.code(),
                error_message: Some(refusal.message.into()),
                group_id: group_id.clone(),
                ..Default::default()
            },
        }
    }

    /// JoinGroup of a group that is a consumer group with members.
    pub(crate) fn classic_join_to_consumer_group(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: m::JoinGroupRequest,
    ) {
        let new_id = ByteString::from(self.outbox.random_uuid());
        let context = Context { at, settings: &self.settings };
        let joined = match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) => group.join_classic(context, caller, &request, new_id),
            _ => Err(ErrorCode::UnknownMemberId),
        };
        match joined {
            Ok(decision) => {
                let answer = |response| Some((ticket, Answer::JoinGroup(response)));
                self.remember_asker(&decision, &request.group_id, caller);
                self.carry_out(at, &request.group_id, decision, answer, None);
            }
            Err(error) => self.outbox.answer(ticket, Answer::JoinGroup(refused_join(error))),
        }
    }

    /// SyncGroup of a consumer group with members.
    pub(crate) fn classic_sync_to_consumer_group(&mut self, at: At<'_>, ticket: Ticket, request: m::SyncGroupRequest) {
        let context = Context { at, settings: &self.settings };
        let decision = match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) => group.sync_classic(context, &request),
            _ => Err(ErrorCode::UnknownMemberId),
        };
        let decision = decision.unwrap_or_else(|error| {
            Decision::answer(m::SyncGroupResponse { error_code: error.code(), ..Default::default() })
        });
        let answer = |response| Some((ticket, Answer::SyncGroup(response)));
        self.carry_out(at, &request.group_id, decision, answer, None);
    }

    /// Heartbeat of a consumer group.
    pub(crate) fn classic_heartbeat_to_consumer_group(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        request: m::HeartbeatRequest,
    ) {
        let decision = match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) => group.heartbeat_classic(&request),
            _ => Err(ErrorCode::UnknownMemberId),
        };
        let decision = decision.unwrap_or_else(|error| {
            Decision::answer(m::HeartbeatResponse { error_code: error.code(), ..Default::default() })
        });
        let answer = |response| Some((ticket, Answer::Heartbeat(response)));
        self.carry_out(at, &request.group_id, decision, answer, None);
    }

    /// LeaveGroup of a consumer group; versions before 3 have been given a member of its own.
    pub(crate) fn classic_leave_to_consumer_group(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        request: m::LeaveGroupRequest,
    ) {
        let context = Context { at, settings: &self.settings };
        let decision = match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) => {
                let (gone, response) = group.leave_classic(&request);
                group.fence(context, &gone, response)
            }
            _ => Decision::answer(crate::classic::leave::all_unknown(&request)),
        };
        let answer = |response| Some((ticket, Answer::LeaveGroup(response)));
        self.carry_out(at, &request.group_id, decision, answer, None);
    }
}

/// The group if it is a consumer group.
///
/// # Errors
/// If there is none, which is called `kind`, or it is a classic one.
fn consumer_group<'a>(group: Option<&'a Group>, id: &str, kind: &str) -> Result<&'a ConsumerGroup, Refusal> {
    let message = match group {
        Some(Group::Consumer(group)) => return Ok(group),
        Some(Group::Classic(_) | Group::Share(_) | Group::Streams(_)) => format!("Group {id} is not a consumer group."),
        None => format!("{kind} {id} not found."),
    };
    Err(Refusal::new(ErrorCode::GroupIdNotFound, message))
}
