//! Membership in a group: a task that keeps it, and what the consumer does when its partitions change.

mod classic;
mod modern;
mod offsets;
mod sticky;
mod subscription;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_base::TopicPartition;
use thalweg_sys::task::JoinHandle;
use thalweg_sys::time::{Instant, now, timeout_at};
use thalweg_wire::{ErrorCode, Request};
use tokio::sync::Notify;

pub(super) use offsets::Offsets;
pub(super) use subscription::Subscription;

use super::config::{GroupConfig, GroupProtocol};
use crate::error::Api;
use crate::{Client, Destination, Error, Lane};

/// How long the task waits for the consumer to give partitions up before it looks whether the consumer still polls.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A member of a group: the handle of its task.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the task and the consumer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) config: GroupConfig,
    pub(super) state: Mutex<State>,
    /// The task has something for the consumer.
    pub(super) for_consumer: Notify,
    /// The consumer has done something that the task waits for.
    pub(super) for_task: Notify,
}

/// Where the membership stands.
#[derive(Debug)]
pub(super) struct State {
    /// The topics by name; those that the coordinator chose are not among them.
    pub(super) topics: BTreeSet<String>,
    /// The regular expression by which the coordinator chooses topics.
    pub(super) pattern: Option<String>,
    /// Whether topics that are chosen by the consumer have been chosen once.
    pub(super) has_chosen: bool,
    /// Grows with each change of `topics` and `pattern`.
    pub(super) subscriptions: u64,
    pub(super) member: String,
    /// The generation of a classic group, or the epoch of the member.
    pub(super) generation: i32,
    /// What the member was given last, for the `sticky` assignor.
    pub(super) kept: sticky::Kept,
    /// What the consumer reads.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// What it is to read; `None` when that is what it owns.
    pub(super) target: Option<BTreeSet<TopicPartition>>,
    /// Whether the group took the partitions away already, so that offsets can no longer be committed.
    pub(super) lost: bool,
    /// When the application last asked for records.
    pub(super) polled_at: Instant,
    pub(super) leaving: bool,
    /// Why the membership has ended.
    pub(super) failure: Option<Error>,
}

/// Why the task begins anew.
pub(super) enum Setback {
    /// The group does not know the member any more, or not at this epoch: it joins again.
    Lost,
    /// The member's id is to be used when it joins again.
    MemberId(String),
    /// The group rebalances.
    Rebalance,
    /// Something that may be better later.
    Later(Error),
    /// Nothing helps.
    Final(Error),
    /// The consumer leaves, or does not poll any more.
    Leave,
}

impl State {
    fn new(subscription: &Subscription) -> Self {
        let (topics, pattern) = match subscription {
            Subscription::Topics(topics) => (topics.clone(), None),
            Subscription::Matching(_) => (BTreeSet::new(), None),
            Subscription::Pattern(pattern) => (BTreeSet::new(), Some(pattern.clone())),
        };
        Self {
            topics,
            pattern,
            has_chosen: false,
            subscriptions: 1,
            member: String::new(),
            generation: -1,
            kept: (BTreeSet::new(), -1),
            owned: BTreeSet::new(),
            target: None,
            lost: false,
            polled_at: now(),
            leaving: false,
            failure: None,
        }
    }
}

/// Keeps the membership until the consumer leaves.
async fn run(shared: Arc<Shared>) {
    match shared.config.protocol {
        GroupProtocol::Classic => classic::run(shared).await,
        GroupProtocol::Consumer => modern::run(shared).await,
    }
}

/// As [`run`], as soon as topics have been chosen.
async fn run_once_chosen(shared: Arc<Shared>) {
    loop {
        {
            let state = shared.state.lock();
            if state.leaving {
                return;
            }
            if state.has_chosen {
                break;
            }
        }
        shared.for_task.notified().await;
    }
    run(shared).await;
}

impl Membership {
    pub(super) fn join(client: Client, config: GroupConfig, subscription: &Subscription) -> Self {
        let shared =
            Arc::new(Shared { state: Mutex::new(State::new(subscription)), ..Shared::outside(client, config) });
        let task = match subscription {
            Subscription::Topics(_) | Subscription::Pattern(_) => thalweg_sys::task::spawn(run(Arc::clone(&shared))),
            Subscription::Matching(choose) => {
                let (shared, choose) = (Arc::clone(&shared), Arc::clone(choose));
                thalweg_sys::task::spawn(async move {
                    tokio::select! {
                        biased;
                        () = subscription::keep_choosing(&shared, &*choose) => {}
                        () = run_once_chosen(Arc::clone(&shared)) => {}
                    }
                })
            }
        };
        Self { shared, task }
    }

