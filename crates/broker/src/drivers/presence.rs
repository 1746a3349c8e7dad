//! What this broker tells the controller again and again: that it is alive, which of its log directories have failed, and
//! in which of them its replicas are (KIP-631, KIP-858).

use std::sync::Arc;

use thalweg_base::{BrokerEpoch, NodeId, Offset};
use thalweg_controller::Refusal;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, sleep};
use thalweg_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use thalweg_wire::messages::{AssignReplicasToDirsRequest, BrokerHeartbeatRequest};
use tracing::warn;

use super::metadata::MetadataHandle;
use super::partitions::{Partitions, Placement};
use crate::closing::Closing;

/// So many replicas are told of in one request, as Kafka does.
const ASSIGNMENTS_MAX: usize = 2250;

/// A registered broker as it shows itself to the controller.
#[derive(Clone, Debug)]
pub(crate) struct Presence {
    pub(crate) metadata: MetadataHandle,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) node: NodeId,
    pub(crate) epoch: BrokerEpoch,
}

impl Presence {
    /// Tells the controller once that this broker is alive and may serve.
    pub(crate) async fn heartbeat(&self) -> Result<(), Refusal> {
        let (node, epoch) = (self.node, self.epoch);
        let request = BrokerHeartbeatRequest {
            broker_id: node.0,
            broker_epoch: epoch.0,
            current_metadata_offset: self.metadata.image().provenance().offset.0,
            want_fence: false,
            offline_log_dirs: self.partitions.dirs().failed_ids(),
            ..BrokerHeartbeatRequest::default()
        };
        let decided = self.metadata.decide(move |d| {
            let outcome = d.controller.heartbeat(d.image, d.sessions, &request)?;
            d.sessions.contacted(node, epoch, Offset(request.current_metadata_offset), d.now);
            Ok(outcome)
        });
        decided.await.map(|_| ())
    }

    /// Goes on telling it, and what changes at once. Gives the reason why this node cannot go on, should its disks come to
    /// that; `None` when the node closes.
    pub(crate) async fn run(self, every: Duration, mut closing: Closing) -> Option<String> {
        let noticed = Arc::clone(self.partitions.dirs().noticed());
        let mut failed = 0;
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
            tokio::select! {
                biased;
                () = closing.begun() => return None,
                () = noticed.notified() => {}
                () = sleep(every) => {}
            }
            if let Err(refusal) = self.heartbeat().await {
                warn!(error = %refusal, "the controller did not take a heartbeat");
            }
        }
    }

    async fn tell_places(&self) {
        let misplaced = self.partitions.take_misplaced();
        for some in misplaced.chunks(ASSIGNMENTS_MAX) {
            let request = assignment(self.node, self.epoch, some);
            let decided = self.metadata.decide(move |d| d.controller.assign_replicas_to_dirs(d.image, &request));
            if let Err(refusal) = decided.await {
                warn!(error = %refusal, "the controller did not note in which directories replicas are");
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
