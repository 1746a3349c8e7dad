//! The consumer: reads partitions, alone or as a member of a group.

mod assignors;
mod chunk;
mod config;
mod fetch;
mod following;
mod group;
mod listener;
mod partitions;
mod positions;
mod session;
mod validation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use thalweg_base::{NodeId, Offset, TopicPartition};
use thalweg_sys::time::{Instant, now, sleep_until};

use crate::{Client, Error};
pub use assignors::Assignor;
pub use chunk::ConsumerRecord;
use chunk::Reading;
pub use chunk::{Passed, PassedOver};
pub use config::{ConsumerConfig, GroupConfig, GroupProtocol, Isolation, OffsetReset};
use fetch::Flight;
use group::Membership;
pub use listener::RebalanceListener;
pub use partitions::Start;
use partitions::{Assigned, Partitions};
use positions::{Chore, ChoreDone};
use session::Session;

/// Reads records.
///
/// Nothing runs but what [`Consumer::poll`] has begun: fetches go on in the background while the application works on the
/// records that it has, up to `fetch.max.bytes` of them. Dropping the future of a poll loses no record.
///
/// ```no_run
/// use std::time::Duration;
/// use thalweg_base::TopicPartition;
/// use thalweg_client::{Consumer, ConsumerConfig, Properties, Start};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let properties = Properties::from_iter([("bootstrap.servers", "localhost:9092")]);
/// let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties)?);
/// consumer.assign([(TopicPartition::new("events", 0), Start::Beginning)]);
/// loop {
///     for record in consumer.poll_for(Duration::from_secs(1)).await? {
///         println!("{}: {:?}", record.offset, record.value);
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    config: ConsumerConfig,
    partitions: Partitions,
    /// One for each node that partitions are fetched from.
    sessions: BTreeMap<NodeId, Session>,
    /// At most one for each node.
    flights: BTreeMap<NodeId, Flight>,
    /// What has to be found out before some partitions can be fetched.
    chore: Option<Chore>,
    /// No chore begins before, after one that failed.
    chore_not_before: Option<Instant>,
    membership: Option<Membership>,
    /// Whether topics are chosen by a rule, and not named.
    chooses: bool,
    listener: Option<Box<dyn RebalanceListener>>,
    /// The group whose offsets are committed without being a member.
    outsider: Option<Arc<group::Shared>>,
    /// When positions are committed next.
    commit_at: Option<Instant>,
    /// What was passed over since it was asked for; stays empty unless the configuration asks for it.
    passed: Vec<PassedOver>,
}

/// A member that waits for records shows so often that it still polls.
const GROUP_TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// Something that was waited for.
enum Event {
    Fetched(NodeId, Flight, fetch::Answer),
    Done(ChoreDone),
}

impl Consumer {
    /// A consumer without partitions. Nothing is sent before the first poll.
    #[must_use]
    pub fn new(config: ConsumerConfig) -> Self {
        Self {
            client: Client::new(config.client.clone()),
            config,
            partitions: Partitions::default(),
            sessions: BTreeMap::new(),
            flights: BTreeMap::new(),
            chore: None,
            chore_not_before: None,
            membership: None,
            chooses: false,
            listener: None,
            outsider: None,
            commit_at: None,
            passed: Vec::new(),
        }
    }

