//! Asking for metadata, and keeping it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{LeaderEpoch, NodeId, TopicPartition};
use thalweg_sys::time::{Instant, now, timeout_at};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::metadata_request::MetadataRequestTopic;
use thalweg_wire::messages::{DescribeClusterRequest, MetadataRequest};

use super::{Attempts, Client, Known, Lane, refused};
use crate::config::Bootstrap;
use crate::{Cluster, Error, MetadataRecovery, Peer, Topic};

/// A topic that nobody has asked about for so long is no longer asked for (`metadata.max.idle.ms`).
const TOPIC_IDLE_MAX: Duration = Duration::from_secs(300);
/// DescribeCluster's endpoint type for controllers (KIP-919).
const CONTROLLERS: i8 = 2;

impl Client {
    /// What is known about the cluster, without asking it. Empty before the first request.
    #[must_use]
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.shared.known.lock().cluster)
    }

    /// Asks the cluster for its nodes, and for the topics that have been of interest lately.
    ///
    /// # Errors
    /// When no node answers within `default.api.timeout.ms`.
    pub async fn refresh(&self) -> Result<Arc<Cluster>, Error> {
        self.refresh_by(self.api_deadline()).await
    }

    /// As [`Client::refresh`], within `deadline`.
    ///
    /// # Errors
    /// As [`Client::refresh`].
    pub async fn refresh_by(&self, deadline: Instant) -> Result<Arc<Cluster>, Error> {
        let mut attempts = Attempts::new(self.config(), deadline);
        loop {
            match self.refresh_once(attempts.deadline()).await {
                Err(error) if error.is_retriable() => {
                    let error = attempts.most_telling(error);
                    if !attempts.again().await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// What is known about these topics; the cluster is asked if one is not known, had an error, or what is known is old.
    /// A topic that does not exist is there with its error code: the one of an answer that came after this call.
    ///
    /// # Errors
    /// When no node answers by `deadline`.
    pub async fn topics<T: AsRef<str>>(&self, names: &[T], deadline: Instant) -> Result<Arc<Cluster>, Error> {
        let mut has_asked = false;
        loop {
            // A topic that was missing a moment ago may have been created since.
            let is_usable = |topic: &Topic| has_asked || !topic.error.is_error();
            if let Some(cluster) = self.known_topics(names, is_usable) {
                return Ok(cluster);
            }
            self.refresh_by(deadline).await?;
            has_asked = true;
        }
    }

    fn known_topics<T: AsRef<str>>(&self, names: &[T], is_usable: impl Fn(&Topic) -> bool) -> Option<Arc<Cluster>> {
        let at = now();
        let mut known = self.shared.known.lock();
        for name in names {
            known.want(name.as_ref(), at);
        }
        let all = names.iter().all(|name| known.cluster.topics.get(name.as_ref()).is_some_and(&is_usable));
        (all && self.is_fresh(&known)).then(|| Arc::clone(&known.cluster))
    }

    /// Whether what is known may be used without asking again.
    pub(super) fn is_fresh(&self, known: &Known) -> bool {
        known.fresh_since.is_some_and(|since| now().saturating_duration_since(since) < self.config().metadata_max_age)
    }

    /// What is known about the cluster has proved wrong: the next who needs it asks again.
    pub fn mark_outdated(&self) {
        self.shared.known.lock().fresh_since = None;
    }

    /// Whether the next who needs what is known about the cluster asks again.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        !self.is_fresh(&self.shared.known.lock())
    }

    /// A broker has named a newer leader of a partition (KIP-951). Says whether it is used.
    pub fn learn_leader(&self, partition: &TopicPartition, leader: NodeId, epoch: LeaderEpoch) -> bool {
        let mut known = self.shared.known.lock();
        let updated = known.cluster.with_leader(partition, leader, epoch);
        let learned = updated.is_some();
        if let Some(cluster) = updated {
            known.cluster = Arc::new(cluster);
        }
        learned
    }

    /// One attempt. Whoever finds another attempt running waits for its result.
    pub(super) async fn refresh_once(&self, deadline: Instant) -> Result<Arc<Cluster>, Error> {
        let before = self.shared.known.lock().refreshes;
        let Ok(_turn) = timeout_at(deadline, self.shared.refreshing.lock()).await else {
            return Err(Error::Unreachable { tried: Arc::default() });
        };
        {
            let known = self.shared.known.lock();
            if known.refreshes > before {
                return Ok(Arc::clone(&known.cluster));
            }
        }
        let begun_at = now();
        let answer = match self.config().bootstrap_kind {
            Bootstrap::Brokers => self.ask_broker(deadline).await,
            Bootstrap::Controllers => self.ask_controller(deadline).await,
        };
        match answer {
            Ok(cluster) => Ok(self.keep(cluster)),
            Err(error) => {
                self.refresh_failed(&error, begun_at);
                Err(error)
            }
        }
    }

    /// An attempt that began at `begun_at` brought no metadata: if a broker asks for it, or if there was none for too long,
    /// the client begins again (KIP-1102).
    fn refresh_failed(&self, error: &Error, begun_at: Instant) {
        if self.config().metadata_recovery == MetadataRecovery::None {
            return;
        }
        let is_told = matches!(error, Error::Refused { code: ErrorCode::RebootstrapRequired, .. });
        let since = *self.shared.known.lock().failing_since.get_or_insert(begun_at);
        if is_told || now().saturating_duration_since(since) >= self.config().rebootstrap_after {
            self.begin_again();
        }
    }

    /// Forgets the nodes of the cluster and everything that they have said, so that the next request goes to one of the
    /// bootstrap nodes.
    fn begin_again(&self) {
        tracing::info!("no node has useful metadata: the client begins again with the bootstrap nodes");
        let mut known = self.shared.known.lock();
        known.cluster = Arc::default();
        known.fresh_since = None;
        known.failing_since = None;
        known.coordinators.clear();
        drop(known);
        // Connections to bootstrap nodes are closed as well: a stale one would be asked first.
        self.shared.channels.lock().clear();
    }

    async fn ask_broker(&self, deadline: Instant) -> Result<Cluster, Error> {
        let names: Vec<Arc<str>> = self.shared.known.lock().wanted.keys().cloned().collect();
        let topic = |name: &Arc<str>| MetadataRequestTopic {
            name: Some(name.to_string().into()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: self.config().auto_create_topics,
            ..MetadataRequest::default()
        };
        let connection = self.any_connection(Lane::Requests, deadline).await?;
        let response = connection.send(&request, deadline).await?;
        refused::<MetadataRequest>(connection.peer(), response.error_code, None)?;
        Ok(self.cluster().updated(&response))
    }

    async fn ask_controller(&self, deadline: Instant) -> Result<Cluster, Error> {
        let request = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..DescribeClusterRequest::default() };
        let connection = self.any_connection(Lane::Requests, deadline).await?;
        let response = connection.send(&request, deadline).await?;
        let (peer, message) = (connection.peer(), response.error_message.as_deref());
        refused::<DescribeClusterRequest>(peer, response.error_code, message)?;
        Ok(Cluster::of_controllers(&response))
    }

    fn keep(&self, cluster: Cluster) -> Arc<Cluster> {
        let at = now();
        let mut known = self.shared.known.lock();
        known.wanted.retain(|_, used_at| at.saturating_duration_since(*used_at) < TOPIC_IDLE_MAX);
        let cluster = Arc::new(cluster.with_topics(|name| known.wanted.contains_key(name)));
        known.cluster = Arc::clone(&cluster);
        known.fresh_since = Some(at);
        known.failing_since = None;
        known.refreshes += 1;
        drop(known);
        let is_node = |peer: &Peer| cluster.nodes.values().any(|node| node.peer == *peer);
        let mut channels = self.shared.channels.lock();
        channels.retain(|(_, peer), _| is_node(peer) || self.config().bootstrap.contains(peer));
        cluster
    }
}

impl Known {
    /// Somebody wants to know about a topic.
    pub(super) fn want(&mut self, topic: &str, at: Instant) {
        match self.wanted.get_mut(topic) {
            Some(used_at) => *used_at = at,
            None => {
                self.wanted.insert(Arc::from(topic), at);
            }
        }
    }
}
