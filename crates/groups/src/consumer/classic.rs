//! Members of the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! To such a member the group looks like a classic one whose generation is the member's epoch, and it is no leader. A
//! step of reconciliation is a rebalance for it: a heartbeat tells it to join again, with what it has.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::leave_group_response::MemberResponse;

use super::decision::{Context, Decision, Timer};
use super::downgrade::Downgrade;
use super::group::ConsumerGroup;
use super::heartbeat::Settled;
use super::member::{Member, MemberState, copy, without_epochs};
use super::migrate::{PROTOCOL_TYPE, classic_metadata, first_metadata};
use super::protocol;
use super::subscriber::Subscriber;
use crate::classic::Protocols;
use crate::millis::millis;
use crate::records::Record;
use crate::request::{Caller, refused_join};
use crate::settings::MigrationPolicy;

/// From this version on, a member is told its id and joins with it (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// What a JoinGroup comes to.
type Joined = Decision<m::JoinGroupResponse>;

impl ConsumerGroup {
    /// JoinGroup; `new_id` is for a client that has no member id.
    ///
    /// # Errors
    /// If it may not join.
    pub(super) fn join_classic(
        &self,
        context: Context<'_>,
        caller: &Caller,
        request: &m::JoinGroupRequest,
        new_id: ByteString,
    ) -> Result<Joined, ErrorCode> {
        if context.settings.consumer_migration == MigrationPolicy::Disabled {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let is_new = request.member_id.is_empty();
        let id = if is_new { new_id } else { copy(&request.member_id) };
        let instance_id = request.group_instance_id.as_ref();
        self.refuse_if_full(context, &id, instance_id).map_err(|refusal| refusal.code)?;
        let protocols = Protocols::new(&request.protocols);
        if !self.supports(&request.protocol_type, &protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if is_new && instance_id.is_none() && caller.version >= MEMBER_ID_REQUIRED_FROM {
            let response = m::JoinGroupResponse { member_id: id, ..refused_join(ErrorCode::MemberIdRequired) };
            return Ok(Decision::answer(response));
        }
        let mut records = Vec::new();
        let before = self.joining_member(&id, instance_id, is_new, &mut records)?;
        let replaced =
            self.static_member(instance_id).filter(|replaced| self.downgrades_replacing(context.settings, replaced));
        let first = request.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let subscription = protocol::subscription(&first.metadata).ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let owned = protocol::owned(&subscription, context.at.image);
        let updated = updated(&before, caller, request, &protocols, &subscription);
        let subscriber = Subscriber { before, updated: Cow::Owned(updated) };
        let mut settled = self.subscribe(context, &subscriber, records).map_err(|refusal| refusal.code)?;
        let mut downgrade = None;
        if let Some(replaced) = replaced {
            let rebalance = self.assignment_epoch < settled.epoch;
            if !rebalance {
                settled.step(context, Some(&owned)).map_err(|refusal| refusal.code)?;
            }
            let (gone, joining) = (std::slice::from_ref(replaced), settled.member.clone());
            let records = &mut settled.records;
            downgrade = Some(self.downgrade(context.at, gone, Some(&joining), rebalance, records));
        } else {
            settled.aim(context, &subscriber, Some(&owned)).map_err(|refusal| refusal.code)?;
        }
        let mut decision = joined(settled, request, downgrade);
        if decision.downgrade.is_some() {
            decision.stop.extend(self.members.keys().flat_map(Timer::all));
        }
        Ok(decision)
    }

    fn joining_member(
        &self,
        id: &ByteString,
        instance_id: Option<&ByteString>,
        is_new: bool,
        records: &mut Vec<Record>,
    ) -> Result<Cow<'_, Member>, ErrorCode> {
        let known = || match self.members.get(id) {
            Some(member) => Cow::Borrowed(&**member),
            None => Cow::Owned(Member::new(id.clone())),
        };
        let Some(instance_id) = instance_id else { return Ok(known()) };
        match self.static_member(Some(instance_id)) {
            None if is_new => Ok(known()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(existing) if is_new => Ok(Cow::Owned(self.replace(existing, id, records))),
            Some(existing) if existing.id != *id => Err(ErrorCode::FencedInstanceId),
            Some(existing) => Ok(Cow::Borrowed(existing)),
        }
    }

    /// The member of the classic protocol that a request comes from, and in its generation.
    fn classic_member(
        &self,
        id: &ByteString,
        instance_id: Option<&ByteString>,
        generation: i32,
    ) -> Result<&Member, ErrorCode> {
        let member = self.leaving(id, instance_id).map_err(|refusal| refusal.code)?;
        if !member.is_classic() {
            Err(ErrorCode::UnknownMemberId)
        } else if member.epoch != generation {
            Err(ErrorCode::IllegalGeneration)
        } else {
            Ok(member)
        }
    }

    /// SyncGroup: what a member has.
    ///
    /// # Errors
    /// If it is no member in that generation, or a rebalance is under way; then the second says what to wait for.
    pub(super) fn sync_classic(
        &self,
        context: Context<'_>,
        request: &m::SyncGroupRequest,
    ) -> Result<Decision<m::SyncGroupResponse>, ErrorCode> {
        let instance_id = request.group_instance_id.as_ref();
        let member = self.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let (own, protocols) = (first_metadata(member), super::migrate::supported(member));
        let name = protocols.names().next();
        if request.protocol_type.as_deref().is_some_and(|kind| kind != PROTOCOL_TYPE)
            || request.protocol_name.as_ref().is_some_and(|asked| Some(asked) != name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.assignment_epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            let error_code = ErrorCode::RebalanceInProgress.code();
            return Ok(must_join(member, m::SyncGroupResponse { error_code, ..Default::default() }));
        }
        let response = m::SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: protocol::encode(&without_epochs(&member.assigned), &own, context.at.image),
            ..Default::default()
        };
        let mut decision = Decision::answer(response);
        decision.start.push((Timer::Session(member.id.clone()), session(member)));
        decision.stop.push(Timer::Sync(member.id.clone()));
        Ok(decision)
    }

    /// Heartbeat: whether the member is to join again.
    ///
    /// # Errors
    /// If it is no member in that generation.
    pub(super) fn heartbeat_classic(
        &self,
        request: &m::HeartbeatRequest,
    ) -> Result<Decision<m::HeartbeatResponse>, ErrorCode> {
        let instance_id = request.group_instance_id.as_ref();
        let member = self.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let lags = member.epoch < self.assignment_epoch;
        let moves = match member.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        let mut decision = if lags || moves {
            let error_code = ErrorCode::RebalanceInProgress.code();
            must_join(member, m::HeartbeatResponse { error_code, ..Default::default() })
        } else {
            Decision::answer(m::HeartbeatResponse::default())
        };
        decision.start.push((Timer::Session(member.id.clone()), session(member)));
        Ok(decision)
    }

    /// Whether somebody still has a partition that a member is to have.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.target.get(&member.id).into_iter().flatten();
        target.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition))).any(
            |(topic, partition)| {
                let has = member.assigned.get(&topic).is_some_and(|of| of.contains_key(&partition));
                !has && self.is_taken(topic, partition)
            },
        )
    }

    /// LeaveGroup: members of either protocol, named by their member ids or instance ids. Who leaves, and the answer.
    pub(super) fn leave_classic(&self, request: &m::LeaveGroupRequest) -> (Vec<Arc<Member>>, m::LeaveGroupResponse) {
        let mut gone: Vec<Arc<Member>> = Vec::new();
        let mut response = m::LeaveGroupResponse::default();
        for identity in &request.members {
            let instance_id = identity.group_instance_id.as_ref();
            let found = match self.static_member(instance_id) {
                // An administrator names the instance id alone.
                Some(member) if identity.member_id.is_empty() => Ok(member),
                _ => self.leaving(&identity.member_id, instance_id),
            };
            let error_code = match found {
                Ok(member) => {
                    if !gone.iter().any(|other| other.id == member.id) {
                        gone.push(member.clone());
                    }
                    0
                }
                Err(refusal) => refusal.code.code(),
            };
            let (member_id, group_instance_id) = (identity.member_id.clone(), identity.group_instance_id.clone());
            response.members.push(MemberResponse { member_id, group_instance_id, error_code });
        }
        (gone, response)
    }
}

