//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter: the controllers that vote change (KIP-853).

use std::cmp::Ordering;

use thalweg_base::{LeaderEpoch, NodeId};
use thalweg_controller::Refusal;
use thalweg_raft::{Endpoint, KRaftVersion, QuorumError, Reply, UpdateVoterRequest, Voter};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::update_raft_voter_response::{CurrentLeader, UpdateRaftVoterResponse};
use thalweg_wire::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, UpdateRaftVoterRequest,
};

use super::controller::{ask, ask_within};
use crate::call::Call;
use crate::drivers::metadata::{Rpc, check_cluster, code_of, replica_key};

pub(crate) async fn add(call: Call, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    // Kafka looks at the request before it looks at the clock; so does the quorum, which is asked at once.
    let timeout_ms = if request.timeout_ms > 0 { request.timeout_ms } else { i32::MAX };
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| AddRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..AddRaftVoterResponse::default()
    })
}

pub(crate) async fn remove(call: Call, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| RemoveRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..RemoveRaftVoterResponse::default()
    })
}

pub(crate) async fn update(call: Call, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    let quorum = call.broker.metadata.quorum();
    let checked = check_cluster(&call.broker.cluster_id, request.cluster_id.as_deref());
    let refused = |refusal: Refusal| Err(refusal.code);
    let update = checked.map_or_else(refused, |()| voter_update(&request, quorum.epoch));
    let Some(reply) = ask_quorum(&call, update).await else {
        let error_code = ErrorCode::BrokerNotAvailable.code();
        return UpdateRaftVoterResponse { error_code, ..UpdateRaftVoterResponse::default() };
    };
    let (reply, error) = reply;
    let at = reply.endpoints.iter().find(|endpoint| *endpoint.listener == *call.listener);
    let (host, port) = at.map(|e| (e.host.as_str(), i32::from(e.port))).unwrap_or_default();
    UpdateRaftVoterResponse {
        error_code: error.code(),
        current_leader: CurrentLeader {
            leader_id: reply.leader.unwrap_or(NodeId::NONE).0,
            leader_epoch: reply.epoch.0,
            host: host.into(),
            port,
        },
        ..UpdateRaftVoterResponse::default()
    }
}

/// Hands an update to the quorum; one that cannot be handed in is answered with what is known of the leader.
async fn ask_quorum(call: &Call, update: Result<UpdateVoterRequest, ErrorCode>) -> Option<(Reply<()>, ErrorCode)> {
    match update {
        Ok(request) => {
            let reply = call.broker.metadata.quorum_rpc(|to| Rpc::UpdateVoter(request, to)).await?;
            let error = reply.result.map_or_else(code_of, |()| ErrorCode::None);
            Some((reply, error))
        }
        Err(error) => {
            let described = call.broker.metadata.quorum_rpc(Rpc::Describe).await?;
            Some((Reply { result: Err(QuorumError::Other), ..described.reply }, error))
        }
    }
}

fn voter_update(request: &UpdateRaftVoterRequest, epoch: LeaderEpoch) -> Result<UpdateVoterRequest, ErrorCode> {
    let asked = LeaderEpoch(request.current_leader_epoch);
    match asked.cmp(&epoch) {
        Ordering::Less => return Err(ErrorCode::FencedLeaderEpoch),
        Ordering::Greater => return Err(ErrorCode::UnknownLeaderEpoch),
        Ordering::Equal => {}
    }
    let key = replica_key(request.voter_id, request.voter_directory_id).ok_or(ErrorCode::InvalidRequest)?;
    let versions = &request.k_raft_version_feature;
    let version = |level: i16| u16::try_from(level).map(KRaftVersion).map_err(|_| ErrorCode::InvalidRequest);
    let (min, max) = (version(versions.min_supported_version)?, version(versions.max_supported_version)?);
    if max < min {
        return Err(ErrorCode::InvalidRequest);
    }
    let endpoint = |l: &thalweg_wire::messages::update_raft_voter_request::Listener| Endpoint {
        listener: l.name.to_string(),
        host: l.host.to_string(),
        port: l.port,
    };
    let endpoints = request.listeners.iter().map(endpoint).collect();
    let voter = Voter { key, endpoints, kraft_version_min: min, kraft_version_max: max };
    Ok(UpdateVoterRequest { epoch: asked, voter })
}
