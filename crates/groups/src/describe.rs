//! What tools ask about groups: DescribeGroups, ListGroups, and DeleteGroups.

use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::delete_groups_response::DeletableGroupResult;
use thalweg_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use thalweg_wire::messages::list_groups_response::ListedGroup;

use crate::census::offsets_taken_back;
use crate::classic::{ClassicGroup, State};
use crate::group::Group;
use crate::outbox::After;
use crate::request::Answer;
use crate::shard::Shard;
use crate::walk;

/// From this version of DescribeGroups on, a group that does not exist is an error.
const MISSING_GROUP_IS_ERROR_FROM: i16 = 6;

impl Shard {
    /// DescribeGroups, of one group; consumer groups have an API of their own.
    pub(crate) fn describe(&self, group_id: &ByteString, version: i16) -> DescribedGroup {
        let (error, message) = match self.groups.get(group_id) {
            Some(Group::Classic(group)) => return describe_classic(group_id, group),
            Some(Group::Consumer(_) | Group::Share(_) | Group::Streams(_)) => {
                (ErrorCode::GroupIdNotFound, format!("Group {group_id} is not a classic group."))
            }
            None => (ErrorCode::GroupIdNotFound, format!("Group {group_id} not found.")),
        };
        let dead =
            DescribedGroup { group_id: group_id.clone(), group_state: "Dead".into(), ..DescribedGroup::default() };
        if version < MISSING_GROUP_IS_ERROR_FROM {
            return dead;
        }
        DescribedGroup { error_code: error.code(), error_message: Some(message.into()), ..dead }
    }

    /// ListGroups. Names of states and types that nobody knows match no group.
    pub(crate) fn list(&self, request: &m::ListGroupsRequest) -> Vec<ListedGroup> {
        let states: Vec<String> = request.states_filter.iter().map(|state| state.trim().to_lowercase()).collect();
        let types: Vec<String> = request.types_filter.iter().map(|kind| kind.to_lowercase()).collect();
        let matches = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let mut all: Vec<ListedGroup> = self.groups.iter().map(|(id, group)| listed(id, group)).collect();
        walk::sort(&mut all, |group| &group.group_id);
        all.retain(|group| matches(&states, &group.group_state) && matches(&types, &group.group_type));
        all
    }

    /// DeleteGroups, of one group: one without members, with all its offsets.
    pub(crate) fn delete_group(&mut self, ticket: Ticket, group_id: &ByteString) {
        let error = match self.groups.get(group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.is_empty() => ErrorCode::NonEmptyGroup,
            Some(_) => ErrorCode::None,
        };
        let mut records = Vec::new();
        if let Some(group) = self.groups.get(group_id).filter(|_| error == ErrorCode::None) {
            self.offsets.tombstones_of_group(group_id, &mut records);
            records.extend(group.tombstones(group_id));
        }
        self.outbox.tally.offset_deletions += offsets_taken_back(&records);
        let result = DeletableGroupResult { group_id: group_id.clone(), error_code: error.code() };
        self.outbox.write_all(&records, After::Answer(ticket, Answer::DeleteGroup(result)));
    }
}

fn describe_classic(group_id: &ByteString, group: &ClassicGroup) -> DescribedGroup {
    let protocol = group.protocol.clone().filter(|_| group.state() == State::Stable);
    let members = group.members().iter().map(|(id, member)| DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.as_ref().map(|name| member.protocols.metadata(name)).unwrap_or_default(),
        member_assignment: member.assignment.clone(),
    });
    DescribedGroup {
        group_id: group_id.clone(),
        group_state: group.state().name().into(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: members.collect(),
        protocol_data: protocol.unwrap_or_default(),
        ..DescribedGroup::default()
    }
}

fn listed(id: &ByteString, group: &Group) -> ListedGroup {
    let (protocol_type, state, kind) = match group {
        Group::Classic(group) => (group.protocol_type.clone().unwrap_or_default(), group.state().name(), "classic"),
        Group::Consumer(group) => (ByteString::from_static("consumer"), group.state_name(), "consumer"),
        Group::Share(group) => (ByteString::from_static("share"), group.state_name(), "share"),
        Group::Streams(group) => (ByteString::from_static("streams"), group.state_name(), "streams"),
    };
    ListedGroup { group_id: id.clone(), protocol_type, group_state: state.into(), group_type: kind.into() }
}
