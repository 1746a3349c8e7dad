//! The active controller at work: it begins when this node is elected, decides what it is asked, and does what time brings.

use thalweg_base::Offset;
use thalweg_controller::{Context, Decision, Refusal, Request, Response};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_raft::KRaftVersion;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use tracing::{error, info};

use super::active::{Active, Answer};
use super::ended::Ended;
use super::inbox::Asked;
use super::log::WriteError;
use super::quorum::{QuorumDriver, QuorumSettings};
use super::voters::refused_version;
use crate::drivers::clock::timestamp;

/// What a decision comes to: the response, and up to where the log must be committed for it.
type Decided = Result<(Response, Option<Offset>), Refusal>;

impl QuorumDriver {
    /// What was committed by earlier leaders is known now: the controller may begin.
    pub(super) async fn activate_if_elected(&mut self) -> Result<(), Ended> {
        if self.active.is_some() || self.elected_at.is_none_or(|start| self.high_watermark <= start) {
            return Ok(());
        }
        assert!(self.quorum.is_leader(), "only a leader was elected");
        let now = self.moment();
        let QuorumSettings { session_times, election_times, tokens_every, .. } = self.settings;
        let image = self.images.newest();
        let mut active =
            Active::begin(self.controller.clone(), session_times, election_times, tokens_every, image, now);
        // The run of this node's own broker that registered before is this one, or it has ended.
        active.end_session(self.controller.settings().node_id);
        if let Some(lost) = self.leader_lost.take() {
            active.connection_lost(lost, now);
        }
        let records = self.controller.activate(image, &self.bootstrap);
        self.active = Some(active);
        info!(epoch = %self.quorum.epoch(), "this node is the active controller");
        self.append(&records).await.map(drop)
    }

    /// Fences brokers that have fallen silent, and elects leaders that nobody has asked for.
    pub(super) async fn pass_time_for_controller(&mut self) -> Result<(), Ended> {
        let now = self.moment();
        while let Some(active) = self.active.as_mut().filter(|active| active.deadline().is_some_and(|at| at <= now)) {
            let image = self.images.newest();
            let records = match active.next_expired(image, now) {
                Some((broker, records)) => {
                    info!(%broker, "the broker is fenced: its heartbeats have stopped");
                    records
                }
                None => {
                    let elected = [active.elect_unclean(image, now), active.balance(image, now)].concat();
                    [elected, active.remove_tokens(image, now)].concat()
                }
            };
            self.append_own(&records).await?;
        }
        Ok(())
    }

    /// Appends the active controller's records and replays them. Gives the end of the log.
    async fn append(&mut self, records: &[MetadataRecord]) -> Result<Offset, Ended> {
        assert!(self.active.is_some() && self.quorum.is_leader(), "only the active controller appends");
        if records.is_empty() {
            return Ok(self.log.end());
        }
        let now = timestamp();
        let (base, epoch) = (self.log.end(), self.quorum.epoch());
        // Records of a decision are encoded at the version that counted before it.
        let version = match self.images.newest().features().metadata_version() {
            Some(version) => version,
            None => bootstrap_version(records),
        };
        let end = self.log.append(records, version, epoch, now)?;
        self.unclean_elections += records.iter().filter(|record| is_unclean_election(record)).count() as u64;
        for (record, offset) in records.iter().zip(base.0..) {
            self.images.replay(record, Offset(offset));
        }
        self.images.note(end, epoch, now, self.log.appended());
        let effects = self.quorum.appended(end, self.moment());
        self.add_effects(effects).await?;
        Ok(end)
    }

