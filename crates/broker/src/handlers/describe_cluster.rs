//! DescribeCluster (KIP-700): the brokers, or the controllers (KIP-919), and the cluster's id.

use bytestring::ByteString;
use thalweg_metadata::{MetadataImage, MetadataVersion};
use thalweg_network::ListenerType;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeClusterRequest;
use thalweg_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use super::topic_view::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, brokers, controller_id};
use crate::call::Call;

/// `EndpointType`: the brokers' endpoints.
const BROKERS: i8 = 1;
/// The controllers'.
const CONTROLLERS: i8 = 2;

pub(crate) fn handle(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let image = call.broker.image();
    let checked = check_version(call, &image).and_then(|()| check_type(call, request.endpoint_type));
    if let Err((error, message)) = checked {
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(message),
            // As Kafka does, whatever was asked for.
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        };
    }
    let (controller_id, shown) = match call.listener_type {
        ListenerType::Broker => (controller_id(&image), live_brokers(call, &image, request.include_fenced_brokers)),
        ListenerType::Controller => (call.broker.metadata.quorum().leader.0, controllers(call, &image)),
    };
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: call.broker.cluster_id.clone(),
        controller_id,
        brokers: shown,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => OPERATIONS_NOT_ASKED,
        },
        ..DescribeClusterResponse::default()
    }
}

/// A controller knows the other ones from the metadata version on by which they register.
fn check_version(call: &Call, image: &MetadataImage) -> Result<(), (ErrorCode, ByteString)> {
    if call.listener_type == ListenerType::Broker
        || image.metadata_version() >= MetadataVersion::CONTROLLER_REGISTRATION
    {
        return Ok(());
    }
    let text = "Direct-to-controller communication is not supported with the current MetadataVersion.";
    Err((ErrorCode::UnsupportedVersion, text.into()))
}

/// A listener tells about nodes of its own kind only.
fn check_type(call: &Call, asked: i8) -> Result<(), (ErrorCode, ByteString)> {
    let mismatch = |own: &str, wanted: &str| {
        let text =
            format!("The request was sent to an endpoint of type {own}, but we wanted an endpoint of type {wanted}");
        // Version 0 knows no types of endpoints.
        let error = if call.version == 0 { ErrorCode::InvalidRequest } else { ErrorCode::MismatchedEndpointType };
        Err((error, text.into()))
    };
    match (call.listener_type, asked) {
        (ListenerType::Broker, BROKERS) | (ListenerType::Controller, CONTROLLERS) => Ok(()),
        (ListenerType::Broker, CONTROLLERS) => mismatch("BROKER", "CONTROLLER"),
        (ListenerType::Controller, BROKERS) => mismatch("CONTROLLER", "BROKER"),
        (_, other) => Err((ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}").into())),
    }
}

fn live_brokers(call: &Call, image: &MetadataImage, fenced_too: bool) -> Vec<DescribeClusterBroker> {
    let shown = brokers(image, &call.listener).filter(|broker| !broker.fenced || fenced_too);
    let broker = |broker: super::topic_view::BrokerView<'_>| DescribeClusterBroker {
        broker_id: broker.id,
        host: broker.host.into(),
        port: broker.port,
        rack: broker.rack.map(Into::into),
        is_fenced: broker.fenced,
    };
    shown.map(broker).collect()
}

fn controllers(call: &Call, image: &MetadataImage) -> Vec<DescribeClusterBroker> {
    let controllers = image.cluster().controllers().filter_map(|controller| {
        let endpoint = controller.endpoints.iter().find(|endpoint| *endpoint.name == *call.listener)?;
        Some(DescribeClusterBroker {
            broker_id: controller.id.0,
            host: (&*endpoint.host).into(),
            port: i32::from(endpoint.port),
            ..DescribeClusterBroker::default()
        })
    });
    controllers.collect()
}
