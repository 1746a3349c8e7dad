//! Clients that log in on a listener with SASL.

use thalweg_sys::net::TcpStream;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Cluster, exchange, frame_of};
use crate::watching::{get, sample};

const JAAS: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"alice-secret\" user_bob=\"bob-secret\";";

async fn start() -> Cluster {
    start_with(&[]).await
}

/// A node with these properties too.
async fn start_with(more: &[(&str, &str)]) -> Cluster {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let mut properties = vec![
        ("log.dirs", log_dirs.as_str()),
        ("listener.security.protocol.map", "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.plaintext.plain.sasl.jaas.config", JAAS),
        ("connection.failed.authentication.delay.ms", "0"),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:alice;User:ANONYMOUS"),
        ("delegation.token.secret.key", "a secret"),
        ("thalweg.http.listen", "127.0.0.1:0"),
    ];
    properties.extend(more);
    Cluster::start_in(dir, &properties).await
}

async fn handshake(stream: &mut TcpStream, mechanism: &str, version: i16) -> (i16, Vec<String>) {
    let request = m::SaslHandshakeRequest { mechanism: mechanism.into() };
    let answer = exchange(stream, &request, version).await;
    (answer.error_code, answer.mechanisms.iter().map(ToString::to_string).collect())
}

/// The error, and what the client reads.
async fn authenticate(stream: &mut TcpStream, message: &'static [u8]) -> (i16, Option<String>) {
    let request = m::SaslAuthenticateRequest { auth_bytes: message.into() };
    let answer = exchange(stream, &request, 2).await;
    (answer.error_code, answer.error_message.map(|text| text.to_string()))
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    stream.read_u8().await.is_err()
}

/// How many topics a client sees.
async fn topics(stream: &mut TcpStream) -> usize {
    let request = m::MetadataRequest { topics: None, ..Default::default() };
    exchange(stream, &request, 12).await.topics.len()
}

