//! The transaction coordinators of this node: one for each partition of `__transaction_state` that it leads.

mod elsewhere;
mod markers;
mod view;

use std::sync::{Arc, OnceLock};

use thalweg_base::{LeaderEpoch, NodeId};
use thalweg_coordinator::Machine;
use thalweg_metadata::topic_name::TRANSACTION_STATE;
use thalweg_records::Codec;
use thalweg_replica::Acks;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant};
use thalweg_transactions::{Answer, Errand, Request, Shard};
use tracing::{debug, warn};

use elsewhere::{Elsewhere, Question};
pub(crate) use markers::MarkerWriter;
use view::History;
pub(crate) use view::TransactionsView;

use super::coordination::{self, Coordinator, Coordinators, Role, Storage};
use super::marker::Marker;
use super::metadata::MetadataHandle;
use super::partitions::Partitions;
use super::producer_ids::ProducerIds;
use crate::config::TransactionsConfig;
use crate::drivers::clock::timestamp;
use crate::drivers::groups::Groups;
use crate::security::Outgoing;

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
    /// The way to other nodes and where producer ids come from, once the node is registered.
    registered: OnceLock<Registered>,
}

/// What a transaction coordinator needs of a node that is registered.
#[derive(Clone, Debug)]
struct Registered {
    producer_ids: Arc<ProducerIds>,
    metadata: MetadataHandle,
    elsewhere: Arc<Elsewhere>,
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
            // A decision outlives the loss of its leader.
            acks: Acks::All,
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
                let elsewhere = self.registered.get().map(|registered| &registered.elsewhere);
                let image = coordinator.image();
                self.markers.write_anywhere_then(&image, elsewhere, all, move |written| {
                    coordinator.tell(|shard, now, image| shard.markers_written(now, image, &markers, &written));
                });
            }
            Errand::FindProducerId(id) => {
                let Some(Registered { producer_ids, metadata, .. }) = self.registered.get().cloned() else { return };
                task::spawn(async move {
                    match producer_ids.next(&metadata).await {
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
        let markers = MarkerWriter::new(node_id, Arc::clone(&partitions), Arc::clone(groups), started);
        let role = TransactionRole { config, markers, history: History::default(), registered: OnceLock::new() };
        Self::of(role, node_id, partitions, started)
    }

    /// The node is registered and its logs were opened: the coordinators are loaded. Producer ids come from `producer_ids`,
    /// and other nodes are reached as `security` says.
    pub(crate) fn begin_with(
        &self,
        producer_ids: Arc<ProducerIds>,
        metadata: MetadataHandle,
        security: &Arc<Outgoing>,
    ) {
        let image = metadata.image();
        let elsewhere = Arc::new(Elsewhere::new(self.node_id(), security, metadata.clone()));
        // A node begins once.
        let _ = self.role().registered.set(Registered { producer_ids, metadata, elsewhere });
        self.begin(image);
    }

    /// Adds partitions to the transaction of a transactional id, or verifies that it has them, wherever its coordinator is.
    pub(crate) fn ask_anywhere(&self, transactional_id: &str, request: Request) -> Asked {
        let index = self.partition_of(transactional_id);
        let leader = self.leader_of(index).filter(|leader| *leader != self.node_id());
        let question = leader.zip(self.role().registered.get()).zip(Question::of(&request));
        match question {
            Some(((leader, registered), question)) => registered.elsewhere.ask(leader, index, question),
            None => self.ask(transactional_id, request),
        }
    }

    /// Asks the coordinator of a transactional id, if it is this node.
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
        let now = timestamp();
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
