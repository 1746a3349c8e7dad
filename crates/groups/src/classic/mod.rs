//! The classic protocol.

pub(crate) mod leave;

use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_coordinator::Ticket;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::request::{Caller, Request};
use crate::shard::{At, Shard};

#[derive(Debug)]
pub(crate) struct ClassicGroup {}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingAssignment {}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingReplacement {}

impl ClassicGroup {
    pub(crate) fn simple(_timestamp: Timestamp) -> Self {
        Self {}
    }

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn is_subscribed_to(&self, _topic: &str) -> bool {
        false
    }
}

const NOT_YET: ErrorCode = ErrorCode::CoordinatorNotAvailable;

impl Shard {
    pub(crate) fn classic_replay(&mut self, _group_id: &ByteString, _value: Option<m::GroupMetadataValue>) {}
    pub(crate) fn classic_loaded(&mut self, _at: At<'_>, _id: &ByteString) {}
    pub(crate) fn join(&mut self, _at: At<'_>, ticket: Ticket, _caller: &Caller, request: m::JoinGroupRequest) {
        self.outbox.answer(ticket, Request::JoinGroup(request).refuse(NOT_YET));
    }
    pub(crate) fn sync(&mut self, _at: At<'_>, ticket: Ticket, request: m::SyncGroupRequest) {
        self.outbox.answer(ticket, Request::SyncGroup(request).refuse(NOT_YET));
    }
    pub(crate) fn heartbeat(&mut self, _at: At<'_>, ticket: Ticket, request: m::HeartbeatRequest) {
        self.outbox.answer(ticket, Request::Heartbeat(request).refuse(NOT_YET));
    }
    pub(crate) fn leave(&mut self, _at: At<'_>, ticket: Ticket, request: m::LeaveGroupRequest) {
        self.outbox.answer(ticket, Request::LeaveGroup(request).refuse(NOT_YET));
    }
    pub(crate) fn classic_join_timer(&mut self, _at: At<'_>, _group: &ByteString) {}
    pub(crate) fn classic_sync_timer(&mut self, _at: At<'_>, _group: &ByteString) {}
    pub(crate) fn classic_member_timer(&mut self, _at: At<'_>, _group: &ByteString, _member: &ByteString) {}
    pub(crate) fn classic_assignment_written(
        &mut self,
        _at: At<'_>,
        _pending: PendingAssignment,
        _result: Result<(), ErrorCode>,
    ) {
    }
    pub(crate) fn classic_replacement_written(
        &mut self,
        _at: At<'_>,
        _pending: PendingReplacement,
        _result: Result<(), ErrorCode>,
    ) {
    }
    pub(crate) fn describe(&self, group: &ByteString, _version: i16) -> m::describe_groups_response::DescribedGroup {
        m::describe_groups_response::DescribedGroup { group_id: group.clone(), ..Default::default() }
    }
    pub(crate) fn list(&self, _request: &m::ListGroupsRequest) -> Vec<m::list_groups_response::ListedGroup> {
        Vec::new()
    }
    pub(crate) fn delete_group(&mut self, ticket: Ticket, group: &ByteString) {
        self.outbox.answer(ticket, Request::DeleteGroup(group.clone()).refuse(NOT_YET));
    }
}
