//! What is asked of controllers, on either kind of listener.

use m::add_raft_voter_request::Listener;
use m::update_features_request::FeatureUpdateKey;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use crate::pair::Pair;

pub(crate) fn play(pair: &mut Pair) {
    voters(pair);
    features(pair);
    pair.all("plain", |_| m::SaslHandshakeRequest { mechanism: "PLAIN".into() });
    pair.all("plain", |_| m::SaslAuthenticateRequest { auth_bytes: bytes::Bytes::from_static(b"x") });
    for endpoint_type in 0..=3 {
        pair.all(&format!("type {endpoint_type}"), |_| m::DescribeClusterRequest {
            endpoint_type,
            ..m::DescribeClusterRequest::default()
        });
    }
    for (broker_id, broker_epoch) in [(1, -1), (9, 5)] {
        pair.all(&format!("{broker_id}"), |_| m::AllocateProducerIdsRequest { broker_id, broker_epoch });
    }
    pair.all("plain", |_| m::ApiVersionsRequest {
        client_software_name: "x".into(),
        client_software_version: "1".into(),
    });
    pair.all("plain", |_| m::ListPartitionReassignmentsRequest { timeout_ms: 1000, topics: None });
    pair.all("plain", |_| m::MetadataRequest::default());
    pair.all("plain", |_| m::ListConfigResourcesRequest::default());
    pair.all("unknown", |_| m::UnregisterBrokerRequest { broker_id: 9 });
}

fn voters(pair: &mut Pair) {
    let listener = |name: &str| Listener { name: name.into(), host: "localhost".into(), port: 1 };
    let cases = [
        (-1, Uuid([7; 16]), None),
        (9, Uuid::ZERO, None),
        (9, Uuid([7; 16]), None),
        (9, Uuid([7; 16]), Some("PLAINTEXT")),
        (1, Uuid([7; 16]), Some("CONTROLLER")),
    ];
    for cluster in [None, Some("other")] {
        for (id, directory, name) in &cases {
            pair.all(&format!("{cluster:?} {id} {directory} {name:?}"), |_| m::AddRaftVoterRequest {
                cluster_id: cluster.map(Into::into),
                timeout_ms: 1000,
                voter_id: *id,
                voter_directory_id: *directory,
                listeners: name.map(listener).into_iter().collect(),
                ..m::AddRaftVoterRequest::default()
            });
            pair.all(&format!("{cluster:?} {id} {directory}"), |_| m::RemoveRaftVoterRequest {
                cluster_id: cluster.map(Into::into),
                voter_id: *id,
                voter_directory_id: *directory,
            });
            for epoch in [0, 1, 100] {
                pair.all(&format!("{cluster:?} {id} {directory} in {epoch}"), |_| m::UpdateRaftVoterRequest {
                    cluster_id: cluster.map(Into::into),
                    current_leader_epoch: epoch,
                    voter_id: *id,
                    voter_directory_id: *directory,
                    ..m::UpdateRaftVoterRequest::default()
                });
            }
        }
    }
}

fn features(pair: &mut Pair) {
    let names = [
        "kraft.version",
        "metadata.version",
        "group.version",
        "transaction.version",
        "share.version",
        "streams.version",
        "eligible.leader.replicas.version",
        "none",
        "",
    ];
    for name in names {
        for level in [-1, 0, 1, 2, 3, 7, 29, 30, 31] {
            for (upgrade_type, allow_downgrade) in [(0, false), (1, false), (2, true), (3, true), (4, false)] {
                pair.all(&format!("{name} {level} {upgrade_type}"), |_| m::UpdateFeaturesRequest {
                    feature_updates: vec![FeatureUpdateKey {
                        feature: name.into(),
                        max_version_level: level,
                        upgrade_type,
                        allow_downgrade,
                    }],
                    validate_only: true,
                    ..m::UpdateFeaturesRequest::default()
                });
            }
        }
    }
}
