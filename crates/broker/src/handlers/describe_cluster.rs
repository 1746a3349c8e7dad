//! DescribeCluster (KIP-700): the brokers and the cluster's id.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeClusterRequest;
use thalweg_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use super::topic_view::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, brokers, controller_id};
use crate::dispatch::Call;

/// `EndpointType`: the brokers' endpoints are asked for, as only brokers answer here.
const BROKERS: i8 = 1;
/// The other one that there is: the controllers' (KIP-919).
const CONTROLLERS: i8 = 2;

pub(crate) fn handle(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        let (error, message) = match request.endpoint_type {
            CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            ),
            other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
        };
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(message.into()),
            // As Kafka does, whatever was asked for.
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        };
    }
    let image = call.broker.image();
    let shown = brokers(&image, &call.listener).filter(|broker| !broker.fenced || request.include_fenced_brokers);
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: call.broker.cluster_id.clone(),
        controller_id: controller_id(&image),
        brokers: shown
            .map(|broker| DescribeClusterBroker {
                broker_id: broker.id,
                host: broker.host.into(),
                port: broker.port,
                rack: broker.rack.map(Into::into),
                is_fenced: broker.fenced,
            })
            .collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => OPERATIONS_NOT_ASKED,
        },
        ..DescribeClusterResponse::default()
    }
}
