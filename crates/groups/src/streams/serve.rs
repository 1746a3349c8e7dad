//! What a shard does for its streams groups.

use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_metadata::Changes;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::streams_group_describe_response::DescribedGroup;

use super::group::StreamsGroup;
use super::heartbeat::{Beat, Context};
use super::member::MemberState;
use super::validate::{JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, validate};
use crate::consumer::Refusal;
use crate::group::{Group, owned};
use crate::outbox::{After, Timer};
use crate::records::Record;
use crate::request::{Answer, Caller};
use crate::shard::Shard;

/// How long the topics are not looked at again when nothing is heard of them: about 25 days.
const REFRESH_INTERVAL: std::time::Duration = std::time::Duration::from_millis(i32::MAX as u64);
/// When a member is put out again whose records could not be written.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

impl Shard {
    /// Applies a record of a streams group.
    pub(crate) fn streams_replay(&mut self, record: Record) {
        let id = record.group_id();
        if !matches!(self.groups.get(id), Some(Group::Streams(_))) {
            // A group that only has committed offsets makes way; a classic one has had its tombstone before.
            if record.is_tombstone() {
                return;
            }
            let id = owned(id);
            self.groups.insert(id.clone(), Group::Streams(Box::new(StreamsGroup::new(id))));
        }
        if matches!(record, Record::StreamsGroupMetadata { value: None, .. }) {
            self.groups.remove(id);
        } else if let Some(Group::Streams(group)) = self.groups.get_mut(id) {
            group.replay(record);
        }
    }

    /// The log was replayed: timers of the members of this streams group start.
    pub(crate) fn streams_loaded(&mut self, at: At<'_>, id: &ByteString) {
        let Some(Group::Streams(group)) = self.groups.get(id) else { return };
        let due = at.now.moment.after(self.settings.streams.session_timeout(at.image, id));
        for (member_id, member) in &group.members {
            self.outbox.timers.set(Timer::StreamsMember(id.clone(), member_id.clone()), due);
            if member.state == MemberState::UnrevokedTasks {
                let due = at.now.moment.after(member.rebalance_timeout());
                self.outbox.timers.set(Timer::StreamsRebalance(id.clone(), member_id.clone()), due);
            }
        }
    }

    /// A member was silent for too long.
    pub(crate) fn streams_member_timer(&mut self, at: At<'_>, id: &ByteString, member: &ByteString) {
        let Some(Group::Streams(group)) = self.groups.get(id) else { return };
        if group.members.contains_key(member) {
            let records = group.remove_member(member);
            // If that cannot be written, it is tried again.
            self.outbox.timers.set(Timer::StreamsMember(id.clone(), member.clone()), at.now.moment.after(RETRY));
            self.outbox.timers.cancel(&Timer::StreamsRebalance(id.clone(), member.clone()));
            self.outbox.write(&records, After::Nothing);
        }
    }

    /// A member has not given up its tasks in time.
    pub(crate) fn streams_rebalance_timer(&mut self, at: At<'_>, id: &ByteString, member: &ByteString) {
        let Some(Group::Streams(group)) = self.groups.get(id) else { return };
        if group.members.get(member).is_some_and(|member| member.state == MemberState::UnrevokedTasks) {
            self.streams_member_timer(at, id, member);
        }
    }

    /// A group has waited long enough for more members: it is given its tasks.
    pub(crate) fn streams_delay_timer(&mut self, at: At<'_>, id: &ByteString) {
        let Some(Group::Streams(group)) = self.groups.get(id) else { return };
        let Some(topology) = &group.configured else { return };
        if group.is_empty() || group.epoch <= group.assignment_epoch || !group.may_assign(at, &self.settings.streams) {
            return;
        }
        let mut records = Vec::new();
        group.assign(at, group.epoch, None, topology, &group.assignment_configs, &mut records);
        self.outbox.write(&records, After::Nothing);
    }

    /// Topics were created, grew or went away: the groups that use them look at them with the next heartbeat.
    pub(crate) fn streams_topics_changed(&mut self, changes: &Changes) {
        let diffs = changes.partitions_changed.iter().map(|diff| &diff.topic);
        let topics = changes.topics_created.iter().chain(&changes.topics_deleted).chain(diffs);
        let names: std::collections::BTreeSet<&str> = topics.map(|topic| &*topic.name).collect();
        if names.is_empty() {
            return;
        }
        for group in self.groups.values_mut() {
            if let Group::Streams(group) = group
                && group.requires_any(&names)
            {
                group.refresh = None;
            }
        }
    }

