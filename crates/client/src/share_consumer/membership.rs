//! Membership in a share group: a task that sends heartbeats, and is told what the member reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_base::{TopicPartition, Uuid};
use thalweg_sys::task::JoinHandle;
use thalweg_sys::time::{Instant, now, timeout_at};
use thalweg_wire::messages::share_group_heartbeat_response::Assignment;
use thalweg_wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use thalweg_wire::{ApiKey, ErrorCode};
use tokio::sync::Notify;

use crate::error::Api;
use crate::{Client, Destination, Error, Lane};

/// How long a member without partitions waits before it looks whether it has some.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The epoch of a member that joins.
const JOINING: i32 = 0;
/// The epoch of a member that leaves.
const LEAVING: i32 = -1;

/// A member of a share group: the handle of its task.
#[derive(Debug)]
pub(super) struct Membership {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    group: String,
    member: String,
    state: Mutex<State>,
    for_task: Notify,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeSet<String>,
    /// Grows with each change of `topics`.
    subscriptions: u64,
    assigned: BTreeSet<TopicPartition>,
    leaving: bool,
    failure: Option<Error>,
}

impl Membership {
    pub(super) fn join(client: Client, group: String, topics: BTreeSet<String>) -> Self {
        let shared = Arc::new(Shared {
            client,
            group,
            member: Uuid::from_random(thalweg_sys::random::bytes16()).to_string(),
            state: Mutex::new(State { topics, subscriptions: 1, ..State::default() }),
            for_task: Notify::new(),
        });
        let task = thalweg_sys::task::spawn(run(Arc::clone(&shared)));
        Self { shared, task }
    }

    pub(super) fn subscribe(&self, topics: BTreeSet<String>) {
        let mut state = self.shared.state.lock();
        state.topics = topics;
        state.subscriptions += 1;
        drop(state);
        self.shared.for_task.notify_one();
    }

    /// The member's id, and what it reads.
    pub(super) fn assignment(&self) -> (String, BTreeSet<TopicPartition>) {
        (self.shared.member.clone(), self.shared.state.lock().assigned.clone())
    }

    /// Why the membership has ended.
    pub(super) fn failure(&self) -> Option<Error> {
        self.shared.state.lock().failure.clone()
    }

    /// Leaves the group; no longer than until `deadline`.
    pub(super) async fn leave(mut self, deadline: Instant) {
        self.shared.state.lock().leaving = true;
        self.shared.for_task.notify_one();
        let _ = timeout_at(deadline, &mut self.task).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps the membership until the consumer leaves, or the group refuses it.
async fn run(shared: Arc<Shared>) {
    let mut epoch = JOINING;
    let mut said = 0;
    // Until all its topics are known, an assignment is looked at again.
    let mut unresolved: Option<Assignment> = None;
    loop {
        if shared.state.lock().leaving {
            let _ = beat(&shared, LEAVING, false).await;
            return;
        }
        let subscriptions = shared.state.lock().subscriptions;
        let wait = match beat(&shared, epoch, epoch == JOINING || said != subscriptions).await {
            Ok(response) => {
                (epoch, said) = (response.member_epoch, subscriptions);
                unresolved = response.assignment.or(unresolved);
                if let Some(assignment) = unresolved.take()
                    && !shared.resolve(&assignment).await
                {
                    unresolved = Some(assignment);
                    LOOK_AGAIN
                } else {
                    Duration::from_millis(u64::try_from(response.heartbeat_interval_ms).unwrap_or(0).max(1))
                }
            }
            Err(Error::Coordinator { code: ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch, .. }) => {
                epoch = JOINING;
                shared.state.lock().assigned.clear();
                Duration::ZERO
            }
            Err(error) if error.is_retriable() => {
                shared.client.forget(&shared.destination());
                // Nobody knows whether the heartbeat arrived.
                said = 0;
                shared.client.config().retry.initial
            }
            Err(error) => {
                let mut state = shared.state.lock();
                state.assigned.clear();
                state.failure = Some(error);
                return;
            }
        };
        let _ = timeout_at(now() + wait, shared.for_task.notified()).await;
    }
}

async fn beat(shared: &Shared, epoch: i32, with_topics: bool) -> Result<ShareGroupHeartbeatResponse, Error> {
    let client = &shared.client;
    let topics = || shared.state.lock().topics.iter().map(|topic| topic.as_str().into()).collect();
    let request = ShareGroupHeartbeatRequest {
        group_id: shared.group.as_str().into(),
        member_id: shared.member.as_str().into(),
        member_epoch: epoch,
        rack_id: client.config().rack.as_deref().map(Into::into),
        subscribed_topic_names: with_topics.then(topics),
    };
    let deadline = now() + client.config().request_timeout;
    let connection = client.connection(&shared.destination(), Lane::Coordination, deadline).await?;
    let response = connection.send(&request, deadline).await?;
    match ErrorCode::from(response.error_code) {
        ErrorCode::None => Ok(response),
        code => {
            let api = Api(ApiKey::ShareGroupHeartbeat);
            Err(Error::Coordinator { destination: shared.destination(), api, code })
        }
    }
}

impl Shared {
    fn destination(&self) -> Destination {
        Destination::GroupCoordinator(self.group.as_str().into())
    }

    /// Takes an assignment over by the names of its topics; says whether all of them are known.
    async fn resolve(&self, assignment: &Assignment) -> bool {
        let topics: Vec<String> = self.state.lock().topics.iter().cloned().collect();
        let Ok(cluster) = self.client.topics(&topics, self.client.api_deadline()).await else { return false };
        let mut assigned = BTreeSet::new();
        for topic in &assignment.topic_partitions {
            let Some(name) = cluster.topic_name(topic.topic_id) else {
                self.client.mark_outdated();
                return false;
            };
            assigned.extend(topic.partitions.iter().map(|index| TopicPartition::new(Arc::clone(name), *index)));
        }
        self.state.lock().assigned = assigned;
        true
    }
}
