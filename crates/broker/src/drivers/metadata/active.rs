//! The active controller: exists while this node leads the metadata quorum and is up to date, and dies with that.

use std::collections::VecDeque;

use thalweg_access::quotas::MutationQuotas;
use thalweg_base::{Moment, Offset};
use thalweg_controller::{
    Cluster, Context, Controller, Decision, KRaftFeature, Refusal, Request, Response, SessionTimes, Sessions,
};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_raft::{KRaftVersion, Quorum};
use thalweg_sys::time::{Duration, Instant};
use thalweg_wire::ErrorCode;
use tokio::sync::oneshot;

use super::mutation_quota::MutationQuota;
use super::voters::refused_version;
use crate::drivers::clock::timestamp;

/// So many leaders are elected at once; there may be more to do right after.
const ELECTIONS_MAX: usize = 1000;

/// The config that allows to elect leaders which may lack records.
const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";

/// Where the answer to a request goes.
pub(super) type AnswerSender = oneshot::Sender<Result<Response, Refusal>>;

/// When an answer may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerWhen {
    /// When the decision is committed.
    Committed,
    /// When this node has acted upon it, too: its own clients see at once what they were told.
    Applied,
}

/// An answer that waits for its decision to be committed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) to: AnswerSender,
    pub(super) result: Result<Response, Refusal>,
    pub(super) when: AnswerWhen,
}

impl Answer {
    /// Sends it. Whoever asked may have gone; the decision stands all the same.
    pub(super) fn send(self) {
        let _ = self.to.send(self.result);
    }
}

/// Decisions that are in the log and not committed.
#[derive(Debug)]
struct InFlight {
    /// The offset after the last record that their answers reveal.
    end: Offset,
    answers: Vec<Answer>,
    since: Instant,
}

/// How often leaders are elected that nobody has asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElectionTimes {
    /// How often leaderships are given back to preferred replicas: `leader.imbalance.check.interval.seconds`; `None` without
    /// `auto.leader.rebalance.enable`.
    pub(crate) preferred_every: Option<Duration>,
    /// How often partitions without a leader are looked for that may have an unclean one:
    /// `unclean.leader.election.interval.ms`.
    pub(crate) unclean_every: Duration,
}

/// The controller, which brokers are alive, and the decisions that are on their way.
///
/// Invariant: ends of decisions in flight ascend.
#[derive(Debug)]
pub(super) struct Active {
    controller: Controller,
    sessions: Sessions,
    in_flight: VecDeque<InFlight>,
    election_times: ElectionTimes,
    balance_at: Option<Moment>,
    elect_unclean_at: Moment,
    tokens_every: Duration,
    look_at_tokens_at: Moment,
}

impl Active {
    /// The controller becomes active: every broker has a full session to report.
    pub(super) fn begin(
        controller: Controller,
        session_times: SessionTimes,
        election_times: ElectionTimes,
        tokens_every: Duration,
        image: &MetadataImage,
        now: Moment,
    ) -> Self {
        let sessions = Sessions::begin(session_times, image, now);
        let balance_at = election_times.preferred_every.map(|every| now.after(every));
        let elect_unclean_at = now.after(election_times.unclean_every);
        let look_at_tokens_at = now.after(tokens_every);
        let in_flight = VecDeque::new();
        Self {
            controller,
            sessions,
            in_flight,
            election_times,
            balance_at,
            elect_unclean_at,
            tokens_every,
            look_at_tokens_at,
        }
    }

    /// A run of this broker is known to have ended: another one may register at once.
    pub(super) fn end_session(&mut self, broker: thalweg_base::NodeId) {
        self.sessions.end(broker);
    }

    /// The connection by which a broker reported has ended.
    pub(super) fn connection_lost(&mut self, broker: thalweg_base::NodeId, now: Moment) {
        self.sessions.connection_lost(broker, now);
    }