    /// Appends what the controller decides by itself. Where the log takes no records at the moment, it decides again later.
    async fn append_own(&mut self, records: &[MetadataRecord]) -> Result<(), Ended> {
        match self.append(records).await {
            Ok(_) => Ok(()),
            Err(Ended::Write(e)) if self.stays_active_after(&e) => {
                self.log_unwritten(&e);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// Whether this node goes on as the active controller when a decision could not be written. Where other controllers
    /// vote, one whose disk takes nothing ends, as in Kafka, so that another one is elected. The only one waits until
    /// there is room on its disk again.
    fn stays_active_after(&self, error: &WriteError) -> bool {
        error.is_refusal() || !self.log.is_offline() && self.quorum.voters().len() == 1
    }

    fn log_unwritten(&mut self, error: &WriteError) {
        let text = error.to_string();
        if let Some(left_out) = self.repeats.note(&text, self.moment()) {
            error!(error = text, "a decision of the controller cannot be written{left_out}");
        }
    }

    pub(super) async fn decide(&mut self, asked: Asked) -> Result<(), Ended> {
        // Whether this node still leads is looked at before anything is written.
        let effects = self.quorum.tick(self.moment());
        self.add_effects(effects).await?;
        let Asked { context, request, when, to } = asked;
        if self.active.is_none() {
            let _ = to.send(Err(Refusal::usual(ErrorCode::NotController)));
            return Ok(());
        }
        let decided = match &request {
            Request::AddRaftVoter(_) | Request::RemoveRaftVoter(_) => self.change_voters(&request).await?,
            _ => self.decide_records(&context, &request).await?,
        };
        let (result, end) = match decided {
            Ok((response, end)) => (Ok(response), end),
            Err(refusal) => (Err(refusal), None),
        };
        let answer = Answer { to, result, when };
        match (&mut self.active, end) {
            (Some(active), Some(end)) => active.written(end, Some(answer)),
            (Some(active), None) => active.unchanged(answer),
            // What was written last has taken the leadership away: it may count or not.
            (None, _) => Answer { result: Err(Refusal::usual(ErrorCode::NotController)), ..answer }.send(),
        }
        Ok(())
    }

    /// Has the controller decide and appends what it says. Gives the response, and up to where the log must be committed
    /// for it.
    async fn decide_records(&mut self, context: &Context, request: &Request) -> Result<Decided, Ended> {
        let now = self.moment();
        let Some(active) = self.active.as_mut() else { return Ok(Err(Refusal::usual(ErrorCode::NotController))) };
        let decided = active.decide(&self.quorum, self.images.newest(), now, context, request, &mut self.mutations);
        let Decision { records, response, kraft_version, .. } = match decided {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(level) = kraft_version {
            match self.quorum.upgrade(KRaftVersion(level.cast_unsigned()), now) {
                Ok(upgraded) => self.add_effects(upgraded.map_or_else(Vec::new, |(_, effects)| effects)).await?,
                Err(why) => {
                    return Ok(Err(Refusal::because(ErrorCode::InvalidUpdateVersion, refused_version(why, level))));
                }
            }
            if self.active.is_none() {
                return Ok(Err(Refusal::usual(ErrorCode::NotController)));
            }
        }
        if records.is_empty() {
            return Ok(Ok((response, None)));
        }
        match self.append(&records).await {
            Ok(end) => Ok(Ok((response, Some(end)))),
            // Nothing was written: only this decision fails.
            Err(Ended::Write(e)) if self.stays_active_after(&e) => {
                self.log_unwritten(&e);
                let code = if e.is_refusal() { ErrorCode::UnknownServerError } else { ErrorCode::KafkaStorageError };
                Ok(Err(Refusal::usual(code)))
            }
            Err(e) => Err(e),
        }
    }

    async fn change_voters(&mut self, request: &Request) -> Result<Decided, Ended> {
        let now = self.moment();
        let rules = &self.settings.voter_rules;
        let (changed, response) = match request {
            Request::AddRaftVoter(add) => {
                let response = Response::AddRaftVoter(m::AddRaftVoterResponse::default());
                (rules.add(&mut self.quorum, add, now), response)
            }
            Request::RemoveRaftVoter(remove) => {
                let response = Response::RemoveRaftVoter(m::RemoveRaftVoterResponse::default());
                (rules.remove(&mut self.quorum, remove, now), response)
            }
            _ => return Ok(Err(Refusal::usual(ErrorCode::InvalidRequest))),
        };
        let at_once = matches!(request, Request::AddRaftVoter(add) if !add.ack_when_committed);
        match changed {
            Ok((end, effects)) => {
                self.add_effects(effects).await?;
                Ok(Ok((response, Some(end).filter(|_| !at_once))))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// Whether a partition was given a leader that may lack records: it is said to recover from that.
fn is_unclean_election(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::PartitionChange(change) if change.leader_recovery_state == 1)
}

/// The metadata version that bootstrap records set, which they are themselves written at.
fn bootstrap_version(records: &[MetadataRecord]) -> MetadataVersion {
    let mut image = MetadataImage::default();
    for record in records {
        image.replay(record, Offset::ZERO);
    }
    image.metadata_version()
}
