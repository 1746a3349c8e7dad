//! AssignReplicasToDirs: a broker tells the controller in which log directories its replicas are (KIP-858).

use thalweg_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};

use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
    let decided = call.broker.metadata.decide(move |d| d.controller.assign_replicas_to_dirs(d.image, &request)).await;
    decided.unwrap_or_else(|refusal| AssignReplicasToDirsResponse {
        error_code: refusal.code.code(),
        ..AssignReplicasToDirsResponse::default()
    })
}
