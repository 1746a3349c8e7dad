//! ConsumerGroupHeartbeat: a member joins, lives, and is told what it has.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::decision::{Context, Decision, Timer};
use super::group::ConsumerGroup;
use super::hash::metadata_hash;
use super::member::{LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member, MemberState, Owned, copy};
use super::reconcile::Step;
use super::refresh::Refresh;
use super::refusal::Refusal;
use super::regex::RegexUpdate;
use super::subscriber::Subscriber;
use super::target::{Target, target_record};
use super::written::epoch_record;
use crate::millis::millis;
use crate::records::Record;
use crate::request::Caller;

/// The version from which on clients make their member ids.
const CLIENT_MAKES_MEMBER_ID: i16 = 1;

/// What a heartbeat comes to.
pub(super) type Heartbeat = Decision<m::ConsumerGroupHeartbeatResponse>;

/// Checks what needs no group.
///
/// # Errors
/// If the request contradicts itself or asks for what there is not.
pub(crate) fn validate(
    request: &m::ConsumerGroupHeartbeatRequest,
    version: i16,
    assignors: &[String],
) -> Result<(), Refusal> {
    let not_blank = |value: Option<&ByteString>, name: &str| match value {
        Some(value) if value.trim().is_empty() => Err(Refusal::invalid(&format!("{name} can't be empty."))),
        _ => Ok(()),
    };
    if version >= CLIENT_MAKES_MEMBER_ID || request.member_epoch > 0 || request.member_epoch == LEAVE_EPOCH {
        not_blank(Some(&request.member_id), "MemberId")?;
    }
    not_blank(Some(&request.group_id), "GroupId")?;
    not_blank(request.instance_id.as_ref(), "InstanceId")?;
    not_blank(request.rack_id.as_ref(), "RackId")?;
    match request.member_epoch {
        0 if request.rebalance_timeout_ms == -1 => {
            return Err(Refusal::invalid("RebalanceTimeoutMs must be provided in first request."));
        }
        0 if request.topic_partitions.as_ref().is_none_or(|partitions| !partitions.is_empty()) => {
            return Err(Refusal::invalid("TopicPartitions must be empty when (re-)joining."));
        }
        0 if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            return Err(Refusal::invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            ));
        }
        LEAVE_STATIC_EPOCH if request.instance_id.is_none() => {
            return Err(Refusal::invalid("InstanceId can't be null."));
        }
        epoch if epoch < LEAVE_STATIC_EPOCH => return Err(Refusal::invalid("MemberEpoch is invalid.")),
        _ => {}
    }
    match &request.server_assignor {
        Some(name) if !assignors.iter().any(|assignor| **assignor == **name) => Err(Refusal::new(
            ErrorCode::UnsupportedAssignor,
            format!("ServerAssignor {name} is not supported. Supported assignors: {}.", assignors.join(", ")),
        )),
        _ => Ok(()),
    }
}

impl ConsumerGroup {
    /// A member's heartbeat that does not leave; `member_id` is its own or the one that it is given.
    ///
    /// # Errors
    /// If the member is not who it says, is too many, or subscribes to what cannot be.
    pub(super) fn heartbeat(
        &self,
        context: Context<'_>,
        caller: &Caller,
        request: &m::ConsumerGroupHeartbeatRequest,
        member_id: &ByteString,
    ) -> Result<Heartbeat, Refusal> {
        self.refuse_if_full(context, member_id, request.instance_id.as_ref())?;
        let owned = request.topic_partitions.as_deref();
        let mut records = Vec::new();
        let before = match &request.instance_id {
            None => self.dynamic_member(member_id, request.member_epoch, owned)?,
            Some(instance) => self.static_member_or_replacement(member_id, instance, request, &mut records)?,
        };
        let updated = updated(&before, caller, request);
        let subscriber = Subscriber { before, updated };
        let mut settled = self.subscribe(context, &subscriber, records)?;
        settled.aim(context, &subscriber, owned)?;
        Ok(self.respond(context, request, &subscriber.before, settled))
    }