    /// StreamsGroupHeartbeat.
    pub(crate) fn streams_heartbeat(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &m::StreamsGroupHeartbeatRequest,
    ) {
        let beat = match self.decide_streams_heartbeat(at, caller, request) {
            Ok(beat) => beat,
            Err(refusal) => {
                let response = refused(refusal);
                return self.outbox.answer(ticket, Answer::StreamsGroupHeartbeat(response, Vec::new()));
            }
        };
        let Beat { records, response, missing, .. } = self.note_streams_beat(at, request, beat);
        self.outbox.write(&records, After::Answer(ticket, Answer::StreamsGroupHeartbeat(response, missing)));
    }

    /// What the log does not hold of a group changes with the decision: if the log does not take its records, the topics
    /// are looked at again.
    fn note_streams_beat(&mut self, at: At<'_>, request: &m::StreamsGroupHeartbeatRequest, beat: Beat) -> Beat {
        let (id, member) = (owned(&request.group_id), owned(&request.member_id));
        let leaves = request.member_epoch == LEAVE_EPOCH;
        if let Some(Group::Streams(group)) = self.groups.get_mut(&id) {
            group.configured.clone_from(&beat.configured);
            group.endpoint_epoch = beat.endpoint_epoch;
            if let Some(epoch) = beat.looked_at {
                group.refresh = Some((at.now.moment.after(REFRESH_INTERVAL), epoch));
            }
            if request.shutdown_application {
                group.shutdown_by = Some(member.clone());
            }
        }
        if leaves {
            // Its timers find nobody then, or put it out if the log does not take that it leaves.
            return beat;
        }
        let rebalance = Timer::StreamsRebalance(id.clone(), member.clone());
        let session = self.settings.streams.session_timeout(at.image, &id);
        self.outbox.timers.set(Timer::StreamsMember(id.clone(), member), at.now.moment.after(session));
        if let Some(timeout) = beat.rebalance_timeout {
            self.outbox.timers.set(rebalance, at.now.moment.after(timeout));
        }
        if let Some(delay) = beat.delay {
            self.outbox.timers.set(Timer::StreamsDelay(id), at.now.moment.after(delay));
        }
        beat
    }

    fn decide_streams_heartbeat(
        &self,
        at: At<'_>,
        caller: &Caller,
        request: &m::StreamsGroupHeartbeatRequest,
    ) -> Result<Beat, Refusal> {
        validate(request)?;
        let id = &request.group_id;
        let known = self.groups.get(id);
        if matches!(request.member_epoch, LEAVE_EPOCH | LEAVE_STATIC_EPOCH) {
            return self.streams_group(id)?.leave(request);
        }
        let context = Context {
            at,
            settings: &self.settings.streams,
            is_delayed: self.outbox.timers.get(&Timer::StreamsDelay(id.clone())).is_some(),
            is_new: known.is_none(),
        };
        match known {
            Some(Group::Streams(group)) => group.heartbeat(context, caller, request),
            None if request.member_epoch == JOIN_EPOCH => {
                StreamsGroup::new(owned(id)).heartbeat(context, caller, request)
            }
            Some(group @ Group::Classic(_)) if request.member_epoch == JOIN_EPOCH && group.is_empty() => {
                let mut records = group.tombstones(id);
                let mut beat = StreamsGroup::new(owned(id)).heartbeat(context, caller, request)?;
                records.append(&mut beat.records);
                Ok(Beat { records, ..beat })
            }
            None => Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Streams group {id} not found."))),
            Some(_) => Err(not_streams(id)),
        }
    }

    /// StreamsGroupDescribe, of one group.
    pub(crate) fn streams_describe(&self, id: &ByteString) -> DescribedGroup {
        match self.streams_group(id) {
            Ok(group) => group.describe(),
            Err(refusal) => DescribedGroup {
                error_code: refusal.code.code(),
                error_message: Some(refusal.message.into()),
                group_id: id.clone(),
                ..Default::default()
            },
        }
    }

    fn streams_group(&self, id: &ByteString) -> Result<&StreamsGroup, Refusal> {
        match self.groups.get(id) {
            Some(Group::Streams(group)) => Ok(group),
            Some(_) => Err(not_streams(id)),
            None => Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} not found."))),
        }
    }
}

fn refused(refusal: Refusal) -> m::StreamsGroupHeartbeatResponse {
    m::StreamsGroupHeartbeatResponse {
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.into()),
        ..Default::default()
    }
}

fn not_streams(id: &str) -> Refusal {
    Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} is not a streams group."))
}
