//! The classic protocol: members join, their leader assigns, all take what they were given, and send heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_base::TopicPartition;
use thalweg_sys::time::{now, sleep, timeout_at};
use thalweg_wire::messages as m;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;
use thalweg_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use thalweg_wire::{ErrorCode, Reader, Writer};

use super::super::assignors::{Assignor, Member, assign};
use super::{Setback, Shared, sticky};

/// What kind of group it is, for the coordinator.
const PROTOCOL_TYPE: &str = "consumer";
/// The version of subscriptions and assignments that is written: that of Kafka 2.4 to 4, which older members read too.
const PROTOCOL_VERSION: i16 = 3;
/// How much longer than the rebalance may take its answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps the membership until the consumer leaves.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        match member(&shared).await {
            Setback::Lost => {
                shared.lose();
                shared.state.lock().member.clear();
            }
            Setback::MemberId(member) => shared.state.lock().member = member,
            Setback::Rebalance => {}
            Setback::Later(error) => shared.pause(&error).await,
            Setback::Final(error) => return shared.fail(error),
            Setback::Leave => {
                leave(&shared).await;
                shared.lose();
                shared.state.lock().member.clear();
                if !shared.returned().await {
                    return;
                }
            }
        }
    }
}

/// Joins, and stays a member until something happens.
async fn member(shared: &Shared) -> Setback {
    match join_and_stay(shared).await {
        Ok(never) => match never {},
        Err(setback) => setback,
    }
}

async fn join_and_stay(shared: &Shared) -> Result<std::convert::Infallible, Setback> {
    let is_cooperative = shared.config.assignors.iter().all(|assignor| assignor.is_cooperative());
    if !is_cooperative {
        // Whoever joins may be given other partitions: these are given up first.
        hand_over(shared, BTreeSet::new()).await?;
    }
    let subscriptions = shared.state.lock().subscriptions;
    let joined = join(shared).await?;
    let counts = partition_counts(shared, &joined).await?;
    let target = sync(shared, &joined, &counts).await?;
    let given_up = {
        let mut state = shared.state.lock();
        state.generation = joined.generation_id;
        state.kept = (target.clone(), joined.generation_id);
        state.owned.difference(&target).next().is_some()
    };
    hand_over(shared, target).await?;
    if is_cooperative && given_up {
        // What was given up is assigned to others in the next round.
        return Err(Setback::Rebalance);
    }
    loop {
        let beat_at = now() + shared.config.heartbeat_interval;
        while timeout_at(beat_at, shared.for_task.notified()).await.is_ok() {
            check(shared, subscriptions)?;
        }
        check(shared, subscriptions)?;
        heartbeat(shared).await?;
        // The leader assigns again when topics have come or grown.
        if !counts.is_empty() && partition_counts(shared, &joined).await? != counts {
            return Err(Setback::Rebalance);
        }
    }
}

/// Waits until the consumer reads what it should; the session is kept alive meanwhile, as the application may be busy with
/// the records that it has.
async fn hand_over(shared: &Shared, target: BTreeSet<TopicPartition>) -> Result<(), Setback> {
    let handed_over = shared.hand_over(target);
    tokio::pin!(handed_over);
    loop {
        tokio::select! {
            biased;
            result = &mut handed_over => return result,
            () = sleep(shared.config.heartbeat_interval) => {}
        }
        let is_member = shared.state.lock().generation >= 0;
        match if is_member { heartbeat(shared).await } else { Ok(()) } {
            // It joins again in any case.
            Ok(()) | Err(Setback::Rebalance) => {}
            Err(setback) => return Err(setback),
        }
    }
}

fn check(shared: &Shared, subscriptions: u64) -> Result<(), Setback> {
    let (leaving, changed) = {
        let state = shared.state.lock();
        (state.leaving, state.subscriptions != subscriptions)
    };
    if leaving || shared.is_abandoned() {
        return Err(Setback::Leave);
    }
    if changed { Err(Setback::Rebalance) } else { Ok(()) }
}

