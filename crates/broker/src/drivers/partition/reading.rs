//! What is read of a partition: by whom, how far, and what a look finds.

use thalweg_base::{BrokerEpoch, LeaderEpoch, Moment, NodeId, Offset, Timestamp};
use thalweg_replica::epochs::{EpochEnd, diverging};
use thalweg_replica::{FetchParams, FetchedBy, Leader, Refusal};
use thalweg_storage::{
    AbortedTxn, Fault, FirstBatch, Log, ReadError, ReadPlan, ReadRefusal, TimeQuery, TimeSearch, TimestampedOffset,
};
use thalweg_wire::ErrorCode;
use tracing::error;

use super::role::Role;
use super::{Health, Partition, State, error_of};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A client that knows of leaders only: up to the high watermark.
    Consumer,
    /// A client that may read from followers, too (KIP-392).
    ConsumerOfAnyReplica,
    /// Another replica: up to the end of the log.
    Follower(FollowerFetch),
}

/// A follower's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FollowerFetch {
    pub(crate) follower: NodeId,
    /// `None` if its request names none.
    pub(crate) broker_epoch: Option<BrokerEpoch>,
    pub(crate) turn: Turn,
}

/// How often a request has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The leader notes how far the follower is.
    First,
    /// It was noted; the request has waited since.
    Again,
}

/// How far a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the first record of a transaction that is still open.
    ReadCommitted,
    /// To the end of the log: replicas.
    LogEnd,
}

/// Which replicas answer a query of `ListOffsets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// The leader.
    Leader,
    /// Any replica: clients that look for faults ask each of them for its own log.
    AnyReplica,
}

/// What a look at a partition found, before any record is read.
pub(crate) struct Look {
    pub(crate) error: ErrorCode,
    /// -1 with an error.
    pub(crate) high_watermark: Offset,
    /// -1 with an error.
    pub(crate) last_stable: Offset,
    /// -1 with an error.
    pub(crate) log_start: Offset,
    /// The client's log has another history from here on.
    pub(crate) diverging: Option<EpochEnd>,
    /// What to read, if there is something.
    pub(crate) read: Option<ReadPlan>,
    /// The transactions in what is read that were aborted, for a reader of committed records.
    pub(crate) aborted: Vec<AbortedTxn>,
    /// A replica that is nearer to the reader: nothing is read here.
    pub(crate) preferred: Option<NodeId>,
}

impl Look {
    /// Nothing but an error.
    pub(crate) fn refused(error: ErrorCode) -> Self {
        let unknown = Offset(-1);
        Self {
            error,
            high_watermark: unknown,
            last_stable: unknown,
            log_start: unknown,
            diverging: None,
            read: None,
            aborted: Vec::new(),
            preferred: None,
        }
    }

    /// The reader is sent to another replica, and reads nothing here.
    pub(crate) fn prefer(&mut self, replica: NodeId) {
        self.preferred = Some(replica);
        self.read = None;
        self.aborted.clear();
    }

    /// How many bytes of records there are to read.
    pub(crate) fn bytes(&self) -> usize {
        self.read.as_ref().map_or(0, ReadPlan::len)
    }
}

/// What `ListOffsets` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetQuery {
    Latest,
    Earliest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    EarliestPendingUpload,
    /// The first record that is not older than this.
    At(Timestamp),
}

/// What `ListOffsets` gets at once, or has to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    Known(Option<TimestampedOffset>),
    Search(Search),
}

/// A search for a record by its time, which reads records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    query: TimeQuery,
    /// Records from here on are not shown.
    readable_end: Offset,
    /// Where nothing is found: the leader may not know yet what is committed (KIP-207).
    is_catching_up: bool,
    answering: Answering,
}

impl State {
    /// Refuses a client that knows another leader epoch than this replica, before it is looked at whether this one leads.
    fn check_epoch(&self, known: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        self.role.check_epoch(known).ok_or(self.absent())?.map_err(error_of)
    }

    /// The log, if this replica is one of those that answer.
    fn answering(&self, who: Answering) -> Result<&Log, ErrorCode> {
        match (who, &self.log, &self.role) {
            (Answering::Leader, ..) => self.serving().map(|(log, _)| log),
            (Answering::AnyReplica, Some(log), Role::Leader(_) | Role::Follower(_)) => Ok(log),
            (Answering::AnyReplica, ..) => Err(self.absent()),
        }
    }
}

