//! What a connection promises, against nodes that answer well, late, wrongly or not at all.

use std::time::Duration;

use thalweg_sys::time::now;
use thalweg_wire::messages::api_versions_response::ApiVersion;
use thalweg_wire::messages::{HeartbeatRequest, HeartbeatResponse, MetadataRequest};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::fake::{Fake, all_versions, soon};

async fn open(peer: Peer) -> Connection {
    Connection::open(peer, &ConnectionOptions::default(), soon()).await.expect("a connection")
}

fn heartbeat(generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest { group_id: "g".into(), generation_id, ..HeartbeatRequest::default() }
}

#[tokio::test]
async fn requests_are_pipelined_and_answers_find_their_requests() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        // Both are here before the first is answered.
        let arrived = [script.next().await.expect("one"), script.next().await.expect("two")];
        for mut request in arrived {
            let generation = HeartbeatRequest::decode(&mut request.body, request.version).expect("a request");
            let response =
                HeartbeatResponse { throttle_time_ms: generation.generation_id, ..HeartbeatResponse::default() };
            script.answer(&request, &response).await;
        }
        assert!(script.next().await.is_none(), "the client closes the connection with its last handle");
    });
    let connection = open(peer).await;
    let version = connection.version(ApiKey::Heartbeat).expect("a version");
    let (one, two) = (heartbeat(1), heartbeat(2));
    let first = connection.start_at(&one, version, soon()).await.expect("sent");
    let second = connection.start_at(&two, version, soon()).await.expect("sent");
    drop(connection);
    assert_eq!(second.response().await.expect("an answer").throttle_time_ms, 2);
    assert_eq!(first.response().await.expect("an answer").throttle_time_ms, 1);
}

#[tokio::test]
async fn a_request_that_is_given_up_does_not_disturb_the_next() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        for throttle_time_ms in [1, 2] {
            let request = script.next().await.expect("a request");
            let response = HeartbeatResponse { throttle_time_ms, ..HeartbeatResponse::default() };
            script.answer(&request, &response).await;
        }
    });
    let options = ConnectionOptions { in_flight_max: 1, ..ConnectionOptions::default() };
    let connection = Connection::open(peer, &options, soon()).await.expect("a connection");
    drop(connection.start_at(&heartbeat(1), 4, soon()).await.expect("sent"));
    let answer = connection.send(&heartbeat(2), soon()).await.expect("an answer");
    assert_eq!(answer.throttle_time_ms, 2);
}

#[tokio::test]
async fn a_missed_deadline_ends_the_connection_and_names_the_request() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        while script.next().await.is_some() {}
    });
    let connection = open(peer.clone()).await;
    let patient = connection.start_at(&heartbeat(1), 4, soon()).await.expect("sent");
    let deadline = now() + Duration::from_millis(20);
    let error = connection.send(&MetadataRequest::default(), deadline).await.expect_err("no answer");
    assert!(matches!(error, Error::TimedOut { api: Api(ApiKey::Metadata), .. }), "{error}");
    let other = patient.response().await.expect_err("the connection ended").to_string();
    assert_eq!(other, format!("the connection to {peer} ended: Metadata was not answered in time"));
    let late = connection.send(&heartbeat(1), soon()).await.expect_err("the connection ended").to_string();
    assert_eq!(late, other);
}

#[tokio::test]
async fn waiting_for_a_slot_has_the_deadline_too() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        while script.next().await.is_some() {}
    });
    let options = ConnectionOptions { in_flight_max: 1, ..ConnectionOptions::default() };
    let connection = Connection::open(peer, &options, soon()).await.expect("a connection");
    let _first = connection.start_at(&heartbeat(1), 4, soon()).await.expect("sent");
    let error = connection.send(&heartbeat(2), now() + Duration::from_millis(20)).await.expect_err("no slot");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(connection.ended().is_none(), "nothing is wrong with the connection");
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_left_with_the_reason() {
    let cases: [(&[u8], &str); 4] = [
        (&[0x7f, 0, 0, 0], "it sent a response of 2130706432 bytes; at most 268435456 are read"),
        (&[0, 0, 0, 2, 0, 0], "it sent a response that is shorter than its header"),
        (&[0, 0, 0, 4, 0, 0, 0, 99], "it sent correlation id 99 where 1 was expected"),
        (&[], "the peer closed it"),
    ];
    for (bytes, reason) in cases {
        let (fake, peer) = Fake::listen().await;
        fake.play(move |mut script| async move {
            script.negotiate().await;
            script.next().await.expect("a request");
            script.stream.write_all(bytes).await.expect("the client reads");
        });
        let error = open(peer.clone()).await.send(&heartbeat(1), soon()).await.expect_err("no answer");
        assert_eq!(error.to_string(), format!("the connection to {peer} ended: {reason}"));
    }
}

