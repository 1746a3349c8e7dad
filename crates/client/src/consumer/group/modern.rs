//! The consumer protocol (KIP-848): the coordinator assigns; heartbeats carry what is owned there and what is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{TopicPartition, Uuid};
use thalweg_sys::time::{Instant, now, timeout_at};
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use thalweg_wire::messages::consumer_group_heartbeat_response::Assignment;
use thalweg_wire::messages::metadata_request::MetadataRequestTopic;
use thalweg_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, MetadataRequest};

use super::{Setback, Shared};
use crate::Destination;

/// The epoch of a member that joins.
const JOINING: i32 = 0;
/// The epoch of a member that leaves.
const LEAVING: i32 = -1;
/// The epoch of a static member that leaves for a while.
const LEAVING_FOR_A_WHILE: i32 = -2;

/// What of the member's heartbeats the coordinator knows already.
#[derive(Default)]
struct Said {
    subscriptions: u64,
    owned: Option<BTreeSet<TopicPartition>>,
}

/// Keeps the membership until the consumer leaves.
pub(super) async fn run(shared: Arc<Shared>) {
    shared.state.lock().member = Uuid::from_random(thalweg_sys::random::bytes16()).to_string();
    loop {
        let setback = match stay(&shared).await {
            Ok(never) => match never {},
            Err(setback) => setback,
        };
        match setback {
            Setback::Lost | Setback::MemberId(_) | Setback::Rebalance => shared.lose(),
            Setback::Later(error) => shared.pause(&error).await,
            Setback::Final(error) => return shared.fail(error),
            Setback::Leave => {
                leave(&shared).await;
                shared.lose();
                if !shared.returned().await {
                    return;
                }
            }
        }
    }
}

/// Joins, and sends heartbeats until something happens.
async fn stay(shared: &Shared) -> Result<std::convert::Infallible, Setback> {
    // What the consumer still holds of an earlier membership is given up first.
    shared.hand_over(BTreeSet::new()).await?;
    shared.state.lock().generation = JOINING;
    let mut said = Said::default();
    let mut assigned: Option<Assignment> = None;
    loop {
        let response = beat(shared, &mut said).await?;
        let interval = Duration::from_millis(u64::try_from(response.heartbeat_interval_ms).unwrap_or(0).max(1));
        if response.assignment.is_some() {
            assigned = response.assignment;
        }
        if let Some(assignment) = &assigned
            && let Some(target) = resolve(shared, assignment).await?
        {
            assigned = None;
            let mut state = shared.state.lock();
            state.target = (state.owned != target).then_some(target);
            drop(state);
            shared.for_consumer.notify_one();
        }
        wait(shared, &said, now() + interval).await?;
    }
}

/// Waits for the next heartbeat, which comes early when there is something to say.
async fn wait(shared: &Shared, said: &Said, beat_at: Instant) -> Result<(), Setback> {
    loop {
        let (leaving, has_news) = {
            let state = shared.state.lock();
            let given_back = said.owned.as_ref().is_some_and(|owned| *owned != state.owned);
            (state.leaving, given_back || state.subscriptions != said.subscriptions)
        };
        if leaving || shared.is_abandoned() {
            return Err(Setback::Leave);
        }
        if has_news || timeout_at(beat_at, shared.for_task.notified()).await.is_err() {
            return Ok(());
        }
    }
}

