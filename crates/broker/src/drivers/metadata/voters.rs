//! AddRaftVoter, RemoveRaftVoter and the feature `kraft.version`: what the quorum decides about itself, in Kafka's words
//! (KIP-853).

use thalweg_base::Moment;
use thalweg_base::{NodeId, Offset, Uuid};
use thalweg_controller::Refusal;
use thalweg_raft::{
    Effects, Endpoint, KRaftVersion, Quorum, QuorumError, ReplicaKey, VersionRefusal, Voter, VoterRefusal, Voters,
};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{AddRaftVoterRequest, RemoveRaftVoterRequest};

/// Why voters do not change when the leader is busy with something else.
const PENDING: &str = "Request timed out waiting for leader to handle previous voter change request";

/// What requests that change voters are checked against.
#[derive(Clone, Debug)]
pub(crate) struct VoterRules {
    /// The cluster's id.
    pub(crate) cluster_id: String,
    /// The first of `controller.listener.names`: every voter listens there.
    pub(crate) default_listener: String,
}

impl VoterRules {
    /// Adds a voter. The change is complete when what is before the returned offset is committed.
    ///
    /// # Errors
    /// As Kafka refuses it.
    pub(super) fn add(
        &self,
        quorum: &mut Quorum,
        request: &AddRaftVoterRequest,
        now: Moment,
    ) -> Result<(Offset, Effects), Refusal> {
        self.check_cluster(request.cluster_id.as_deref())?;
        let endpoint = |l: &thalweg_wire::messages::add_raft_voter_request::Listener| Endpoint {
            listener: l.name.to_string(),
            host: l.host.to_string(),
            port: l.port,
        };
        let endpoints: Vec<Endpoint> = request.listeners.iter().map(endpoint).collect();
        let Some(key) = replica_key(request.voter_id, request.voter_directory_id) else {
            let text = "Add voter request didn't include a valid voter";
            return Err(Refusal::because(ErrorCode::InvalidRequest, text));
        };
        let default = &self.default_listener;
        if !endpoints.iter().any(|endpoint| endpoint.listener == *default) {
            let text = format!(
                "Add voter request didn't include the endpoint ({}) for the default listener ListenerName({default})",
                endpoints_text(&endpoints)
            );
            return Err(Refusal::because(ErrorCode::InvalidRequest, text));
        }
        let voter =
            Voter { key, endpoints, kraft_version_min: KRaftVersion::STATIC, kraft_version_max: KRaftVersion::DYNAMIC };
        let added = quorum.add_voter(voter, now);
        let (offset, effects) = added.map_err(|refusal| refused_change(quorum, refusal, "adding", &key))?;
        Ok((offset.next(), effects))
    }

    /// Removes a voter. The change is complete when what is before the returned offset is committed.
    ///
    /// # Errors
    /// As Kafka refuses it.
    pub(super) fn remove(
        &self,
        quorum: &mut Quorum,
        request: &RemoveRaftVoterRequest,
        now: Moment,
    ) -> Result<(Offset, Effects), Refusal> {
        self.check_cluster(request.cluster_id.as_deref())?;
        let Some(key) = replica_key(request.voter_id, request.voter_directory_id) else {
            let text = "Remove voter request didn't include a valid voter";
            return Err(Refusal::because(ErrorCode::InvalidRequest, text));
        };
        let removed = quorum.remove_voter(&key, now);
        let (offset, effects) = removed.map_err(|refusal| refused_change(quorum, refusal, "removing", &key))?;
        Ok((offset.next(), effects))
    }

    fn check_cluster(&self, named: Option<&str>) -> Result<(), Refusal> {
        check_cluster(&self.cluster_id, named)
    }
}

/// Whoever names a cluster must name this one.
pub(crate) fn check_cluster(own: &str, named: Option<&str>) -> Result<(), Refusal> {
    match named {
        Some(id) if id != own => {
            let text = format!("The given id \"{id}\" doesn't match the cluster id \"{own}\"");
            Err(Refusal::because(ErrorCode::InconsistentClusterId, text))
        }
        _ => Ok(()),
    }
}

/// The key of a replica that a request names; `None` if that is none.
pub(crate) fn replica_key(id: i32, directory: Uuid) -> Option<ReplicaKey> {
    (id >= 0 && directory != Uuid::ZERO).then_some(ReplicaKey { id: NodeId(id), directory: Some(directory) })
}

