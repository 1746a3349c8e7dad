//! The node over HTTP: metrics, health, and clients that mean no good.

use std::time::Duration;

use thalweg_sys::net::TcpStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Cluster;
use crate::producing::{batch_of, produce};

/// What the node says to these bytes, until it closes the connection.
async fn say(cluster: &Cluster, bytes: &[u8]) -> String {
    let address = cluster.http_address();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // It may be closed before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(120), stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn get(cluster: &Cluster, path: &str) -> String {
    say(cluster, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
}

/// The number of the one sample that begins so.
pub(crate) fn sample(page: &str, begin: &str) -> f64 {
    let mut found = page.lines().filter_map(|line| line.strip_prefix(begin)?.strip_prefix(' '));
    let number = found.next().unwrap_or_else(|| panic!("no {begin} in {page}"));
    assert_eq!(found.next(), None, "one {begin}");
    number.parse().expect("a number")
}

#[tokio::test]
async fn a_node_that_serves_is_healthy_and_ready() {
    let cluster = Cluster::watched().await;
    for (path, said) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = get(&cluster, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(said), "{answer}");
    }
    assert!(get(&cluster, "/other").await.starts_with("HTTP/1.1 404 "));
    let refused = say(&cluster, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
    let head = say(&cluster, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_produced_is_counted() {
    let mut cluster = Cluster::watched().await;
    let topic = cluster.create("t", &[]).await;
    let batch = batch_of(&[b'x'; 100]);
    for _ in 0..3 {
        assert_eq!(produce(&mut cluster, topic, None, std::slice::from_ref(&batch)).await[0].error_code, 0);
    }
    let page = get(&cluster, "/metrics").await;
    let name = "kafka_server_brokertopicmetrics";
    for labels in ["", "{topic=\"t\"}"] {
        assert_eq!(sample(&page, &format!("{name}_messagesin_total{labels}")), 3.0);
        assert_eq!(sample(&page, &format!("{name}_bytesin_total{labels}")), 3.0 * batch.len() as f64);
        assert_eq!(sample(&page, &format!("{name}_totalproducerequests_total{labels}")), 3.0);
    }
    let partition = "{topic=\"t\",partition=\"0\"}";
    assert_eq!(sample(&page, &format!("kafka_log_log_logendoffset{partition}")), 3.0);
    assert_eq!(sample(&page, &format!("kafka_log_log_size{partition}")), 3.0 * batch.len() as f64);
    assert_eq!(sample(&page, "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"13\"}"), 3.0);
    assert_eq!(sample(&page, "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}"), 3.0);
    assert_eq!(sample(&page, "kafka_server_replicamanager_leadercount"), 1.0);
    assert_eq!(sample(&page, "kafka_controller_kafkacontroller_activecontrollercount"), 1.0);
    let connections =
        "kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\",networkProcessor=\"0\"}";
    assert_eq!(sample(&page, connections), 1.0);
    assert_eq!(sample(&page, "thalweg_transactional_ids{state=\"Ongoing\"}"), 0.0);
    assert_eq!(sample(&page, "thalweg_transactions_aborted_total"), 0.0);
    cluster.delete("t").await;
    let page = get(&cluster, "/metrics").await;
    assert!(!page.contains("topic=\"t\""), "a topic that is gone is counted no more");
    assert_eq!(sample(&page, &format!("{name}_messagesin_total")), 3.0, "the node's own counters never fall");
    cluster.stop().await;
}

/// As Prometheus demands it: one head for each family, its samples at once behind it, no sample twice.
#[tokio::test]
async fn the_page_is_well_formed() {
    let mut cluster = Cluster::watched().await;
    cluster.create("a", &[]).await;
    cluster.create("b", &[]).await;
    let answer = get(&cluster, "/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let (mut families, mut samples) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut family = "";
    // The chunks of the answer have their lengths on lines of their own.
    for line in body.lines().filter(|line| line.contains(' ')) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().expect("a name");
            assert!(families.insert(family), "{family} stands twice");
        } else if !line.starts_with("# HELP ") {
            let (series, number) = line.rsplit_once(' ').expect("a number");
            assert_eq!(series.split('{').next(), Some(family), "{line}");
            assert!(number.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(series), "{series} stands twice");
        }
    }
    assert!(families.len() > 80, "{}", families.len());
    cluster.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let cluster = Cluster::watched().await;
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for request in [long, many] {
        let answer = say(&cluster, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let garbage = say(&cluster, b"\x00\x01\x02 what is this\r\n\r\n").await;
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    assert!(get(&cluster, "/healthz").await.ends_with("ok\n"));
    cluster.stop().await;
}

#[tokio::test]
async fn clients_that_say_nothing_hold_up_nobody_for_long() {
    let cluster = Cluster::watched().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(cluster.http_address()).await.expect("a connection"));
    }
    // More than there are places: the next one waits until the first are closed for their silence.
    assert!(get(&cluster, "/healthz").await.ends_with("ok\n"));
    drop(silent);
    cluster.stop().await;
}
