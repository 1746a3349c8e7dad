//! Members of the consumer protocol (KIP-848), as well-behaved clients are.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_coordinator::Ticket;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_describe_response as d;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::Member;
use super::world::{GROUP, TOPIC, World};
use crate::request::{Answer, Request};

const HEARTBEAT_MS: i64 = 1_000;
const REBALANCE_MS: i32 = 8_000;

/// Another topic, which comes, grows and goes.
pub(super) const OTHER: &str = "u";

/// Partitions by topic and index.
pub(super) type Partitions = BTreeSet<(Uuid, i32)>;

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    instance_id: Option<ByteString>,
    member_id: ByteString,
    /// 0 to join.
    epoch: i32,
    /// Names, and a regular expression or none.
    subscription: (Vec<&'static str>, &'static str),
    owned: Partitions,
    /// What it was told to have and has not taken over yet.
    told: Option<Partitions>,
    /// Whether the next heartbeat says everything.
    full: bool,
    /// Whether it says what the member has.
    acknowledges: bool,
    heartbeat: Option<Ticket>,
    next_heartbeat: i64,
    commit: Option<(Ticket, i32, i64)>,
    paused_until: i64,
    mail: Vec<(Ticket, Answer)>,
    stopped: bool,
    stable: bool,
}

/// What members may subscribe to; in every case to the topic that always is.
const SUBSCRIPTIONS: [(&[&str], &str); 5] =
    [(&[TOPIC.0], ""), (&[TOPIC.0], ""), (&[TOPIC.0, OTHER], ""), (&[], "[tu]"), (&[TOPIC.0], "u.*")];

impl Client {
    pub(super) fn new(number: usize, world: &mut World) -> Self {
        let (names, regex) = SUBSCRIPTIONS[world.random.below(SUBSCRIPTIONS.len())];
        Self {
            instance_id: world.random.percent(30).then(|| format!("i{}", number % 3).into()),
            member_id: format!("m{number}").into(),
            epoch: 0,
            subscription: (names.to_vec(), regex),
            owned: Partitions::new(),
            told: None,
            full: true,
            acknowledges: false,
            heartbeat: None,
            next_heartbeat: 0,
            commit: None,
            paused_until: 0,
            mail: Vec::new(),
            stopped: false,
            stable: false,
        }
    }

    /// It has lost everything and joins again.
    fn rejoin(&mut self, at: i64) {
        self.owned.clear();
        self.told = None;
        self.epoch = 0;
        self.full = true;
        self.next_heartbeat = at;
    }

