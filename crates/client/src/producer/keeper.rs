//! The producer's task for everything but sending: its id, leaders, what has taken too long.

use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{NodeId, ProducerEpoch, ProducerId};
use thalweg_sys::task::spawn;
use thalweg_sys::time::{now, timeout};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::InitProducerIdRequest;

use super::batch::{Identity, Outcome};
use super::{Shared, sender};
use crate::error::Api;
use crate::{Destination, Error};

/// How exact `delivery.timeout.ms` is, and how often leaders that are missing are asked for.
const TICK: Duration = Duration::from_millis(100);
/// How long leaders are asked for before it is looked again what has taken too long.
const REFRESH_MAX: Duration = Duration::from_secs(1);

/// Runs until the producer is closed and everything is sent.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        if shared.needs_identity() {
            shared.init_identity().await;
        }
        shared.expire();
        shared.find_leaders().await;
        let (busy, done) = {
            let accumulator = shared.accumulator.lock();
            (!accumulator.is_idle(), accumulator.is_idle() && accumulator.closed)
        };
        if done {
            // The tasks of the nodes see it too, and end.
            shared.nodes.lock().values().for_each(|node| node.notify_one());
            return;
        }
        // Without anything to send, nothing has to be looked at.
        if busy {
            let _ = timeout(TICK, shared.keeper.notified()).await;
        } else {
            shared.keeper.notified().await;
        }
    }
}

impl Shared {
    /// Whether the producer needs an id, which a transactional one is given by its coordinator when it is initialized.
    fn needs_identity(&self) -> bool {
        let accumulator = self.accumulator.lock();
        let wanted = self.config.idempotent && self.config.transactional_id.is_none();
        wanted && accumulator.identity.is_none() && accumulator.fatal.is_none() && !accumulator.is_idle()
    }

    /// Asks for an id.
    async fn init_identity(&self) {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let deadline = now() + REFRESH_MAX;
        match self.client.send_by(&Destination::Any, &request, deadline).await {
            Ok(response) => match ErrorCode::from(response.error_code) {
                ErrorCode::None => {
                    let id = ProducerId(response.producer_id);
                    let identity = Identity { id, epoch: ProducerEpoch(response.producer_epoch) };
                    self.accumulator.lock().identity = Some(identity);
                    self.wake();
                }
                code if code.is_retriable() => {}
                code => {
                    let peer = self.client.config().bootstrap.first().cloned();
                    let peer = peer.unwrap_or_else(|| crate::Peer::new("", 0));
                    let api = Api(thalweg_wire::ApiKey::InitProducerId);
                    self.fail_for_good(&Error::Refused { peer, api, code, message: None });
                }
            },
            Err(error) if error.is_retriable() => tracing::debug!(%error, "no producer id yet"),
            Err(error) => self.fail_for_good(&error),
        }
    }

    /// Nothing can be sent any more.
    pub(super) fn fail_for_good(&self, error: &Error) {
        self.accumulator.lock().fatal = Some(error.clone());
        self.fail_waiting(error);
    }

    /// Gives up everything that waits.
    pub(super) fn fail_waiting(&self, error: &Error) {
        let mut accumulator = self.accumulator.lock();
        let mut memory = 0;
        for (_, batch) in accumulator.take_expired(None) {
            memory += accumulator.finish_waiting(&batch, Outcome::Failed(error.clone()));
        }
        drop(accumulator);
        self.memory.add_permits(memory);
        self.progress.notify_waiters();
    }

    /// Gives up what has waited for longer than `delivery.timeout.ms`.
    fn expire(&self) {
        let after = self.config.delivery_timeout;
        let Some(created_before) = now().checked_sub(after) else { return };
        let mut accumulator = self.accumulator.lock();
        let mut memory = 0;
        for (partition, batch) in accumulator.take_expired(Some(created_before)) {
            let error = Error::Expired { partition, after, last: batch.last_error.clone().map(Box::new) };
            memory += accumulator.finish_waiting(&batch, Outcome::Failed(error));
        }
        drop(accumulator);
        if memory > 0 {
            self.memory.add_permits(memory);
            self.progress.notify_waiters();
        }
    }

    /// Asks who leads the partitions with something to send, if that is not known, and starts the tasks of new nodes.
    async fn find_leaders(self: &Arc<Self>) {
        let (leaders, unknown) = self.accumulator.lock().leaders(&self.client.cluster());
        let topics = self.accumulator.lock().busy_topics();
        if (unknown || self.client.is_outdated()) && !topics.is_empty() {
            self.client.mark_outdated();
            match self.client.topics(&topics, now() + REFRESH_MAX).await {
                Ok(cluster) => {
                    // A topic that may not be read any more is found out about by writing to it.
                    let _ = self.accumulator.lock().learn(&cluster, &topics);
                }
                Err(error) => tracing::debug!(%error, "leaders are not known yet"),
            }
            let (leaders, _) = self.accumulator.lock().leaders(&self.client.cluster());
            leaders.into_iter().for_each(|node| self.start_node(node));
            self.wake();
        } else {
            leaders.into_iter().for_each(|node| self.start_node(node));
        }
    }

    fn start_node(self: &Arc<Self>, node: NodeId) {
        let mut nodes = self.nodes.lock();
        nodes.entry(node).or_insert_with(|| {
            let wake = Arc::new(tokio::sync::Notify::new());
            wake.notify_one();
            spawn(sender::run(Arc::clone(self), node, Arc::clone(&wake)));
            wake
        });
    }
}
