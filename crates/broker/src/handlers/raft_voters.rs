//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter: the controllers that vote change (KIP-853).

use std::cmp::Ordering;

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, NodeId, Uuid};
use thalweg_controller::{Outcome, Refusal};
use thalweg_raft::{
    Endpoint, KRaftVersion, Quorum, QuorumError, ReplicaKey, UpdateVoterRequest, Voter, VoterRefusal, Voters,
};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::update_raft_voter_response::{CurrentLeader, UpdateRaftVoterResponse};
use thalweg_wire::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, UpdateRaftVoterRequest,
};

use crate::call::Call;
use crate::drivers::metadata::Decide;

/// Why voters do not change when the leader is busy with something else.
const PENDING: &str = "Request timed out waiting for leader to handle previous voter change request";

pub(crate) async fn add(call: Call, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let refused = |refusal: Refusal| AddRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..AddRaftVoterResponse::default()
    };
    if let Err(refusal) = check_cluster(&call, request.cluster_id.as_ref()) {
        return refused(refusal);
    }
    let endpoint = |l: thalweg_wire::messages::add_raft_voter_request::Listener| Endpoint {
        listener: l.name.to_string(),
        host: l.host.to_string(),
        port: l.port,
    };
    let endpoints: Vec<Endpoint> = request.listeners.into_iter().map(endpoint).collect();
    let Some(key) = key(request.voter_id, request.voter_directory_id) else {
        let text = "Add voter request didn't include a valid voter";
        return refused(Refusal::because(ErrorCode::InvalidRequest, text));
    };
    let default = call.broker.config.network.controller_listener_names.first().cloned().unwrap_or_default();
    if !endpoints.iter().any(|endpoint| endpoint.listener == default) {
        let text = format!(
            "Add voter request didn't include the endpoint ({}) for the default listener ListenerName({default})",
            endpoints_text(&endpoints)
        );
        return refused(Refusal::because(ErrorCode::InvalidRequest, text));
    }
    let voter =
        Voter { key, endpoints, kraft_version_min: KRaftVersion::STATIC, kraft_version_max: KRaftVersion::DYNAMIC };
    let decided = call.broker.metadata.decide(move |d| {
        let (_, effects) =
            d.quorum.add_voter(voter, d.moment).map_err(|refusal| refused_change(d.quorum, refusal, "adding", &key))?;
        d.effects.extend(effects);
        Ok(Outcome::unchanged(AddRaftVoterResponse::default()))
    });
    decided.await.unwrap_or_else(refused)
}

pub(crate) async fn remove(call: Call, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let refused = |refusal: Refusal| RemoveRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..RemoveRaftVoterResponse::default()
    };
    if let Err(refusal) = check_cluster(&call, request.cluster_id.as_ref()) {
        return refused(refusal);
    }
    let Some(key) = key(request.voter_id, request.voter_directory_id) else {
        let text = "Remove voter request didn't include a valid voter";
        return refused(Refusal::because(ErrorCode::InvalidRequest, text));
    };
    let decided = call.broker.metadata.decide(move |d| {
        let removed = d.quorum.remove_voter(&key, d.moment);
        let (_, effects) = removed.map_err(|refusal| refused_change(d.quorum, refusal, "removing", &key))?;
        d.effects.extend(effects);
        Ok(Outcome::unchanged(RemoveRaftVoterResponse::default()))
    });
    decided.await.unwrap_or_else(refused)
}

pub(crate) async fn update(call: Call, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    let foreign = check_cluster(&call, request.cluster_id.as_ref()).err().map(|refusal| refusal.code);
    let listener = call.listener.to_string();
    let decided = call.broker.metadata.decide(move |d| {
        let result = match foreign {
            Some(error) => Err(error),
            None => updated(d, request),
        };
        let at = d.quorum.leader_endpoints().iter().find(|endpoint| endpoint.listener == listener);
        let (host, port) = at.map(|e| (e.host.as_str(), i32::from(e.port))).unwrap_or_default();
        Ok(Outcome::unchanged(UpdateRaftVoterResponse {
            error_code: result.err().unwrap_or(ErrorCode::None).code(),
            current_leader: CurrentLeader {
                leader_id: d.quorum.leader().unwrap_or(NodeId::NONE).0,
                leader_epoch: d.quorum.epoch().0,
                host: host.into(),
                port,
            },
            ..UpdateRaftVoterResponse::default()
        }))
    });
    decided.await.unwrap_or_else(|refusal| UpdateRaftVoterResponse {
        error_code: refusal.code.code(),
        ..UpdateRaftVoterResponse::default()
    })
}

fn updated(d: &mut Decide<'_>, request: UpdateRaftVoterRequest) -> Result<(), ErrorCode> {
    let asked = LeaderEpoch(request.current_leader_epoch);
    match asked.cmp(&d.quorum.epoch()) {
        Ordering::Less => return Err(ErrorCode::FencedLeaderEpoch),
        Ordering::Greater => return Err(ErrorCode::UnknownLeaderEpoch),
        Ordering::Equal => {}
    }
    let key = key(request.voter_id, request.voter_directory_id).ok_or(ErrorCode::InvalidRequest)?;
    let versions = &request.k_raft_version_feature;
    let version = |level: i16| u16::try_from(level).map(KRaftVersion).map_err(|_| ErrorCode::InvalidRequest);
    let (min, max) = (version(versions.min_supported_version)?, version(versions.max_supported_version)?);
    if max < min {
        return Err(ErrorCode::InvalidRequest);
    }
    let endpoint = |l: thalweg_wire::messages::update_raft_voter_request::Listener| Endpoint {
        listener: l.name.to_string(),
        host: l.host.to_string(),
        port: l.port,
    };
    let endpoints = request.listeners.into_iter().map(endpoint).collect();
    let voter = Voter { key, endpoints, kraft_version_min: min, kraft_version_max: max };
    let answered = d.quorum.update_voter_requested(&UpdateVoterRequest { epoch: asked, voter }, d.moment);
    d.effects.extend(answered.effects);
    answered.reply.result.map_err(code)
}

/// Whoever names a cluster must name this one.
fn check_cluster(call: &Call, named: Option<&ByteString>) -> Result<(), Refusal> {
    match named {
        Some(id) if *id != call.broker.cluster_id => {
            let text = format!("The given id \"{id}\" doesn't match the cluster id \"{}\"", call.broker.cluster_id);
            Err(Refusal::because(ErrorCode::InconsistentClusterId, text))
        }
        _ => Ok(()),
    }
}

fn key(id: i32, directory: Uuid) -> Option<ReplicaKey> {
    (id >= 0 && directory != Uuid::ZERO).then_some(ReplicaKey { id: NodeId(id), directory: Some(directory) })
}

fn refused_change(quorum: &Quorum, refusal: VoterRefusal, doing: &str, key: &ReplicaKey) -> Refusal {
    let timed_out = |text: &str| Refusal::because(ErrorCode::RequestTimedOut, text);
    match refusal {
        VoterRefusal::NotLeader => Refusal::usual(ErrorCode::NotLeaderOrFollower),
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

fn code(error: QuorumError) -> ErrorCode {
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
        QuorumError::Other => ErrorCode::UnknownServerError,
    }
}
