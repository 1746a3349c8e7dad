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
    for api in [ApiKey::CreateTopics, ApiKey::DescribeQuorum, ApiKey::AddRaftVoter, ApiKey::Fetch] {
        assert!(serves(&brokers, api) && serves(&controllers, api), "{}", api.name());
    }
    for api in [ApiKey::Produce, ApiKey::Metadata, ApiKey::ListConfigResources] {
        assert!(serves(&brokers, api) && !serves(&controllers, api), "{}", api.name());
    }
    let between_nodes = [
        ApiKey::AllocateProducerIds,
        ApiKey::Vote,
        ApiKey::BeginQuorumEpoch,
        ApiKey::EndQuorumEpoch,
        ApiKey::FetchSnapshot,
        ApiKey::Envelope,
        ApiKey::UpdateRaftVoter,
        ApiKey::BrokerRegistration,
        ApiKey::BrokerHeartbeat,
        ApiKey::AlterPartition,
        ApiKey::AssignReplicasToDirs,
        ApiKey::ControllerRegistration,
    ];
    for api in between_nodes {
        assert!(!serves(&brokers, api) && serves(&controllers, api), "{}", api.name());
    }
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
async fn a_controller_tells_about_no_controllers_before_they_register() {
    let mut cluster = Cluster::of_version("3.6-IV2").await;
    let request = m::DescribeClusterRequest { endpoint_type: 2, ..m::DescribeClusterRequest::default() };
    let refused = cluster.ask_controller(&request, 1).await;
    let text = "Direct-to-controller communication is not supported with the current MetadataVersion.";
    assert_eq!(refused.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(refused.error_message.as_deref(), Some(text));
    let brokers = m::DescribeClusterRequest { endpoint_type: 1, ..request };
    assert_eq!(cluster.ask(&brokers, 1).await.error_code, 0);
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

/// Replica 7 asks for the beginning of the metadata log.
fn observers_fetch(epoch: i32) -> m::FetchRequest {
    let partition = m::fetch_request::FetchPartition {
        current_leader_epoch: epoch,
        partition_max_bytes: 1024,
        last_fetched_epoch: 0,
        replica_directory_id: Uuid([7; 16]),
        ..m::fetch_request::FetchPartition::default()
    };
    let topic = m::fetch_request::FetchTopic {
        topic_id: Uuid::ONE,
        partitions: vec![partition],
        ..m::fetch_request::FetchTopic::default()
    };
    m::FetchRequest {
        replica_state: m::fetch_request::ReplicaState { replica_id: 7, replica_epoch: -1 },
        topics: vec![topic],
        ..m::FetchRequest::default()
    }
}

#[tokio::test]
async fn a_controllers_listener_shows_unstable_features_by_the_setting_for_apis() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let settings = [
        ("log.dirs", &*log_dirs),
        ("unstable.feature.versions.enable", "true"),
        ("unstable.api.versions.enable", "false"),
    ];
    let mut cluster = Cluster::start_in(dir, &settings).await;
    let request = m::ApiVersionsRequest { client_software_name: "x".into(), client_software_version: "1".into() };
    let newest = |response: &m::ApiVersionsResponse| {
        let features = &response.supported_features;
        features.iter().find(|feature| &*feature.name == "metadata.version").map(|feature| feature.max_version)
    };
    let (brokers, controllers) = (cluster.ask(&request, 4).await, cluster.ask_controller(&request, 4).await);
    assert_eq!(newest(&brokers), newest(&controllers).map(|level| level + 1), "4.4-IV0 beside 4.3-IV0");
    cluster.stop().await;
}

#[tokio::test]
async fn directories_of_voters_are_shown_only_where_they_count() {
    for (voters, shown) in [("controller.quorum.voters", false), ("controller.quorum.bootstrap.servers", true)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        let server = if shown { "127.0.0.1:0" } else { "1@127.0.0.1:9093" };
        let none = ("controller.quorum.bootstrap.servers", "");
        let mut cluster = Cluster::start_in(dir, &[none, ("log.dirs", &log_dirs), (voters, server)]).await;
        let partition = m::describe_quorum_request::PartitionData { partition_index: 0 };
        let topic = m::describe_quorum_request::TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![partition],
        };
        let request = m::DescribeQuorumRequest { topics: vec![topic] };
        let described = cluster.ask(&request, 2).await;
        let quorum = &described.topics[0].partitions[0];
        let voters = &quorum.current_voters;
        assert_eq!((voters.len(), voters[0].replica_id), (1, 1));
        assert_eq!(voters[0].replica_directory_id != Uuid::ZERO, shown, "{voters:?}");
        let fetched = cluster.ask_controller(&observers_fetch(quorum.leader_epoch), 17).await;
        assert_eq!((fetched.error_code, fetched.responses[0].partitions[0].error_code), (0, 0));
        let described = cluster.ask(&request, 2).await;
        let observers = &described.topics[0].partitions[0].observers;
        assert_eq!(
            (observers.len(), observers[0].replica_id, observers[0].replica_directory_id),
            (1, 7, Uuid([7; 16]))
        );
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_for_the_metadata_log_is_refused_and_ends_nothing() {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let least = [("log.dirs", &*log_dirs), ("metadata.log.segment.bytes", "8388608")];
    let mut cluster = Cluster::start_in(dir, &least).await;
    let resource = |number: usize, letter: char, length: usize| AlterConfigsResource {
        // Metrics that clients are asked for take any text.
        resource_type: 16,
        resource_name: format!("r{number:03}").into(),
        configs: vec![AlterableConfig {
            name: "metrics".into(),
            config_operation: 0,
            value: Some(letter.to_string().repeat(length).into()),
        }],
    };
    // Values that fit into a segment, in a batch that is somewhat longer than one, or just fits.
    let mut refused = 0;
    for (last, letter) in (9_000..15_000).step_by(500).zip('a'..) {
        let most = (0..279).map(|number| resource(number, letter, 30_000));
        let resources = most.chain([resource(999, letter, last)]).collect();
        let request = m::IncrementalAlterConfigsRequest { resources, validate_only: false };
        let response = cluster.ask(&request, 1).await;
        refused += usize::from(response.responses.iter().all(|altered| altered.error_code != 0));
    }
    assert!((1..12).contains(&refused), "{refused} of 12 were refused");
    cluster.create("still-here", &[]).await;
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

/// What a broker that is not there sends to register.
pub(crate) fn registration(cluster_id: &str, broker_id: i32, incarnation: u8) -> m::BrokerRegistrationRequest {
    use m::broker_registration_request::{Feature, Listener};
    let feature = |(name, max): (&str, i16)| Feature {
        name: name.into(),
        min_supported_version: if name == "metadata.version" { 7 } else { 0 },
        max_supported_version: max,
    };
    let features = [
        ("metadata.version", 30),
        ("kraft.version", 1),
        ("transaction.version", 2),
        ("group.version", 1),
        ("eligible.leader.replicas.version", 1),
        ("share.version", 1),
        ("streams.version", 1),
    ];
    m::BrokerRegistrationRequest {
        broker_id,
        cluster_id: cluster_id.into(),
        incarnation_id: Uuid([incarnation; 16]),
        listeners: vec![Listener { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 1, security_protocol: 0 }],
        features: features.map(feature).to_vec(),
        log_dirs: vec![Uuid([incarnation; 16])],
        ..m::BrokerRegistrationRequest::default()
    }
}

#[tokio::test]
async fn a_broker_registers_and_is_heard_of_or_refused() {
    let mut cluster = Cluster::start().await;
    let described = cluster.ask(&m::DescribeClusterRequest::default(), 1).await;
    let id = described.cluster_id.to_string();
    let elsewhere = cluster.ask_controller(&registration("another", 2, 7), 4).await;
    assert_eq!((elsewhere.error_code, elsewhere.broker_epoch), (ErrorCode::InconsistentClusterId.code(), -1));
    let twice = cluster.ask_controller(&registration(&id, 1, 7), 4).await;
    assert_eq!(twice.error_code, ErrorCode::DuplicateBrokerRegistration.code());
    let unknown = m::BrokerHeartbeatRequest { broker_id: 2, ..m::BrokerHeartbeatRequest::default() };
    assert_eq!(cluster.ask_controller(&unknown, 1).await.error_code, ErrorCode::StaleBrokerEpoch.code());

    let registered = cluster.ask_controller(&registration(&id, 2, 7), 4).await;
    assert_eq!(registered.error_code, 0);
    let alive = m::BrokerHeartbeatRequest {
        broker_id: 2,
        broker_epoch: registered.broker_epoch,
        current_metadata_offset: registered.broker_epoch - 1,
        ..m::BrokerHeartbeatRequest::default()
    };
    let behind = cluster.ask_controller(&alive, 1).await;
    assert_eq!((behind.error_code, behind.is_caught_up, behind.is_fenced), (0, false, true));
    let stale = m::BrokerHeartbeatRequest { broker_epoch: alive.broker_epoch - 1, ..alive.clone() };
    assert_eq!(cluster.ask_controller(&stale, 1).await.error_code, ErrorCode::StaleBrokerEpoch.code());
    let stop = m::BrokerHeartbeatRequest { want_shut_down: true, ..alive };
    assert!(cluster.ask_controller(&stop, 1).await.should_shut_down);

    let nothing = m::AlterPartitionRequest { broker_id: 2, broker_epoch: -1, ..m::AlterPartitionRequest::default() };
    assert_eq!(cluster.ask_controller(&nothing, 3).await.error_code, 0);
    let topics = vec![m::alter_partition_request::TopicData::default()];
    let isr = m::AlterPartitionRequest { topics, ..nothing };
    assert_eq!(cluster.ask_controller(&isr, 3).await.error_code, ErrorCode::StaleBrokerEpoch.code());
    let places = m::AssignReplicasToDirsRequest { broker_id: 3, ..m::AssignReplicasToDirsRequest::default() };
    assert_eq!(cluster.ask_controller(&places, 0).await.error_code, ErrorCode::StaleBrokerEpoch.code());
    let controller = m::ControllerRegistrationRequest {
        controller_id: 3,
        incarnation_id: Uuid([9; 16]),
        ..m::ControllerRegistrationRequest::default()
    };
    let taken = cluster.ask_controller(&controller, 0).await;
    assert_eq!((taken.error_code, taken.error_message.as_deref()), (0, Some("")));
    cluster.stop().await;
}

/// The leader and its epoch, as clients are told.
async fn leader(cluster: &mut Cluster, topic: &str) -> (i32, i32) {
    let asked = m::metadata_request::MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
    let request = m::MetadataRequest { topics: Some(vec![asked]), ..m::MetadataRequest::default() };
    loop {
        let answer = cluster.ask(&request, 12).await;
        let partition = &answer.topics[0].partitions[0];
        if partition.error_code == 0 {
            return (partition.leader_id, partition.leader_epoch);
        }
    }
}

#[tokio::test]
async fn a_broker_that_is_not_alone_hands_over_what_it_leads_before_it_stops() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", log_dirs.as_str())];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    cluster.create("t", &[]).await;
    assert_eq!(leader(&mut cluster, "t").await, (1, 0));
    // A broker that is alone hands over nothing: nobody could take it.
    let mut cluster = Cluster::start_in(cluster.stop_only().await, &properties).await;
    let (id, alone) = leader(&mut cluster, "t").await;
    let described = cluster.ask(&m::DescribeClusterRequest::default(), 1).await;
    let registered = cluster.ask_controller(&registration(&described.cluster_id, 2, 7), 4).await;
    let alive = m::BrokerHeartbeatRequest {
        broker_id: 2,
        broker_epoch: registered.broker_epoch,
        // It has read whatever will be decided: nobody need wait for it.
        current_metadata_offset: i64::MAX,
        ..m::BrokerHeartbeatRequest::default()
    };
    let heard = cluster.ask_controller(&alive, 1).await;
    assert_eq!((id, heard.error_code, heard.is_fenced), (1, 0, false));
    let mut cluster = Cluster::start_in(cluster.stop_only().await, &properties).await;
    let (id, epoch) = leader(&mut cluster, "t").await;
    assert_eq!(id, 1);
    assert_eq!(epoch, alone + 2, "it let go of what it led, and was elected again");
    let gone = cluster.ask(&m::UnregisterBrokerRequest { broker_id: 2 }, 0).await;
    assert_eq!(gone.error_code, 0);
    cluster.stop().await;
}