impl Partition {
    /// Finds what a fetch would read, without reading it.
    pub(crate) fn look(
        &self,
        params: &FetchParams,
        bytes_max: usize,
        first: FirstBatch,
        reader: Reader,
        isolation: Isolation,
    ) -> Look {
        let mut state = self.lock();
        let looked = self.agree(&mut state, params, reader).and_then(|diverging| {
            let Some(log) = &state.log else { return Err(state.absent()) };
            let high_watermark = state.role.high_watermark();
            let last_stable = log.last_stable_offset(high_watermark);
            let mut look = Look {
                error: ErrorCode::None,
                high_watermark,
                last_stable,
                log_start: log.log_start(),
                diverging,
                read: None,
                aborted: Vec::new(),
                preferred: None,
            };
            if look.diverging.is_none() && !self.is_held_back(&state, reader) {
                let limit = match isolation {
                    Isolation::ReadUncommitted => high_watermark,
                    Isolation::ReadCommitted => last_stable,
                    Isolation::LogEnd => log.log_end(),
                };
                let plan = log.read(params.fetch_offset, limit, bytes_max, first);
                let failed = |e: &ReadError| self.read_error(state.dir.as_deref(), e);
                let plan = plan.map_err(|e| failed(&e))?;
                if isolation == Isolation::ReadCommitted {
                    // Under the same lock as the plan: a compaction in between forgets what the plan still reads.
                    let aborted = log.aborted_txns(params.fetch_offset, &plan);
                    look.aborted = aborted.map_err(|fault| failed(&fault.into()))?;
                }
                look.read = Some(plan).filter(|plan| !plan.is_empty());
            }
            Ok(look)
        });
        looked.unwrap_or_else(Look::refused)
    }

    /// Whether a follower gets nothing just now, as the copying of this replica is throttled. Those in sync are not, since
    /// producers wait for them.
    fn is_held_back(&self, state: &State, reader: Reader) -> bool {
        let Reader::Follower(fetch) = reader else { return false };
        let is_in_sync = state.role.leader().is_some_and(|leader| leader.is_in_sync(fetch.follower));
        let throttled = self.settings().throttled.as_leader && !is_in_sync;
        throttled && self.local.throttles.has_sent_too_much(self.local.moment())
    }

    /// So many bytes were sent to a follower.
    pub(crate) fn sent_to_follower(&self, bytes: usize) {
        self.local.replicated.bytes_out.add(bytes as u64);
        if self.settings().throttled.as_leader {
            self.local.throttles.sent(bytes, self.local.moment());
        }
    }

    /// So many bytes were fetched as a follower that is not in sync. Gives the moment until which no more are to be, if
    /// copying this replica is throttled.
    pub(crate) fn fetched_out_of_sync(&self, bytes: usize) -> Option<Moment> {
        let throttled = self.settings().throttled.as_follower;
        throttled.then(|| self.local.throttles.fetched(bytes, self.local.moment())).flatten()
    }

    /// Whether this replica may serve the reader in its epoch, and where their logs part. Notes how far a follower is.
    fn agree(&self, state: &mut State, params: &FetchParams, reader: Reader) -> Result<Option<EpochEnd>, ErrorCode> {
        let absent = state.absent();
        let State { log: Some(log), role, .. } = &mut *state else { return Err(absent) };
        let may_serve = matches!(role, Role::Leader(_)) || reader == Reader::ConsumerOfAnyReplica;
        role.check_epoch(params.current_leader_epoch).ok_or(absent)?.map_err(error_of)?;
        if !may_serve {
            return Err(absent);
        }
        if let Some(epoch) = params.last_fetched_epoch {
            let own = log.end_offset_for_epoch(epoch).map(|(epoch, end)| EpochEnd { epoch, end });
            let found = diverging(params.fetch_offset, epoch, own, log.log_start()).map_err(error_of)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        if let (Reader::Follower(fetch), Role::Leader(leader)) = (reader, role)
            && fetch.turn == Turn::First
        {
            let by = FetchedBy {
                follower: fetch.follower,
                broker_epoch: fetch.broker_epoch,
                fetch_offset: params.fetch_offset,
                log_start: params.log_start,
            };
            let effects = leader.fetched(by, self.local.moment()).map_err(|refusal| match refusal {
                Refusal::NotAReplica if params.current_leader_epoch.is_none() => ErrorCode::NotLeaderOrFollower,
                other => error_of(other),
            })?;
            self.take_effects(state, effects);
        }
        Ok(None)
    }

    /// The followers in sync that have this offset, and where their logs end; none if this node does not lead.
    pub(crate) fn followers_with(&self, offset: Offset) -> Vec<(NodeId, Offset)> {
        self.lock().role.leader().map(|leader| leader.followers_with(offset).collect()).unwrap_or_default()
    }

    /// Answers a query of `ListOffsets` as far as no record has to be read.
    pub(crate) fn position(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
        answering: Answering,
    ) -> Result<Position, ErrorCode> {
        let state = self.lock();
        state.check_epoch(current_leader_epoch)?;
        let log = state.answering(answering)?;
        let high_watermark = state.role.high_watermark();
        let readable_end = match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => log.last_stable_offset(high_watermark),
            Isolation::LogEnd => log.log_end(),
        };
        let is_catching_up = isolation != Isolation::LogEnd && state.role.leader().is_some_and(Leader::is_catching_up);
        let query = match query {
            OffsetQuery::Latest if is_catching_up => return Err(ErrorCode::OffsetNotAvailable),
            OffsetQuery::Latest => {
                let timestamp = Timestamp::NONE;
                let leader_epoch = state.role.leader_epoch().ok_or(state.absent())?;
                return Ok(Position::Known(Some(TimestampedOffset { timestamp, offset: readable_end, leader_epoch })));
            }
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal => return Ok(Position::Known(Some(log.earliest()))),
            // Nothing is tiered.
            OffsetQuery::LatestTiered | OffsetQuery::EarliestPendingUpload => return Ok(Position::Known(None)),
            OffsetQuery::MaxTimestamp => TimeQuery::Newest,
            OffsetQuery::At(timestamp) => TimeQuery::Since(timestamp),
        };
        Ok(Position::Search(Search { query, readable_end, is_catching_up, answering }))
    }