async fn beat(shared: &Shared, said: &mut Said) -> Result<ConsumerGroupHeartbeatResponse, Setback> {
    let config = &shared.config;
    let (request, subscriptions, owned) = {
        let state = shared.state.lock();
        let joins = state.generation == JOINING;
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: config.id.as_str().into(),
            member_id: state.member.as_str().into(),
            member_epoch: state.generation,
            instance_id: config.instance_id.as_deref().map(Into::into),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        if joins || said.subscriptions != state.subscriptions {
            request.subscribed_topic_names = Some(state.topics.iter().map(|topic| topic.as_str().into()).collect());
            // Only brokers since 4.0 know patterns: to others nothing is said of them unless there is one.
            request.subscribed_topic_regex = state.pattern.as_deref().map(Into::into);
        }
        if joins {
            request.rebalance_timeout_ms = i32::try_from(config.poll_interval_max.as_millis()).unwrap_or(i32::MAX);
            request.server_assignor = config.remote_assignor.as_deref().map(Into::into);
        }
        if joins || said.owned.as_ref() != Some(&state.owned) {
            request.topic_partitions = Some(by_id(shared, &state.owned));
        }
        (request, state.subscriptions, state.owned.clone())
    };
    let answered = shared.ask(&request, shared.client.config().request_timeout).await;
    let judged = answered
        .and_then(|response| shared.judge::<ConsumerGroupHeartbeatRequest>(response.error_code).map(|()| response));
    let response = match judged {
        // Nobody knows whether the heartbeat arrived: the next one says everything again.
        Err(Setback::Later(error)) => {
            *said = Said::default();
            shared.pause(&error).await;
            let interval = i32::try_from(shared.client.config().retry.initial.as_millis()).unwrap_or(100);
            return Ok(ConsumerGroupHeartbeatResponse { heartbeat_interval_ms: interval, ..Default::default() });
        }
        judged => judged?,
    };
    *said = Said { subscriptions, owned: Some(owned) };
    let mut state = shared.state.lock();
    state.generation = response.member_epoch;
    if let Some(member) = &response.member_id {
        state.member = member.to_string();
    }
    drop(state);
    Ok(response)
}

fn by_id(shared: &Shared, partitions: &BTreeSet<TopicPartition>) -> Vec<TopicPartitions> {
    let cluster = shared.client.cluster();
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        if let Some(topic) = cluster.topics.get(&partition.topic) {
            topics.entry(topic.id).or_default().push(partition.partition);
        }
    }
    topics.into_iter().map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions }).collect()
}

/// The partitions of an assignment by the names of their topics; `None` while a topic is not known.
async fn resolve(shared: &Shared, assignment: &Assignment) -> Result<Option<BTreeSet<TopicPartition>>, Setback> {
    let (mut names, is_pattern): (BTreeSet<String>, bool) = {
        let state = shared.state.lock();
        (state.topics.clone(), state.pattern.is_some())
    };
    if is_pattern {
        names = chosen_by_coordinator(shared, assignment).await?;
    }
    let names: Vec<String> = names.into_iter().collect();
    let known = shared.client.topics(&names, shared.client.api_deadline()).await;
    let cluster = known.map_err(Setback::Later)?;
    let mut partitions = BTreeSet::new();
    for topic in &assignment.topic_partitions {
        let Some(name) = cluster.topic_name(topic.topic_id) else {
            shared.client.mark_outdated();
            return Ok(None);
        };
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(Arc::clone(name), *index)));
    }
    Ok(Some(partitions))
}

/// The names of the topics of an assignment, of which the coordinator says only the ids.
async fn chosen_by_coordinator(shared: &Shared, assignment: &Assignment) -> Result<BTreeSet<String>, Setback> {
    let cluster = shared.client.cluster();
    let mut names = BTreeSet::new();
    let mut unknown = Vec::new();
    for topic in &assignment.topic_partitions {
        match cluster.topic_name(topic.topic_id) {
            Some(name) => {
                names.insert(name.to_string());
            }
            None => unknown.push(MetadataRequestTopic { topic_id: topic.topic_id, name: None }),
        }
    }
    if !unknown.is_empty() {
        let request =
            MetadataRequest { topics: Some(unknown), allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let response = shared.client.send(Destination::Any, &request).await.map_err(Setback::Later)?;
        names.extend(response.topics.iter().filter_map(|topic| topic.name.as_deref()).map(str::to_owned));
    }
    Ok(names)
}

async fn leave(shared: &Shared) {
    let request = {
        let state = shared.state.lock();
        let is_static = shared.config.instance_id.is_some();
        ConsumerGroupHeartbeatRequest {
            group_id: shared.config.id.as_str().into(),
            member_id: state.member.as_str().into(),
            member_epoch: if is_static { LEAVING_FOR_A_WHILE } else { LEAVING },
            instance_id: shared.config.instance_id.as_deref().map(Into::into),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    };
    // Whatever comes of it, the session ends by itself.
    let _ = shared.ask(&request, shared.client.config().request_timeout).await;
}