    /// The client below, whose connections and metadata the consumer uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads these partitions and no others, without a group that assigns them. One that was read before goes on where it was if its start is
    /// [`Start::Committed`].
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        self.membership = None;
        let mut before = std::mem::take(&mut self.partitions.assigned);
        for (partition, start) in partitions {
            let assigned = match before.remove(&partition) {
                Some(assigned) if start == Start::Committed => assigned,
                _ => Assigned::new(start),
            };
            self.partitions.assigned.insert(partition, assigned);
        }
    }

    /// The partitions that are read.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.assigned.keys()
    }

    /// Reads a partition on from somewhere else; says whether it is assigned.
    pub fn seek(&mut self, partition: &TopicPartition, start: Start) -> bool {
        let assigned = self.partitions.assigned.get_mut(partition);
        assigned.map(|assigned| assigned.seek(start)).is_some()
    }

    /// Gives no more records of a partition until [`Consumer::resume`]; says whether it is assigned.
    pub fn pause(&mut self, partition: &TopicPartition) -> bool {
        self.partitions.assigned.get_mut(partition).map(|assigned| assigned.paused = true).is_some()
    }

    /// Gives records of a partition again; says whether it is assigned.
    pub fn resume(&mut self, partition: &TopicPartition) -> bool {
        self.partitions.assigned.get_mut(partition).map(|assigned| assigned.paused = false).is_some()
    }

    /// The offset of the next record of a partition; `None` while it is not known.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let assigned = self.partitions.assigned.get(partition)?;
        assigned.start.is_none().then_some(assigned.position)
    }

    /// The offsets that polls have passed over since the last call, in the order of each partition. Call it after each poll:
    /// what is not taken is kept.
    pub fn take_passed_over(&mut self) -> Vec<PassedOver> {
        std::mem::take(&mut self.passed)
    }

    /// The high watermark of a partition at its last fetch.
    #[must_use]
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.partitions.assigned.get(partition)?.high_watermark
    }

    /// The offset of the first record of a partition's log at its last fetch.
    #[must_use]
    pub fn log_start(&self, partition: &TopicPartition) -> Option<Offset> {
        self.partitions.assigned.get(partition)?.log_start
    }

    /// As [`Consumer::poll`], for at most so long.
    ///
    /// # Errors
    /// As [`Consumer::poll`].
    pub async fn poll_for(&mut self, wait: std::time::Duration) -> Result<Vec<ConsumerRecord>, Error> {
        self.poll(now() + wait).await
    }

    /// Up to `max.poll.records` records, as soon as there are some; none if there are none by `deadline`. The records of
    /// a partition come in the order of their offsets.
    ///
    /// # Errors
    /// When a partition cannot be read on: its records are damaged, its position is out of range and
    /// `auto.offset.reset` is `none`, or the cluster refuses. Whatever may be better later is tried again in silence.
    pub async fn poll(&mut self, deadline: Instant) -> Result<Vec<ConsumerRecord>, Error> {
        loop {
            self.follow_group().await?;
            self.begin();
            while let Some(event) = std::future::poll_fn(|cx| Poll::Ready(ready(self.poll_event(cx)))).await {
                self.handle(event)?;
                self.begin();
            }
            let drained = self.partitions.drain(self.reading(), self.config.poll_records_max)?;
            let is_empty = drained.records.is_empty() && drained.passed.is_empty();
            self.passed.extend(drained.passed);
            if !is_empty {
                // Room has become free: what comes next is fetched while the application works.
                self.begin();
                return Ok(drained.records);
            }
            let at = now();
            if at >= deadline {
                return Ok(Vec::new());
            }
            let until = self.wake_at().map_or(deadline, |wake_at| wake_at.min(deadline)).max(at);
            if let Some(event) = self.next_event(until).await {
                self.handle(event)?;
            }
        }
    }

    /// Waits until something has happened; `None` if that is something about the group, or nothing.
    async fn next_event(&mut self, until: Instant) -> Option<Event> {
        let group = self.membership.as_ref().map(|membership| Arc::clone(&membership.shared));
        let until = if group.is_some() { until.min(now() + GROUP_TICK) } else { until };
        let changed = async {
            match &group {
                Some(group) => group.for_consumer.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = std::future::poll_fn(|cx| self.poll_event(cx)) => Some(event),
            () = changed => None,
            () = sleep_until(until) => None,
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            check_crcs: self.config.check_crcs,
            isolation: self.config.isolation,
            batch_bytes_max: self.config.batch_bytes_max,
            reports_passed: self.config.reports_passed,
        }
    }

    /// Begins what can be done in the background.
    fn begin(&mut self) {
        self.begin_chore();
        self.begin_fetches();
    }

    /// The next thing that has happened.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(chore) = &mut self.chore
            && let Poll::Ready(done) = chore.poll(cx)
        {
            self.chore = None;
            return Poll::Ready(Event::Done(done));
        }
        for node in self.flights.keys().copied().collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&node) else { continue };
            if let Poll::Ready(answer) = flight.poll(cx)
                && let Some(flight) = self.flights.remove(&node)
            {
                return Poll::Ready(Event::Fetched(node, flight, answer));
            }
        }
        Poll::Pending
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Fetched(node, flight, answer) => self.fetched(node, &flight, answer),
            Event::Done(done) => self.chore_done(done),
        }
    }

    /// When to look again although nothing has happened.
    fn wake_at(&self) -> Option<Instant> {
        let partitions = self.partitions.assigned.values().filter_map(|assigned| assigned.not_before);
        let at = now();
        partitions.chain(self.chore_not_before).filter(|wake_at| *wake_at > at).min()
    }
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
