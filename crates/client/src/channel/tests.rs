//! What a channel promises.

use thalweg_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::*;
use crate::fake::{Fake, soon};

fn options(initial: Duration) -> ChannelOptions {
    ChannelOptions { reconnect: Backoff { initial, max: initial }, ..ChannelOptions::default() }
}

#[tokio::test]
async fn requests_share_one_connection_and_a_broken_one_is_replaced() {
    let (fake, peer) = Fake::listen().await;
    let channel = Channel::new(peer, options(Duration::ZERO));
    let request = HeartbeatRequest::default();
    let sends = async {
        let both = tokio::join!(channel.send(&request, soon()), channel.send(&request, soon()));
        assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    };
    let plays = async {
        let mut script = fake.accept().await;
        script.negotiate().await;
        for _ in 0..2 {
            let request = script.next().await.expect("a request");
            script.answer(&request, &HeartbeatResponse::default()).await;
        }
    };
    tokio::join!(sends, plays);
    // The node's side is dropped by now: the request meets the end of the old connection, or a new one.
    let sends = async { while channel.send(&request, soon()).await.is_err() {} };
    let plays = async {
        let mut script = fake.accept().await;
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        script.answer(&request, &HeartbeatResponse::default()).await;
    };
    tokio::join!(sends, plays);
}

#[tokio::test]
async fn after_a_failed_attempt_requests_fail_at_once_with_its_reason() {
    let (fake, peer) = Fake::listen().await;
    drop(fake);
    let channel = Channel::new(peer.clone(), options(Duration::from_secs(3600)));
    let request = HeartbeatRequest::default();
    let first = channel.send(&request, soon()).await.expect_err("nobody listens").to_string();
    assert!(first.starts_with(&format!("cannot connect to {peer}: ")), "{first}");
    // Somebody listens now, but the back-off has not passed.
    assert_eq!(channel.send(&request, soon()).await.expect_err("the back-off holds").to_string(), first);
}

#[tokio::test]
async fn a_request_that_gives_up_leaves_the_attempt_to_the_others() {
    let (fake, peer) = Fake::listen().await;
    let channel = Channel::new(peer, options(Duration::from_secs(3600)));
    let request = HeartbeatRequest::default();
    let error = channel.send(&request, now() + Duration::from_millis(10)).await.expect_err("no connection yet");
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let plays = async {
        let mut script = fake.accept().await;
        script.negotiate().await;
        let request = script.next().await.expect("a request");
        script.answer(&request, &HeartbeatResponse::default()).await;
    };
    let (sent, ()) = tokio::join!(channel.send(&request, soon()), plays);
    sent.expect("an answer");
}