#[tokio::test]
async fn a_malformed_response_is_an_error_of_its_request_only() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        script.answer_at(&request, &HeartbeatResponse::default(), 0).await;
        let request = script.next().await.expect("a request");
        script.answer(&request, &HeartbeatResponse::default()).await;
    });
    let connection = open(peer.clone()).await;
    let error = connection.send(&heartbeat(1), soon()).await.expect_err("too short").to_string();
    assert!(error.starts_with(&format!("{peer} sent a malformed response to Heartbeat version 4: ")), "{error}");
    assert_eq!(connection.send(&heartbeat(1), soon()).await.expect("an answer"), HeartbeatResponse::default());
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_its_version() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        // Kafka 2.1 knows ApiVersions up to version 2, and answers newer questions in version 0 (KIP-511).
        let first = script.next().await.expect("a request");
        assert_eq!((first.api, first.version), (ApiKey::ApiVersions, 4));
        let api_keys = vec![ApiVersion { api_key: 18, min_version: 0, max_version: 2 }];
        let refusal = ApiVersionsResponse { error_code: 35, api_keys, ..ApiVersionsResponse::default() };
        script.answer_at(&first, &refusal, 0).await;
        let second = script.next().await.expect("a request");
        assert_eq!((second.api, second.version), (ApiKey::ApiVersions, 2));
        let api_keys = vec![ApiVersion { api_key: 12, min_version: 0, max_version: 2 }];
        script.answer(&second, &ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() }).await;
        let request = script.next().await.expect("a request");
        assert_eq!((request.api, request.version), (ApiKey::Heartbeat, 2));
        script.answer(&request, &HeartbeatResponse::default()).await;
    });
    let connection = open(peer.clone()).await;
    connection.send(&heartbeat(1), soon()).await.expect("an answer");
    let error = connection.send_at(&heartbeat(1), 3, soon()).await.expect_err("not there").to_string();
    assert_eq!(error, format!("{peer} does not support Heartbeat version 3; it has versions 0 to 2"));
    let error = connection.send(&MetadataRequest::default(), soon()).await.expect_err("not there").to_string();
    assert_eq!(error, format!("{peer} does not support Metadata"));
}

#[tokio::test]
async fn what_a_version_cannot_express_is_not_sent() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        assert_eq!(request.correlation_id, 2);
        script.answer(&request, &HeartbeatResponse::default()).await;
    });
    let connection = open(peer).await;
    let member = HeartbeatRequest { group_instance_id: Some("i".into()), ..heartbeat(1) };
    let error = connection.send_at(&member, 0, soon()).await.expect_err("cannot be expressed").to_string();
    assert!(error.starts_with("Heartbeat version 0 cannot express the request: "), "{error}");
    connection.send(&member, soon()).await.expect("an answer");
}

#[tokio::test]
async fn an_unused_connection_is_closed() {
    let (fake, peer) = Fake::listen().await;
    let options = ConnectionOptions { idle_max: Duration::from_millis(20), ..ConnectionOptions::default() };
    thalweg_sys::task::spawn(async move {
        let connection = Connection::open(peer, &options, soon()).await.expect("a connection");
        std::future::pending::<()>().await;
        drop(connection);
    });
    let mut script = fake.accept().await;
    script.negotiate().await;
    assert!(script.next().await.is_none(), "the client closes it");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move { while script.next().await.is_some() {} });
    let options = ConnectionOptions { setup_timeout: Duration::from_millis(20), ..ConnectionOptions::default() };
    let error = Connection::open(peer, &options, soon()).await.expect_err("no answer");
    assert!(matches!(error, Error::TimedOut { api: Api(ApiKey::ApiVersions), .. }), "{error}");
}

#[test]
fn all_versions_are_known_to_the_fake() {
    assert_eq!(ApiVersions::new(&all_versions()).highest(ApiKey::Heartbeat), Some(4));
}

/// Plays a broker that lets `user` with `password` in by PLAIN, for so long.
async fn play_plain(script: &mut crate::fake::Script, session_lifetime_ms: i64) {
    use thalweg_wire::messages as m;
    script.negotiate().await;
    let mut request = script.next().await.expect("a handshake");
    let handshake = m::SaslHandshakeRequest::decode(&mut request.body, request.version).expect("a request");
    assert_eq!((&*handshake.mechanism, request.version), ("PLAIN", 1));
    script.answer(&request, &m::SaslHandshakeResponse::default()).await;
    let mut request = script.next().await.expect("credentials");
    let message = m::SaslAuthenticateRequest::decode(&mut request.body, request.version).expect("a request");
    let mut response = m::SaslAuthenticateResponse { session_lifetime_ms, ..Default::default() };
    if message.auth_bytes != b"\0user\0password"[..] {
        response.error_code = ErrorCode::SaslAuthenticationFailed.code();
        response.error_message = Some("Authentication failed: Invalid username or password".into());
    }
    script.answer(&request, &response).await;
}

fn plain(password: &str) -> ConnectionOptions {
    let text = format!(
        "bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required username=\"user\" password=\"{password}\";\n"
    );
    let config = crate::ClientConfig::from_properties(&crate::Properties::parse(&text)).expect("a configuration");
    config.channel.connection
}

#[tokio::test]
async fn a_client_logs_in_before_anything_else() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        play_plain(&mut script, 0).await;
        let request = script.next().await.expect("a request");
        script.answer(&request, &HeartbeatResponse::default()).await;
    });
    let connection = Connection::open(peer, &plain("password"), soon()).await.expect("a connection");
    assert!(!connection.is_expiring());
    connection.send(&heartbeat(1), soon()).await.expect("an answer");
}

#[tokio::test]
async fn a_wrong_password_is_the_brokers_words_and_is_not_tried_again() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move { play_plain(&mut script, 0).await });
    let error = Connection::open(peer.clone(), &plain("wrong"), soon()).await.expect_err("refused");
    let text = format!("authentication at {peer} failed: Authentication failed: Invalid username or password");
    assert_eq!(error.to_string(), text);
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn a_login_that_expires_is_known_before_it_does() {
    let (fake, peer) = Fake::listen().await;
    fake.play(|mut script| async move {
        play_plain(&mut script, 1).await;
        while script.next().await.is_some() {}
    });
    let connection = Connection::open(peer, &plain("password"), soon()).await.expect("a connection");
    while !connection.is_expiring() {
        thalweg_sys::task::blocking(|| ()).await.expect("a runtime");
    }
}
