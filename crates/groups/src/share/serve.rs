//! What a shard does for its share groups.

use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_coordinator::{At, Ticket};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::share_group_describe_response::DescribedGroup;

use super::group::{Partitions, ShareGroup};
use super::heartbeat::{Beat, LEAVE_EPOCH, validate};
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
    /// Applies a record of a share group.
    pub(crate) fn share_replay(&mut self, record: Record, now: Timestamp) {
        let id = record.group_id();
        if !matches!(self.groups.get(id), Some(Group::Share(_))) {
            if record.is_tombstone() {
                return;
            }
            let id = owned(id);
            self.groups.insert(id.clone(), Group::Share(Box::new(ShareGroup::new(id))));
        }
        if matches!(record, Record::ShareGroupMetadata { value: None, .. }) {
            self.groups.remove(id);
        } else if let Some(Group::Share(group)) = self.groups.get_mut(id) {
            group.replay(record, now);
        }
    }

    /// The log was replayed: timers of the members of this share group start.
    pub(crate) fn share_loaded(&mut self, at: At<'_>, id: &ByteString) {
        let Some(Group::Share(group)) = self.groups.get(id) else { return };
        let due = at.now.moment.after(self.settings.share.session_timeout(at.image, id));
        for member in group.members.keys() {
            self.outbox.timers.set(Timer::ShareMember(id.clone(), member.clone()), due);
        }
    }

    /// A member was silent for too long.
    pub(crate) fn share_member_timer(&mut self, at: At<'_>, id: &ByteString, member: &ByteString) {
        let Some(Group::Share(group)) = self.groups.get(id) else { return };
        if group.members.contains_key(member) {
            let records = group.remove_member(at, member);
            // If that cannot be written, it is tried again.
            self.outbox.timers.set(Timer::ShareMember(id.clone(), member.clone()), at.now.moment.after(RETRY));
            self.outbox.write(&records, After::Nothing);
        }
    }

    /// Topics were created, grew or went away: the groups that read them look at them with the next heartbeat.
    pub(crate) fn share_topics_changed(&mut self, changes: &Changes) {
        let diffs = changes.partitions_changed.iter().map(|diff| &diff.topic);
        let topics = changes.topics_created.iter().chain(&changes.topics_deleted).chain(diffs);
        let names: std::collections::BTreeSet<&str> = topics.map(|topic| &*topic.name).collect();
        for group in self.groups.values_mut() {
            if let Group::Share(group) = group
                && names.iter().any(|name| group.is_subscribed_to(name))
            {
                group.refresh = None;
            }
        }
    }

    /// ShareGroupHeartbeat.
    pub(crate) fn share_heartbeat(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &m::ShareGroupHeartbeatRequest,
    ) {
        let Beat { records, response, initialize, looked_at } = match self.decide_share_heartbeat(at, caller, request) {
            Ok(beat) => beat,
            Err(refusal) => {
                let response = m::ShareGroupHeartbeatResponse {
                    error_code: refusal.code.code(),
                    error_message: Some(refusal.message.into()),
                    ..Default::default()
                };
                return self.outbox.answer(ticket, Answer::ShareGroupHeartbeat(response, None));
            }
        };
        let (id, member) = (owned(&request.group_id), owned(&request.member_id));
        // The timer of a member that leaves finds nobody then, or puts it out if the log does not take that it leaves.
        if request.member_epoch != LEAVE_EPOCH {
            let due = at.now.moment.after(self.settings.share.session_timeout(at.image, &id));
            if let (Some(epoch), Some(Group::Share(group))) = (looked_at, self.groups.get_mut(&id)) {
                // If the log does not take the epoch, the topics are looked at again.
                group.refresh = Some((at.now.moment.after(REFRESH_INTERVAL), epoch));
            }
            self.outbox.timers.set(Timer::ShareMember(id, member), due);
        }
        self.outbox.write(&records, After::Answer(ticket, Answer::ShareGroupHeartbeat(response, initialize)));
    }

    fn decide_share_heartbeat(
        &self,
        at: At<'_>,
        caller: &Caller,
        request: &m::ShareGroupHeartbeatRequest,
    ) -> Result<Beat, Refusal> {
        validate(request)?;
        let id = &request.group_id;
        if request.member_epoch == LEAVE_EPOCH {
            let group = self.share_group(id)?;
            if !group.members.contains_key(&request.member_id) {
                return Err(Refusal::unknown_member(id, &request.member_id));
            }
            let response = m::ShareGroupHeartbeatResponse {
                member_id: Some(request.member_id.clone()),
                member_epoch: LEAVE_EPOCH,
                ..Default::default()
            };
            let records = group.remove_member(at, &owned(&request.member_id));
            return Ok(Beat { records, response, initialize: None, looked_at: None });
        }
        match self.groups.get(id) {
            Some(Group::Share(group)) => group.heartbeat(at, &self.settings.share, caller, request),
            None if request.member_epoch == 0 => {
                ShareGroup::new(owned(id)).heartbeat(at, &self.settings.share, caller, request)
            }
            None => Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Share group {id} not found."))),
            Some(_) => Err(not_share(id)),
        }
    }

    /// The share coordinator remembers partitions of the group, or has refused to.
    pub(crate) fn share_state_initialized(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        id: &ByteString,
        partitions: &Partitions,
        result: Result<(), ErrorCode>,
    ) {
        let record = match (self.groups.get(id), result) {
            (Some(Group::Share(group)), Ok(())) => group.initialized(partitions, at),
            (Some(Group::Share(group)), Err(_)) => {
                group.state_record(&group.initializing_without(partitions), &group.initialized)
            }
            _ => return self.outbox.answer(ticket, Answer::ShareStateNoted),
        };
        self.outbox.write(&[record], After::Answer(ticket, Answer::ShareStateNoted));
    }

    /// ShareGroupDescribe, of one group.
    pub(crate) fn share_describe(&self, image: &MetadataImage, id: &ByteString) -> DescribedGroup {
        match self.share_group(id) {
            Ok(group) => group.describe(image),
            Err(refusal) => DescribedGroup {
                error_code: refusal.code.code(),
                error_message: Some(refusal.message.into()),
                group_id: id.clone(),
                ..Default::default()
            },
        }
    }

    /// The share group with that id.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn share_group(&self, id: &ByteString) -> Result<&ShareGroup, Refusal> {
        match self.groups.get(id) {
            Some(Group::Share(group)) => Ok(group),
            Some(_) => Err(not_share(id)),
            None => Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} not found."))),
        }
    }
}

fn not_share(id: &str) -> Refusal {
    Refusal::new(ErrorCode::GroupIdNotFound, format!("Group {id} is not a share group."))
}