    fn request(&self, member_epoch: i32) -> m::ConsumerGroupHeartbeatRequest {
        m::ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.member_id.clone(),
            member_epoch,
            instance_id: self.instance_id.clone(),
            rebalance_timeout_ms: -1,
            ..Default::default()
        }
    }

    fn send_heartbeat(&mut self, world: &mut World) {
        let mut request = self.request(self.epoch);
        if self.full {
            request.rebalance_timeout_ms = REBALANCE_MS;
            request.subscribed_topic_names = Some(self.subscription.0.iter().map(|name| (*name).into()).collect());
            request.subscribed_topic_regex = Some(self.subscription.1.into());
        }
        if self.full || self.acknowledges || world.random.percent(20) {
            request.topic_partitions = Some(listed(&self.owned));
        }
        (self.full, self.acknowledges) = (false, false);
        self.next_heartbeat = world.now + HEARTBEAT_MS;
        self.heartbeat = Some(world.send(1, Request::ConsumerGroupHeartbeat(request)));
    }

    fn heard(&mut self, world: &mut World, response: &m::ConsumerGroupHeartbeatResponse) {
        let now = world.now;
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                self.epoch = response.member_epoch;
                if let Some(assignment) = &response.assignment {
                    let topics = assignment.topic_partitions.iter();
                    let each = topics.flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)));
                    self.told = Some(each.collect());
                }
            }
            // The group may have been a classic one meanwhile, of which no member is left.
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => self.rejoin(now),
            ErrorCode::FencedInstanceId | ErrorCode::UnreleasedInstanceId => {
                self.owned.clear();
                self.stopped = true;
            }
            ErrorCode::CoordinatorNotAvailable => {
                self.full = true;
                self.next_heartbeat = now + 100;
            }
            other => panic!("a well-behaved client was told {other:?}: {:?}", response.error_message),
        }
    }

    /// Gives up what it is not to have, and takes the rest: at once, or as far as it gets.
    fn reconcile(&mut self, world: &mut World) {
        let Some(told) = self.told.clone() else { return };
        if !self.owned.is_subset(&told) {
            self.owned.retain(|partition| told.contains(partition));
            self.acknowledges = true;
            self.next_heartbeat = world.now;
            if world.random.percent(50) {
                return;
            }
        }
        self.told = None;
        if self.owned != told {
            self.owned = told;
            // It says so at once.
            self.acknowledges = true;
            self.next_heartbeat = world.now;
        }
    }

    /// What a member has, the coordinator knows, as long as they agree on the epoch.
    fn verify(&self, world: &mut World) {
        let Some(group) = describe(world) else { return };
        let member = group.members.iter().find(|member| member.member_id == self.member_id);
        if let Some(member) = member.filter(|member| self.epoch > 0 && member.member_epoch == self.epoch) {
            // Topics that are gone are not described.
            let there: Vec<Uuid> =
                [TOPIC.0, OTHER].iter().filter_map(|name| world.topic(name)).map(|(id, _)| id).collect();
            let owned: Partitions = self.owned.iter().filter(|(topic, _)| there.contains(topic)).copied().collect();
            let known = partitions(&member.assignment);
            assert!(owned.is_subset(&known), "{} has {owned:?}, known is {known:?}", self.member_id);
        }
    }

    fn send_commit(&mut self, world: &mut World) {
        let of_topic = |(topic, _): &&(Uuid, i32)| *topic == TOPIC.1;
        let Some(&(_, partition)) = self.owned.iter().find(of_topic) else { return };
        let (id, instance_id) = (self.member_id.clone(), self.instance_id.clone());
        self.commit = Some(world.commit_as_member(&id, instance_id, self.epoch, partition));
    }

    fn read(&mut self, world: &mut World, ticket: Ticket, answer: &Answer) {
        match answer {
            Answer::ConsumerGroupHeartbeat(response) if self.heartbeat == Some(ticket) => {
                self.heartbeat = None;
                if !self.stopped {
                    self.heard(world, response);
                }
            }
            Answer::OffsetCommit(response) => {
                let commit = self.commit.take_if(|(own, _, _)| *own == ticket);
                world.committed_by_member(commit.map(|(_, partition, offset)| (partition, offset)), response);
            }
            _ => {}
        }
    }
}

impl Member for Client {
    fn turn(&mut self, world: &mut World) {
        if self.stopped {
            return;
        }
        self.verify(world);
        if self.paused_until > world.now {
            return;
        }
        for (ticket, answer) in std::mem::take(&mut self.mail) {
            self.read(world, ticket, &answer);
        }
        if world.is_faulty() && world.random.percent(2) {
            let (names, regex) = SUBSCRIPTIONS[world.random.below(SUBSCRIPTIONS.len())];
            self.subscription = (names.to_vec(), regex);
            self.full = true;
        }
        self.reconcile(world);
        if self.heartbeat.is_none() && self.next_heartbeat <= world.now && !self.stopped {
            self.send_heartbeat(world);
        } else if self.commit.is_none() && self.epoch > 0 && world.random.percent(30) {
            self.send_commit(world);
        }
        self.stable = self.epoch > 0 && self.told.is_none() && !self.full && is_complete(world);
    }

    fn answered(&mut self, world: &mut World, ticket: Ticket, answer: Answer) {
        let is_own = self.heartbeat == Some(ticket) || self.commit.as_ref().is_some_and(|(own, _, _)| *own == ticket);
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
        self.full = true;
        self.next_heartbeat = world.now;
    }