    /// # Errors
    /// If there is no place for a new member.
    pub(super) fn refuse_if_full(
        &self,
        context: Context<'_>,
        member_id: &ByteString,
        instance_id: Option<&ByteString>,
    ) -> Result<(), Refusal> {
        let max = context.settings.consumer_group_size_max;
        if self.static_member(instance_id).is_some() || self.members.len() < max || self.members.contains_key(member_id)
        {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {max} members.");
        Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
    }

    fn dynamic_member(
        &self,
        id: &ByteString,
        epoch: i32,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<Cow<'_, Member>, Refusal> {
        let Some(member) = self.members.get(id) else {
            if epoch == 0 {
                return Ok(Cow::Owned(Member::new(copy(id))));
            }
            return Err(Refusal::unknown_member(&self.id, id));
        };
        check_epoch(member, epoch, owned)?;
        Ok(Cow::Borrowed(member))
    }

    fn static_member_or_replacement(
        &self,
        id: &ByteString,
        instance: &ByteString,
        request: &m::ConsumerGroupHeartbeatRequest,
        records: &mut Vec<Record>,
    ) -> Result<Cow<'_, Member>, Refusal> {
        let existing = self.static_member(Some(instance));
        if request.member_epoch == 0 {
            let Some(existing) = existing else {
                let known = self.members.get(id).map(|member| Cow::Borrowed(&**member));
                return Ok(known.unwrap_or_else(|| Cow::Owned(Member::new(copy(id)))));
            };
            // A member of the classic protocol gives way at once; one of the consumer protocol only after it has left.
            if !existing.is_classic() && existing.epoch != LEAVE_STATIC_EPOCH {
                let message = format!(
                    "Static member {id} with instance id {instance} cannot join the group because the instance id is \
                     owned by {} member.",
                    existing.id
                );
                return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
            }
            return Ok(Cow::Owned(self.replace(existing, id, records)));
        }
        let existing = existing.ok_or_else(|| Refusal::unknown_instance(instance))?;
        if existing.id != *id {
            return Err(Refusal::fenced_instance(id, instance, &existing.id));
        }
        check_epoch(existing, request.member_epoch, request.topic_partitions.as_deref())?;
        Ok(Cow::Borrowed(existing))
    }

    /// A copy of a static member under another id, and the records that put it in its place.
    pub(super) fn replace(&self, old: &Member, id: &ByteString, records: &mut Vec<Record>) -> Member {
        let mut new = old.clone();
        new.id = copy(id);
        (new.epoch, new.previous_epoch) = (0, 0);
        self.remove_records(&old.id, records);
        records.push(new.metadata_record(&self.id));
        let target = self.target.get(&old.id).cloned().unwrap_or_default();
        records.push(target_record(&self.id, &new.id, &target));
        records.push(new.assignment_record(&self.id));
        new
    }

    /// The tombstones of a member.
    pub(super) fn remove_records(&self, member: &ByteString, records: &mut Vec<Record>) {
        let (group_id, member_id) = (|| self.id.clone(), || member.clone());
        records
            .push(m::ConsumerGroupCurrentMemberAssignmentKey { group_id: group_id(), member_id: member_id() }.into());
        records.push(m::ConsumerGroupTargetAssignmentMemberKey { group_id: group_id(), member_id: member_id() }.into());
        records.push(m::ConsumerGroupMemberMetadataKey { group_id: group_id(), member_id: member_id() }.into());
    }

