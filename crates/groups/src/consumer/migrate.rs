//! Groups that go online from one protocol to the other (KIP-848).
//!
//! A classic group of consumers becomes a consumer group when the first member of the consumer protocol comes. Its
//! members stay, go on speaking the classic protocol, and are served by the consumer group. When the last member of the
//! consumer protocol is gone, the group becomes a classic one again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::At;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::assignor::{Assignment, remove};
use super::decision::Context;
use super::downgrade::Downgrade;
use super::group::ConsumerGroup;
use super::hash::metadata_hash;
use super::member::{ClassicMetadata, Member, with_epoch};
use super::protocol;
use super::refusal::Refusal;
use super::target::target_record;
use super::written::epoch_record;
use crate::classic::{self, ClassicGroup, Protocols};
use crate::millis::millis;
use crate::records::Record;
use crate::settings::Settings;

/// The protocol type of consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Whether a classic group may become a consumer group.
///
/// # Errors
/// If it may not.
pub(super) fn may_upgrade(id: &str, group: &ClassicGroup, settings: &Settings) -> Result<(), Refusal> {
    let why = if !settings.consumer_migration.may_upgrade() {
        "online upgrade is disabled"
    } else if !group.is_of_consumers() {
        "the group does not use the consumer embedded protocol"
    } else if group.members().len() > settings.consumer_group_size_max {
        "the group size exceeds the consumer group maximum size"
    } else {
        return Ok(());
    };
    Err(cannot_upgrade(id, why))
}

fn cannot_upgrade(id: &str, why: &str) -> Refusal {
    let message = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}

impl ConsumerGroup {
    /// A consumer group with the members of a classic one, each with what it was assigned last. A partition that two of
    /// them were given is left to the first.
    ///
    /// # Errors
    /// If what they say about themselves cannot be read.
    pub(super) fn from_classic(id: ByteString, classic: &ClassicGroup, image: &MetadataImage) -> Result<Self, Refusal> {
        let protocol = classic.protocol.clone().or_else(|| classic.select_protocol()).unwrap_or_default();
        let mut group = Self::new(id);
        (group.epoch, group.assignment_epoch) = (classic.generation, classic.generation);
        let mut seen = BTreeSet::new();
        for (member_id, member) in classic.members() {
            let malformed = || cannot_upgrade(&group.id, "the embedded consumer protocol is malformed");
            let mut assignment = Assignment::new();
            if !member.assignment.is_empty() {
                let read = protocol::assignment(&member.assignment).ok_or_else(malformed)?;
                if read.user_data.is_some_and(|data| !data.is_empty()) {
                    let why = "an unsupported custom assignor is in use. Please refer to the documentation or switch \
                               to a default assignor before re-attempting the upgrade";
                    return Err(cannot_upgrade(&group.id, why));
                }
                assignment = protocol::by_id(&protocol::assignment(&member.assignment).ok_or_else(malformed)?, image);
            }
            for (topic, partitions) in assignment.clone() {
                let taken = partitions.into_iter().filter(|partition| !seen.insert((topic, *partition)));
                taken.for_each(|partition| remove(&mut assignment, topic, partition));
            }
            let subscription = protocol::subscription(&member.protocols.metadata(&protocol)).ok_or_else(malformed)?;
            let mut joined = Member::new(member_id.clone());
            (joined.epoch, joined.previous_epoch) = (classic.generation, classic.generation);
            joined.instance_id = member.instance_id.clone();
            joined.rack_id = subscription.rack_id.filter(|rack| !rack.is_empty());
            joined.rebalance_timeout_ms = as_millis(member.rebalance_timeout);
            (joined.client_id, joined.client_host) = (member.client_id.clone(), member.client_host.clone());
            joined.topics = Arc::new(subscription.topics.into_iter().collect());
            joined.assigned = with_epoch(&assignment, classic.generation);
            joined.classic = Some(Arc::new(classic_metadata(&member.protocols, as_millis(member.session_timeout))));
            group.target.insert(member_id.clone(), assignment);
            group.put_member(joined);
        }
        // Of a group in the middle of a rebalance some partitions may be nobody's. As if its topics had changed, the first
        // heartbeat then makes a new assignment.
        if classic.state() == classic::State::Stable {
            group.metadata_hash = metadata_hash(&group.topics, image);
        }
        Ok(group)
    }

