//! The transaction coordinators of this node: one for each partition of `__transaction_state` that it leads.

mod markers;
mod view;

use std::sync::{Arc, OnceLock};

use thalweg_base::{LeaderEpoch, NodeId, Timestamp};
use thalweg_coordinator::Machine;
use thalweg_metadata::topic_name::TRANSACTION_STATE;
use thalweg_records::Codec;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, wall_clock_ms};
use thalweg_transactions::{Answer, Errand, Request, Shard};
use tracing::{debug, warn};

pub(crate) use markers::MarkerWriter;
use view::History;
pub(crate) use view::TransactionsView;

use super::coordination::{self, Coordinator, Coordinators, Role, Storage};
use super::marker::Marker;
use super::metadata::MetadataHandle;
use super::partitions::Partitions;
use super::producer_ids::ProducerIds;
use crate::config::TransactionsConfig;
use crate::drivers::groups::Groups;

/// How long a write may wait for the replicas before its client is told to ask again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// What becomes of a request: the shard's answer, or why it could not be asked.
pub(crate) type Outcome = coordination::Outcome<Answer>;
/// A request's outcome, now or later.
pub(crate) type Asked = coordination::Asked<Answer>;
/// All transaction coordinators.
pub(crate) type Transactions = Coordinators<TransactionRole>;

/// What transaction coordinators share.
#[derive(Debug)]
pub(crate) struct TransactionRole {
    config: TransactionsConfig,
    markers: MarkerWriter,
    history: History,
    /// Where producer ids come from, once the node is registered.
    producer_ids: OnceLock<(Arc<ProducerIds>, MetadataHandle)>,
}

impl Role for TransactionRole {
    type Shard = Shard;

    const TOPIC: &'static str = TRANSACTION_STATE;

    fn storage(&self) -> Storage {
        Storage {
            codec: Codec::default(),
            base_sequence: -1,
            load_buffer_bytes: self.config.load_buffer_bytes,
            commit_timeout: COMMIT_TIMEOUT,
        }
    }

    fn partitions_default(&self) -> i32 {
        self.config.topic_num_partitions
    }

    fn shard(&self, epoch: LeaderEpoch) -> Shard {
        Shard::new(self.config.rules.clone(), epoch)
    }

    fn loaded(&self, shard: &Shard, took: Duration) {
        self.history.loaded(took);
        debug!(transactional_ids = shard.len(), "a partition of __transaction_state is coordinated here");
        let records = shard.unknown_records();
        if records > 0 {
            warn!(
                records,
                "records of __transaction_state were passed over: what they say is not known to this version"
            );
        }
    }

    fn ended(&self, shard: &Shard) {
        self.history.ended(shard.tally());
        debug!(transactional_ids = shard.len(), "a partition of __transaction_state is no longer coordinated here");
    }

    fn carry_out(&self, coordinator: &Arc<Coordinator<Self>>, errand: <Shard as Machine>::Errand) {
        let coordinator = Arc::clone(coordinator);
        match errand {
            Errand::WriteMarkers(markers) => {
                let all = Marker::all(&markers);
                self.markers.write_then(all, move |written| {
                    coordinator.tell(|shard, now, image| shard.markers_written(now, image, &markers, &written));
                });
            }
            Errand::FindProducerId(id) => {
                let Some((ids, metadata)) = self.producer_ids.get().cloned() else { return };
                task::spawn(async move {
                    match ids.next(&metadata).await {
                        Ok(fresh) => {
                            coordinator.tell(|shard, now, image| shard.abort_overdue(now, image, &id, fresh));
                        }
                        // The next look at what has lasted too long asks again.
                        Err(error) => {
                            warn!(transactional_id = %id, error = error.name(), "there is no producer id to go on with");
                        }
                    }
                });
            }
        }
    }
}

impl Transactions {
    pub(crate) fn new(
        node_id: NodeId,
        config: TransactionsConfig,
        partitions: Arc<Partitions>,
        groups: &Arc<Groups>,
        started: Instant,
    ) -> Arc<Self> {
        let markers = MarkerWriter::new(Arc::clone(&partitions), Arc::clone(groups), started);
        let role = TransactionRole { config, markers, history: History::default(), producer_ids: OnceLock::new() };
        Self::of(role, node_id, partitions, started)
    }

    /// The node is registered and its logs were opened: the coordinators are loaded. Producer ids come from `ids`.
    pub(crate) fn begin_with(&self, ids: Arc<ProducerIds>, metadata: MetadataHandle) {
        let image = metadata.image();
        // A node begins once.
        let _ = self.role().producer_ids.set((ids, metadata));
        self.begin(image);
    }

    /// Asks the coordinator of a transactional id.
    pub(crate) fn ask(&self, transactional_id: &str, request: Request) -> Asked {
        let checked = request.check(&self.role().config.rules);
        match checked.and_then(|()| self.at(self.partition_of(transactional_id))) {
            Ok(coordinator) => coordinator.ask_for(request),
            Err(error) => Asked::Now(Err(error)),
        }
    }

    /// The coordinators in numbers: as many steps as there are transactional ids.
    pub(crate) fn view(&self) -> TransactionsView {
        let mut view = self.role().history.view();
        let now = Timestamp(wall_clock_ms());
        for coordinator in self.all() {
            coordinator.peek(|shard| match shard {
                coordination::Seen::Loading => view.loading += 1,
                coordination::Seen::Active(shard) => {
                    view.active += 1;
                    view.tally += shard.tally();
                    view.census.add(&shard.census(now));
                }
                coordination::Seen::Retired => {}
            });
        }
        view
    }

    /// What writes markers.
    pub(crate) fn markers(&self) -> &MarkerWriter {
        &self.role().markers
    }
}

impl Coordinator<TransactionRole> {
    /// Asks for an answer to a request.
    pub(crate) fn ask_for(self: &Arc<Self>, request: Request) -> Asked {
        self.ask(|shard, now, image, ticket| shard.request(now, image, ticket, request))
    }
}

/// Waits for a coordinator's answer.
pub(crate) async fn answered(asked: Asked) -> Outcome {
    asked.outcome().await
}
