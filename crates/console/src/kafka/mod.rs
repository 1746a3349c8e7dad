//! Asking the cluster: what it says, as plain values.

mod access;
mod acls;
mod brokers;
mod changes;
mod configs;
mod cursor;
mod groups;
mod json_path;
mod messages;
mod needle;
mod newest;
mod operations;
mod producers;
mod search;
mod snapshot;
mod story;
mod tail;
mod topic_changes;
mod topics;
mod transactions;

use std::future::Future;
use std::sync::Arc;

use thalweg_base::NodeId;
use thalweg_client::{Client, ClientConfig, ConfigError, Destination, Properties};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::Request;
use tokio::sync::{Mutex, Semaphore};

use crate::masks::Masks;
use crate::trouble::Trouble;
pub(crate) use access::{DEFAULT_ENTITY, Quota, QuotaEntity, ScramUser};
pub(crate) use acls::Acl;
pub(crate) use brokers::LogDir;
pub(crate) use changes::NewTopic;
pub(crate) use configs::{Config, ConfigScope};
pub(crate) use cursor::Cursor;
pub(crate) use groups::{Group, GroupKind, GroupListing, Member, Progress, Reset, ResetTo, check_is_empty};
pub(crate) use json_path::JsonCondition;
pub(crate) use messages::{Read, ReadLimits, Reader, Turn, bytes_of};
pub(crate) use needle::{Needle, Place};
pub(crate) use newest::Newest;
pub(crate) use operations::{MetadataQuorum, QuorumReplica, Reassignment};
pub(crate) use producers::ActiveProducer;
pub(crate) use search::{Chase, Hunt, Span};
pub(crate) use snapshot::{Broker, Leaders, Partition, Snapshot, Topic};
pub(crate) use story::{Fate, Found as StoryFound, Story};
pub(crate) use tail::Tail;
pub(crate) use topic_changes::{ConfigChange, Mode};
pub(crate) use topics::Range;
pub(crate) use transactions::{Hanging, Transaction};

/// A question must have its answer within this time: who looks at a page waits no longer.
const ASK_TIME_MAX: Duration = Duration::from_secs(10);
/// So many pages and searches read records at once; each holds what one fetch brings.
const READERS_MAX: usize = 4;
/// So many files and tails are written at once besides: they may take minutes, and pages need not wait for them.
const LONG_READERS_MAX: usize = 4;
/// What one fetch brings. A record that is larger comes alone.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// The cluster.
#[derive(Debug)]
pub(crate) struct Kafka {
    client: Client,
    properties: Properties,
    kept: Mutex<Option<(Instant, Arc<Snapshot>)>>,
    masks: Masks,
    turns: Turns,
}

/// The places of those who read records, which all visitors share. Clones are of the same places.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    readers: Arc<Semaphore>,
    long_readers: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count));
        Self { readers: places(READERS_MAX), long_readers: places(LONG_READERS_MAX) }
    }
}

impl Kafka {
    /// The cluster that these properties of a client lead to. Nothing is sent before the first question.
    /// `masks` hide what they name of every record that is read.
    pub(crate) fn new(properties: &Properties, masks: Masks, turns: Turns) -> Result<Self, ConfigError> {
        let mut properties = properties.clone();
        properties.set_default("client.id", "thalweg-console");
        let client = Client::new(ClientConfig::from_properties(&properties)?);
        Ok(Self { client, properties, kept: Mutex::default(), masks, turns })
    }

    /// The same cluster for a visitor with properties of its own.
    pub(crate) fn of_visitor(&self, properties: &Properties) -> Result<Self, ConfigError> {
        Self::new(properties, self.masks.clone(), self.turns.clone())
    }

    /// Whether something of a topic's records is hidden.
    pub(crate) fn hides(&self, topic: &str) -> bool {
        self.masks.concern(topic)
    }

    /// The nodes to begin with, as `--bootstrap-server` takes them.
    pub(crate) fn bootstrap(&self) -> &str {
        self.properties.text("bootstrap.servers").unwrap_or_default()
    }

    fn deadline() -> Instant {
        now() + ASK_TIME_MAX
    }

    /// Asks, and asks again while that may help.
    async fn ask<Q: Request>(&self, to: Destination, request: &Q) -> Result<Q::Response, Trouble> {
        Ok(self.client.send_by(&to, request, Self::deadline()).await?)
    }

    /// As `ask`, at a version of at most `version_max`.
    async fn ask_up_to<Q: Request>(
        &self,
        to: &Destination,
        request: &Q,
        version_max: i16,
    ) -> Result<Q::Response, Trouble> {
        Ok(self.client.send_limited(to, request, version_max, Self::deadline()).await?)
    }

    /// As `ask`; `None` from a broker that is too old for the request.
    async fn ask_if_served<Q: Request>(&self, to: &Destination, request: &Q) -> Result<Option<Q::Response>, Trouble> {
        match self.client.send_by(to, request, Self::deadline()).await {
            Ok(response) => Ok(Some(response)),
            Err(thalweg_client::Error::UnsupportedVersion { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a broker answered; none if it is too old for the request, or does not answer, which is added to `troubles`.
fn served<R>(answer: Result<R, thalweg_client::Error>, troubles: &mut Vec<Trouble>) -> Option<R> {
    match answer {
        Ok(response) => Some(response),
        Err(thalweg_client::Error::UnsupportedVersion { .. }) => None,
        Err(error) => {
            troubles.push(Trouble::Away(error));
            None
        }
    }
}

/// Asks several brokers at once; the answers come in the order of `brokers`.
async fn of_each<T, F>(brokers: impl IntoIterator<Item = i32>, ask: impl Fn(NodeId) -> F) -> Vec<(i32, T)>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let asking: Vec<_> = brokers.into_iter().map(|id| (id, task::spawn(ask(NodeId(id))))).collect();
    let mut answers = Vec::with_capacity(asking.len());
    for (id, asking) in asking {
        // A task that has panicked has told so in the log.
        if let Ok(answer) = asking.await {
            answers.push((id, answer));
        }
    }
    answers
}
