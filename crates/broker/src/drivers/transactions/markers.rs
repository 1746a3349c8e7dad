//! Markers: how a transaction has ended, written into each of its partitions, here or by the nodes that lead them.
//!
//! Where every partition is led here, has one replica and no flush is asked for, a marker is committed when it is appended:
//! nothing waits, and a transaction is complete before its producer is told of the decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_base::{Moment, NodeId, Repeats};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name::CONSUMER_OFFSETS;
use thalweg_replica::{Ack, Acks, TopicRef};
use thalweg_storage::{Flush, Origin};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_transactions::Written;
use thalweg_wire::ErrorCode;
use tokio::sync::oneshot;
use tracing::{debug, info};

use super::elsewhere::Elsewhere;
use crate::drivers::acknowledged::Awaited;
use crate::drivers::clock::timestamp;
use crate::drivers::coordination::leader;
use crate::drivers::groups::Groups;
use crate::drivers::marker::Marker;
use crate::drivers::partition::{AppendRefused, Appended, Partition};
use crate::drivers::partitions::Partitions;

/// How long a marker may wait for the replicas before it is written again.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(crate) struct MarkerWriter {
    node: NodeId,
    partitions: Arc<Partitions>,
    groups: Arc<Groups>,
    started: Instant,
    /// Of which partitions a refused marker was logged of late: who may write markers can have many refused.
    refused: Mutex<Repeats>,
}

impl MarkerWriter {
    pub(super) fn new(node: NodeId, partitions: Arc<Partitions>, groups: Arc<Groups>, started: Instant) -> Self {
        Self { node, partitions, groups, started, refused: Mutex::default() }
    }

    /// Writes markers of one transaction where the partitions are led, and says what became of them: at once if none has to
    /// wait.
    pub(super) fn write_anywhere_then(
        &self,
        image: &MetadataImage,
        elsewhere: Option<&Arc<Elsewhere>>,
        markers: Vec<Marker>,
        then: impl FnOnce(Vec<Written>) + Send + 'static,
    ) {
        let mut here = Vec::with_capacity(markers.len());
        let mut there: BTreeMap<NodeId, Vec<Marker>> = BTreeMap::new();
        for marker in markers {
            match leader(image, &marker.topic, marker.partition).filter(|leader| *leader != self.node) {
                Some(leader) => there.entry(leader).or_default().push(marker),
                // One without a leader is refused, and tried again.
                None => here.push(marker),
            }
        }
        let Some(elsewhere) = elsewhere.filter(|_| !there.is_empty()) else {
            self.write_then(here, then);
            return;
        };
        let asked: Vec<_> = there.into_iter().map(|(leader, markers)| elsewhere.write(leader, markers)).collect();
        let (sender, receiver) = oneshot::channel();
        self.write_then(here, move |written| {
            // The task below waits for it.
            let _ = sender.send(written);
        });
        task::spawn(async move {
            let mut written = receiver.await.unwrap_or_default();
            for answer in asked {
                // What is not named counts as not written.
                written.extend(answer.await.unwrap_or_default());
            }
            then(written);
        });
    }

    /// Writes markers into partitions that this node leads, and says what became of them: at once if none has to wait.
    pub(crate) fn write_then(&self, markers: Vec<Marker>, then: impl FnOnce(Vec<Written>) + Send + 'static) {
        let mut written = Vec::with_capacity(markers.len());
        let mut waiting = Vec::new();
        for marker in markers {
            match self.append(&marker) {
                Ok(None) => written.push(marker.written(Ok(()))),
                Ok(Some(awaited)) => waiting.push((marker, awaited)),
                Err(error) => {
                    debug!(topic = %marker.topic, partition = marker.partition, error = error.name(), "a marker is not written");
                    written.push(marker.written(Err(error)));
                }
            }
        }
        if waiting.is_empty() {
            then(written);
            return;
        }
        task::spawn(async move {
            let deadline = now() + ACK_TIMEOUT;
            for (marker, awaited) in waiting {
                let result = match awaited.acknowledged(deadline).await {
                    ErrorCode::None => Ok(()),
                    error => Err(error),
                };
                written.push(marker.written(result));
            }
            then(written);
        });
    }

    /// Appends one marker. What it gives is to be waited for.
    fn append(&self, marker: &Marker) -> Result<Option<Awaited>, ErrorCode> {
        let place = self.partitions.find(TopicRef::Name(&marker.topic), marker.partition)?;
        let appended = if &*marker.topic == CONSUMER_OFFSETS {
            // What the transaction committed there is part of the coordinator's state.
            let coordinator = self.groups.at(marker.partition);
            coordinator.and_then(|coordinator| coordinator.end_transaction(marker)).map_err(not_ready)?
        } else {
            self.append_to(&place, marker)?
        };
        match appended.ack {
            Ack::Committed => Ok(None),
            Ack::NotEnoughReplicasAfterAppend => Err(ErrorCode::NotEnoughReplicasAfterAppend),
            Ack::Unsynced | Ack::Waiting => {
                Ok(Some(Awaited { place, end: appended.end, epoch: appended.epoch, acks: Acks::All }))
            }
        }
    }

    fn append_to(&self, place: &Arc<Partition>, marker: &Marker) -> Result<Appended, ErrorCode> {
        let now = timestamp();
        let moment = Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut batch = marker.batch(now)?;
        let origin = Origin::Coordinator { transaction_version: marker.transaction_version };
        let appended = place.append(std::slice::from_mut(&mut batch), origin, Acks::All, now, moment);
        let appended = appended.map_err(|refused| match refused {
            AppendRefused::Error(error) => error,
            AppendRefused::Sequence(error, message) => {
                if let Some(left_out) = self.refused.lock().note(&place.id.to_string(), moment) {
                    info!(partition = %place.id, "a marker is refused: {message}{left_out}");
                }
                error
            }
        })?;
        if appended.rolled {
            let place = Arc::clone(place);
            task::spawn(async move {
                // A flush that fails takes the log offline.
                let _ = task::blocking(move || place.flush(Flush::Finished)).await;
            });
        }
        Ok(appended)
    }
}

/// A group coordinator that is not ready is no leader yet, for whoever writes markers.
fn not_ready(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
            ErrorCode::NotLeaderOrFollower
        }
        other => other,
    }
}
