//! AssignReplicasToDirs: a broker tells the controller in which log directories its replicas are (KIP-858).

use thalweg_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| AssignReplicasToDirsResponse {
        error_code: refusal.code.code(),
        ..AssignReplicasToDirsResponse::default()
    })
}