/// A member that is told to join again has its rebalance timeout for that. Being told again does not lengthen it.
fn must_join<R>(member: &Member, response: R) -> Decision<R> {
    let mut decision = Decision::answer(response);
    decision.start.push((Timer::Join(member.id.clone()), millis(member.rebalance_timeout_ms)));
    decision
}

/// How long a member of the classic protocol may be silent.
fn session(member: &Member) -> Duration {
    millis(member.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms))
}

fn updated(
    before: &Member,
    caller: &Caller,
    request: &m::JoinGroupRequest,
    protocols: &Protocols,
    subscription: &m::ConsumerProtocolSubscription,
) -> Member {
    let mut member = before.clone();
    if let Some(instance_id) = &request.group_instance_id {
        member.instance_id = Some(copy(instance_id));
    }
    if let Some(rack_id) = subscription.rack_id.as_ref().filter(|rack| !rack.is_empty()) {
        member.rack_id = Some(copy(rack_id));
    }
    if request.rebalance_timeout_ms != -1 {
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    let topics = subscription.topics.iter().map(copy).collect();
    if *member.topics != topics {
        member.topics = Arc::new(topics);
    }
    member.regex = Some(ByteString::new());
    (member.client_id, member.client_host) = (copy(&caller.client_id), copy(&caller.client_host));
    let classic = classic_metadata(protocols, request.session_timeout_ms);
    if member.classic.as_deref() != Some(&classic) {
        member.classic = Some(Arc::new(classic));
    }
    member
}

/// The answer to a member that has joined, and what it is to do in time: live, and ask for what it has.
fn joined(settled: Settled<'_>, request: &m::JoinGroupRequest, downgrade: Option<Downgrade>) -> Joined {
    let member = &*settled.member;
    let protocols = super::migrate::supported(member);
    let response = m::JoinGroupResponse {
        member_id: member.id.clone(),
        generation_id: member.epoch,
        protocol_type: Some(PROTOCOL_TYPE.into()),
        protocol_name: protocols.names().next().cloned(),
        ..Default::default()
    };
    let mut start = Vec::new();
    if downgrade.is_none() {
        start.push((Timer::Session(member.id.clone()), session(member)));
        start.push((Timer::Sync(member.id.clone()), millis(request.rebalance_timeout_ms)));
    }
    let stop = vec![Timer::Join(member.id.clone())];
    let Settled { records, refresh, resolve_regexes, .. } = settled;
    Decision { records, response, start, stop, refresh, resolve_regexes, downgrade }
}
