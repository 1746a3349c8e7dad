//! Members of the classic protocol, as well-behaved clients are.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_protocol_assignment::TopicPartition;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;
use thalweg_wire::messages::sync_group_request::SyncGroupRequestAssignment;

use thalweg_wire::{ErrorCode, Reader, Writer};

use super::Member;
use super::world::{GROUP, PARTITIONS, TOPIC, World};
use crate::request::{Answer, Request};

const HEARTBEAT_MS: i64 = 1_000;
const SESSION_MS: i32 = 6_000;
const REBALANCE_MS: i32 = 8_000;

#[derive(Debug)]
enum Phase {
    /// It joins from then on.
    Idle(i64),
    Joining(Ticket),
    Syncing(Ticket),
    Stable,
    Stopped,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    instance_id: Option<ByteString>,
    version: i16,
    protocols: [&'static str; 2],
    member_id: ByteString,
    generation: i32,
    phase: Phase,
    owned: Vec<i32>,
    heartbeat: Option<Ticket>,
    next_heartbeat: i64,
    commit: Option<(Ticket, i32, i64)>,
    paused_until: i64,
    /// What it is told while it is paused.
    mail: Vec<(Ticket, Answer)>,
}

impl Client {
    pub(super) fn new(number: usize, world: &mut World) -> Self {
        // A few instance ids, so that some come back and some fence each other.
        let instance_id = world.random.percent(30).then(|| format!("i{}", number % 3).into());
        let version = if world.random.percent(70) { 9 } else { [3, 5, 8][world.random.below(3)] };
        let version = if instance_id.is_some() { version.max(5) } else { version };
        // All support both: of a group that was replayed only the one is known that was chosen.
        let protocols = if world.random.percent(50) { ["range", "sticky"] } else { ["sticky", "range"] };
        Self {
            instance_id,
            version,
            protocols,
            member_id: ByteString::default(),
            generation: -1,
            phase: Phase::Idle(0),
            owned: Vec::new(),
            heartbeat: None,
            next_heartbeat: 0,
            commit: None,
            paused_until: 0,
            mail: Vec::new(),
        }
    }

    /// Whom the partitions of one generation belong to: a static member is the same under another id.
    fn name(&self) -> String {
        self.instance_id.as_ref().unwrap_or(&self.member_id).to_string()
    }

    fn rejoin(&mut self, at: i64) {
        self.phase = Phase::Idle(at);
    }

    fn join(&mut self, world: &mut World) {
        let protocols = self.protocols.iter().map(|name| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: Bytes::from_static(b"\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff"),
        });
        let request = m::JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: "consumer".into(),
            protocols: protocols.collect(),
            reason: None,
        };
        self.phase = Phase::Joining(world.send(self.version, Request::JoinGroup(request)));
    }

    fn joined(&mut self, world: &mut World, response: &m::JoinGroupResponse) {
        let now = world.now;
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                self.member_id = response.member_id.clone();
                self.generation = response.generation_id;
                self.sync(world, response);
            }
            ErrorCode::MemberIdRequired => {
                self.member_id = response.member_id.clone();
                self.rejoin(now);
            }
            ErrorCode::UnknownMemberId => {
                self.member_id = ByteString::default();
                self.rejoin(now);
            }
            ErrorCode::FencedInstanceId => self.phase = Phase::Stopped,
            ErrorCode::RebalanceInProgress | ErrorCode::CoordinatorNotAvailable => self.rejoin(now + 100),
            other => panic!("a well-behaved client was told {other:?} when it joined"),
        }
    }

    fn sync(&mut self, world: &mut World, response: &m::JoinGroupResponse) {
        let leads = response.leader == self.member_id && !response.skip_assignment;
        let count = i32::try_from(response.members.len()).expect("a small group");
        let assignments = response.members.iter().enumerate().filter(|_| leads).map(|(at, member)| {
            let own = (0..PARTITIONS).filter(|partition| partition % count == at as i32);
            SyncGroupRequestAssignment { member_id: member.member_id.clone(), assignment: assignment(own.collect()) }
        });
        let request = m::SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: response.protocol_type.clone(),
            protocol_name: response.protocol_name.clone(),
            assignments: assignments.collect(),
        };
        self.phase = Phase::Syncing(world.send(5, Request::SyncGroup(request)));
    }

    fn synced(&mut self, world: &mut World, response: &m::SyncGroupResponse) {
        if response.error_code != 0 {
            return self.failed(world, response.error_code);
        }
        self.owned = partitions(&response.assignment);
        world.owns(self.generation, &self.owned, &self.name());
        self.phase = Phase::Stable;
        self.next_heartbeat = world.now + HEARTBEAT_MS;
    }

    /// What every refusal but one of JoinGroup means for a client.
    fn failed(&mut self, world: &World, error: i16) {
        match ErrorCode::from_code(error) {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => self.rejoin(world.now),
            ErrorCode::UnknownMemberId => {
                self.member_id = ByteString::default();
                self.rejoin(world.now);
            }
            ErrorCode::FencedInstanceId => self.phase = Phase::Stopped,
            ErrorCode::CoordinatorNotAvailable => self.rejoin(world.now + 100),
            other => panic!("a well-behaved client was told {other:?}"),
        }
    }

    fn send_heartbeat(&mut self, world: &mut World) {
        let request = m::HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
        };
        self.next_heartbeat = world.now + HEARTBEAT_MS;
        self.heartbeat = Some(world.send(4, Request::Heartbeat(request)));
    }

    fn send_commit(&mut self, world: &mut World) {
        let Some(&partition) = self.owned.first() else { return };
        let (id, instance_id) = (self.member_id.clone(), self.instance_id.clone());
        self.commit = Some(world.commit_as_member(&id, instance_id, self.generation, partition));
    }

    fn read(&mut self, world: &mut World, ticket: Ticket, answer: &Answer) {
        match (answer, &self.phase) {
            (Answer::JoinGroup(response), Phase::Joining(own)) if *own == ticket => self.joined(world, response),
            (Answer::SyncGroup(response), Phase::Syncing(own)) if *own == ticket => self.synced(world, response),
            (Answer::Heartbeat(response), _) if self.heartbeat == Some(ticket) => {
                self.heartbeat = None;
                if response.error_code != 0 && matches!(self.phase, Phase::Stable) {
                    self.failed(world, response.error_code);
                }
            }
            (Answer::OffsetCommit(response), _) => {
                let commit = self.commit.take_if(|(own, _, _)| *own == ticket);
                world.committed_by_member(commit.map(|(_, partition, offset)| (partition, offset)), response);
            }
            _ => {}
        }
    }
}