    /// Decides a request, and notes what that says of a broker.
    pub(super) fn decide(
        &mut self,
        quorum: &Quorum,
        image: &MetadataImage,
        now: Moment,
        context: &Context,
        request: &Request,
        mutations: &mut MutationQuotas,
    ) -> Result<Decision, Refusal> {
        let quota = MutationQuota::of(context, request, image, now);
        let mutations_left = quota.as_ref().and_then(|quota| quota.left(mutations));
        let may_become = |level: i16| {
            let upgraded = quorum.may_upgrade(KRaftVersion(level.cast_unsigned()));
            upgraded.map(drop).map_err(|refusal| refused_version(refusal, level))
        };
        let kraft = KRaftFeature { level: quorum.kraft_version().0.cast_signed(), may_become: &may_become };
        let cluster = Cluster {
            image,
            sessions: &self.sessions,
            now,
            wall_clock: timestamp(),
            next_offset: quorum.log_end(),
            mutations_left,
            kraft,
        };
        let mut decided = self.controller.decide(&cluster, &mut thalweg_sys::random::u64, context, request);
        if let Some(contact) = decided.as_ref().ok().and_then(|decision| decision.contact) {
            self.sessions.note(contact, now);
        }
        let allows = |record: &MetadataRecord| match record {
            MetadataRecord::Config(config) => &*config.name == UNCLEAN_ELECTION,
            _ => false,
        };
        if decided.as_ref().is_ok_and(|decision| decision.records.iter().any(allows)) {
            self.elect_unclean_at = now;
        }
        if let (Some(quota), Ok(decision)) = (quota, &mut decided) {
            quota.record(mutations, decision);
        }
        decided
    }

    /// The answer to a decision that wrote records up to `end` follows when they are committed.
    pub(super) fn written(&mut self, end: Offset, answer: Option<Answer>) {
        let before = self.in_flight.back().map_or(Offset::ZERO, |last| last.end);
        assert!(before <= end, "decisions follow each other in the log");
        let since = thalweg_sys::time::now();
        self.in_flight.push_back(InFlight { end, answers: answer.into_iter().collect(), since });
    }

    /// A decision changed nothing: it is answered when everything that it may reveal is committed.
    pub(super) fn unchanged(&mut self, answer: Answer) {
        match self.in_flight.back_mut() {
            Some(last) => last.answers.push(answer),
            None => answer.send(),
        }
    }

    /// Records before `high_watermark` are committed. Gives the answers that may go, and how long each decision took.
    pub(super) fn committed(&mut self, high_watermark: Offset) -> (Vec<Answer>, Vec<Duration>) {
        let (mut answers, mut took) = (Vec::new(), Vec::new());
        while let Some(decision) = self.in_flight.pop_front_if(|first| first.end <= high_watermark) {
            took.push(decision.since.elapsed());
            answers.extend(decision.answers);
        }
        (answers, took)
    }

    /// This node leads no longer: what was decided and is not committed may count or not.
    pub(super) fn end(self) {
        for answer in self.in_flight.into_iter().flat_map(|decision| decision.answers) {
            let _ = answer.to.send(Err(Refusal::usual(ErrorCode::NotController)));
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let periodic = [self.look_at_tokens_at, self.elect_unclean_at];
        self.sessions.next_deadline().into_iter().chain(self.balance_at).chain(periodic).min()
    }

    /// A broker whose session has ended, with the records that fence it. It is reported once.
    pub(super) fn next_expired(
        &mut self,
        image: &MetadataImage,
        now: Moment,
    ) -> Option<(thalweg_base::NodeId, Vec<MetadataRecord>)> {
        let broker = self.sessions.expired(now).first().copied()?;
        self.sessions.end(broker);
        Some((broker, self.controller.fence(image, broker)))
    }

    /// Delegation tokens that have ended go, if it is time to look for them.
    pub(super) fn remove_tokens(&mut self, image: &MetadataImage, now: Moment) -> Vec<MetadataRecord> {
        if now < self.look_at_tokens_at {
            return Vec::new();
        }
        self.look_at_tokens_at = now.after(self.tokens_every);
        self.controller.remove_expired_tokens(image, timestamp())
    }

    /// Leaderships that go back to preferred replicas, if it is time for that.
    pub(super) fn balance(&mut self, image: &MetadataImage, now: Moment) -> Vec<MetadataRecord> {
        if self.balance_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let records = self.controller.balance_leaders(image, ELECTIONS_MAX);
        let every = self.election_times.preferred_every;
        let wait = if records.len() >= ELECTIONS_MAX { Some(Duration::from_millis(1)) } else { every };
        self.balance_at = wait.map(|wait| now.after(wait));
        records
    }

    /// Leaders of partitions that have none and may have one which lacks records, if it is time to look for them.
    pub(super) fn elect_unclean(&mut self, image: &MetadataImage, now: Moment) -> Vec<MetadataRecord> {
        if now < self.elect_unclean_at {
            return Vec::new();
        }
        let records = self.controller.elect_unclean_leaders(image, ELECTIONS_MAX);
        let has_more = records.len() >= ELECTIONS_MAX;
        let wait = if has_more { Duration::from_millis(1) } else { self.election_times.unclean_every };
        self.elect_unclean_at = now.after(wait);
        records
    }
}
