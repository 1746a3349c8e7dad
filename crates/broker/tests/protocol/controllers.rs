//! The listener of the controller, and what changes the quorum and its features.

use m::update_features_request::FeatureUpdateKey;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, ErrorCode};

use crate::client::Cluster;

#[tokio::test]
async fn each_listener_serves_its_own_apis() {
    let mut cluster = Cluster::start().await;
    let request = m::ApiVersionsRequest { client_software_name: "x".into(), client_software_version: "1".into() };
    let serves = |response: &m::ApiVersionsResponse, api: ApiKey| {
        response.api_keys.iter().any(|served| served.api_key == api.code())
    };
    let (brokers, controllers) = (cluster.ask(&request, 4).await, cluster.ask_controller(&request, 4).await);
    for api in [ApiKey::CreateTopics, ApiKey::DescribeQuorum, ApiKey::AddRaftVoter] {
        assert!(serves(&brokers, api) && serves(&controllers, api), "{}", api.name());
    }
    for api in [ApiKey::Produce, ApiKey::Metadata, ApiKey::ListConfigResources] {
        assert!(serves(&brokers, api) && !serves(&controllers, api), "{}", api.name());
    }
    for api in [ApiKey::AllocateProducerIds, ApiKey::UpdateRaftVoter] {
        assert!(!serves(&brokers, api) && serves(&controllers, api), "{}", api.name());
    }
    assert!(!serves(&controllers, ApiKey::Fetch), "the metadata log is not handed out yet");
    cluster.stop().await;
}

#[tokio::test]
async fn a_controller_tells_about_controllers_only() {
    let mut cluster = Cluster::start().await;
    let ask = |endpoint_type| m::DescribeClusterRequest { endpoint_type, ..m::DescribeClusterRequest::default() };
    let controllers = cluster.ask_controller(&ask(2), 2).await;
    assert_eq!((controllers.error_code, controllers.controller_id, controllers.brokers[0].broker_id), (0, 1, 1));
    let brokers = cluster.ask_controller(&ask(1), 1).await;
    let text = "The request was sent to an endpoint of type CONTROLLER, but we wanted an endpoint of type BROKER";
    assert_eq!(brokers.error_code, ErrorCode::MismatchedEndpointType.code());
    assert_eq!(brokers.error_message.as_deref(), Some(text));
    assert_eq!(cluster.ask_controller(&ask(1), 0).await.error_code, ErrorCode::InvalidRequest.code());
    cluster.stop().await;
}

#[tokio::test]
async fn the_only_voter_stays_and_no_other_comes() {
    let mut cluster = Cluster::start().await;
    let directory = Uuid([7; 16]);
    let remove = m::RemoveRaftVoterRequest { cluster_id: None, voter_id: 9, voter_directory_id: directory };
    let removed = cluster.ask(&remove, 0).await;
    assert_eq!(removed.error_code, ErrorCode::VoterNotFound.code());
    let text = removed.error_message.unwrap_or_default();
    let begin = format!(
        "Cannot remove voter ReplicaKey(id=9, directoryId={directory}) from the set of voters [ReplicaKey(id=1, "
    );
    assert!(text.starts_with(&begin), "{text}");
    let listener = m::add_raft_voter_request::Listener { name: "CONTROLLER".into(), host: "x".into(), port: 1 };
    let add = m::AddRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: directory,
        listeners: vec![listener],
        ..m::AddRaftVoterRequest::default()
    };
    assert_eq!(cluster.ask_controller(&add, 1).await.error_code, ErrorCode::DuplicateVoter.code());
    let stale = m::UpdateRaftVoterRequest { cluster_id: None, voter_id: 1, ..m::UpdateRaftVoterRequest::default() };
    let updated = cluster.ask_controller(&stale, 0).await;
    assert_eq!((updated.error_code, updated.current_leader.leader_id), (ErrorCode::FencedLeaderEpoch.code(), 1));
    cluster.stop().await;
}

#[tokio::test]
async fn features_that_nobody_knows_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::start().await;
    let update = |feature: &str, level, upgrade_type| m::UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            upgrade_type,
            ..FeatureUpdateKey::default()
        }],
        validate_only: true,
        ..m::UpdateFeaturesRequest::default()
    };
    let prefix = "The update failed for all features since the following feature had an error: Invalid update version";
    let cases = [
        (update("none", 0, 1), " 0 for feature none. Feature none not found."),
        (update("group.version", 2, 1), " 2 for feature group.version. Local controller 1 only supports versions 0-1"),
        (update("kraft.version", 0, 2), " 0 for feature kraft.version. Can't downgrade the version of this feature."),
    ];
    for (request, text) in cases {
        let response = cluster.ask(&request, 2).await;
        assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion.code());
        assert_eq!(response.error_message.as_deref(), Some(&*format!("{prefix}{text}")));
    }
    assert_eq!(cluster.ask(&update("kraft.version", 1, 1), 2).await.error_code, 0);
    cluster.stop().await;
}

#[tokio::test]
async fn nobody_authenticates_on_a_plain_listener() {
    let mut cluster = Cluster::start().await;
    let handshake = m::SaslHandshakeRequest { mechanism: "PLAIN".into() };
    for version in 0..=1 {
        let expected = ErrorCode::IllegalSaslState.code();
        assert_eq!(cluster.ask(&handshake, version).await.error_code, expected);
        assert_eq!(cluster.ask_controller(&handshake, version).await.error_code, expected);
    }
    cluster.stop().await;
}