    /// Searches; waits for the disk. The lock is held while indexes are looked at, not while records are read.
    pub(crate) fn search(&self, search: &Search) -> Result<Option<TimestampedOffset>, ErrorCode> {
        let mut after = None;
        let found = loop {
            let Some(planned) = self.plan_search(search, after)? else { break None };
            after = Some(planned.base());
            let generation = planned.generation();
            match planned.run() {
                Ok(Some(found)) => break Some(found),
                Ok(None) => {}
                // It was truncated meanwhile, as happens to followers only.
                Err(_) if !generation.is_current() => return Err(ErrorCode::NotLeaderOrFollower),
                Err(fault) => return Err(self.read_fault(self.lock().dir.as_deref(), &fault)),
            }
        };
        match found.filter(|found| found.offset < search.readable_end) {
            None if search.is_catching_up => Err(ErrorCode::OffsetNotAvailable),
            found => Ok(found),
        }
    }

    fn plan_search(&self, search: &Search, after: Option<Offset>) -> Result<Option<TimeSearch>, ErrorCode> {
        let state = self.lock();
        let log = state.answering(search.answering)?;
        log.time_search(search.query, after).map_err(|fault| self.read_fault(state.dir.as_deref(), &fault))
    }

    /// Where an epoch ended in this log: the offset after its last record, with the largest epoch that is not above it.
    pub(crate) fn end_of_epoch(
        &self,
        epoch: LeaderEpoch,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<EpochEnd>, ErrorCode> {
        let state = self.lock();
        state.check_epoch(current_leader_epoch)?;
        let (log, _) = state.serving()?;
        Ok(log.end_offset_for_epoch(epoch).map(|(epoch, end)| EpochEnd { epoch, end }))
    }

    /// Reading what was planned has failed: a disk that cannot be read takes its directory offline, unless the log was
    /// truncated meanwhile. Damage in a file spoils what was asked for.
    pub(crate) fn read_failed(&self, plan: &ReadPlan, fault: &Fault) -> ErrorCode {
        if !plan.is_current() {
            return ErrorCode::NotLeaderOrFollower;
        }
        self.traffic.fetch_failed();
        if matches!(fault, Fault::Corrupt { .. }) {
            error!(partition = %self.id, error = %fault, "a read failed");
            return ErrorCode::CorruptMessage;
        }
        self.failed(fault);
        ErrorCode::KafkaStorageError
    }

    fn read_error(&self, dir: Option<&Health>, error: &ReadError) -> ErrorCode {
        match error {
            ReadError::Refused(ReadRefusal::OffsetOutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
            ReadError::Fault(fault) => self.read_fault(dir, fault),
        }
    }

    /// Damage in a file spoils what was asked for; a disk that cannot be read takes its directory offline.
    fn read_fault(&self, dir: Option<&Health>, fault: &Fault) -> ErrorCode {
        match (fault, dir) {
            (Fault::Io { .. }, Some(dir)) => dir.fail(fault),
            _ => error!(partition = %self.id, error = %fault, "a read failed"),
        }
        match fault {
            Fault::Corrupt { .. } => ErrorCode::CorruptMessage,
            Fault::Io { .. } | Fault::Offline { .. } | Fault::Descriptors { .. } => ErrorCode::KafkaStorageError,
        }
    }

    /// A fetch was cut by its limits: its client will go on where these bytes end.
    pub(crate) fn has_read(&self, plan: &ReadPlan, bytes: &[u8]) {
        if let Some(log) = &self.lock().log {
            log.has_read(plan, bytes);
        }
    }
}