fn refused_change(quorum: &Quorum, refusal: VoterRefusal, doing: &str, key: &ReplicaKey) -> Refusal {
    let timed_out = |text: &str| Refusal::because(ErrorCode::RequestTimedOut, text);
    match refusal {
        VoterRefusal::NotLeader => Refusal::usual(ErrorCode::NotController),
        VoterRefusal::NoHighWatermark => {
            timed_out("Request timed out waiting for leader to establish HWM and fence previous voter changes")
        }
        VoterRefusal::ChangePending => timed_out(PENDING),
        // A replica that has never fetched does not answer either.
        VoterRefusal::Lagging => timed_out(&format!("New voter {} is not ready to receive requests", key_text(key))),
        VoterRefusal::NotReconfigurable => {
            let text = format!(
                "Cluster doesn't support {doing} voter because the kraft.version feature is {}",
                quorum.kraft_version().0
            );
            Refusal::because(ErrorCode::UnsupportedVersion, text)
        }
        VoterRefusal::DuplicateVoter => {
            let text = format!(
                "The voter id for {} is already part of the set of voters {}.",
                key_text(key),
                voters_text(quorum.voters())
            );
            Refusal::because(ErrorCode::DuplicateVoter, text)
        }
        VoterRefusal::VoterNotFound => {
            let text = format!(
                "Cannot remove voter {} from the set of voters {}",
                key_text(key),
                voters_text(quorum.voters())
            );
            Refusal::because(ErrorCode::VoterNotFound, text)
        }
        VoterRefusal::InvalidVoter => Refusal::usual(ErrorCode::InvalidRequest),
    }
}

/// Why `kraft.version` does not become `level`.
pub(super) fn refused_version(refusal: VersionRefusal, level: i16) -> String {
    match refusal {
        VersionRefusal::NotLeader => {
            "Upgrade kraft version failed because the replica is not the current leader".to_owned()
        }
        VersionRefusal::Downgrade => {
            format!("Invalid upgrade of kraft.version to KRAFT_VERSION_{level} because the new version is a downgrade")
        }
        VersionRefusal::VoterLacksVersion => format!(
            "Invalid upgrade of kraft.version to KRAFT_VERSION_{level} because not all of the voters support it"
        ),
        VersionRefusal::ChangePending => {
            format!("Unable to upgrade version for kraft.version to KRAFT_VERSION_{level} due to changing voters")
        }
    }
}

/// What Kafka's messages call a replica.
fn key_text(key: &ReplicaKey) -> String {
    let directory = key.directory.map_or_else(|| "<undefined>".to_owned(), |id| id.to_string());
    format!("ReplicaKey(id={}, directoryId={directory})", key.id)
}

fn voters_text(voters: &Voters) -> String {
    let keys: Vec<String> = voters.iter().map(|voter| key_text(&voter.key)).collect();
    format!("[{}]", keys.join(", "))
}

/// What Kafka's messages call a list of endpoints.
fn endpoints_text(endpoints: &[Endpoint]) -> String {
    let shown = |e: &Endpoint| format!("ListenerName({})={}/<unresolved>:{}", e.listener, e.host, e.port);
    let shown: Vec<String> = endpoints.iter().map(shown).collect();
    format!("Endpoints(endpoints={{{}}})", shown.join(", "))
}

/// Kafka's code of a quorum's error.
pub(crate) fn code_of(error: QuorumError) -> ErrorCode {
    match error {
        QuorumError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        QuorumError::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        QuorumError::NotLeaderOrFollower => ErrorCode::NotLeaderOrFollower,
        QuorumError::BrokerNotAvailable => ErrorCode::BrokerNotAvailable,
        QuorumError::InvalidRequest => ErrorCode::InvalidRequest,
        QuorumError::InvalidVoterKey => ErrorCode::InvalidVoterKey,
        QuorumError::SnapshotNotFound => ErrorCode::SnapshotNotFound,
        QuorumError::PositionOutOfRange => ErrorCode::PositionOutOfRange,
        QuorumError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        QuorumError::VoterNotFound => ErrorCode::VoterNotFound,
        QuorumError::DuplicateVoter => ErrorCode::DuplicateVoter,
        QuorumError::RequestTimedOut => ErrorCode::RequestTimedOut,
        QuorumError::InconsistentClusterId => ErrorCode::InconsistentClusterId,
        QuorumError::ConnectionLost | QuorumError::Other => ErrorCode::UnknownServerError,
    }
}

/// The quorum's error of a code.
pub(super) fn error_of(code: ErrorCode) -> QuorumError {
    match code {
        ErrorCode::FencedLeaderEpoch => QuorumError::FencedLeaderEpoch,
        ErrorCode::UnknownLeaderEpoch => QuorumError::UnknownLeaderEpoch,
        ErrorCode::NotLeaderOrFollower => QuorumError::NotLeaderOrFollower,
        ErrorCode::BrokerNotAvailable => QuorumError::BrokerNotAvailable,
        ErrorCode::InvalidRequest => QuorumError::InvalidRequest,
        ErrorCode::InvalidVoterKey => QuorumError::InvalidVoterKey,
        ErrorCode::SnapshotNotFound => QuorumError::SnapshotNotFound,
        ErrorCode::PositionOutOfRange => QuorumError::PositionOutOfRange,
        ErrorCode::UnsupportedVersion => QuorumError::UnsupportedVersion,
        ErrorCode::VoterNotFound => QuorumError::VoterNotFound,
        ErrorCode::DuplicateVoter => QuorumError::DuplicateVoter,
        ErrorCode::RequestTimedOut => QuorumError::RequestTimedOut,
        ErrorCode::InconsistentClusterId => QuorumError::InconsistentClusterId,
        _ => QuorumError::Other,
    }
}
