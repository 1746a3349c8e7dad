//! What this broker tells the controller again and again: that it is alive, which of its log directories have failed, and
//! in which of them its replicas are (KIP-631, KIP-858).

use std::sync::Arc;

use thalweg_base::{BrokerEpoch, NodeId, Offset};
use thalweg_controller::Refusal;
use thalweg_metadata::MetadataImage;
use thalweg_sys::closing::Closing;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now, sleep};
use thalweg_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use thalweg_wire::messages::{AssignReplicasToDirsRequest, BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use tracing::{debug, info, warn};

use super::metadata::{Asker, MetadataHandle};
use super::partitions::{Partitions, Placement};

/// So many replicas are told of in one request, as Kafka does.
const ASSIGNMENTS_MAX: usize = 2250;

/// The version of BrokerHeartbeat that is sent.
const HEARTBEAT_VERSION: i16 = 2;

/// How long a heartbeat may take: as Kafka's `control.plane` requests, well within a session.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(4500);

/// How long to wait before asking again to be unfenced.
const UNFENCE_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait before asking again whether the broker may stop: others read the metadata log within this time.
const LEAVE_PAUSE: Duration = Duration::from_millis(10);

/// How long clients are still answered once others lead what this broker led: they hear who does. A client that only loses
/// its connection may take seconds to find out.
const REDIRECTING: Duration = Duration::from_millis(500);

/// A registered broker as it shows itself to the controller.
#[derive(Clone, Debug)]
pub(crate) struct Presence {
    pub(crate) metadata: MetadataHandle,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) node: NodeId,
    pub(crate) epoch: BrokerEpoch,
}

/// What a broker says with a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Serve,
    ShutDown,
}

impl Presence {
    /// Tells the controller that this broker is alive and may serve, until the controller has unfenced it.
    pub(crate) async fn unfence(&self) {
        let mut said = None;
        loop {
            match self.tell(Wish::Serve).await {
                Ok(answer) if !answer.is_fenced => return,
                Ok(_) => debug!("the controller keeps the broker fenced until it has read all of the metadata"),
                Err(refusal) if said == Some(refusal.code) => debug!(error = %refusal, "the broker is still fenced"),
                Err(refusal) => {
                    warn!(error = %refusal, "the controller has not unfenced the broker, which asks again and again");
                    said = Some(refusal.code);
                }
            }
            sleep(UNFENCE_PAUSE).await;
        }
    }

    /// Tells the controller once that this broker is alive and may serve.
    async fn heartbeat(&self) -> Result<(), Refusal> {
        self.tell(Wish::Serve).await.map(drop)
    }

    /// Asks the controller to hand over what this broker leads, until it says that the broker may stop: consumers and
    /// producers know by then where to go on.
    ///
    /// A broker that is alone does not ask: nobody could take over, and every partition would change its leader twice for
    /// nothing.
    async fn leave(&self) {
        let begun = now();
        let others = |image: &MetadataImage| image.cluster().brokers().any(|b| b.id != self.node && b.is_active());
        if !others(&self.metadata.image()) {
            return;
        }
        loop {
            match self.tell(Wish::ShutDown).await {
                Ok(answer) if answer.should_shut_down => {
                    info!(ms = begun.elapsed().as_millis() as u64, "the controller lets the broker go");
                    return sleep(REDIRECTING).await;
                }
                Ok(_) => sleep(LEAVE_PAUSE).await,
                Err(refusal) => return warn!(error = %refusal, "the broker stops without the controller's leave"),
            }
        }
    }

    async fn tell(&self, wish: Wish) -> Result<BrokerHeartbeatResponse, Refusal> {
        let (node, epoch) = (self.node, self.epoch);
        let request = BrokerHeartbeatRequest {
            broker_id: node.0,
            broker_epoch: epoch.0,
            current_metadata_offset: self.metadata.image().provenance().offset.0,
            want_shut_down: wish == Wish::ShutDown,
            offline_log_dirs: self.partitions.dirs().failed_ids(),
            ..BrokerHeartbeatRequest::default()
        };
        let context = self.metadata.context_within(HEARTBEAT_VERSION, HEARTBEAT_TIMEOUT);
        self.metadata.ask(Asker::ThisNode, context, request).await
    }