    /// Brings the subscription and the group's epoch up to date.
    ///
    /// # Errors
    /// If it subscribes to what is no regular expression.
    pub(super) fn subscribe<'a>(
        &'a self,
        context: Context<'_>,
        subscriber: &'a Subscriber<'_>,
        mut records: Vec<Record>,
    ) -> Result<Settled<'a>, Refusal> {
        let updated = &*subscriber.updated;
        if *subscriber.before != *updated {
            records.push(updated.metadata_record(&self.id));
        }
        let names_changed = subscriber.names_changed();
        let regex = self.update_regex(subscriber, &mut records)?;
        let mut settled = Settled {
            epoch: self.epoch,
            group: self,
            before: &subscriber.before,
            member: Cow::Borrowed(updated),
            records,
            subscription_changed: names_changed || regex != RegexUpdate::Unchanged,
            moved: false,
            refresh: None,
            resolve_regexes: self.is_regex_refresh_due(context, &subscriber.before, updated),
        };
        settled.bump(context, names_changed || regex == RegexUpdate::Resolved);
        Ok(settled)
    }

    /// Whether the topics are to be looked at again.
    fn is_due(&self, context: Context<'_>) -> bool {
        self.refresh.is_none_or(|refresh| context.at.now.moment >= refresh.due || self.epoch < refresh.epoch)
    }

    fn respond(
        &self,
        context: Context<'_>,
        request: &m::ConsumerGroupHeartbeatRequest,
        before: &Member,
        settled: Settled<'_>,
    ) -> Heartbeat {
        let member = &*settled.member;
        let (settings, image) = (context.settings, context.at.image);
        let subscribes = request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let is_full = request.rebalance_timeout_ms != -1 && subscribes && request.topic_partitions.is_some();
        let tells = request.member_epoch == 0 || is_full || before.assigned != member.assigned;
        let interval = settings.consumer_heartbeat_interval_of(image, &self.id).as_millis();
        let response = m::ConsumerGroupHeartbeatResponse {
            member_id: Some(member.id.clone()),
            member_epoch: member.epoch,
            heartbeat_interval_ms: i32::try_from(interval).unwrap_or(i32::MAX),
            assignment: tells.then(|| assignment(&member.assigned)),
            ..Default::default()
        };
        let session = settings.consumer_session_timeout_of(image, &self.id);
        let mut start = vec![(Timer::Session(member.id.clone()), session)];
        let mut stop = Vec::new();
        settled.rebalance_timer(&mut start, &mut stop);
        let Settled { records, refresh, resolve_regexes, .. } = settled;
        Decision { records, response, start, stop, refresh, resolve_regexes, downgrade: None }
    }
}

/// A group and a member on their way to what they will be once the records are written.
pub(super) struct Settled<'a> {
    pub(super) group: &'a ConsumerGroup,
    /// The member as the group has it.
    before: &'a Member,
    pub(super) member: Cow<'a, Member>,
    pub(super) records: Vec<Record>,
    /// The group's epoch.
    pub(super) epoch: i32,
    pub(super) subscription_changed: bool,
    /// Whether the member was given something, told to give up something, or has another epoch.
    moved: bool,
    pub(super) refresh: Option<Refresh>,
    /// Whether the group's regular expressions are to be resolved soon.
    pub(super) resolve_regexes: bool,
}

impl Settled<'_> {
    /// Brings the target up to date, and the member one step towards it.
    ///
    /// # Errors
    /// If the assignor fails, or the member cannot be reconciled.
    pub(super) fn aim(
        &mut self,
        context: Context<'_>,
        subscriber: &Subscriber<'_>,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<(), Refusal> {
        let Self { group, before, member, records, epoch, subscription_changed, .. } = self;
        let target = group.target_for(context, *epoch, before, &subscriber.updated, records)?;
        let next = next_step(context, group, member, &target, *subscription_changed, owned)?;
        self.go(next);
        Ok(())
    }

    /// Brings the member one step towards the target that was computed last.
    ///
    /// # Errors
    /// If the member cannot be reconciled.
    pub(super) fn step(&mut self, context: Context<'_>, owned: Option<&[TopicPartitions]>) -> Result<(), Refusal> {
        let Self { group, member, subscription_changed, .. } = self;
        let target = group.last_target(member);
        let next = next_step(context, group, member, &target, *subscription_changed, owned)?;
        self.go(next);
        Ok(())
    }

    fn go(&mut self, next: Option<Member>) {
        if let Some(next) = next {
            self.records.push(next.assignment_record(&self.group.id));
            self.member = Cow::Owned(next);
            self.moved = true;
        }
    }

    /// Goes on to the next epoch if `must`, or if the topics differ from what they were when that was looked at last.
    fn bump(&mut self, context: Context<'_>, must: bool) {
        if !must && !self.group.is_due(context) {
            return;
        }
        let unused = self.group.unused_regexes(self.before, &self.member);
        let topics = self.group.subscriptions_after(&[self.before], &unused, Some(&*self.member));
        let hash = metadata_hash(&topics, context.at.image);
        if must || hash != self.group.metadata_hash {
            self.epoch = self.epoch.saturating_add(1);
            self.records.push(epoch_record(&self.group.id, self.epoch, hash));
        }
        self.refresh = Some(Refresh::after(context.at.now.moment, self.epoch));
        if self.group.has_partition_metadata {
            let group_id = self.group.id.clone();
            self.records.push(m::ConsumerGroupPartitionMetadataKey { group_id }.into());
        }
    }

    /// A member of the consumer protocol has its rebalance timeout to give up what it was told to.
    fn rebalance_timer(&self, start: &mut Vec<(Timer, Duration)>, stop: &mut Vec<Timer>) {
        if !self.moved || self.member.is_classic() {
            return;
        }
        let timer = Timer::Rebalance(self.member.id.clone());
        if self.member.state == MemberState::UnrevokedPartitions {
            start.push((timer, millis(self.member.rebalance_timeout_ms)));
        } else {
            stop.push(timer);
        }
    }
}

