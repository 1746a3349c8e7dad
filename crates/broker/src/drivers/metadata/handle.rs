//! What the rest of the node holds of the metadata quorum.

use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::RwLock;
use thalweg_base::metrics::Spans;
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};
use thalweg_client::Meter;
use thalweg_controller::{Ask, Context, Principal, Refusal};
use thalweg_metadata::MetadataImage;
use thalweg_raft::{Endpoint, Voter};
use thalweg_sys::time::{Duration, Instant, sleep, sleep_until};
use thalweg_sys::watch;
use thalweg_wire::{ApiKey, Codec, ErrorCode, Request};
use tokio::sync::{mpsc, oneshot};

use super::active::AnswerWhen;
use super::forward::{ForwardedClient, Forwarder, NoAnswer};
use super::inbox::{Asked, Event, Rpc};

/// How long a request of this node waits before it asks again a controller that could not decide.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long a client's request may take that says nothing about that: Kafka's `request.timeout.ms` of brokers.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The quorum as clients may see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuorumView {
    /// -1 while nobody is known to lead.
    pub(crate) leader: NodeId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) high_watermark: Offset,
    pub(crate) log_end: Offset,
    pub(crate) voters: Vec<Voter>,
    /// The level of the feature `kraft.version`, which the quorum keeps.
    pub(crate) kraft_version: i16,
    /// The role of this node, as the metric `current-state` has it.
    pub(crate) state: ByteString,
    /// How long decisions waited to be committed, since the node started.
    pub(crate) commits: Spans,
    /// How often a partition was given a leader that was not in sync, as far as this node has decided it.
    pub(crate) unclean_elections: u64,
}

/// Who decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leadership {
    pub(super) epoch: LeaderEpoch,
    pub(super) leader: Option<NodeId>,
    /// Where the leader listens, if it is known.
    pub(super) endpoints: Vec<Endpoint>,
    /// It is this node, and it is up to date.
    pub(super) active_here: bool,
}

/// Who was known to decide at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownController(Leadership);

/// Who asks the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Somebody who sent the request to this controller: it is decided here or nowhere.
    OfThisController,
    /// A client of this broker: it is decided by the active controller, wherever that is.
    Client(ForwardedClient),
    /// This node itself: likewise.
    ThisNode,
}

/// A handle on the metadata quorum: cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct MetadataHandle {
    pub(super) inbox: mpsc::Sender<Event>,
    pub(super) published: Arc<RwLock<Arc<MetadataImage>>>,
    pub(super) changes: watch::Receiver<()>,
    pub(super) quorum: Arc<RwLock<QuorumView>>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) node: NodeId,
    pub(super) forwarder: Arc<Forwarder>,
    /// What went to other controllers and came from them, of the quorum's own requests.
    pub(super) exchanged: Arc<Meter>,
    pub(super) started: Instant,
}