async fn join(shared: &Shared) -> Result<m::JoinGroupResponse, Setback> {
    let config = &shared.config;
    let request = {
        let state = shared.state.lock();
        let mut protocols = Vec::new();
        for assignor in &config.assignors {
            let user_data = (*assignor == Assignor::Sticky).then(|| sticky::write(&state.kept));
            let metadata = subscription(&state.topics, &state.owned, state.generation, user_data)?;
            protocols.push(JoinGroupRequestProtocol { name: assignor.name().into(), metadata });
        }
        m::JoinGroupRequest {
            group_id: config.id.as_str().into(),
            session_timeout_ms: millis(config.session_timeout),
            rebalance_timeout_ms: millis(config.poll_interval_max),
            member_id: state.member.as_str().into(),
            group_instance_id: config.instance_id.as_deref().map(Into::into),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols,
            ..m::JoinGroupRequest::default()
        }
    };
    let response = shared.ask(&request, config.poll_interval_max + GRACE).await?;
    if ErrorCode::from(response.error_code) == ErrorCode::MemberIdRequired {
        return Err(Setback::MemberId(response.member_id.to_string()));
    }
    shared.judge::<m::JoinGroupRequest>(response.error_code)?;
    shared.state.lock().member = response.member_id.to_string();
    Ok(response)
}

/// How many partitions the members' topics have; nothing if this member does not lead.
async fn partition_counts(shared: &Shared, joined: &m::JoinGroupResponse) -> Result<BTreeMap<String, i32>, Setback> {
    if joined.leader != joined.member_id {
        return Ok(BTreeMap::new());
    }
    let mut topics = BTreeSet::new();
    for member in &joined.members {
        topics.extend(read_member(&member.member_id, member.group_instance_id.as_deref(), &member.metadata).topics);
    }
    let topics: Vec<String> = topics.into_iter().collect();
    let cluster = shared.client.topics(&topics, shared.client.api_deadline()).await.map_err(Setback::Later)?;
    let count = |topic: String| {
        let count = cluster.topics.get(topic.as_str()).map_or(0, |topic| topic.partitions.len());
        (topic, i32::try_from(count).unwrap_or(i32::MAX))
    };
    Ok(topics.into_iter().map(count).collect())
}

async fn sync(
    shared: &Shared,
    joined: &m::JoinGroupResponse,
    counts: &BTreeMap<String, i32>,
) -> Result<BTreeSet<TopicPartition>, Setback> {
    let protocol = joined.protocol_name.as_deref().unwrap_or_default();
    let mut assignments = Vec::new();
    if joined.leader == joined.member_id && !joined.skip_assignment {
        let assignor = Assignor::from_name(protocol).unwrap_or(Assignor::Range);
        let mut members: Vec<Member> = Vec::new();
        for member in &joined.members {
            let mut read = read_member(&member.member_id, member.group_instance_id.as_deref(), &member.metadata);
            if assignor == Assignor::Sticky {
                (read.owned, read.generation) = sticky::read(&read.user_data);
            }
            members.push(read);
        }
        for (member_id, partitions) in assign(assignor, &members, counts) {
            let assignment = write_assignment(&partitions)?;
            assignments.push(SyncGroupRequestAssignment { member_id: member_id.into(), assignment });
        }
    }
    let request = m::SyncGroupRequest {
        group_id: shared.config.id.as_str().into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: shared.config.instance_id.as_deref().map(Into::into),
        protocol_type: Some(PROTOCOL_TYPE.into()),
        protocol_name: Some(protocol.into()),
        assignments,
    };
    let response = shared.ask(&request, shared.config.poll_interval_max + GRACE).await?;
    shared.judge::<m::SyncGroupRequest>(response.error_code)?;
    Ok(read_assignment(&response.assignment))
}

async fn heartbeat(shared: &Shared) -> Result<(), Setback> {
    let request = {
        let state = shared.state.lock();
        m::HeartbeatRequest {
            group_id: shared.config.id.as_str().into(),
            generation_id: state.generation,
            member_id: state.member.as_str().into(),
            group_instance_id: shared.config.instance_id.as_deref().map(Into::into),
        }
    };
    let response = match shared.ask(&request, shared.client.config().request_timeout).await {
        // The member stays one as long as its session lasts: the next heartbeat may find the coordinator again.
        Err(Setback::Later(error)) => {
            shared.pause(&error).await;
            return Ok(());
        }
        response => response?,
    };
    match shared.judge::<m::HeartbeatRequest>(response.error_code) {
        Err(Setback::Later(error)) => {
            shared.pause(&error).await;
            Ok(())
        }
        judged => judged,
    }
}

