//! The share coordinators of this node, and the way to those of other nodes.

use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId, Offset};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name::SHARE_GROUP_STATE;
use thalweg_replica::Acks;
use thalweg_share::Shard;
use thalweg_share::state::{Answer, Errand, Failure, Key, Request, State};
use thalweg_sys::time::{Duration, Instant, now, sleep};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ListOffsetsRequest;
use tracing::debug;

use super::remote::Remote;
use crate::config::ShareConfig;
use crate::drivers::coordination::{self, Coordinator, Coordinators, Role, Storage};
use crate::drivers::partitions::Partitions;
use crate::drivers::peers::Peers;
use crate::security::Outgoing;

/// How long the coordinator of another node has for an answer: more than it may wait for its replicas.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The timestamp that ListOffsets takes for the end of a log.
const LATEST: i64 = -1;
/// How often a coordinator is asked that is moving or being loaded, as in Kafka.
const ATTEMPTS_MAX: u32 = 5;
/// The pause before it is asked a second time. Each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// All share coordinators.
pub(crate) type ShareCoordinators = Coordinators<ShareRole>;
/// A request's outcome, now or later.
type Asked = coordination::Asked<Answer>;

/// What share coordinators share.
#[derive(Debug)]
pub(crate) struct ShareRole {
    config: ShareConfig,
    peers: Peers,
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
        security: Arc<Outgoing>,
        partitions: Arc<Partitions>,
        started: Instant,
    ) -> Arc<Self> {
        let peers = Peers::new(node_id, security, "share-coordinator");
        Self::of(ShareRole { config, peers }, node_id, partitions, started)
    }

    /// Asks the coordinator of a share partition, wherever it is, and waits for its answer. One that is moving or being
    /// loaded is asked again.
    pub(crate) async fn ask(&self, key: &Key, request: &Request) -> Result<Option<State>, Failure> {
        let deadline = now() + ANSWER_TIMEOUT;
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS_MAX {
            let failure = match self.ask_once(key, request, deadline).await {
                Err(failure) if may_come(failure.code) => failure,
                answered => return answered,
            };
            if now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.ask_once(key, request, deadline).await
    }

    async fn ask_once(&self, key: &Key, request: &Request, deadline: Instant) -> Result<Option<State>, Failure> {
        let leader = self.leader_of(self.partition_of(&key.coordinator_key()));
        match leader.filter(|leader| *leader != self.node_id()) {
            Some(node) => {
                let timeout = deadline.saturating_duration_since(now());
                let remote = Remote { peers: &self.role().peers, image: &self.image(), node, timeout };
                remote.ask(key, request).await
            }
            None => self.ask_here(key, request).await,
        }
    }

    /// Where a partition ends that another node leads; `None` if that node does not say.
    pub(super) async fn log_end(
        &self,
        image: &MetadataImage,
        topic: &str,
        partition_index: i32,
        leader: NodeId,
    ) -> Option<Offset> {
        use thalweg_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let partition = ListOffsetsPartition { partition_index, timestamp: LATEST, ..Default::default() };
        let topics = vec![ListOffsetsTopic { name: topic.into(), partitions: vec![partition] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let response = self.role().peers.send(image, leader, &request, ANSWER_TIMEOUT).await.ok()?;
        let answer = response.topics.into_iter().next()?.partitions.into_iter().next()?;
        (answer.error_code == ErrorCode::None.code() && answer.offset >= 0).then_some(Offset(answer.offset))
    }

    /// Asks the coordinator of a share partition if it is on this node.
    pub(crate) async fn ask_here(&self, key: &Key, request: &Request) -> Result<Option<State>, Failure> {
        let asked: Asked = match self.at(self.partition_of(&key.coordinator_key())) {
            Ok(coordinator) => {
                coordinator.ask(|shard, now, image, ticket| shard.request(now, image, ticket, key, request))
            }
            Err(error) => Asked::Now(Err(error)),
        };
        asked.outcome().await.map_err(Failure::from)?.0
    }
}

/// Whether the coordinator may answer soon.
fn may_come(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress
    )
}