/// The member after a step towards a target, if that changes it.
fn next_step(
    context: Context<'_>,
    group: &ConsumerGroup,
    member: &Member,
    target: &Target<'_>,
    subscription_changed: bool,
    owned: Option<&[TopicPartitions]>,
) -> Result<Option<Member>, Refusal> {
    if !subscription_changed && member.is_reconciled_to(target.epoch) {
        return Ok(None);
    }
    let (image, target_epoch, target) = (context.at.image, target.epoch, &*target.assignment);
    let next = Step { group, image, target_epoch, target, subscription_changed, owned }.take(member)?;
    Ok((next != *member).then_some(next))
}

/// # Errors
/// If a member comes with an epoch that it cannot have: neither its own, nor 0 to start afresh, nor the one before if
/// it has nothing that it has not been given, since then the last answer may have been lost.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&[TopicPartitions]>) -> Result<(), Refusal> {
    if epoch == 0 || epoch == member.epoch {
        Ok(())
    } else if epoch > member.epoch {
        Err(Refusal::fenced_epoch("greater", epoch, member.epoch))
    } else if epoch == member.previous_epoch && owned.is_some_and(|owned| is_subset(owned, &member.assigned)) {
        Ok(())
    } else {
        Err(Refusal::fenced_epoch("smaller", epoch, member.epoch))
    }
}

fn is_subset(owned: &[TopicPartitions], assigned: &Owned) -> bool {
    owned.iter().all(|topic| {
        let of = assigned.get(&topic.topic_id);
        of.is_some_and(|of| topic.partitions.iter().all(|partition| of.contains_key(partition)))
    })
}

/// The member with what the request says of it; borrowed if it says nothing new.
fn updated<'a>(
    before: &Cow<'a, Member>,
    caller: &Caller,
    request: &m::ConsumerGroupHeartbeatRequest,
) -> Cow<'a, Member> {
    let differs = |new: &Option<ByteString>, old: &Option<ByteString>| new.is_some() && new != old;
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        -1 => before.rebalance_timeout_ms,
        ms => ms,
    };
    let names = request
        .subscribed_topic_names
        .as_ref()
        .filter(|names| names.len() != before.topics.len() || names.iter().any(|name| !before.topics.contains(name)));
    let same = names.is_none()
        && rebalance_timeout_ms == before.rebalance_timeout_ms
        && !before.is_classic()
        && caller.client_id == before.client_id
        && caller.client_host == before.client_host
        && !differs(&request.instance_id, &before.instance_id)
        && !differs(&request.rack_id, &before.rack_id)
        && !differs(&request.server_assignor, &before.assignor)
        && !differs(&request.subscribed_topic_regex, &before.regex);
    if same {
        return before.clone();
    }
    let mut member = before.as_ref().clone();
    let set = |new: &Option<ByteString>, old: &mut Option<ByteString>| {
        if let Some(new) = new {
            *old = Some(copy(new));
        }
    };
    set(&request.instance_id, &mut member.instance_id);
    set(&request.rack_id, &mut member.rack_id);
    set(&request.server_assignor, &mut member.assignor);
    set(&request.subscribed_topic_regex, &mut member.regex);
    member.rebalance_timeout_ms = rebalance_timeout_ms;
    if let Some(names) = names {
        let names: BTreeSet<ByteString> = names.iter().map(copy).collect();
        if names != *member.topics {
            member.topics = Arc::new(names);
        }
    }
    member.client_id = copy(&caller.client_id);
    member.client_host = copy(&caller.client_host);
    member.classic = None;
    Cow::Owned(member)
}

/// What a member has, as the answer says it.
fn assignment(owned: &Owned) -> m::consumer_group_heartbeat_response::Assignment {
    let topics = owned.iter().map(|(topic, partitions)| m::consumer_group_heartbeat_response::TopicPartitions {
        topic_id: *topic,
        partitions: partitions.keys().copied().collect(),
    });
    m::consumer_group_heartbeat_response::Assignment { topic_partitions: topics.collect() }
}
