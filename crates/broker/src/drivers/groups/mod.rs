//! The group coordinators of this node: one for each partition of `__consumer_offsets` that it leads.

mod view;

use std::convert::Infallible;
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId, ProducerEpoch, ProducerId};
use thalweg_groups::{Answer, Caller, Request, Shard};
use thalweg_metadata::topic_name::CONSUMER_OFFSETS;
use thalweg_replica::Acks;
use thalweg_sys::time::{Duration, Instant};
use thalweg_wire::ErrorCode;
use tracing::debug;

pub(crate) use view::GroupsView;
use view::History;

use super::coordination::{self, Coordinator, Coordinators, Role, Storage};
use super::guard::Guard;
use super::partition::Partition;
use super::partitions::Partitions;
use crate::config::GroupsConfig;

/// What becomes of a request: the shard's answer, or why it could not be asked.
pub(crate) type Outcome = coordination::Outcome<Answer>;
/// A request's outcome, now or later.
pub(crate) type Asked = coordination::Asked<Answer>;
/// All group coordinators.
pub(crate) type Groups = Coordinators<GroupRole>;

/// What group coordinators share.
#[derive(Debug)]
pub(crate) struct GroupRole {
    config: GroupsConfig,
    history: History,
}

impl Role for GroupRole {
    type Shard = Shard;

    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn storage(&self) -> Storage {
        Storage {
            codec: self.config.offsets_topic_codec,
            // Kafka's group coordinator numbers its records from 0 in every batch.
            base_sequence: 0,
            load_buffer_bytes: self.config.offsets_load_buffer_size,
            commit_timeout: Duration::from_millis(u64::try_from(self.config.offsets_commit_timeout_ms).unwrap_or(0)),
            acks: Acks::Leader,
        }
    }

    fn partitions_default(&self) -> i32 {
        self.config.offsets_topic_num_partitions
    }

    fn shard(&self, epoch: LeaderEpoch) -> Shard {
        Shard::new(self.config.rules.clone(), epoch, thalweg_sys::random::u64())
    }

    fn carry_out(&self, _coordinator: &Arc<Coordinator<Self>>, errand: Infallible) {
        match errand {}
    }

    fn loaded(&self, shard: &Shard, took: Duration) {
        self.history.loaded(took);
        debug!(groups = shard.len(), "a partition of __consumer_offsets is coordinated here");
    }

    fn ended(&self, shard: &Shard) {
        self.history.ended(shard.tally());
        debug!(groups = shard.len(), "a partition of __consumer_offsets is no longer coordinated here");
    }
}

impl Groups {
    pub(crate) fn new(
        node_id: NodeId,
        config: GroupsConfig,
        partitions: Arc<Partitions>,
        started: Instant,
    ) -> Arc<Self> {
        Self::of(GroupRole { config, history: History::default() }, node_id, partitions, started)
    }

    /// Asks the coordinator of a group.
    pub(crate) fn ask(&self, group: &str, caller: &Caller, request: Request) -> Asked {
        match self.at(self.partition_of(group)) {
            Ok(coordinator) => coordinator.ask_about(caller, request),
            Err(error) => Asked::Now(Err(error)),
        }
    }

    /// Asks the coordinator of a group on behalf of a producer, if its transaction is open there or `guard` holds.
    pub(crate) fn ask_in_transaction(
        &self,
        group: &str,
        (id, epoch, guard): (ProducerId, ProducerEpoch, Guard),
        caller: &Caller,
        request: Request,
    ) -> Asked {
        let check = |place: &Partition| match place.is_in_transaction(id, epoch, &guard) {
            true => Ok(()),
            false => Err(ErrorCode::InvalidTxnState),
        };
        match self.at(self.partition_of(group)) {
            Ok(coordinator) => coordinator
                .ask_guarded(check, |shard, now, image, ticket| shard.request(now, image, ticket, caller, request)),
            Err(error) => Asked::Now(Err(error)),
        }
    }

    /// What those who watch are told: as many steps as there are groups.
    pub(crate) fn view(&self) -> GroupsView {
        let mut view = self.role().history.view();
        for coordinator in self.all() {
            coordinator.count(&mut view);
        }
        view
    }
}

impl Coordinator<GroupRole> {
    /// Asks for an answer to a request.
    pub(crate) fn ask_about(self: &Arc<Self>, caller: &Caller, request: Request) -> Asked {
        self.ask(|shard, now, image, ticket| shard.request(now, image, ticket, caller, request))
    }

    /// Adds what is to be told of it.
    fn count(&self, view: &mut GroupsView) {
        self.peek(|shard| match shard {
            coordination::Seen::Loading => view.loading += 1,
            coordination::Seen::Active(shard) => {
                view.active += 1;
                view.tally += shard.tally();
                view.census.add(&shard.census());
            }
            coordination::Seen::Retired => {}
        });
    }
}
