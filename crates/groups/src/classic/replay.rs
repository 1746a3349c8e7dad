//! A classic group in the log: GroupMetadata records.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_wire::messages as m;
use thalweg_wire::messages::group_metadata_value::MemberMetadata;

use super::group::ClassicGroup;
use super::member::{Member, Protocols};
use crate::group::{Group, owned};
use crate::millis::millis;
use crate::outbox::Timer;
use crate::records::Record;
use crate::shard::Shard;

impl Shard {
    /// Applies a GroupMetadata record.
    ///
    /// What this shard has written about a classic group itself it knows already, and more.
    pub(crate) fn classic_replay(&mut self, group_id: &ByteString, value: Option<m::GroupMetadataValue>) {
        match (value, self.groups.get(group_id)) {
            (Some(_), Some(Group::Classic(_))) if self.is_loaded() => {}
            (Some(value), _) => {
                self.groups.insert(owned(group_id), Group::Classic(Box::new(from_record(&value))));
            }
            (None, Some(Group::Classic(group))) => {
                for member in group.members().keys().chain(&group.pending_join) {
                    self.outbox.timers.cancel(&Timer::ClassicMember(group_id.clone(), member.clone()));
                }
                self.outbox.timers.cancel(&Timer::ClassicJoin(group_id.clone()));
                self.outbox.timers.cancel(&Timer::ClassicSync(group_id.clone()));
                self.groups.remove(group_id);
            }
            (None, _) => {}
        }
    }
}

fn from_record(value: &m::GroupMetadataValue) -> ClassicGroup {
    let since = (value.current_state_timestamp != -1).then_some(Timestamp(value.current_state_timestamp));
    let mut group = ClassicGroup::simple(since.unwrap_or(Timestamp::NONE));
    group.generation = value.generation;
    group.protocol = value.protocol.as_deref().map(owned);
    for member in &value.members {
        let is_known = group.members().contains_key(&member.member_id)
            || member.group_instance_id.as_deref().is_some_and(|id| group.static_member(id).is_some());
        if !is_known {
            group.add(owned(&member.member_id), &value.protocol_type, from_member(member, group.protocol.as_deref()));
        }
    }
    group.protocol_type = (!value.protocol_type.is_empty()).then(|| owned(&value.protocol_type));
    // No rebalance ends without a leader: this one had not begun when the record was written.
    group.unfinished = value.leader.is_none() && !group.members().is_empty();
    if let Some(leader) = value.leader.as_deref()
        && group.members().contains_key(leader)
    {
        group.leader = Some(owned(leader));
    }
    group.restore(since);
    group
}

fn from_member(member: &MemberMetadata, protocol: Option<&str>) -> Member {
    let session = millis(member.session_timeout);
    let rebalance = if member.rebalance_timeout == -1 { session } else { millis(member.rebalance_timeout) };
    let instance_id = member.group_instance_id.as_deref().map(owned);
    let client = (owned(&member.client_id), owned(&member.client_host));
    let protocols = Protocols::one(protocol.unwrap_or_default(), &member.subscription);
    let restored = Member::new(instance_id, client, rebalance, session, protocols);
    Member { assignment: Bytes::copy_from_slice(&member.assignment), ..restored }
}

impl ClassicGroup {
    /// The record of the group as it is, with an assignment for each member.
    pub(crate) fn record(&self, id: &ByteString, assignment: impl Fn(&str, &Member) -> Bytes) -> Record {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members().iter().map(|(member_id, member)| MemberMetadata {
            member_id: member_id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: i32::try_from(member.rebalance_timeout.as_millis()).unwrap_or(i32::MAX),
            session_timeout: i32::try_from(member.session_timeout.as_millis()).unwrap_or(i32::MAX),
            subscription: member.protocols.metadata(protocol),
            assignment: assignment(member_id, member),
        });
        let value = m::GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone().filter(|_| !self.unfinished),
            current_state_timestamp: self.state_since.unwrap_or(Timestamp::NONE).0,
            members: members.collect(),
        };
        (m::GroupMetadataKey { group: id.clone() }, value).into()
    }
}

/// The record of a group that nobody has joined yet.
pub(super) fn new_group_record(id: &ByteString, since: Timestamp) -> Record {
    let value =
        m::GroupMetadataValue { protocol: None, leader: None, current_state_timestamp: since.0, ..Default::default() };
    (m::GroupMetadataKey { group: id.clone() }, value).into()
}