    pub(super) fn subscribe(&self, topics: BTreeSet<String>) {
        let mut state = self.shared.state.lock();
        state.topics = topics;
        state.pattern = None;
        state.subscriptions += 1;
        drop(state);
        self.shared.for_task.notify_one();
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

impl Shared {
    /// A group that the consumer is no member of.
    pub(super) fn outside(client: Client, config: GroupConfig) -> Self {
        Self {
            client,
            config,
            state: Mutex::new(State::new(&Subscription::Topics(BTreeSet::new()))),
            for_consumer: Notify::new(),
            for_task: Notify::new(),
        }
    }

    pub(super) fn destination(&self) -> Destination {
        Destination::GroupCoordinator(self.config.id.as_str().into())
    }

    /// One question to the coordinator, on the connection for waiting.
    pub(super) async fn ask<Q: Request>(&self, request: &Q, wait: Duration) -> Result<Q::Response, Setback> {
        let deadline = now() + wait;
        let ask = async {
            let connection = self.client.connection(&self.destination(), Lane::Coordination, deadline).await?;
            connection.send(request, deadline).await
        };
        ask.await.map_err(|error| {
            self.client.forget(&self.destination());
            if error.is_retriable() { Setback::Later(error) } else { Setback::Final(error) }
        })
    }

    /// What an error code of the coordinator means for the member.
    pub(super) fn judge<Q: Request>(&self, code: i16) -> Result<(), Setback> {
        let code = ErrorCode::from(code);
        let error = || Error::Coordinator { destination: self.destination(), api: Api(Q::API), code };
        match code {
            ErrorCode::None => Ok(()),
            ErrorCode::RebalanceInProgress => Err(Setback::Rebalance),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::FencedMemberEpoch => {
                Err(Setback::Lost)
            }
            code if code.is_retriable() => {
                self.client.forget(&self.destination());
                Err(Setback::Later(error()))
            }
            _ => Err(Setback::Final(error())),
        }
    }

    /// Whether the application has not polled for `max.poll.interval.ms`.
    pub(super) fn is_abandoned(&self) -> bool {
        let polled_at = self.state.lock().polled_at;
        now().saturating_duration_since(polled_at) > self.config.poll_interval_max
    }

    /// Sets what the consumer is to read, and waits until it does. A consumer that no longer polls is not waited for.
    pub(super) async fn hand_over(&self, target: BTreeSet<TopicPartition>) -> Result<(), Setback> {
        {
            let mut state = self.state.lock();
            state.target = (state.owned != target).then_some(target);
        }
        self.for_consumer.notify_one();
        loop {
            {
                let state = self.state.lock();
                if state.target.is_none() {
                    return Ok(());
                }
                if state.leaving {
                    return Err(Setback::Leave);
                }
            }
            if self.is_abandoned() {
                return Err(Setback::Leave);
            }
            let _ = timeout_at(now() + LOOK_AGAIN, self.for_task.notified()).await;
        }
    }

    /// The group has taken everything away.
    pub(super) fn lose(&self) {
        let mut state = self.state.lock();
        state.generation = -1;
        if !state.owned.is_empty() {
            state.lost = true;
            state.target = Some(BTreeSet::new());
        }
        drop(state);
        self.for_consumer.notify_one();
    }

    pub(super) fn fail(&self, error: Error) {
        self.lose();
        self.state.lock().failure = Some(error);
        self.for_consumer.notify_one();
    }

    /// Waits after a failure, or until the consumer does something.
    pub(super) async fn pause(&self, error: &Error) {
        tracing::debug!(group = self.config.id, %error, "the group is asked again");
        let _ = timeout_at(now() + self.client.config().retry.initial, self.for_task.notified()).await;
    }

    /// After an absence: waits until the application polls again. Says whether it did; otherwise it leaves for good.
    pub(super) async fn returned(&self) -> bool {
        loop {
            if self.state.lock().leaving {
                return false;
            }
            if !self.is_abandoned() {
                return true;
            }
            self.for_task.notified().await;
        }
    }
}
