//! What a client promises, against nodes that a test plays.

use std::time::Duration;

use thalweg_base::{NodeId, TopicPartition};
use thalweg_wire::messages::find_coordinator_response::Coordinator;
use thalweg_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use thalweg_wire::messages::{
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, ListOffsetsRequest, MetadataRequest, MetadataResponse,
};
use thalweg_wire::{ApiKey, ErrorCode};

use super::*;
use crate::Backoff;
use crate::fake::{Fake, Script, soon};

fn client(bootstrap: Vec<Peer>) -> Client {
    let mut config = ClientConfig::new(bootstrap);
    let fast = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(1) };
    config.retry = fast;
    config.channel.reconnect = fast;
    Client::new(config)
}

/// The metadata of one node, which leads the only partition of `t`.
fn metadata(peer: &Peer) -> MetadataResponse {
    let broker = MetadataResponseBroker {
        node_id: 7,
        host: peer.host.to_string().into(),
        port: peer.port.into(),
        ..MetadataResponseBroker::default()
    };
    let partition = MetadataResponsePartition { leader_id: 7, leader_epoch: 1, ..MetadataResponsePartition::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        partitions: vec![partition],
        ..MetadataResponseTopic::default()
    };
    MetadataResponse { brokers: vec![broker], controller_id: 7, topics: vec![topic], ..MetadataResponse::default() }
}

async fn serve(script: &mut Script, peer: &Peer, mut heartbeats: Vec<ErrorCode>) {
    while let Some(request) = script.next().await {
        match request.api {
            ApiKey::Metadata => script.answer(&request, &metadata(peer)).await,
            ApiKey::FindCoordinator => {
                let found = Coordinator {
                    key: "g".into(),
                    node_id: 7,
                    host: peer.host.to_string().into(),
                    port: peer.port.into(),
                    ..Coordinator::default()
                };
                let response =
                    FindCoordinatorResponse { coordinators: vec![found], ..FindCoordinatorResponse::default() };
                script.answer(&request, &response).await;
            }
            _ => {
                let error_code = heartbeats.remove(0).code();
                let response = HeartbeatResponse { error_code, ..HeartbeatResponse::default() };
                script.answer(&request, &response).await;
            }
        }
    }
}

#[tokio::test]
async fn a_coordinator_that_has_moved_is_found_again() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    fake.play(|mut script| async move {
        script.negotiate().await;
        serve(&mut script, &at, vec![ErrorCode::NotCoordinator, ErrorCode::UnknownMemberId]).await;
    });
    let client = client(vec![peer]);
    let group = Destination::GroupCoordinator("g".into());
    let response = client.send(group, &HeartbeatRequest::default()).await.expect("an answer");
    assert_eq!(ErrorCode::from(response.error_code), ErrorCode::UnknownMemberId, "the caller reads other errors");
}

#[tokio::test]
async fn the_last_answer_is_given_when_time_is_up() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    fake.play(|mut script| async move {
        script.negotiate().await;
        serve(&mut script, &at, vec![ErrorCode::CoordinatorLoadInProgress; 10_000]).await;
    });
    let client = client(vec![peer]);
    let group = Destination::GroupCoordinator("g".into());
    let deadline = now() + Duration::from_millis(50);
    match client.send_by(&group, &HeartbeatRequest::default(), deadline).await {
        Ok(response) => assert_eq!(response.error_code, ErrorCode::CoordinatorLoadInProgress.code()),
        // The deadline may fall into an attempt.
        Err(error) => assert!(error.is_retriable(), "{error}"),
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    thalweg_sys::task::spawn(async move {
        let mut first = fake.accept().await;
        first.negotiate().await;
        let request = first.next().await.expect("a request");
        assert_eq!(request.api, ApiKey::Metadata);
        first.answer(&request, &metadata(&at)).await;
        assert_eq!(first.next().await.expect("a request").api, ApiKey::ListOffsets);
        drop(first);
        let mut second = fake.accept().await;
        second.negotiate().await;
        while let Some(request) = second.next().await {
            match request.api {
                ApiKey::Metadata => second.answer(&request, &metadata(&at)).await,
                _ => second.answer(&request, &thalweg_wire::messages::ListOffsetsResponse::default()).await,
            }
        }
    });
    let client = client(vec![peer]);
    let leader = Destination::Leader(TopicPartition::new("t", 0));
    client.send(leader, &ListOffsetsRequest::default()).await.expect("an answer");
}

#[tokio::test]
async fn an_unreachable_cluster_is_named_address_by_address() {
    let (one, two) = (Fake::listen().await, Fake::listen().await);
    let (a, b) = (one.1.clone(), two.1.clone());
    drop((one, two));
    let client = client(vec![a.clone(), b.clone()]);
    let deadline = now() + Duration::from_millis(500);
    let error = client.refresh_by(deadline).await.expect_err("nobody listens").to_string();
    for peer in [a, b] {
        assert!(error.contains(&format!("cannot connect to {peer}: ")), "{error}");
    }
}

