//! Clients share the node's workers.

use thalweg_wire::messages as m;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Cluster, exchange, frame_of};

/// More than a connection may do in a turn, in so few bytes that a socket holds them.
const REQUESTS: usize = 1000;

/// The cheapest request: about no topic.
fn nothing() -> m::MetadataRequest {
    m::MetadataRequest { topics: Some(Vec::new()), ..m::MetadataRequest::default() }
}

/// Everything runs in one thread here, so that the order of the answers is the order in which clients had their turns.
#[tokio::test]
async fn a_client_with_many_requests_lets_another_one_in_between() {
    let cluster = Cluster::start().await;
    let (mut busy, mut calm) = (cluster.connect().await, cluster.connect().await);
    let answer_bytes = {
        busy.write_all(&frame_of(&nothing(), 12)).await.expect("the node reads");
        let len = busy.read_i32().await.expect("an answer");
        let mut answer = vec![0; usize::try_from(len).expect("a length")];
        busy.read_exact(&mut answer).await.expect("a whole answer");
        4 + answer.len()
    };
    exchange(&mut calm, &nothing(), 12).await;

    busy.write_all(&frame_of(&nothing(), 12).repeat(REQUESTS)).await.expect("the socket takes them");
    exchange(&mut calm, &nothing(), 12).await;
    let mut answers = vec![0; REQUESTS * answer_bytes];
    let read = busy.read(&mut answers).await.expect("answers");
    let before = read / answer_bytes;
    assert!(before < REQUESTS / 2, "{before} of {REQUESTS} answers came before that of the other client");

    busy.read_exact(&mut answers[read..]).await.expect("all are answered in the end");
    cluster.stop().await;
}
