//! What a consumer does as a member of its group.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_base::TopicPartition;
use thalweg_sys::time::{Instant, now};

use super::Consumer;
use super::group::{Membership, Offsets, Subscription};
use super::listener::RebalanceListener;
use super::partitions::{Assigned, Start};
use crate::{Error, GroupMetadata, GroupProtocol};

/// What a consumer without `group.id` answers.
const NO_GROUP: Error = Error::State("the consumer has no group.id");

impl Consumer {
    /// Becomes a member of the group `group.id` that reads these topics, in the place of what was read before. The next
    /// polls join the group and follow its rebalances: partitions that come begin at their committed offsets, and those
    /// that go are committed first if `enable.auto.commit` is on.
    ///
    /// # Errors
    /// When there is no `group.id`.
    pub fn subscribe<T: Into<String>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let topics: BTreeSet<String> = topics.into_iter().map(Into::into).collect();
        match &self.membership {
            Some(membership) if !self.chooses => membership.subscribe(topics),
            _ => self.join(&Subscription::Topics(topics))?,
        }
        Ok(())
    }

    /// As [`Consumer::subscribe`], for every topic that is chosen, also for those that come later: all topics are looked
    /// at again as often as `metadata.max.age.ms` says. Kafka's internal topics are not asked about.
    ///
    /// # Errors
    /// When there is no `group.id`.
    pub fn subscribe_matching(&mut self, choose: impl Fn(&str) -> bool + Send + Sync + 'static) -> Result<(), Error> {
        self.join(&Subscription::Matching(Arc::new(choose)))
    }

    /// As [`Consumer::subscribe`], for every topic whose whole name matches a regular expression of RE2. The coordinator
    /// evaluates it (KIP-848), so that `group.protocol` must be `consumer` and the brokers Kafka 4.0 or later; a pattern
    /// that is none fails the next poll.
    ///
    /// # Errors
    /// When there is no `group.id`, or the protocol is the classic one.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<(), Error> {
        let protocol = self.config.group.as_ref().map(|group| group.protocol);
        if protocol == Some(GroupProtocol::Classic) {
            return Err(Error::State("patterns of RE2 need group.protocol=consumer"));
        }
        self.join(&Subscription::Pattern(pattern.to_owned()))
    }

    fn join(&mut self, subscription: &Subscription) -> Result<(), Error> {
        let config = self.config.group.clone().ok_or(NO_GROUP)?;
        self.partitions.assigned.clear();
        self.chooses = !matches!(subscription, Subscription::Topics(_));
        self.commit_at = config.auto_commit.map(|interval| now() + interval);
        self.membership = Some(Membership::join(self.client.clone(), config, subscription));
        Ok(())
    }

    /// Tells `listener` from now on what the group gives and takes; see [`RebalanceListener`].
    pub fn set_rebalance_listener(&mut self, listener: impl RebalanceListener + 'static) {
        self.listener = Some(Box::new(listener));
    }

    /// This consumer as a member, for [`crate::Producer::send_offsets`].
    ///
    /// # Errors
    /// When there is no `group.id`.
    pub fn group_metadata(&self) -> Result<GroupMetadata, Error> {
        let config = self.config.group.as_ref().ok_or(NO_GROUP)?;
        let mut metadata = GroupMetadata::new(&config.id);
        if let Some(membership) = &self.membership {
            let state = membership.shared.state.lock();
            metadata.generation = state.generation;
            metadata.member = if state.generation < 0 { String::new() } else { state.member.clone() };
            metadata.instance = config.instance_id.clone();
        }
        Ok(metadata)
    }

    /// Commits the positions of all partitions: the next records that polls give are those after a restart.
    ///
    /// # Errors
    /// When there is no `group.id`, or the coordinator refuses or is not reached by `deadline`.
    pub async fn commit(&mut self, deadline: Instant) -> Result<(), Error> {
        let positions = self.positions();
        self.commit_offsets(&positions, deadline).await
    }

    /// Commits these offsets: of the next record to read of each partition.
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub async fn commit_offsets(&mut self, offsets: &Offsets, deadline: Instant) -> Result<(), Error> {
        let group = self.group()?;
        group.commit(offsets, deadline).await
    }

    /// Commits, if `enable.auto.commit` is on, and leaves the group. A consumer that is only dropped stays a member until
    /// its session times out.
    ///
    /// # Errors
    /// When the positions could not be committed by `deadline`. The group is left in any case.
    pub async fn close(mut self, deadline: Instant) -> Result<(), Error> {
        let Some(membership) = self.membership.take() else { return Ok(()) };
        let owned: Vec<TopicPartition> = membership.shared.state.lock().owned.iter().cloned().collect();
        let offsets = if owned.is_empty() { Offsets::new() } else { self.offsets_of_revoked(&owned) };
        let committed = if offsets.is_empty() { Ok(()) } else { membership.shared.commit(&offsets, deadline).await };
        membership.leave(deadline).await;
        committed
    }

    /// The group as this consumer uses it; also without being a member, for commits of an assigned consumer.
    pub(super) fn group(&mut self) -> Result<Arc<super::group::Shared>, Error> {
        if let Some(membership) = &self.membership {
            return Ok(Arc::clone(&membership.shared));
        }
        let config = self.config.group.clone().ok_or(NO_GROUP)?;
        let client = self.client.clone();
        let outsider = self.outsider.get_or_insert_with(|| Arc::new(super::group::Shared::outside(client, config)));
        Ok(Arc::clone(outsider))
    }

    pub(super) fn positions(&self) -> Offsets {
        let known = self.partitions.assigned.iter().filter(|(_, assigned)| assigned.start.is_none());
        known.map(|(partition, assigned)| (partition.clone(), (assigned.position, assigned.position_epoch))).collect()
    }

    /// Does what the group wants: commits in time, gives partitions up, takes others on.
    pub(super) async fn follow_group(&mut self) -> Result<(), Error> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let shared = Arc::clone(&membership.shared);
        let (target, lost, failure) = {
            let mut state = shared.state.lock();
            state.polled_at = now();
            (state.target.clone(), state.lost, state.failure.clone())
        };
        let auto_commit = self.config.group.as_ref().and_then(|group| group.auto_commit);
        if let Some(target) = target {
            let gone = self.partitions.assigned.keys().filter(|partition| !target.contains(*partition));
            let gone: Vec<TopicPartition> = gone.cloned().collect();
            if lost && let Some(listener) = &mut self.listener {
                listener.lost(&gone);
            }
            let offsets = if gone.is_empty() || lost { Offsets::new() } else { self.offsets_of_revoked(&gone) };
            if !offsets.is_empty() {
                let deadline = now() + self.config.client.request_timeout;
                // Whoever reads on there reads some records again.
                if let Err(error) = shared.commit(&offsets, deadline).await {
                    tracing::warn!(%error, "positions were not committed before partitions were given up");
                }
            }
            self.adopt(&shared, &gone);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if let (Some(interval), Some(at)) = (auto_commit, self.commit_at)
            && at <= now()
        {
            self.commit_at = Some(now() + interval);
            let (positions, deadline) = (self.positions(), now() + self.config.client.request_timeout);
            thalweg_sys::task::spawn(async move {
                if let Err(error) = shared.commit(&positions, deadline).await {
                    tracing::warn!(%error, "positions were not committed");
                }
            });
        }
        Ok(())
    }

    /// What is committed before partitions go: what the listener says, and with `enable.auto.commit` all positions.
    fn offsets_of_revoked(&mut self, gone: &[TopicPartition]) -> Offsets {
        let told = self.listener.as_mut().map(|listener| listener.revoked(gone)).unwrap_or_default();
        let is_automatic = self.config.group.as_ref().is_some_and(|group| group.auto_commit.is_some());
        let mut offsets = if is_automatic { self.positions() } else { Offsets::new() };
        offsets.extend(told);
        offsets
    }

    /// Reads what the group wants now, which may be more than a moment ago. It may also be less: partitions that are
    /// not in `told` stay until the next time, so that the listener hears of them first.
    fn adopt(&mut self, shared: &super::group::Shared, told: &[TopicPartition]) {
        let mut state = shared.state.lock();
        let Some(target) = &state.target else { return };
        let is_untold = |partition: &TopicPartition| !target.contains(partition) && !told.contains(partition);
        if self.partitions.assigned.keys().any(is_untold) {
            shared.for_consumer.notify_one();
            return;
        }
        let Some(target) = state.target.take() else { return };
        self.partitions.assigned.retain(|partition, _| target.contains(partition));
        let mut new = Vec::new();
        for partition in &target {
            if !self.partitions.assigned.contains_key(partition) {
                self.partitions.assigned.insert(partition.clone(), Assigned::new(Start::Committed));
                new.push(partition.clone());
            }
        }
        state.owned = target;
        state.lost = false;
        drop(state);
        shared.for_task.notify_one();
        if let Some(listener) = &mut self.listener
            && !new.is_empty()
        {
            listener.assigned(&new);
        }
    }

    /// The partitions that begin at their committed offsets, if there is a group to ask for them.
    pub(super) fn uncommitted(&self) -> Vec<(TopicPartition, u64)> {
        if self.config.group.is_none() {
            return Vec::new();
        }
        let waits = self.partitions.assigned.iter().filter(|(_, assigned)| assigned.start == Some(Start::Committed));
        waits.map(|(partition, assigned)| (partition.clone(), assigned.seeks)).collect()
    }
}
