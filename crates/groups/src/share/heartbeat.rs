//! ShareGroupHeartbeat: a member joins, lives and leaves.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_coordinator::At;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};

use super::assignor::{Members, assign};
use super::group::{Initialized, Partitions, ShareGroup, ShareMember, Topics};
use super::settings::ShareSettings;
use crate::consumer::{Refusal, copy, hash_of_topics};
use crate::records::Record;
use crate::request::Caller;

/// The epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;
/// The start of a partition whose place the group's configuration decides.
const BY_CONFIGURATION: i64 = -1;

/// Share partitions that the share coordinator is to remember from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialize {
    /// The group.
    pub group: ByteString,
    /// The epoch of their state.
    pub state_epoch: i32,
    /// Where delivery begins; -1 where the group's configuration says so.
    pub starts: BTreeMap<(Uuid, i32), i64>,
}

impl Initialize {
    /// The partitions by topic.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        let mut partitions = Partitions::new();
        for (topic, partition) in self.starts.keys() {
            partitions.entry(*topic).or_default().insert(*partition);
        }
        partitions
    }
}

/// What a heartbeat comes to.
pub(super) struct Beat {
    pub(super) records: Vec<Record>,
    pub(super) response: m::ShareGroupHeartbeatResponse,
    pub(super) initialize: Option<Initialize>,
    /// The topics were looked at when the group's epoch was to be this.
    pub(super) looked_at: Option<i32>,
}

/// Checks what needs no group.
///
/// # Errors
/// If the request contradicts itself.
pub(crate) fn validate(request: &m::ShareGroupHeartbeatRequest) -> Result<(), Refusal> {
    for (value, name) in [
        (Some(&request.member_id), "MemberId"),
        (Some(&request.group_id), "GroupId"),
        (request.rack_id.as_ref(), "RackId"),
    ] {
        if value.is_some_and(|value| value.trim().is_empty()) {
            return Err(Refusal::invalid(&format!("{name} can't be empty.")));
        }
    }
    match request.member_epoch {
        0 if request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) => {
            Err(Refusal::invalid("SubscribedTopicNames must be set in first request."))
        }
        epoch if epoch < LEAVE_EPOCH => Err(Refusal::invalid("MemberEpoch is invalid.")),
        _ => Ok(()),
    }
}

impl ShareGroup {
    /// A member's heartbeat that does not leave.
    ///
    /// # Errors
    /// If the member is not who it says, or is too many.
    pub(super) fn heartbeat(
        &self,
        at: At<'_>,
        settings: &ShareSettings,
        caller: &Caller,
        request: &m::ShareGroupHeartbeatRequest,
    ) -> Result<Beat, Refusal> {
        let id = &request.member_id;
        let before = self.known_member(settings, id, request.member_epoch)?;
        let mut member = before.clone();
        if let Some(rack_id) = &request.rack_id {
            member.rack_id = Some(copy(rack_id));
        }
        if let Some(names) = &request.subscribed_topic_names {
            member.topics = names.iter().map(copy).collect();
        }
        (member.client_id, member.client_host) = (copy(&caller.client_id), copy(&caller.client_host));
        let mut records = Vec::new();
        if member != before || !self.members.contains_key(id) {
            records.push(self.member_record(id, &member));
        }
        let subscriptions = self.subscriptions(id, Some(&member));
        let mut bump = member.topics != before.topics;
        bump |= self.assignment_epoch >= self.epoch && self.has_unassigned();
        let mut epoch = self.epoch;
        let is_due = self.refresh.is_none_or(|(due, known)| at.now.moment >= due || self.epoch < known);
        let mut looked_at = None;
        if bump || is_due {
            let hash = hash_of_topics(subscriptions.iter(), at.image);
            if bump || hash != self.metadata_hash {
                bump = true;
                epoch = epoch.saturating_add(1);
                records.push(self.epoch_record(epoch, hash));
            }
            looked_at = Some(epoch);
        }
        let (target_epoch, target) = self.target_for(at, settings, id, &member, epoch, &mut records);
        let next = reconciled(at, member, target_epoch, &target, bump);
        if next.epoch != before.epoch || next.assigned != before.assigned {
            records.push(self.assignment_record(id, &next));
        }
        let tells =
            request.member_epoch == 0 || request.subscribed_topic_names.is_some() || next.assigned != before.assigned;
        let response = m::ShareGroupHeartbeatResponse {
            member_id: Some(id.clone()),
            member_epoch: next.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms(at.image, &self.id),
            assignment: tells.then(|| assignment(&next.assigned)),
            ..Default::default()
        };
        let initialize = self.initialize(at, settings, epoch, &subscriptions, &mut records);
        Ok(Beat { records, response, initialize, looked_at })
    }