/// Leaves the group, unless the member is a static one, which comes back under its name.
async fn leave(shared: &Shared) {
    let member = std::mem::take(&mut shared.state.lock().member);
    if member.is_empty() || shared.config.instance_id.is_some() {
        return;
    }
    let deadline = now() + shared.client.config().request_timeout;
    let ask = async {
        let connection = shared.client.connection(&shared.destination(), crate::Lane::Coordination, deadline).await?;
        let version = connection.version(thalweg_wire::ApiKey::LeaveGroup)?;
        let mut request =
            m::LeaveGroupRequest { group_id: shared.config.id.as_str().into(), ..m::LeaveGroupRequest::default() };
        if version >= 3 {
            let member_id = member.as_str().into();
            request.members = vec![m::leave_group_request::MemberIdentity { member_id, ..Default::default() }];
        } else {
            request.member_id = member.as_str().into();
        }
        connection.send_at(&request, version, deadline).await
    };
    if let Err(error) = ask.await {
        tracing::debug!(group = shared.config.id, %error, "the group was not left in order");
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn subscription(
    topics: &BTreeSet<String>,
    owned: &BTreeSet<TopicPartition>,
    generation: i32,
    user_data: Option<Bytes>,
) -> Result<Bytes, Setback> {
    use m::consumer_protocol_subscription::TopicPartition as Owned;
    let owned = by_topic(owned).map(|(topic, partitions)| Owned { topic: topic.into(), partitions });
    let subscription = m::ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| topic.as_str().into()).collect(),
        owned_partitions: owned.collect(),
        generation_id: generation,
        user_data,
        ..m::ConsumerProtocolSubscription::default()
    };
    let mut writer = Writer::new();
    writer.i16(PROTOCOL_VERSION);
    subscription.encode(&mut writer, PROTOCOL_VERSION).map_err(|_| too_long())?;
    Ok(writer.into_bytes())
}

fn write_assignment(partitions: &BTreeSet<TopicPartition>) -> Result<Bytes, Setback> {
    use m::consumer_protocol_assignment::TopicPartition as Given;
    let given = by_topic(partitions).map(|(topic, partitions)| Given { topic: topic.into(), partitions });
    let assignment = m::ConsumerProtocolAssignment {
        assigned_partitions: given.collect(),
        ..m::ConsumerProtocolAssignment::default()
    };
    let mut writer = Writer::new();
    writer.i16(PROTOCOL_VERSION);
    assignment.encode(&mut writer, PROTOCOL_VERSION).map_err(|_| too_long())?;
    Ok(writer.into_bytes())
}

fn too_long() -> Setback {
    Setback::Final(crate::Error::State("a topic's name is too long for the group's protocol"))
}

fn by_topic(partitions: &BTreeSet<TopicPartition>) -> impl Iterator<Item = (&str, Vec<i32>)> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    topics.into_iter()
}

/// What a member says of itself. What cannot be read counts as a member without topics.
fn read_member(id: &str, instance: Option<&str>, metadata: &Bytes) -> Member {
    let mut reader = Reader::new(metadata.clone());
    let version = reader.i16().clamp(0, PROTOCOL_VERSION);
    let said = m::ConsumerProtocolSubscription::decode(&mut reader, version).unwrap_or_default();
    let mut owned = BTreeSet::new();
    for topic in &said.owned_partitions {
        owned.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.topic, *index)));
    }
    Member {
        id: id.to_owned(),
        instance: instance.map(str::to_owned),
        topics: said.topics.iter().map(ToString::to_string).collect(),
        owned,
        generation: said.generation_id,
        user_data: said.user_data.unwrap_or_default(),
    }
}

fn read_assignment(bytes: &Bytes) -> BTreeSet<TopicPartition> {
    let mut reader = Reader::new(bytes.clone());
    if bytes.is_empty() {
        return BTreeSet::new();
    }
    let version = reader.i16().clamp(0, PROTOCOL_VERSION);
    let given = m::ConsumerProtocolAssignment::decode(&mut reader, version).unwrap_or_default();
    let mut partitions = BTreeSet::new();
    for topic in &given.assigned_partitions {
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.topic, *index)));
    }
    partitions
}