impl MetadataHandle {
    /// The cluster as it is committed and as this node has acted upon it.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.published.read())
    }

    /// Hears whenever there is another image.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }

    /// Completes with the first image that satisfies `is_enough`; `None` when the node closes.
    pub(crate) async fn image_when(&self, is_enough: impl Fn(&MetadataImage) -> bool) -> Option<Arc<MetadataImage>> {
        let mut changes = self.changes();
        loop {
            let image = self.image();
            if is_enough(&image) {
                return Some(image);
            }
            changes.changed().await.ok()?;
        }
    }

    /// The quorum as it was a moment ago.
    pub(crate) fn quorum(&self) -> QuorumView {
        self.quorum.read().clone()
    }

    /// Counts what went to other controllers and came from them, of the quorum's own requests.
    pub(crate) fn exchanged(&self) -> &Meter {
        &self.exchanged
    }

    /// The time as the quorum and the controller measure it.
    pub(crate) fn moment(&self) -> Moment {
        Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self, moment: Moment) -> Instant {
        // Far enough: no process runs for a century.
        const MOST: u64 = 100 * 365 * 86_400_000;
        self.started + Duration::from_millis(u64::try_from(moment.0).unwrap_or(0).min(MOST))
    }

    /// The context of a request of this node's own, or of a client's that names no time.
    pub(crate) fn context(&self, version: i16) -> Context {
        self.context_within(version, TIMEOUT_DEFAULT)
    }

    /// The context of a request whose sender waits for so long.
    pub(crate) fn context_within(&self, version: i16, timeout: Duration) -> Context {
        let deadline = self.moment().after(timeout);
        Context {
            principal: Principal::anonymous(),
            client_id: None,
            version,
            deadline,
            unknown_hosts: Default::default(),
        }
    }

    /// Has the active controller decide, and waits until what it decided is committed; if this node is asked on behalf of
    /// its own clients, also until it has acted upon that.
    ///
    /// # Errors
    /// As the controller refuses it; `NOT_CONTROLLER` when this node does not lead and nobody else may decide;
    /// `REQUEST_TIMED_OUT` when the time is over: whether the request is carried out is not known then.
    pub(crate) async fn ask<Q: Ask>(&self, asker: Asker, context: Context, request: Q) -> Result<Q::Response, Refusal> {
        let deadline = self.instant(context.deadline);
        let client = match &asker {
            Asker::OfThisController => {
                return self.decide_here(AnswerWhen::Committed, context, request, deadline).await;
            }
            Asker::Client(client) => Some(client),
            Asker::ThisNode => None,
        };
        let mut leadership = self.leadership.clone();
        loop {
            let Leadership { leader, endpoints, active_here, .. } = leadership.borrow_and_update().clone();
            let elsewhere = leader.is_some_and(|leader| leader != self.node) && !endpoints.is_empty();
            let decided = if active_here {
                self.decide_here(AnswerWhen::Applied, context.clone(), request.clone(), deadline).await
            } else if elsewhere {
                match self.forwarder.send(&endpoints, client, &context, &request, deadline).await {
                    Err(NoAnswer::Again) => Err(Refusal::usual(ErrorCode::NotController)),
                    Err(NoAnswer::Never(refusal)) => Err(refusal),
                    Ok(response) if asker == Asker::ThisNode => refused_as_a_whole(Q::API, response),
                    Ok(response) => Ok(response),
                }
            } else {
                Err(Refusal::usual(ErrorCode::NotController))
            };
            if !is_not_controller(&decided) {
                return decided;
            }
            tokio::select! {
                biased;
                changed = leadership.changed() => if changed.is_err() {
                    return Err(Refusal::usual(ErrorCode::NotController));
                },
                () = sleep(RETRY_PAUSE), if active_here || elsewhere => {}
                () = sleep_until(deadline) => return Err(Refusal::bare(ErrorCode::RequestTimedOut)),
            }
        }
    }

    /// Sends a request of a client's to the leader of the quorum on another node. `None` when that is not known, or does not
    /// answer.
    pub(crate) async fn forward<Q: Request>(
        &self,
        client: &ForwardedClient,
        context: &Context,
        request: &Q,
    ) -> Option<Q::Response> {
        let Leadership { leader, endpoints, .. } = self.leadership.borrow().clone();
        leader.filter(|leader| *leader != self.node)?;
        let deadline = self.instant(context.deadline);
        self.forwarder.send(&endpoints, Some(client), context, request, deadline).await.ok()
    }

    async fn decide_here<Q: Ask>(
        &self,
        when: AnswerWhen,
        context: Context,
        request: Q,
        deadline: Instant,
    ) -> Result<Q::Response, Refusal> {
        let gone = || Refusal::usual(ErrorCode::NotController);
        let (to, receiver) = oneshot::channel();
        let asked = Asked { context, request: request.into_request(), when, to };
        let decided = async {
            self.inbox.send(Event::Asked(Box::new(asked))).await.map_err(|_| gone())?;
            receiver.await.map_err(|_| gone())?
        };
        tokio::select! {
            biased;
            decided = decided => {
                let response = Q::response(decided?);
                response.ok_or_else(|| Refusal::usual(ErrorCode::UnknownServerError))
            }
            () = sleep_until(deadline) => Err(Refusal::bare(ErrorCode::RequestTimedOut)),
        }
    }

    /// The connection has ended by which a broker reported to this controller.
    pub(crate) fn broker_lost(&self, broker: NodeId) {
        // Where the inbox is full, the rest of the session passes instead.
        let _ = self.inbox.try_send(Event::BrokerLost(broker));
    }

    /// Who is known to decide now.
    pub(crate) fn controller(&self) -> KnownController {
        KnownController(self.leadership.borrow().clone())
    }

    /// Completes when another controller than `known` decides, or the connection has ended by which this node reports to it.
    pub(crate) async fn controller_lost(&self, known: &KnownController) {
        let KnownController(known) = known;
        let mut leadership = self.leadership.clone();
        let changed = async {
            let changed = leadership.wait_for(|now| now != known).await.map(drop);
            if changed.is_err() {
                // The node closes.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = changed => {}
            () = self.forwarder.reports_ended(), if !known.active_here => {}
        }
    }

    /// Hands in a request of another replica; `None` when the node closes.
    pub(crate) async fn quorum_rpc<T>(&self, rpc: impl FnOnce(oneshot::Sender<T>) -> Rpc) -> Option<T> {
        let (to, receiver) = oneshot::channel();
        self.inbox.send(Event::Rpc(rpc(to))).await.ok()?;
        receiver.await.ok()
    }
}