    /// Goes on telling it, and what changes at once. Gives the reason why this node cannot go on, should its disks come to
    /// that; `None` when the node closes.
    ///
    /// Once `leaving` has begun it asks for leave to stop, and says no more when it has that.
    pub(crate) async fn run(self, every: Duration, mut leaving: Closing, mut closing: Closing) -> Option<String> {
        let noticed = Arc::clone(self.partitions.dirs().noticed());
        let mut failed = 0;
        let mut refused = None;
        let mut controller = self.metadata.controller();
        // How far the controller has heard that this broker has read the metadata.
        let mut told = Offset::ZERO;
        loop {
            let known = self.partitions.dirs().failed_ids().len();
            if known > failed {
                failed = known;
                let partitions = Arc::clone(&self.partitions);
                let _ = task::blocking(move || partitions.drop_failed()).await;
                if let Some(why) = self.partitions.dirs().fatal() {
                    return Some(why);
                }
            }
            self.tell_places().await;
            let others_wait = |image: &MetadataImage| {
                let mut brokers = image.cluster().brokers();
                image.provenance().offset > told && brokers.any(|b| b.in_controlled_shutdown && !b.fenced)
            };
            tokio::select! {
                biased;
                () = closing.begun() => return None,
                () = leaving.begun() => {
                    tokio::select! {
                        biased;
                        () = closing.begun() => {}
                        () = self.leave() => {}
                    }
                    return None;
                }
                () = noticed.notified() => {}
                // A controller that has lost this broker's connection waits for it a moment only.
                () = self.metadata.controller_lost(&controller) => {}
                // A broker that leaves waits until the others have said how far they have read the metadata.
                _ = self.metadata.image_when(others_wait) => {}
                () = sleep(every) => {}
            }
            controller = self.metadata.controller();
            told = self.metadata.image().provenance().offset;
            match self.heartbeat().await {
                Ok(()) if refused.take().is_some() => info!("the controller takes heartbeats again"),
                Ok(()) => {}
                Err(refusal) if refused.replace(refusal.code) == Some(refusal.code) => {
                    debug!(error = %refusal, "the controller still takes no heartbeat");
                }
                Err(refusal) => {
                    warn!(error = %refusal, "the controller did not take a heartbeat, which is sent again and again");
                }
            }
        }
    }

    /// Tells the controller in which directories replicas are. What it does not take now it is told with the next
    /// heartbeat: it could not move leaders from a directory that fails.
    async fn tell_places(&self) {
        let misplaced = self.partitions.take_misplaced();
        for some in misplaced.chunks(ASSIGNMENTS_MAX) {
            let request = assignment(self.node, self.epoch, some);
            let decided = self.metadata.ask(Asker::ThisNode, self.metadata.context(0), request).await;
            if let Err(refusal) = decided {
                warn!(error = %refusal, "the controller did not note in which directories replicas are, and is told again");
                self.partitions.still_misplaced(some);
            }
        }
    }
}

/// `placements` are sorted.
fn assignment(node: NodeId, epoch: BrokerEpoch, placements: &[Placement]) -> AssignReplicasToDirsRequest {
    let mut directories: Vec<DirectoryData> = Vec::new();
    for placement in placements {
        if directories.last().is_none_or(|last| last.id != placement.directory) {
            directories.push(DirectoryData { id: placement.directory, ..DirectoryData::default() });
        }
        let Some(directory) = directories.last_mut() else { continue };
        if directory.topics.last().is_none_or(|last| last.topic_id != placement.topic) {
            directory.topics.push(TopicData { topic_id: placement.topic, ..TopicData::default() });
        }
        if let Some(topic) = directory.topics.last_mut() {
            topic.partitions.push(PartitionData { partition_index: placement.partition });
        }
    }
    AssignReplicasToDirsRequest { broker_id: node.0, broker_epoch: epoch.0, directories }
}
