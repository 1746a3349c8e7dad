//! A classic group: its members, and what a rebalance knows of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_coordinator::Ticket;
use thalweg_wire::messages as m;
use thalweg_wire::messages::join_group_response::JoinGroupResponseMember;
use thalweg_wire::{ErrorCode, Reader};

use super::member::{Member, Protocols};
use crate::consumer::CommitCheck;
use crate::offsets::RetentionFrom;

/// The protocol type of consumers. Of theirs alone, what members say about themselves is read.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group is in the course of a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There are no members.
    Empty,
    /// Members are to join.
    PreparingRebalance,
    /// Members have joined, and the leader is to say who gets what.
    CompletingRebalance,
    /// Everyone can have what it was given.
    Stable,
}

impl State {
    /// The name as tools show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// The rebalance of a group that was empty waits for members, and longer as long as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// How long this turn is.
    pub(super) turn: Duration,
    /// How long all further turns may be.
    pub(super) remaining: Duration,
}

/// See the module.
///
/// Invariants:
/// - It is `Empty` exactly if it has no members, unless a rebalance is under way.
/// - `static_members` leads from the instance id of each static member to its member id.
/// - `joining` counts the members whose JoinGroup is not answered, `supported` those that support a protocol.
/// - A leader is a member.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    state: State,
    previous: State,
    /// Counts the rebalances.
    pub(crate) generation: i32,
    /// What kind of client has joined, `consumer` for consumers.
    pub(crate) protocol_type: Option<ByteString>,
    /// The protocol that all members of this generation use.
    pub(crate) protocol: Option<ByteString>,
    pub(super) leader: Option<ByteString>,
    /// Since when it is in this state, as far as that is known.
    pub(crate) state_since: Option<Timestamp>,
    members: BTreeMap<ByteString, Member>,
    static_members: BTreeMap<ByteString, ByteString>,
    joining: usize,
    supported: BTreeMap<ByteString, usize>,
    /// Who was told its member id and has not come back with it (KIP-394).
    pub(super) pending_join: BTreeSet<ByteString>,
    /// Who has joined and has not asked for its assignment.
    pub(super) pending_sync: BTreeSet<ByteString>,
    /// What the members of this generation read, if it can be known.
    subscribed: Option<BTreeSet<ByteString>>,
    /// While a group that was empty waits for more members.
    pub(super) initial_delay: Option<InitialDelay>,
    /// Whether one came in this turn.
    pub(super) new_member_added: bool,
    /// Whether the generation is not complete: it has no leader in the log, and whoever loads it begins a rebalance.
    pub(super) unfinished: bool,
    /// Whether this generation was one of a consumer group, which told each member the protocol that it likes best.
    pub(super) converted: bool,
}

impl ClassicGroup {
    /// A group without members, such as one that only has offsets.
    pub(crate) fn simple(since: Timestamp) -> Self {
        Self {
            state: State::Empty,
            previous: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            state_since: Some(since),
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            joining: 0,
            supported: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            subscribed: None,
            initial_delay: None,
            new_member_added: false,
            unfinished: false,
            converted: false,
        }
    }

    /// Where it is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Where it was before.
    pub(super) fn previous_state(&self) -> State {
        self.previous
    }

    /// Whether it has no members, and none are about to join.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether its members are consumers.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The members by id.
    pub(crate) fn members(&self) -> &BTreeMap<ByteString, Member> {
        &self.members
    }

    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// Every member, to change what is not counted.
    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = (&ByteString, &mut Member)> {
        self.members.iter_mut()
    }

    /// The member that has this instance id now.
    pub(crate) fn static_member(&self, instance_id: &str) -> Option<&ByteString> {
        self.static_members.get(instance_id)
    }

    /// How many wait for the answer to their JoinGroup.
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    /// Whether everyone who is or wants to be a member waits for the rebalance to end.
    pub(super) fn has_all_joined(&self) -> bool {
        self.members.len() == self.joining && self.pending_join.is_empty()
    }

    /// How long members may take to join: as long as the slowest says.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Adds a member. The first decides what kind of group it is and leads it.
    pub(crate) fn add(&mut self, id: ByteString, protocol_type: &str, member: Member) {
        assert!(!self.members.contains_key(&id), "a member is added once");
        if self.members.is_empty() {
            self.protocol_type = Some(crate::group::owned(protocol_type));
        }
        if let Some(instance_id) = &member.instance_id {
            let before = self.static_members.insert(instance_id.clone(), id.clone());
            assert!(before.is_none(), "an instance id belongs to one member");
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_join.remove(&id);
        self.count(&member.protocols);
        self.joining += usize::from(member.join.is_some());
        self.members.insert(id, member);
    }

    /// Removes a member, or one that has only been given its id.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        let removed = self.members.remove(id)?;
        self.uncount(&removed.protocols);
        self.joining -= usize::from(removed.join.is_some());
        if let Some(instance_id) = &removed.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(removed)
    }