impl Member for Client {
    fn turn(&mut self, world: &mut World) {
        if self.paused_until > world.now {
            return;
        }
        for (ticket, answer) in std::mem::take(&mut self.mail) {
            self.read(world, ticket, &answer);
        }
        match self.phase {
            Phase::Idle(from) if from <= world.now => self.join(world),
            Phase::Stable if self.heartbeat.is_none() && self.next_heartbeat <= world.now => self.send_heartbeat(world),
            Phase::Stable if self.commit.is_none() && world.random.percent(30) => self.send_commit(world),
            _ => {}
        }
    }

    fn answered(&mut self, world: &mut World, ticket: Ticket, answer: Answer) {
        let is_commit = self.commit.as_ref().is_some_and(|(own, _, _)| *own == ticket);
        let is_own = is_commit
            || self.heartbeat == Some(ticket)
            || matches!(self.phase, Phase::Joining(own) | Phase::Syncing(own) if own == ticket);
        if !is_own {
        } else if self.paused_until > world.now {
            self.mail.push((ticket, answer));
        } else {
            self.read(world, ticket, &answer);
        }
    }

    fn coordinator_lost(&mut self, world: &World) {
        self.heartbeat = None;
        self.commit = None;
        if matches!(self.phase, Phase::Joining(_) | Phase::Syncing(_)) {
            self.rejoin(world.now);
        }
    }

    fn die(&mut self) {
        self.phase = Phase::Stopped;
    }

    fn pause(&mut self, until: i64) {
        self.paused_until = until;
    }

    fn leave(&mut self, world: &mut World) {
        let members = vec![m::leave_group_request::MemberIdentity {
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            reason: None,
        }];
        let request = m::LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        world.send(5, Request::LeaveGroup(request));
        self.phase = Phase::Stopped;
    }

    fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Stopped)
    }

    fn is_stable(&self) -> bool {
        matches!(self.phase, Phase::Stable)
    }

    fn member_id(&self) -> &str {
        &self.member_id
    }

    /// Between generations an eager member may go on for a while with what it had: [`World::owns`] looks at these.
    fn owned(&self) -> Vec<i32> {
        Vec::new()
    }
}

/// An assignment as consumers write it.
fn assignment(partitions: Vec<i32>) -> Bytes {
    let topic = TopicPartition { topic: TOPIC.0.into(), partitions };
    let assignment = m::ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
    let mut w = Writer::new();
    w.i16(0);
    assignment.encode(&mut w, 0).expect("it is small");
    w.into_bytes()
}

fn partitions(assignment: &Bytes) -> Vec<i32> {
    if assignment.is_empty() {
        return Vec::new();
    }
    let mut r = Reader::new(assignment.clone());
    let version = r.i16();
    let assignment = m::ConsumerProtocolAssignment::decode(&mut r, version).expect("members understand each other");
    assignment.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// A stable group has given every partition to one member.
pub(super) fn check(world: &mut World) {
    let Answer::DescribeGroup(group) = world.look(Request::DescribeGroup(GROUP.into())) else {
        panic!("it is the answer to the request of its name")
    };
    if group.group_state == "Stable" {
        super::assert_partitioned(group.members.iter().flat_map(|member| partitions(&member.member_assignment)));
    }
    assert!(group.group_state != "Empty" || group.members.is_empty());
}