#[tokio::test]
async fn one_request_for_metadata_serves_all_who_wait() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    let served = thalweg_sys::task::spawn(async move {
        let mut script = fake.accept().await;
        script.negotiate().await;
        let mut asked = 0;
        while let Some(mut request) = script.next().await {
            let names = MetadataRequest::decode(&mut request.body, request.version).expect("a request").topics;
            assert_eq!(names.map(|names| names.len()), Some(1));
            script.answer(&request, &metadata(&at)).await;
            asked += 1;
        }
        asked
    });
    let client = client(vec![peer]);
    let all =
        tokio::join!(client.topics(&["t"], soon()), client.topics(&["t"], soon()), client.topics(&["t"], soon()),);
    for cluster in [all.0, all.1, all.2] {
        assert_eq!(cluster.expect("metadata").partition("t", 0).expect("a partition").leader, Some(NodeId(7)));
    }
    drop(client);
    assert_eq!(served.await.expect("the node's side"), 1);
}

#[tokio::test]
async fn a_topic_that_did_not_exist_is_asked_for_again() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    fake.play(|mut script| async move {
        script.negotiate().await;
        let mut missing = metadata(&at);
        missing.topics[0].error_code = ErrorCode::UnknownTopicOrPartition.code();
        missing.topics[0].partitions.clear();
        let answers = [missing.clone(), missing, metadata(&at)];
        for answer in answers {
            let request = script.next().await.expect("a request");
            script.answer(&request, &answer).await;
        }
    });
    let client = client(vec![peer]);
    let mut found = Vec::new();
    for _ in 0..4 {
        let cluster = client.topics(&["t"], soon()).await.expect("metadata");
        found.push(cluster.topics["t"].error);
    }
    let missing = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(found, [missing, missing, ErrorCode::None, ErrorCode::None]);
}

#[tokio::test]
async fn a_partition_without_a_leader_is_waited_for_and_named() {
    let (fake, peer) = Fake::listen().await;
    let at = peer.clone();
    fake.play(|mut script| async move {
        script.negotiate().await;
        serve(&mut script, &at, Vec::new()).await;
    });
    let client = client(vec![peer]);
    let leader = Destination::Leader(TopicPartition::new("t", 9));
    let deadline = now() + Duration::from_millis(500);
    let error = client.send_by(&leader, &ListOffsetsRequest::default(), deadline).await.expect_err("no leader");
    let text = error.to_string();
    assert!(text.starts_with("the leader of t-9 is not known: UNKNOWN_TOPIC_OR_PARTITION: "), "{text}");
}

#[tokio::test]
async fn a_broker_that_asks_for_it_sends_the_client_back_to_the_beginning() {
    let (other, moved) = Fake::listen().await;
    thalweg_sys::task::spawn(async move {
        let mut script = other.accept().await;
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        let error_code = ErrorCode::RebootstrapRequired.code();
        script.answer(&request, &MetadataResponse { error_code, ..MetadataResponse::default() }).await;
        assert!(script.next().await.is_none(), "the connection is given up");
    });
    let (fake, peer) = Fake::listen().await;
    let (first, second) = (moved.clone(), peer.clone());
    thalweg_sys::task::spawn(async move {
        for node in [first, second] {
            let mut script = fake.accept().await;
            script.negotiate().await;
            let request = script.next().await.expect("a request");
            script.answer(&request, &metadata(&node)).await;
        }
        std::future::pending::<()>().await;
    });
    let client = client(vec![peer.clone()]);
    let node = |cluster: &Cluster| cluster.nodes[&NodeId(7)].peer.clone();
    assert_eq!(node(&client.refresh().await.expect("metadata")), moved);
    client.shared.channels.lock().clear();
    assert_eq!(node(&client.refresh().await.expect("metadata")), peer);
}

#[tokio::test]
async fn a_client_without_recovery_asks_no_bootstrap_node_again() {
    let (fake, peer) = Fake::listen().await;
    let (gone, gone_peer) = Fake::listen().await;
    drop(gone);
    let at = gone_peer.clone();
    thalweg_sys::task::spawn(async move {
        let mut script = fake.accept().await;
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        script.answer(&request, &metadata(&at)).await;
        std::future::pending::<()>().await;
    });
    let mut config = ClientConfig::new(vec![peer]);
    config.metadata_recovery = MetadataRecovery::None;
    let client = Client::new(config);
    client.refresh().await.expect("metadata");
    client.shared.channels.lock().clear();
    let error = client.refresh_by(now() + Duration::from_millis(300)).await.expect_err("nobody listens").to_string();
    assert!(error.starts_with(&format!("cannot connect to {gone_peer}: ")), "{error}");
}