    fn die(&mut self) {
        self.owned.clear();
        self.stopped = true;
    }

    fn pause(&mut self, until: i64) {
        self.paused_until = until;
    }

    fn leave(&mut self, world: &mut World) {
        if self.stopped {
            return;
        }
        let epoch = if self.instance_id.is_some() && world.random.percent(50) { -2 } else { -1 };
        let request = self.request(epoch);
        world.send(1, Request::ConsumerGroupHeartbeat(request));
        self.die();
    }

    fn is_alive(&self) -> bool {
        !self.stopped
    }

    fn is_stable(&self) -> bool {
        self.stable
    }

    fn member_id(&self) -> &str {
        &self.member_id
    }

    fn owned(&self) -> Vec<i32> {
        self.owned.iter().filter(|(topic, _)| *topic == TOPIC.1).map(|(_, partition)| *partition).collect()
    }
}

fn listed(owned: &Partitions) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in owned {
        topics.entry(*topic).or_default().push(*partition);
    }
    topics.into_iter().map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions }).collect()
}

/// The consumer group as it is at this moment.
pub(super) fn describe(world: &mut World) -> Option<d::DescribedGroup> {
    if world.has_crashed {
        return None;
    }
    match world.look(Request::ConsumerGroupDescribe(GROUP.into())) {
        Answer::ConsumerGroupDescribe(group) => (group.error_code == 0).then_some(group),
        other => panic!("it is the answer to the request of its name: {other:?}"),
    }
}

pub(super) fn partitions(assignment: &d::Assignment) -> Partitions {
    let topics = assignment.topic_partitions.iter();
    topics.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition))).collect()
}

/// Whether the group is stable and every partition of every topic that somebody reads has a member.
fn is_complete(world: &mut World) -> bool {
    let Some(group) = describe(world).filter(|group| group.group_state == "Stable") else { return false };
    let owned: Partitions = group.members.iter().flat_map(|member| partitions(&member.assignment)).collect();
    let reads_other = |member: &d::Member| {
        let by_regex = member.subscribed_topic_regex.as_deref().is_some_and(|regex| !regex.is_empty());
        by_regex || member.subscribed_topic_names.iter().any(|name| *name == OTHER)
    };
    let other = world.topic(OTHER).filter(|_| group.members.iter().any(reads_other));
    let topics = [world.topic(TOPIC.0), other].into_iter().flatten();
    topics.flat_map(|(id, count)| (0..count).map(move |partition| (id, partition))).all(|at| owned.contains(&at))
}

/// No partition has two members, and a stable group has given away all of the topic that always is.
pub(super) fn check(world: &mut World) {
    let Some(group) = describe(world) else { return };
    let mut targets = BTreeMap::new();
    for member in &group.members {
        for partition in partitions(&member.target_assignment) {
            let before = targets.insert(partition, &member.member_id);
            assert_eq!(
                before, None,
                "{partition:?} is meant for two members, {} too, epoch {} {}: {:?}",
                member.member_id, group.group_epoch, group.assignment_epoch, group.members
            );
        }
    }
    let mut owned = BTreeMap::new();
    for member in &group.members {
        for partition in partitions(&member.assignment) {
            let before = owned.insert(partition, &member.member_id);
            assert_eq!(before, None, "{partition:?} has two members, {} too", member.member_id);
        }
    }
    // A group whose members name no topic has nothing until their expressions are resolved.
    let waits = owned.is_empty() && group.members.iter().all(|member| member.subscribed_topic_names.is_empty());
    if group.group_state == "Stable" && !waits {
        super::assert_partitioned(owned.keys().filter(|(topic, _)| *topic == TOPIC.1).map(|(_, index)| *index));
    }
    assert_eq!(group.group_state == "Empty", group.members.is_empty());
    if world.is_faulty() && world.random.percent(1) {
        world.change_topic(OTHER);
    }
}
