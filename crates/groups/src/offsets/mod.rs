//! Committed offsets.

use std::sync::Arc;

use thalweg_base::ProducerId;
use thalweg_coordinator::{Origin, Ticket};
use thalweg_metadata::image::TopicImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::request::{Caller, Request};
use crate::shard::{At, Shard};

#[derive(Debug, Default)]
pub(crate) struct Offsets {}

impl Offsets {
    pub(crate) fn replay(&mut self, _origin: Origin, _key: &m::OffsetCommitKey, _value: &m::OffsetCommitValue) {}
    pub(crate) fn replay_tombstone(&mut self, _key: &m::OffsetCommitKey) {}
    pub(crate) fn replay_end_of_transaction(&mut self, _producer: ProducerId, _committed: bool) {}
}

const NOT_YET: ErrorCode = ErrorCode::CoordinatorNotAvailable;

impl Shard {
    pub(crate) fn commit_offsets(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _caller: &Caller,
        request: &m::OffsetCommitRequest,
    ) {
        self.outbox.answer(ticket, Request::OffsetCommit(request.clone()).refuse(NOT_YET));
    }
    pub(crate) fn commit_transactional_offsets(
        &mut self,
        _at: At<'_>,
        ticket: Ticket,
        _caller: &Caller,
        request: &m::TxnOffsetCommitRequest,
    ) {
        self.outbox.answer(ticket, Request::TxnOffsetCommit(request.clone()).refuse(NOT_YET));
    }
    pub(crate) fn fetch_offsets(
        &self,
        group: &m::offset_fetch_request::OffsetFetchRequestGroup,
        _require_stable: bool,
    ) -> m::offset_fetch_response::OffsetFetchResponseGroup {
        m::offset_fetch_response::OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            error_code: NOT_YET.code(),
            ..Default::default()
        }
    }
    pub(crate) fn delete_offsets(&mut self, ticket: Ticket, request: &m::OffsetDeleteRequest) {
        self.outbox.answer(ticket, Request::OffsetDelete(request.clone()).refuse(NOT_YET));
    }
    pub(crate) fn expire_offsets(&mut self, _at: At<'_>) {}
    pub(crate) fn delete_offsets_of(&mut self, _topics: &[Arc<TopicImage>]) {}
}
