//! What `contrib/` gives to operators names metrics that a node serves.

use std::collections::BTreeSet;

use crate::client::Cluster;
use crate::producing::{batch_of, produce};
use crate::watching::get;

const ALERTS: &str = include_str!("../../../../contrib/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../contrib/grafana/thalweg.json");

/// The names of metrics in a text: words that begin as ours do.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| ["kafka_", "process_", "thalweg_"].iter().any(|prefix| word.starts_with(prefix))).collect()
}

#[tokio::test]
async fn a_node_serves_every_metric_of_the_dashboard_and_the_alerts() {
    let mut cluster = Cluster::watched().await;
    let topic = cluster.create("t", &[]).await;
    assert_eq!(produce(&mut cluster, topic, None, &[batch_of(b"x")]).await[0].error_code, 0);
    let page = get(&cluster, "/metrics").await;
    let served: BTreeSet<&str> = page.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let mut named = metrics(ALERTS);
    named.extend(metrics(DASHBOARD));
    assert!(named.len() >= 25, "{}", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !served.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    cluster.stop().await;
}
