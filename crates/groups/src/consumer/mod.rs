//! The consumer protocol (KIP-848).

use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::records::Record;
use crate::request::{Answer, Caller};
use crate::shard::{At, Shard};

/// A consumer group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {}

/// What a consumer group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {}

/// What follows a write of a consumer group, besides an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum After {}

impl ConsumerGroup {
    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    /// The state as tools show it: `Empty`, `Assigning`, `Reconciling`, `Stable`.
    pub(crate) fn state_name(&self) -> &'static str {
        "Empty"
    }

    /// Whether some member reads `topic`.
    pub(crate) fn is_subscribed_to(&self, _topic: &str) -> bool {
        false
    }

    /// Whether a member may commit offsets in `epoch`, the generation for members of the classic protocol.
    pub(crate) fn validate_offset_commit(&self, _commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether a member may fetch offsets in `epoch`; without a member id and with a negative epoch everyone may.
    pub(crate) fn validate_offset_fetch(&self, _member_id: Option<&str>, _epoch: i32) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// The tombstones of everything that the log holds about the group, its offsets aside.
    pub(crate) fn tombstones(&self, _group_id: &ByteString) -> Vec<Record> {
        Vec::new()
    }
}

/// An offset commit as a group looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitCheck<'a> {
    /// Who commits; empty if it is no member.
    pub(crate) member_id: &'a str,
    /// Its instance id, if it is a static member.
    pub(crate) instance_id: Option<&'a str>,
    /// The generation or member epoch; negative if it is no member.
    pub(crate) epoch: i32,
    /// Whether it is a TxnOffsetCommit.
    pub(crate) transactional: bool,
    /// The version of the request.
    pub(crate) version: i16,
}

impl Shard {
    /// Applies a record of a consumer group.
    pub(crate) fn consumer_replay(&mut self, _record: Record) {}

    /// The log was replayed: timers of the members of this consumer group start.
    pub(crate) fn consumer_loaded(&mut self, _at: At<'_>, _group: &ByteString) {}

    /// A timer is due.
    pub(crate) fn consumer_timer(&mut self, _at: At<'_>, _group: &ByteString, timer: &Timer) {
        match *timer {}
    }

    /// A write with something to follow was carried out or refused.
    pub(crate) fn consumer_written(&mut self, _at: At<'_>, after: After, _result: Result<(), ErrorCode>) {
        match after {}
    }

    /// Topics were created, grew or went away.
    pub(crate) fn consumer_topics_changed(&mut self, _at: At<'_>, _changes: &Changes) {}

    /// ConsumerGroupHeartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _caller: &Caller,
        _request: m::ConsumerGroupHeartbeatRequest,
    ) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        let answer = m::ConsumerGroupHeartbeatResponse { error_code, ..Default::default() };
        self.outbox.answer(ticket, Answer::ConsumerGroupHeartbeat(answer));
    }

    /// ConsumerGroupDescribe, of one group.
    pub(crate) fn consumer_describe(
        &self,
        _image: &MetadataImage,
        group_id: &ByteString,
    ) -> m::consumer_group_describe_response::DescribedGroup {
        m::consumer_group_describe_response::DescribedGroup {
            error_code: ErrorCode::GroupIdNotFound.code(),
            group_id: group_id.clone(),
            ..Default::default()
        }
    }

    /// JoinGroup of a group that is a consumer group with members.
    pub(crate) fn classic_join_to_consumer_group(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _caller: &Caller,
        _request: m::JoinGroupRequest,
    ) {
        let answer = m::JoinGroupResponse {
            error_code: ErrorCode::InconsistentGroupProtocol.code(),
            protocol_name: Some(ByteString::default()),
            ..Default::default()
        };
        self.outbox.answer(ticket, Answer::JoinGroup(answer));
    }

    /// SyncGroup of a consumer group with members.
    pub(crate) fn classic_sync_to_consumer_group(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _request: m::SyncGroupRequest,
    ) {
        let error_code = ErrorCode::UnknownMemberId.code();
        self.outbox.answer(ticket, Answer::SyncGroup(m::SyncGroupResponse { error_code, ..Default::default() }));
    }

    /// Heartbeat of a consumer group.
    pub(crate) fn classic_heartbeat_to_consumer_group(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _request: m::HeartbeatRequest,
    ) {
        let error_code = ErrorCode::UnknownMemberId.code();
        self.outbox.answer(ticket, Answer::Heartbeat(m::HeartbeatResponse { error_code, ..Default::default() }));
    }

    /// LeaveGroup of a consumer group; versions before 3 have been given a member of its own.
    pub(crate) fn classic_leave_to_consumer_group(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        request: m::LeaveGroupRequest,
    ) {
        let answer = crate::classic::leave::all_unknown(&request);
        self.outbox.answer(ticket, Answer::LeaveGroup(answer));
    }
}
