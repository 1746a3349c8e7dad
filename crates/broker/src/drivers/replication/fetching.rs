//! One fetcher: asks one broker for the records of partitions that it leads, and hands them to their followers here.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_base::metrics::Counter;
use thalweg_base::{BrokerEpoch, Moment, NodeId, Offset};
use thalweg_client::{Channel, ChannelOptions, Connection, ConnectionOptions, Peer};
use thalweg_metadata::MetadataImage;
use thalweg_replica::{FetchFrom, FetchRound, Fetcher, Followed, SessionError, SessionId};
use thalweg_storage::Flush;
use thalweg_sys::net::ConnectOptions;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now, sleep};
use thalweg_wire::messages::FetchResponse;
use thalweg_wire::messages::fetch_response::PartitionData;
use thalweg_wire::{ApiKey, ErrorCode};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::config::FetchingConfig;
use super::request::{self, BY_ID, LogEnd};
use crate::drivers::partition::{BeforeNext, Fetched, FollowedUp, Local, Partition};

/// Answers with so many bytes of records are appended at once, as a producer's records are; larger ones where no network worker
/// waits for them.
const AT_ONCE_BYTES_MAX: usize = 256 << 10;
/// Answers about more partitions than these are never appended at once, however few records they have.
const AT_ONCE_PARTITIONS_MAX: usize = 64;
/// A fetcher that has nothing to ask for looks so often whether that is still so. It is woken when that changes.
const IDLE_LOOK: Duration = Duration::from_secs(3600);

/// What is done when something was cut off a log, before more is appended to it.
#[derive(Clone)]
pub(crate) struct WhenCut(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for WhenCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenCut")
    }
}

/// A fetcher: the machine that decides what to ask for, and the partitions that it asks for.
#[derive(Debug)]
pub(super) struct Fetching {
    local: Local,
    leader: NodeId,
    /// Which of the fetchers of this leader it is.
    index: usize,
    config: FetchingConfig,
    known: Arc<RwLock<Arc<MetadataImage>>>,
    when_cut: WhenCut,
    state: Mutex<State>,
    changed: Notify,
    /// How many fetches the leader has answered.
    answered: Counter,
}

#[derive(Debug)]
struct State {
    fetcher: Fetcher,
    partitions: BTreeMap<Followed, Arc<Partition>>,
    closed: bool,
}

/// What the leader has answered about one partition.
struct Answered {
    followed: Followed,
    partition: Arc<Partition>,
    /// What was asked.
    from: FetchFrom,
    fetched: Fetched,
}

/// What came of an answer.
struct Done {
    followed: Followed,
    partition: Arc<Partition>,
    from: FetchFrom,
    outcome: FollowedUp,
    /// Until when the partition is not asked for: its replication is throttled.
    pause: Option<Moment>,
}

impl Done {
    /// Whether this must be done before the partition is asked for again.
    fn needs(&self, what: BeforeNext) -> bool {
        matches!(self.outcome, FollowedUp::Next(_, before) if before == what)
    }
}

/// What a partition is called in fetches.
pub(super) fn followed(partition: &Partition) -> Followed {
    Followed { topic: partition.topic_id, partition: partition.id.partition }
}

/// Why a round came to nothing.
enum Failed {
    /// The leader's registration names no address for other brokers.
    NoAddress,
    Request(thalweg_client::Error),
    /// The leader refuses the session.
    Session(SessionError),
    /// The leader refuses the request.
    Refused(ErrorCode),
}

impl Fetching {
    pub(super) fn new(
        local: Local,
        leader: NodeId,
        index: usize,
        config: FetchingConfig,
        known: Arc<RwLock<Arc<MetadataImage>>>,
        when_cut: WhenCut,
    ) -> Self {
        let fetcher = Fetcher::new(leader, config.backoff);
        let state = Mutex::new(State { fetcher, partitions: BTreeMap::new(), closed: false });
        let (changed, answered) = (Notify::new(), Counter::default());
        Self { local, leader, index, config, known, when_cut, state, changed, answered }
    }

    pub(super) fn follow(&self, followed: Followed, partition: Arc<Partition>, from: FetchFrom) {
        let mut state = self.state.lock();
        state.fetcher.follow(followed, from);
        state.partitions.insert(followed, partition);
        self.changed.notify_one();
    }

    pub(super) fn unfollow(&self, followed: Followed) {
        let mut state = self.state.lock();
        state.fetcher.unfollow(followed);
        state.partitions.remove(&followed);
    }