    /// Gives a static member another member id; its former self is fenced by that.
    pub(super) fn rename(&mut self, id: &str, new_id: ByteString) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), new_id.clone());
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = Some(new_id.clone());
        }
        if self.pending_sync.remove(id) {
            self.pending_sync.insert(new_id.clone());
        }
        self.members.insert(new_id, member);
    }

    /// Sets which JoinGroup of a member waits, and gives the one that waited before.
    pub(super) fn set_join(&mut self, id: &str, ticket: Option<Ticket>) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        let before = std::mem::replace(&mut member.join, ticket);
        self.joining += usize::from(ticket.is_some());
        self.joining -= usize::from(before.is_some());
        before
    }

    /// Sets what a member supports and how long it may take.
    pub(super) fn update(&mut self, id: &str, protocols: Protocols, rebalance_timeout: Duration, session: Duration) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.rebalance_timeout = rebalance_timeout;
        member.session_timeout = session;
        let before = std::mem::replace(&mut member.protocols, protocols.clone());
        self.uncount(&before);
        self.count(&protocols);
    }

    fn count(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            *self.supported.entry(name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            if let Some(count) = self.supported.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(name);
                }
            }
        }
    }

    /// Whether a client of that type with these protocols may join the members that there are.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let common = |name: &ByteString| self.supported.get(name).copied().unwrap_or(0) == self.members.len();
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.names().any(common)
    }

    /// The protocol with the most votes: each member votes for the first of its own that all support. The names of
    /// equally many votes decide by their order.
    pub(crate) fn select_protocol(&self) -> Option<ByteString> {
        let mut votes: BTreeMap<&ByteString, usize> = BTreeMap::new();
        for member in self.members.values() {
            let all = |name: &&ByteString| self.supported.get(*name).copied() == Some(self.members.len());
            if let Some(name) = member.protocols.names().find(all) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map(|(name, _)| name.clone())
    }

    /// Sees to it that the leader is one that has joined; false if nobody has.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &ByteString| self.members.get(id).is_some_and(|member| member.join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let elected = self.members.keys().find(|id| has_joined(id)).cloned();
        let found = elected.is_some();
        if found {
            self.leader = elected;
        }
        found
    }

    /// The next state.
    pub(crate) fn transition(&mut self, to: State, now: Timestamp) {
        let allowed = match to {
            State::Stable => self.state == State::CompletingRebalance,
            State::PreparingRebalance => self.state != State::PreparingRebalance,
            State::CompletingRebalance | State::Empty => self.state == State::PreparingRebalance,
        };
        assert!(allowed, "a group goes from one state to the next");
        self.previous = self.state;
        self.state = to;
        self.state_since = Some(now);
    }

    /// Begins a new generation with the members that there are.
    pub(super) fn begin_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        self.pending_sync.clear();
        self.initial_delay = None;
        (self.unfinished, self.converted) = (false, false);
        let to = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.transition(to, now);
        if self.members.is_empty() {
            assert!(self.leader.is_none() && self.joining == 0 && self.supported.is_empty(), "nobody is left");
        }
    }

    /// A group as the log has it: a generation that is complete.
    pub(super) fn restore(&mut self, since: Option<Timestamp>) {
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
        self.previous = self.state;
        self.state_since = since;
        self.subscribed = self.compute_subscribed();
    }

    /// The members as the leader sees them.
    pub(super) fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.protocols.metadata(&protocol),
        });
        members.collect()
    }

    /// Whether a request comes from a member, and from no fenced instance of it.
    pub(crate) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_member(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if *current != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether offsets may be committed like this.
    pub(crate) fn validate_offset_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        if commit.epoch < 0 && self.is_empty() {
            return Ok(());
        }
        // A TxnOffsetCommit of an old producer says nothing about a member.
        if commit.epoch >= 0 || !commit.member_id.is_empty() || commit.instance_id.is_some() {
            self.validate_member(commit.member_id, commit.instance_id)?;
            if commit.epoch != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !commit.transactional && !self.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if !commit.transactional && self.state == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether offsets may be deleted: of a group with members only if it can be known what they read.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.is_empty() || self.is_of_consumers() { Ok(()) } else { Err(ErrorCode::NonEmptyGroup) }
    }

    /// From when on the retention of the group's offsets counts; `None` as long as they do not expire.
    pub(crate) fn retention_from(&self) -> Option<RetentionFrom> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(RetentionFrom::Commit),
            (Some(_), State::Empty) => Some(self.state_since.map_or(RetentionFrom::Commit, RetentionFrom::Empty)),
            (Some(_), State::Stable) if self.is_of_consumers() && self.subscribed.is_some() => {
                Some(RetentionFrom::Commit)
            }
            _ => None,
        }
    }

    /// Whether a member reads `topic`, or may do so as far as can be known.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<ByteString>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(member.protocols.metadata(protocol))?);
        }
        Some(topics)
    }
}

/// The topics of a consumer's subscription; `None` if it is of a shape that nobody knows.
fn subscription(metadata: Bytes) -> Option<Vec<ByteString>> {
    let mut r = Reader::new(metadata);
    let version = r.i16();
    if r.failure().is_some() || version < 0 {
        return None;
    }
    // Later versions only add fields behind those of version 0.
    let subscription = m::ConsumerProtocolSubscription::decode(&mut r, 0).ok()?;
    Some(subscription.topics.iter().map(|topic| crate::group::owned(topic)).collect())
}