#[tokio::test]
async fn who_logs_in_is_who_acls_ask_about() {
    let cluster = start().await;
    let (mut alice, mut bob) = (cluster.connect().await, cluster.connect().await);
    for (stream, message) in [(&mut alice, &b"\0alice\0alice-secret"[..]), (&mut bob, b"\0bob\0bob-secret")] {
        assert_eq!(exchange(stream, &m::ApiVersionsRequest::default(), 0).await.error_code, 0);
        assert_eq!(handshake(stream, "PLAIN", 1).await, (0, vec!["PLAIN".to_owned()]));
        assert_eq!(authenticate(stream, message).await, (0, Some(String::new())));
    }
    let topic = m::create_topics_request::CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = m::CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let denied = exchange(&mut bob, &request, 7).await;
    assert_eq!(denied.topics[0].error_code, ErrorCode::TopicAuthorizationFailed.code());
    assert_eq!(exchange(&mut alice, &request, 7).await.topics[0].error_code, 0);
    assert_eq!((topics(&mut alice).await, topics(&mut bob).await), (1, 0));
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_may_log_in_again_at_once_and_then_once_a_second() {
    let cluster = start_with(&[("connections.max.reauth.ms", "60000")]).await;
    let mut alice = cluster.connect().await;
    for _ in 0..2 {
        assert_eq!(handshake(&mut alice, "PLAIN", 1).await.0, 0);
        assert_eq!(authenticate(&mut alice, b"\0alice\0alice-secret").await, (0, Some(String::new())));
    }
    assert_eq!(handshake(&mut alice, "PLAIN", 1).await.0, ErrorCode::IllegalSaslState.code());
    assert_eq!(topics(&mut alice).await, 0, "the session goes on");
    cluster.stop().await;
}

#[tokio::test]
async fn nobody_logs_in_again_where_sessions_do_not_end() {
    let cluster = start().await;
    let mut alice = cluster.connect().await;
    handshake(&mut alice, "PLAIN", 1).await;
    assert_eq!(authenticate(&mut alice, b"\0alice\0alice-secret").await.0, 0);
    assert_eq!(handshake(&mut alice, "PLAIN", 1).await.0, ErrorCode::IllegalSaslState.code());
    cluster.stop().await;
}

#[tokio::test]
async fn logins_are_counted() {
    let cluster = start().await;
    let mut alice = cluster.connect().await;
    handshake(&mut alice, "PLAIN", 1).await;
    assert_eq!(authenticate(&mut alice, b"\0alice\0alice-secret").await.0, 0);
    for (mechanism, message) in [("PLAIN", Some(&b"\0alice\0guessed"[..])), ("SCRAM-SHA-256", None)] {
        let mut stranger = cluster.connect().await;
        handshake(&mut stranger, mechanism, 1).await;
        if let Some(message) = message {
            assert_ne!(authenticate(&mut stranger, message).await.0, 0);
        }
        assert!(is_closed(&mut stranger).await);
    }
    let page = get(&cluster, "/metrics").await;
    let counted = |name: &str| {
        let labels = "{listener=\"PLAINTEXT\",networkProcessor=\"0\"}";
        sample(&page, &format!("kafka_server_socket_server_metrics_{name}{labels}"))
    };
    assert_eq!(counted("successful_authentication_total"), 1.0);
    assert_eq!(counted("failed_authentication_total"), 2.0);
    assert_eq!(counted("successful_reauthentication_total"), 0.0);
    assert_eq!(counted("failed_reauthentication_total"), 0.0);
    assert_eq!(counted("expired_connections_killed_count"), 0.0);
    assert_eq!(sample(&page, "kafka_network_socketserver_expiredconnectionskilledcount"), 0.0);
    cluster.stop().await;
}

#[tokio::test]
async fn offsets_of_a_share_group_are_refused_topic_by_topic() {
    use m::describe_share_group_offsets_request as q;
    let cluster = start().await;
    let (mut alice, mut bob) = (cluster.connect().await, cluster.connect().await);
    for (stream, message) in [(&mut alice, &b"\0alice\0alice-secret"[..]), (&mut bob, b"\0bob\0bob-secret")] {
        handshake(stream, "PLAIN", 1).await;
        assert_eq!(authenticate(stream, message).await, (0, Some(String::new())));
    }
    // Bob may describe the group, and no topic.
    let acl = m::create_acls_request::AclCreation {
        resource_type: 3,
        resource_name: "g".into(),
        resource_pattern_type: 3,
        principal: "User:bob".into(),
        host: "*".into(),
        operation: 8,
        permission_type: 3,
    };
    let created = exchange(&mut alice, &m::CreateAclsRequest { creations: vec![acl] }, 3).await;
    assert_eq!(created.results[0].error_code, 0);
    let topic = q::DescribeShareGroupOffsetsRequestTopic { topic_name: "t".into(), partitions: vec![0, 1] };
    let group = q::DescribeShareGroupOffsetsRequestGroup { group_id: "g".into(), topics: Some(vec![topic]) };
    let request = m::DescribeShareGroupOffsetsRequest { groups: vec![group] };
    let described = exchange(&mut bob, &request, 1).await;
    let (group, topic) = (&described.groups[0], &described.groups[0].topics[0]);
    assert_eq!((group.error_code, &*topic.topic_name, topic.partitions.len()), (0, "t", 2));
    let refused = ErrorCode::TopicAuthorizationFailed.code();
    assert!(topic.partitions.iter().all(|partition| (partition.error_code, partition.start_offset) == (refused, -1)));
    cluster.stop().await;
}

#[tokio::test]
async fn tokens_are_found_by_owner_and_by_renewer() {
    let cluster = start().await;
    let mut alice = cluster.connect().await;
    handshake(&mut alice, "PLAIN", 1).await;
    assert_eq!(authenticate(&mut alice, b"\0alice\0alice-secret").await, (0, Some(String::new())));
    for renewer in ["bob", "carol"] {
        let renewer = m::create_delegation_token_request::CreatableRenewers {
            principal_type: "User".into(),
            principal_name: renewer.into(),
        };
        let request =
            m::CreateDelegationTokenRequest { renewers: vec![renewer], max_lifetime_ms: -1, ..Default::default() };
        assert_eq!(exchange(&mut alice, &request, 3).await.error_code, 0);
    }
    for (owner, count) in [("alice", 2), ("bob", 1), ("dave", 0)] {
        let owner = m::describe_delegation_token_request::DescribeDelegationTokenOwner {
            principal_type: "User".into(),
            principal_name: owner.into(),
        };
        let request = m::DescribeDelegationTokenRequest { owners: Some(vec![owner.clone()]) };
        let described = exchange(&mut alice, &request, 3).await;
        assert_eq!((described.error_code, described.tokens.len()), (0, count), "{owner:?}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_answered_and_closes_the_connection() {
    let cluster = start().await;
    let mut stream = cluster.connect().await;
    handshake(&mut stream, "PLAIN", 1).await;
    let refused = authenticate(&mut stream, b"\0alice\0guess").await;
    let message = "Authentication failed: Invalid username or password".to_owned();
    assert_eq!(refused, (ErrorCode::SaslAuthenticationFailed.code(), Some(message)));
    assert!(is_closed(&mut stream).await);
    cluster.stop().await;
}

#[tokio::test]
async fn an_unknown_mechanism_is_told_those_that_are_enabled() {
    let cluster = start().await;
    let mut stream = cluster.connect().await;
    let refused = handshake(&mut stream, "SCRAM-SHA-256", 1).await;
    assert_eq!(refused, (ErrorCode::UnsupportedSaslMechanism.code(), vec!["PLAIN".to_owned()]));
    assert!(is_closed(&mut stream).await);
    cluster.stop().await;
}

#[tokio::test]
async fn nothing_is_served_before_the_login() {
    let cluster = start().await;
    let metadata = frame_of(&m::MetadataRequest { topics: None, ..Default::default() }, 12);
    let mut stream = cluster.connect().await;
    stream.write_all(&metadata).await.expect("the node reads");
    assert!(is_closed(&mut stream).await);

    let mut stream = cluster.connect().await;
    handshake(&mut stream, "PLAIN", 1).await;
    stream.write_all(&metadata).await.expect("the node reads");
    assert!(is_closed(&mut stream).await);
    cluster.stop().await;
}

/// Clients of before KIP-152 send the messages of the mechanism as frames without a header.
#[tokio::test]
async fn after_a_handshake_of_version_0_the_exchange_is_bare() {
    let cluster = start().await;
    let mut stream = cluster.connect().await;
    assert_eq!(handshake(&mut stream, "PLAIN", 0).await.0, 0);
    let message = b"\0alice\0alice-secret";
    stream.write_u32(u32::try_from(message.len()).expect("it is short")).await.expect("the node reads");
    stream.write_all(message).await.expect("the node reads");
    assert_eq!(stream.read_u32().await.expect("an answer"), 0);
    assert_eq!(topics(&mut stream).await, 0);
    cluster.stop().await;
}