    /// How many fetches the leader has answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.get()
    }

    /// Something has changed that may let a request succeed.
    pub(super) fn look_again(&self) {
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    pub(super) async fn run(self: Arc<Self>) {
        let mut channel = None;
        let mut failing = false;
        while let Some(next) = self.next_round() {
            let round = match next {
                Ok(round) => round,
                Err(wait) => {
                    tokio::select! {
                        biased;
                        () = self.changed.notified() => {}
                        () = sleep(wait) => {}
                    }
                    continue;
                }
            };
            match self.ask(&mut channel, &round).await {
                Ok((connection, response)) => {
                    if failing {
                        info!(leader = self.leader.0, fetcher = self.index, "the leader answers again");
                    }
                    failing = false;
                    self.answered.increment();
                    self.take(&connection, response).await;
                }
                Err(Failed::Session(refusal)) => self.state.lock().fetcher.refused(refusal),
                Err(failed) => {
                    self.log_failure(&failed, failing);
                    failing = true;
                    self.state.lock().fetcher.failed(self.local.moment());
                }
            }
        }
    }

    /// What to ask for, or how long to wait; `None` once the fetcher was closed.
    fn next_round(&self) -> Option<Result<FetchRound, Duration>> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let moment = self.local.moment();
        let wait = |state: &State| state.fetcher.next_look().map_or(IDLE_LOOK, |at| at.since(moment));
        Some(state.fetcher.next_round(moment).ok_or_else(|| wait(&state)))
    }

    /// The failures of a leader that does not answer are one: the first is logged.
    fn log_failure(&self, failed: &Failed, failing: bool) {
        let (leader, fetcher) = (self.leader.0, self.index);
        let why = match failed {
            Failed::NoAddress => format!("it is not registered on the listener {}", self.config.security.listener()),
            Failed::Request(error) => error.to_string(),
            Failed::Session(refusal) => format!("{refusal:?}"),
            Failed::Refused(error) => error.name().to_owned(),
        };
        if failing {
            debug!(leader, fetcher, "the leader still cannot be fetched from: {why}");
        } else {
            warn!(leader, fetcher, "the leader cannot be fetched from, which is tried again and again: {why}");
        }
    }

    async fn ask(
        &self,
        channel: &mut Option<Channel>,
        round: &FetchRound,
    ) -> Result<(Connection, FetchResponse), Failed> {
        let deadline = now() + self.config.timeout;
        let peer = self.peer().ok_or(Failed::NoAddress)?;
        if channel.as_ref().is_none_or(|channel| *channel.peer() != peer) {
            *channel = Some(Channel::new(peer, self.options()));
        }
        let Some(channel) = channel else { return Err(Failed::NoAddress) };
        let connection = channel.connection(deadline).await.map_err(Failed::Request)?;
        let version = connection.version(ApiKey::Fetch).map_err(Failed::Request)?;
        if version < BY_ID {
            return Err(Failed::Refused(ErrorCode::UnsupportedVersion));
        }
        let request = request::fetch(version, self.local.id, self.broker_epoch(), &self.config, round);
        let response = connection.send_at(&request, version, deadline).await.map_err(Failed::Request)?;
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => Ok((connection, response)),
            ErrorCode::FetchSessionIdNotFound => Err(Failed::Session(SessionError::IdNotFound)),
            ErrorCode::InvalidFetchSessionEpoch => Err(Failed::Session(SessionError::InvalidEpoch)),
            ErrorCode::FetchSessionTopicIdError => Err(Failed::Session(SessionError::TopicIdError)),
            error => Err(Failed::Refused(error)),
        }
    }

    /// Where the leader serves other brokers.
    fn peer(&self) -> Option<Peer> {
        let image = Arc::clone(&self.known.read());
        let endpoint = image.cluster().broker(self.leader)?.endpoint(self.config.security.listener())?;
        Some(Peer::new(&*endpoint.host, endpoint.port))
    }

    /// The epoch of this broker's registration, as far as this node has heard.
    fn broker_epoch(&self) -> BrokerEpoch {
        self.known.read().cluster().broker(self.local.id).map_or(BrokerEpoch(-1), |broker| broker.epoch)
    }

    fn options(&self) -> ChannelOptions {
        let socket = ConnectOptions { receive_buffer: self.config.receive_buffer_bytes, ..ConnectOptions::default() };
        let client_id = format!("broker-{}-fetcher-{}", self.local.id, self.index);
        let connection = ConnectionOptions {
            client_id: Some(client_id.into()),
            socket,
            setup_timeout: self.config.timeout,
            in_flight_max: 2,
            ..ConnectionOptions::default()
        };
        let connection = self.config.security.secure(connection);
        ChannelOptions { connection, ..ChannelOptions::default() }
    }

    /// Hands what was answered to the partitions.
    async fn take(self: &Arc<Self>, connection: &Connection, response: FetchResponse) {
        let mut answers: BTreeMap<Followed, PartitionData> = BTreeMap::new();
        for topic in response.responses {
            for data in topic.partitions {
                answers.insert(Followed { topic: topic.topic_id, partition: data.partition_index }, data);
            }
        }
        let asked = {
            let mut state = self.state.lock();
            let named = answers.keys().copied().collect::<Vec<_>>();
            state.fetcher.answered(SessionId(response.session_id), named, self.local.moment())
        };
        if asked.is_empty() {
            return;
        }
        let mut each = Vec::with_capacity(asked.len());
        for (followed, from) in asked {
            if let Some((partition, data)) = self.partition(followed).zip(answers.remove(&followed)) {
                each.push(Answered { followed, partition, from, fetched: request::fetched(data) });
            }
        }
        // Interrupted when the node goes down.
        let Ok(followed_up) = self.follow_up_all(each).await else { return };
        for Done { followed, partition, from, outcome, pause } in followed_up {
            let outcome = match outcome {
                FollowedUp::AskForEnds => self.ask_for_ends(connection, &partition, &from).await,
                other => other,
            };
            let mut state = self.state.lock();
            match outcome {
                FollowedUp::Next(next, _) if next.leader == self.leader => state.fetcher.advanced(followed, next),
                FollowedUp::Next(..) | FollowedUp::Stop => state.fetcher.stopped(followed, &from),
                FollowedUp::Later | FollowedUp::AskForEnds => state.fetcher.delayed(followed, self.local.moment()),
            }
            if let Some(until) = pause {
                state.fetcher.paused(followed, until);
            }
        }
    }

    /// Hands each answer to its partition: at once, if that is no more work than a producer's request, else where it may take its
    /// time. Waits for the disk where that must come before the next fetch.
    async fn follow_up_all(self: &Arc<Self>, each: Vec<Answered>) -> io::Result<Vec<Done>> {
        let bytes: usize = each.iter().map(|answered| answered.fetched.bytes()).sum();
        let is_short = bytes <= AT_ONCE_BYTES_MAX && each.len() <= AT_ONCE_PARTITIONS_MAX;
        let at_once = is_short && !each.iter().any(|answered| answered.fetched.may_cut());
        let follow_up = {
            let this = Arc::clone(self);
            move || each.into_iter().map(|answered| this.follow_up(answered)).collect::<Vec<_>>()
        };
        let done = if at_once { follow_up() } else { task::blocking(follow_up).await? };
        if !done.iter().any(|done| done.needs(BeforeNext::Checkpoint) || done.needs(BeforeNext::Flush)) {
            return Ok(done);
        }
        let this = Arc::clone(self);
        task::blocking(move || {
            // What was cut off a log is gone for the checkpoint files, too, before more is appended: they would vouch for
            // records that were never synced.
            if done.iter().any(|done| done.needs(BeforeNext::Checkpoint)) {
                (this.when_cut.0)();
            }
            done.iter().filter(|done| done.needs(BeforeNext::Flush)).for_each(|done| done.partition.flush(Flush::All));
            done
        })
        .await
    }

    /// Hands one answer to its partition.
    fn follow_up(&self, answered: Answered) -> Done {
        let Answered { followed, partition, from, fetched } = answered;
        let bytes = fetched.bytes();
        self.local.replicated.bytes_in.add(bytes as u64);
        let outcome = partition.follow_up(&from, fetched);
        let pause = if self.is_in_sync(followed) { None } else { partition.fetched_out_of_sync(bytes) };
        Done { followed, partition, from, outcome, pause }
    }

    /// Whether this replica is in sync, as far as this node has heard.
    fn is_in_sync(&self, followed: Followed) -> bool {
        let known = self.known.read();
        let registration = known.topics().partition(followed.topic, followed.partition);
        registration.is_some_and(|registration| registration.isr.contains(&self.local.id))
    }

    fn partition(&self, followed: Followed) -> Option<Arc<Partition>> {
        self.state.lock().partitions.get(&followed).cloned()
    }

    /// The log ends where the leader has none: asks where the leader's begins and ends, and follows that.
    async fn ask_for_ends(
        self: &Arc<Self>,
        connection: &Connection,
        partition: &Arc<Partition>,
        from: &FetchFrom,
    ) -> FollowedUp {
        let deadline = now() + self.config.timeout;
        let end = self.log_end(connection, partition, from, LogEnd::Last, deadline).await;
        let start = self.log_end(connection, partition, from, LogEnd::First, deadline).await;
        let Some((start, end)) = start.zip(end) else { return FollowedUp::Later };
        let fetched = Fetched::OutOfRange { start, end };
        let answered =
            Answered { followed: followed(partition), partition: Arc::clone(partition), from: *from, fetched };
        let done = self.follow_up_all(vec![answered]).await.unwrap_or_default();
        done.first().map_or(FollowedUp::Stop, |done| done.outcome)
    }

    async fn log_end(
        &self,
        connection: &Connection,
        partition: &Partition,
        from: &FetchFrom,
        end: LogEnd,
        deadline: Instant,
    ) -> Option<Offset> {
        let (topic, index) = (&partition.id.topic, partition.id.partition);
        let request = request::list_offsets(self.local.id, topic, index, from.leader_epoch, end);
        let response = connection.send(&request, deadline).await;
        let answer = response.ok().and_then(|response| response.topics.first()?.partitions.first().cloned())?;
        (answer.error_code == ErrorCode::None.code() && answer.offset >= 0).then_some(Offset(answer.offset))
    }
}