    /// The records of a group that was made without the log.
    pub(super) fn creation_records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.members.values().map(|member| member.metadata_record(&self.id)).collect();
        records.push(epoch_record(&self.id, self.epoch, self.metadata_hash));
        for id in self.members.keys() {
            records.push(target_record(&self.id, id, self.target.get(id).unwrap_or(const { &Assignment::new() })));
        }
        let key = m::ConsumerGroupTargetAssignmentMetadataKey { group_id: self.id.clone() };
        let (assignment_epoch, assignment_timestamp) = (self.assignment_epoch, self.assignment_timestamp);
        let value = m::ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp };
        records.push((key, value).into());
        records.extend(self.members.values().map(|member| member.assignment_record(&self.id)));
        records
    }

    /// Whether the group is to become a classic one when these members are gone.
    pub(super) fn downgrades_without(&self, settings: &Settings, gone: &[Arc<Member>]) -> bool {
        let classic_gone = gone.iter().filter(|member| member.is_classic()).count();
        let left = self.members.len() - gone.len();
        left > 0
            && self.classic_members - classic_gone == left
            && settings.consumer_migration.may_downgrade()
            && left <= settings.group_size_max
    }

    /// Whether the group is to become a classic one when a member of the classic protocol takes the place of this one.
    pub(super) fn downgrades_replacing(&self, settings: &Settings, replaced: &Member) -> bool {
        !replaced.is_classic()
            && self.classic_members == self.members.len() - 1
            && settings.consumer_migration.may_downgrade()
            && self.members.len() <= settings.group_size_max
    }

    /// Makes a classic group of those who stay. `joining` takes the place of `gone` under its instance id; its records
    /// are written already.
    pub(super) fn downgrade(
        &self,
        at: At<'_>,
        gone: &[Arc<Member>],
        joining: Option<&Member>,
        rebalance: bool,
        records: &mut Vec<Record>,
    ) -> Downgrade {
        match joining {
            None => records.extend(self.tombstones(&self.id)),
            Some(joining) => {
                let mut joined = self.clone();
                gone.iter().for_each(|member| joined.remove_member(&member.id));
                joined.put_member(joining.clone());
                records.extend(joined.tombstones(&self.id));
            }
        }
        let is_gone = |id: &ByteString| gone.iter().any(|member| member.id == *id);
        let staying = self.members.values().map(|member| &**member).filter(|member| !is_gone(&member.id));
        let mut group = ClassicGroup::simple(at.now.timestamp);
        let mut protocols = Vec::new();
        for member in staying.chain(joining) {
            let supported = supported(member);
            protocols.push((member.id.clone(), supported.clone()));
            group.add(member.id.clone(), PROTOCOL_TYPE, classic_member(member, supported));
        }
        // That the group is to rebalance is not in the log. So the log has the next generation, in which nobody is: a
        // coordinator that begins with it sends everyone back to join. Kafka writes the present one, and its group stays
        // without the partitions of the one that left if the coordinator changes just then.
        group.generation = if rebalance { self.epoch.saturating_add(1) } else { self.epoch };
        if rebalance {
            group.set_unfinished();
        }
        group.protocol = group.select_protocol();
        let protocol = group.protocol.clone().unwrap_or_default();
        records.push(group.record(&self.id, |id, member| {
            let id = if joining.is_some_and(|joining| joining.id == *id) {
                gone.first().map_or(id, |replaced| &*replaced.id)
            } else {
                id
            };
            let target = self.target.get(id).unwrap_or(const { &Assignment::new() });
            protocol::encode(target, &member.protocols.metadata(&protocol), at.image)
        }));
        Downgrade { protocols, generation: self.epoch, rebalance }
    }

    /// Whether a client of the classic protocol with these protocols may join the members that speak it.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        let common = |name: &ByteString| self.classic_protocols.get(name).copied().unwrap_or(0) == self.classic_members;
        protocol_type == PROTOCOL_TYPE && protocols.names().any(common)
    }

    /// Puts members out for good; the group becomes a classic one if all others speak the classic protocol.
    pub(super) fn downgrade_without(
        &self,
        context: Context<'_>,
        gone: &[Arc<Member>],
    ) -> Option<(Vec<Record>, Downgrade)> {
        if !self.downgrades_without(context.settings, gone) {
            return None;
        }
        let mut records = Vec::new();
        let downgrade = self.downgrade(context.at, gone, None, true, &mut records);
        Some((records, downgrade))
    }
}

fn classic_member(member: &Member, supported: Protocols) -> classic::Member {
    let session = member.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms);
    let client = (member.client_id.clone(), member.client_host.clone());
    let (rebalance, session) = (millis(member.rebalance_timeout_ms), millis(session));
    classic::Member::new(member.instance_id.clone(), client, rebalance, session, supported)
}

/// The protocols of a member of the classic protocol.
pub(super) fn supported(member: &Member) -> Protocols {
    use m::join_group_request::JoinGroupRequestProtocol;
    let protocols = member.classic.iter().flat_map(|classic| &classic.supported_protocols);
    let protocols = protocols
        .map(|protocol| JoinGroupRequestProtocol { name: protocol.name.clone(), metadata: protocol.metadata.clone() });
    Protocols::new(&protocols.collect::<Vec<_>>())
}

/// What a consumer group remembers of a member that speaks the classic protocol.
pub(super) fn classic_metadata(protocols: &Protocols, session_timeout_ms: i32) -> ClassicMetadata {
    use m::consumer_group_member_metadata_value::ClassicProtocol;
    let protocols =
        protocols.names().map(|name| ClassicProtocol { name: name.clone(), metadata: protocols.metadata(name) });
    ClassicMetadata { session_timeout_ms, supported_protocols: protocols.collect() }
}

fn as_millis(time: std::time::Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// What a member of the classic protocol says in the first protocol that it supports.
pub(super) fn first_metadata(member: &Member) -> Bytes {
    let first = member.classic.as_ref().and_then(|classic| classic.supported_protocols.first());
    first.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
}