/// Turns an answer of another node's controller to a request of this node into the refusal that it is, if it is one: what the
/// controller of this node refuses comes as a refusal, too.
fn refused_as_a_whole<R: Codec>(api: ApiKey, response: R) -> Result<R, Refusal> {
    // These answers begin with the error of the whole request.
    let has_one_error = matches!(
        api,
        ApiKey::BrokerRegistration
            | ApiKey::ControllerRegistration
            | ApiKey::BrokerHeartbeat
            | ApiKey::AllocateProducerIds
            | ApiKey::AssignReplicasToDirs
            | ApiKey::AlterPartition
    );
    let mut first = ErrorCode::None.code();
    let mut is_first = has_one_error;
    response.errors(&mut |error| {
        if std::mem::take(&mut is_first) {
            first = error;
        }
    });
    match ErrorCode::from(first) {
        ErrorCode::None => Ok(response),
        error => Err(Refusal::usual(error)),
    }
}

/// Whether the node that was asked is not the active controller, or is so no longer.
fn is_not_controller<R: Codec>(decided: &Result<R, Refusal>) -> bool {
    match decided {
        Err(refusal) => refusal.code == ErrorCode::NotController,
        Ok(response) => {
            let mut found = false;
            response.errors(&mut |error| found |= error == ErrorCode::NotController.code());
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_wire::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
    use thalweg_wire::messages::{AssignReplicasToDirsResponse, BrokerRegistrationResponse};

    use super::*;

    #[test]
    fn what_another_controller_refuses_is_refused() {
        let error_code = ErrorCode::DuplicateBrokerRegistration.code();
        let refused = BrokerRegistrationResponse { error_code, broker_epoch: -1, ..Default::default() };
        let refusal = refused_as_a_whole(ApiKey::BrokerRegistration, refused).expect_err("no epoch was given");
        assert_eq!(refusal.code, ErrorCode::DuplicateBrokerRegistration);
        let taken = BrokerRegistrationResponse { broker_epoch: 7, ..Default::default() };
        assert_eq!(refused_as_a_whole(ApiKey::BrokerRegistration, taken.clone()), Ok(taken));
    }

    #[test]
    fn the_error_of_one_part_does_not_refuse_the_whole() {
        let partition = PartitionData { partition_index: 0, error_code: ErrorCode::UnknownTopicId.code() };
        let topics = vec![TopicData { partitions: vec![partition], ..Default::default() }];
        let directories = vec![DirectoryData { topics, ..Default::default() }];
        let response = AssignReplicasToDirsResponse { directories, ..Default::default() };
        assert_eq!(refused_as_a_whole(ApiKey::AssignReplicasToDirs, response.clone()), Ok(response));
    }
}