    fn known_member(&self, settings: &ShareSettings, id: &ByteString, epoch: i32) -> Result<ShareMember, Refusal> {
        let known = self.members.get(id);
        let max = settings.group_size_max;
        if known.is_none() && self.members.len() >= max {
            let message = format!("The share group has reached its maximum capacity of {max} members.");
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message));
        }
        let Some(member) = known else {
            return if epoch == 0 { Ok(ShareMember::new()) } else { Err(Refusal::unknown_member(&self.id, id)) };
        };
        let known = member.epoch;
        let fenced = |message: String| Err(Refusal::new(ErrorCode::FencedMemberEpoch, message));
        match epoch {
            0 => Ok(member.clone()),
            _ if epoch > known => fenced(format!(
                "The share group member has a greater member epoch ({epoch}) than the one known by the group \
                 coordinator ({known}). The member must abandon all its partitions and rejoin."
            )),
            _ if epoch < known && epoch != member.previous_epoch => fenced(format!(
                "The share group member has a smaller member epoch ({epoch}) than the one known by the group \
                 coordinator ({known}), and it does not match the previous member epoch ({}). The member must abandon \
                 all its partitions and rejoin.",
                member.previous_epoch
            )),
            _ => Ok(member.clone()),
        }
    }

    /// Whether partitions of a subscribed topic are initialized and have no members, or have members and are gone.
    fn has_unassigned(&self) -> bool {
        let mut assigned = Partitions::new();
        for (topic, partitions) in self.target.values().flatten() {
            assigned.entry(*topic).or_default().extend(partitions);
        }
        !self.members.is_empty()
            && self
                .initialized
                .iter()
                .any(|(topic, info)| self.is_subscribed_to(&info.name) && assigned.get(topic) != Some(&info.partitions))
    }

    /// The target of a member that is about to be `updated`: a new one if the group's epoch is to be `epoch`, which no
    /// target was computed for, and the last one is not too fresh.
    fn target_for(
        &self,
        at: At<'_>,
        settings: &ShareSettings,
        id: &ByteString,
        updated: &ShareMember,
        epoch: i32,
        records: &mut Vec<Record>,
    ) -> (i32, Partitions) {
        let interval = settings.assignment_interval(at.image, &self.id);
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let now = at.now.timestamp.0;
        let may = self.assignment_timestamp == 0 || now >= self.assignment_timestamp.saturating_add(interval);
        if self.assignment_epoch >= epoch || !may {
            return (self.assignment_epoch, self.target.get(id).cloned().unwrap_or_default());
        }
        let ids = |member: &ShareMember| -> BTreeSet<Uuid> {
            member.topics.iter().filter_map(|name| at.image.topics().by_name(name)).map(|topic| topic.id).collect()
        };
        let mut members: Members<'_> =
            self.members.iter().map(|(id, member)| (id, (ids(member), self.target.get(id)))).collect();
        members.insert(id, (ids(updated), self.target.get(id)));
        let assignable = self.initialized.iter().map(|(topic, info)| (*topic, info.partitions.clone())).collect();
        let mut target = assign(&members, &assignable);
        for (member, after) in &target {
            if self.target.get(member) != Some(after) {
                records.push(self.target_record(member, after));
            }
        }
        records.push(self.target_epoch_record(epoch, now));
        (epoch, target.remove(id).unwrap_or_default())
    }

    /// Which partitions the share coordinator is to remember, if any; that they are on their way goes to `records`.
    fn initialize(
        &self,
        at: At<'_>,
        settings: &ShareSettings,
        state_epoch: i32,
        subscriptions: &BTreeSet<ByteString>,
        records: &mut Vec<Record>,
    ) -> Option<Initialize> {
        let retry = i64::try_from(settings.initialize_retry_interval.as_millis()).unwrap_or(i64::MAX);
        let is_fresh = |info: &Initialized| at.now.timestamp.0.saturating_sub(info.since.0) < retry;
        let mut initializing = self.initializing.clone();
        let mut starts = BTreeMap::new();
        for topic in subscriptions.iter().filter_map(|name| at.image.topics().by_name(name)) {
            let known = self.initialized.get(&topic.id).map(|info| &info.partitions);
            let under_way = self.initializing.get(&topic.id).filter(|info| is_fresh(info)).map(|info| &info.partitions);
            let is_known = known.is_some() || self.initializing.contains_key(&topic.id);
            // New partitions of a topic that the group reads are read from their beginning.
            let start = if is_known { 0 } else { BY_CONFIGURATION };
            let missing = topic.partitions.keys().filter(|index| {
                !known.is_some_and(|known| known.contains(index))
                    && !under_way.is_some_and(|under_way| under_way.contains(index))
            });
            for index in missing {
                starts.insert((topic.id, *index), start);
                let info = initializing.entry(topic.id).or_insert_with(|| Initialized {
                    name: ByteString::from(&*topic.name),
                    partitions: BTreeSet::new(),
                    since: at.now.timestamp,
                });
                info.partitions.insert(*index);
            }
        }
        if starts.is_empty() {
            return None;
        }
        records.push(self.state_record(&initializing, &self.initialized));
        Some(Initialize { group: self.id.clone(), state_epoch, starts })
    }

    /// The share coordinator remembers these partitions.
    pub(super) fn initialized(&self, partitions: &Partitions, at: At<'_>) -> Record {
        let mut initialized = self.initialized.clone();
        for (topic, of) in partitions {
            let name = at.image.topics().by_id(*topic).map_or("<UNKNOWN>", |topic| &topic.name);
            let info = initialized.entry(*topic).or_insert_with(|| Initialized {
                name: ByteString::from(name),
                partitions: BTreeSet::new(),
                since: at.now.timestamp,
            });
            info.partitions.extend(of);
        }
        self.state_record(&self.initializing_without(partitions), &initialized)
    }

    /// The partitions under way without some of them.
    pub(super) fn initializing_without(&self, partitions: &Partitions) -> Topics {
        let mut initializing = self.initializing.clone();
        for (topic, of) in partitions {
            if let Some(info) = initializing.get_mut(topic) {
                info.partitions.retain(|partition| !of.contains(partition));
            }
        }
        initializing.retain(|_, info| !info.partitions.is_empty());
        initializing
    }

    /// A member goes: the others are to fetch what it has fetched.
    pub(super) fn remove_member(&self, at: At<'_>, id: &ByteString) -> Vec<Record> {
        let (group_id, member_id) = (|| self.id.clone(), || id.clone());
        let epoch = self.epoch.saturating_add(1);
        let hash = hash_of_topics(self.subscriptions(id, None).iter(), at.image);
        let mut records = vec![
            m::ShareGroupCurrentMemberAssignmentKey { group_id: group_id(), member_id: member_id() }.into(),
            m::ShareGroupTargetAssignmentMemberKey { group_id: group_id(), member_id: member_id() }.into(),
            m::ShareGroupMemberMetadataKey { group_id: group_id(), member_id: member_id() }.into(),
            self.epoch_record(epoch, hash),
        ];
        if self.members.len() == 1 {
            // Nobody has to wait for the next assignment of an empty group.
            records.push(self.target_epoch_record(epoch, 0));
        }
        records
    }

    fn member_record(&self, id: &ByteString, member: &ShareMember) -> Record {
        let key = m::ShareGroupMemberMetadataKey { group_id: self.id.clone(), member_id: id.clone() };
        let value = m::ShareGroupMemberMetadataValue {
            rack_id: member.rack_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topic_names: member.topics.iter().cloned().collect(),
        };
        (key, value).into()
    }

    /// The record of an epoch in which the group reads what it has read.
    pub(super) fn bumped(&self, epoch: i32) -> Record {
        self.epoch_record(epoch, self.metadata_hash)
    }

    fn epoch_record(&self, epoch: i32, metadata_hash: i64) -> Record {
        let key = m::ShareGroupMetadataKey { group_id: self.id.clone() };
        (key, m::ShareGroupMetadataValue { epoch, metadata_hash }).into()
    }

    fn target_record(&self, id: &ByteString, target: &Partitions) -> Record {
        let key = m::ShareGroupTargetAssignmentMemberKey { group_id: self.id.clone(), member_id: id.clone() };
        let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| {
            m::share_group_target_assignment_member_value::TopicPartition {
                topic_id: *topic_id,
                partitions: partitions.iter().copied().collect(),
            }
        };
        let topic_partitions = target.iter().map(topic).collect();
        (key, m::ShareGroupTargetAssignmentMemberValue { topic_partitions }).into()
    }

    fn target_epoch_record(&self, assignment_epoch: i32, assignment_timestamp: i64) -> Record {
        let key = m::ShareGroupTargetAssignmentMetadataKey { group_id: self.id.clone() };
        (key, m::ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }).into()
    }

    fn assignment_record(&self, id: &ByteString, member: &ShareMember) -> Record {
        let key = m::ShareGroupCurrentMemberAssignmentKey { group_id: self.id.clone(), member_id: id.clone() };
        let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| {
            m::share_group_current_member_assignment_value::TopicPartitions {
                topic_id: *topic_id,
                partitions: partitions.iter().copied().collect(),
            }
        };
        let value = m::ShareGroupCurrentMemberAssignmentValue {
            member_epoch: member.epoch,
            previous_member_epoch: member.previous_epoch,
            state: 0,
            assigned_partitions: member.assigned.iter().map(topic).collect(),
        };
        (key, value).into()
    }
}

/// The member with its target, which it is given at once: nobody else has to give anything up.
fn reconciled(
    at: At<'_>,
    mut member: ShareMember,
    target_epoch: i32,
    target: &Partitions,
    subscription_changed: bool,
) -> ShareMember {
    if target_epoch != member.epoch || subscription_changed {
        let reads =
            |topic: &Uuid| at.image.topics().by_id(*topic).is_some_and(|topic| member.topics.contains(&*topic.name));
        let assigned: Partitions =
            target.iter().filter(|(topic, _)| reads(topic)).map(|(topic, of)| (*topic, of.clone())).collect();
        member.assigned = assigned;
    }
    if target_epoch != member.epoch {
        member.previous_epoch = member.epoch;
        member.epoch = target_epoch;
    }
    member
}

/// What a member fetches, as the answer says it.
fn assignment(assigned: &Partitions) -> Assignment {
    let topics = assigned.iter().map(|(topic, partitions)| TopicPartitions {
        topic_id: *topic,
        partitions: partitions.iter().copied().collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}
