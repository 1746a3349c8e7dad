//! ListPartitionReassignments: which replicas are being moved (KIP-455).

use thalweg_controller::list_partition_reassignments;
use thalweg_wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::call::Call;

pub(crate) fn handle(call: &Call, request: ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
    list_partition_reassignments(&call.broker.image(), &request)
}
