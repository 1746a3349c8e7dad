//! Stories of the classic protocol.

mod errors;
mod joining;
mod leaving;
mod offsets;
mod static_members;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;
use thalweg_wire::messages::sync_group_request::SyncGroupRequestAssignment;

use crate::records::Record;
use crate::request::{Answer, Request};
use crate::settings::Settings;
use crate::tests::testbed::Testbed;

pub(super) const OK: i16 = 0;

/// What a member says of itself, to be varied.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) member_id: ByteString,
    pub(super) instance_id: Option<ByteString>,
    pub(super) protocols: Vec<(&'static str, Vec<u8>)>,
    pub(super) protocol_type: &'static str,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) version: i16,
}

pub(super) fn client() -> Client {
    Client {
        member_id: ByteString::default(),
        instance_id: None,
        protocols: vec![("range", subscription(&["t"]))],
        protocol_type: "consumer",
        rebalance_timeout_ms: 60_000,
        version: 9,
    }
}

pub(super) fn static_client(instance_id: &str) -> Client {
    Client { instance_id: Some(instance_id.into()), ..client() }
}

/// A consumer's subscription, version 0.
pub(super) fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes
}

impl Client {
    pub(super) fn named(&self, member_id: &ByteString) -> Self {
        Self { member_id: member_id.clone(), ..self.clone() }
    }

    fn request(&self) -> m::JoinGroupRequest {
        let protocols = self.protocols.iter().map(|(name, metadata)| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: Bytes::copy_from_slice(metadata),
        });
        m::JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: self.protocol_type.into(),
            protocols: protocols.collect(),
            reason: None,
        }
    }
}

/// The testbed with the requests of members.
pub(super) struct Story {
    pub(super) bed: Testbed,
}

impl Story {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self { bed: Testbed::new(settings) }
    }

    pub(super) fn join(&mut self, client: &Client) -> Ticket {
        self.bed.ask(client.version, Request::JoinGroup(client.request()))
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> Option<m::JoinGroupResponse> {
        self.bed.take(ticket).map(|answer| match answer {
            Answer::JoinGroup(response) => response,
            other => panic!("{other:?}"),
        })
    }

    /// A JoinGroup that is answered at once.
    pub(super) fn join_now(&mut self, client: &Client) -> m::JoinGroupResponse {
        let ticket = self.join(client);
        self.joined(ticket).expect("it is answered at once")
    }

    /// The id that a new member is told, which then waits to join.
    pub(super) fn new_member(&mut self, client: &Client) -> (ByteString, Ticket) {
        let told = self.join_now(client);
        assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
        let ticket = self.join(&client.named(&told.member_id));
        (told.member_id, ticket)
    }

    pub(super) fn sync(&mut self, id: &ByteString, generation: i32, given: &[(&ByteString, &str)]) -> Ticket {
        let assignments = given.iter().map(|(id, bytes)| SyncGroupRequestAssignment {
            member_id: (*id).clone(),
            assignment: Bytes::copy_from_slice(bytes.as_bytes()),
        });
        let request = m::SyncGroupRequest {
            group_id: "g".into(),
            generation_id: generation,
            member_id: id.clone(),
            assignments: assignments.collect(),
            ..Default::default()
        };
        self.bed.ask(5, Request::SyncGroup(request))
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> Option<(i16, Bytes)> {
        self.bed.take(ticket).map(|answer| match answer {
            Answer::SyncGroup(response) => (response.error_code, response.assignment),
            other => panic!("{other:?}"),
        })
    }

    pub(super) fn heartbeat(&mut self, id: &ByteString, generation: i32) -> i16 {
        self.heartbeat_as(id, None, generation)
    }

    pub(super) fn heartbeat_as(&mut self, id: &ByteString, instance_id: Option<&str>, generation: i32) -> i16 {
        let request = m::HeartbeatRequest {
            group_id: "g".into(),
            generation_id: generation,
            member_id: id.clone(),
            group_instance_id: instance_id.map(Into::into),
        };
        match self.bed.call(4, Request::Heartbeat(request)) {
            Answer::Heartbeat(response) => response.error_code,
            other => panic!("{other:?}"),
        }
    }

    /// The error of the whole, and those of the members.
    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> (i16, Vec<i16>) {
        let members = members.iter().map(|(id, instance_id)| m::leave_group_request::MemberIdentity {
            member_id: (*id).into(),
            group_instance_id: instance_id.map(Into::into),
            reason: None,
        });
        let request = m::LeaveGroupRequest { group_id: "g".into(), members: members.collect(), ..Default::default() };
        match self.bed.call(5, Request::LeaveGroup(request)) {
            Answer::LeaveGroup(response) => {
                (response.error_code, response.members.iter().map(|member| member.error_code).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe(&mut self) -> m::describe_groups_response::DescribedGroup {
        match self.bed.call(6, Request::DescribeGroup("g".into())) {
            Answer::DescribeGroup(described) => described,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&mut self) -> String {
        self.describe().group_state.to_string()
    }

    /// A stable group of these clients; gives their ids. The first leads.
    pub(super) fn stable(&mut self, clients: &[Client]) -> Vec<ByteString> {
        let mut tickets = Vec::new();
        for client in clients {
            let ticket = self.join(client);
            tickets.push(match self.joined(ticket) {
                Some(told) => self.join(&client.named(&told.member_id)),
                None => ticket,
            });
        }
        // The first delay, and once more because others came.
        self.bed.pass(3_000);
        let mut first = self.joined(tickets[0]);
        if first.is_none() {
            self.bed.pass(3_000);
            first = self.joined(tickets[0]);
        }
        let rest = tickets[1..].iter().map(|&ticket| self.joined(ticket));
        let joined: Vec<_> = [first].into_iter().chain(rest).map(|joined| joined.expect("all have joined")).collect();
        let ids: Vec<_> = joined.iter().map(|joined| joined.member_id.clone()).collect();
        let generation = joined[0].generation_id;
        let given: Vec<_> = ids.iter().map(|id| (id, &**id)).collect();
        let leader = joined[0].leader.clone();
        let ticket = self.sync(&leader, generation, &given);
        assert_eq!(self.synced(ticket), Some((OK, Bytes::copy_from_slice(leader.as_bytes()))));
        for id in ids.iter().filter(|id| **id != leader) {
            let ticket = self.sync(id, generation, &[]);
            assert_eq!(self.synced(ticket), Some((OK, Bytes::copy_from_slice(id.as_bytes()))));
        }
        assert_eq!(self.state(), "Stable");
        self.bed.take_records();
        ids
    }

    /// The GroupMetadata records that were written since the last look.
    pub(super) fn written(&mut self) -> Vec<m::GroupMetadataValue> {
        let records = self.bed.take_records().into_iter();
        let groups = records.filter_map(|record| match record {
            Record::GroupMetadata { value, .. } => Some(value.expect("no tombstone")),
            _ => None,
        });
        groups.collect()
    }
}

/// Every member's heartbeat, as long as time passes.
pub(super) fn pass_with_heartbeats(story: &mut Story, ms: i64, ids: &[ByteString], generation: i32) -> Vec<i16> {
    let mut errors = Vec::new();
    for _ in 0..(ms / 1_000) {
        story.bed.pass(1_000);
        for id in ids {
            errors.push(story.heartbeat(id, generation));
        }
    }
    errors
}
