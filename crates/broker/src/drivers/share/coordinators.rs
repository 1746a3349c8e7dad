//! The share coordinators of this node.

use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId};
use thalweg_metadata::topic_name::SHARE_GROUP_STATE;
use thalweg_replica::Acks;
use thalweg_share::Shard;
use thalweg_share::state::{Answer, Errand, Failure, Key, Request, State};
use thalweg_sys::time::{Duration, Instant};
use tracing::debug;

use crate::config::ShareConfig;
use crate::drivers::coordination::{self, Coordinator, Coordinators, Role, Storage};
use crate::drivers::partitions::Partitions;

/// All share coordinators.
pub(crate) type ShareCoordinators = Coordinators<ShareRole>;
/// A request's outcome, now or later.
type Asked = coordination::Asked<Answer>;

/// What share coordinators share.
#[derive(Debug)]
pub(crate) struct ShareRole {
    config: ShareConfig,
}

impl Role for ShareRole {
    type Shard = Shard;

    const TOPIC: &'static str = SHARE_GROUP_STATE;

    fn storage(&self) -> Storage {
        Storage {
            codec: self.config.topic_codec,
            base_sequence: 0,
            load_buffer_bytes: self.config.load_buffer_bytes,
            commit_timeout: self.config.write_timeout,
            acks: Acks::Leader,
        }
    }

    fn partitions_default(&self) -> i32 {
        self.config.topic_num_partitions
    }

    fn shard(&self, _epoch: LeaderEpoch) -> Shard {
        Shard::new(self.config.rules.clone())
    }

    fn carry_out(&self, coordinator: &Arc<Coordinator<Self>>, errand: Errand) {
        match errand {
            Errand::Prune(to) => coordinator.delete_records_before(to),
        }
    }

    fn loaded(&self, shard: &Shard, _took: Duration) {
        debug!(share_partitions = shard.len(), "a partition of __share_group_state is coordinated here");
    }
}

impl ShareCoordinators {
    pub(crate) fn new(
        node_id: NodeId,
        config: ShareConfig,
        partitions: Arc<Partitions>,
        started: Instant,
    ) -> Arc<Self> {
        Self::of(ShareRole { config }, node_id, partitions, started)
    }

    /// Asks the coordinator of a share partition.
    pub(crate) fn ask(&self, key: &Key, request: &Request) -> Asked {
        match self.at(self.partition_of(&key.coordinator_key())) {
            Ok(coordinator) => {
                coordinator.ask(|shard, now, image, ticket| shard.request(now, image, ticket, key, request))
            }
            Err(error) => Asked::Now(Err(error)),
        }
    }
}

/// Waits for a coordinator's answer.
pub(crate) async fn answered(asked: Asked) -> Result<Option<State>, Failure> {
    asked.outcome().await.map_err(Failure::from)?.0
}
