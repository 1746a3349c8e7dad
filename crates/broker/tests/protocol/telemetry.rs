//! The metrics of clients (KIP-714): asked for, pushed, and shown.

use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_base::Uuid;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, ErrorCode};

use crate::client::{Cluster, exchange};
use crate::watching::{get, sample};

/// Asks for metrics of clients.
async fn subscribe(cluster: &mut Cluster, configs: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource {
        resource_type: 16,
        resource_name: "subscription".into(),
        configs: configs.iter().map(config).collect(),
    };
    let request = m::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(cluster.ask(&request, 1).await.responses[0].error_code, 0);
}

/// Asks what to push until something is wanted: subscriptions are followed a moment after they are committed.
async fn subscribed(cluster: &mut Cluster) -> m::GetTelemetrySubscriptionsResponse {
    loop {
        let answer = cluster.ask(&m::GetTelemetrySubscriptionsRequest::default(), 0).await;
        assert_eq!(answer.error_code, 0);
        if !answer.requested_metrics.is_empty() {
            return answer;
        }
    }
}

/// A field of a protobuf message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u8::try_from(bytes.len()).expect("tests are short");
    [&[number << 3 | 2, len][..], bytes].concat()
}

/// `org.apache.kafka.test.count`, counted up by 2 since the last push, and something of another name.
fn metrics() -> Vec<u8> {
    let value = [&[4 << 3 | 1][..], &2_f64.to_le_bytes()].concat();
    let topic = field(7, &[field(1, b"topic"), field(2, &field(1, b"t"))].concat());
    let point = field(1, &[value, topic].concat());
    let sum = field(7, &[point.clone(), vec![2 << 3, 1, 3 << 3, 1]].concat());
    let gauge = field(5, &point);
    let metric = |name: &[u8], data: &[u8]| field(2, &[field(1, name), data.to_vec()].concat());
    let both = [metric(b"org.apache.kafka.test.count", &sum), metric(b"kafka_mine", &gauge)].concat();
    field(1, &field(2, &both))
}

fn push(subscribed: &m::GetTelemetrySubscriptionsResponse) -> m::PushTelemetryRequest {
    m::PushTelemetryRequest {
        client_instance_id: subscribed.client_instance_id,
        subscription_id: subscribed.subscription_id,
        metrics: metrics().into(),
        ..m::PushTelemetryRequest::default()
    }
}

async fn advertised(cluster: &mut Cluster) -> bool {
    let request =
        m::ApiVersionsRequest { client_software_name: "test-library".into(), client_software_version: "1.0".into() };
    let keys = cluster.ask(&request, 3).await.api_keys;
    keys.iter().any(|key| key.api_key == ApiKey::PushTelemetry.code())
}

#[tokio::test]
async fn what_a_client_pushes_is_shown_with_who_it_is() {
    let mut cluster = Cluster::watched().await;
    assert!(advertised(&mut cluster).await);
    let configs = [("metrics", "org.apache.kafka."), ("interval.ms", "100"), ("match", "client_software_name=test-.*")];
    subscribe(&mut cluster, &configs).await;
    let subscribed = subscribed(&mut cluster).await;
    assert_eq!((subscribed.push_interval_ms, subscribed.telemetry_max_bytes), (100, 1 << 20));
    assert_eq!(subscribed.accepted_compression_types, [4, 3, 1, 2]);
    assert_eq!(cluster.ask(&push(&subscribed), 0).await.error_code, 0);
    let early = cluster.ask(&push(&subscribed), 0).await.error_code;
    assert!([ErrorCode::ThrottlingQuotaExceeded.code(), 0].contains(&early), "{early}");
    let last = m::PushTelemetryRequest { terminating: true, ..push(&subscribed) };
    assert_eq!(cluster.ask(&last, 0).await.error_code, 0);
    assert_eq!(cluster.ask(&last, 0).await.error_code, ErrorCode::InvalidRequest.code());

    let page = get(&cluster, "/metrics").await;
    let who = format!("client_instance_id=\"{}\",client_id=\"test\"", subscribed.client_instance_id);
    let counted = sample(&page, &format!("org_apache_kafka_test_count_total{{{who},topic=\"t\"}}"));
    assert_eq!(counted, if early == 0 { 6.0 } else { 4.0 });
    assert_eq!(sample(&page, &format!("client_kafka_mine{{{who},topic=\"t\"}}")), 2.0);
    let software = "client_software_name=\"test-library\",client_software_version=\"1.0\"";
    let info = format!("thalweg_client_info{{{who},{software},client_source_address=\"127.0.0.1\"}}");
    assert_eq!(sample(&page, &info), 1.0);
    assert_eq!(sample(&page, "kafka_server_client_metrics_instance_count"), 1.0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_push_that_is_no_good_is_refused() {
    let mut cluster = Cluster::watched().await;
    subscribe(&mut cluster, &[("metrics", "*"), ("interval.ms", "100")]).await;
    let subscribed = subscribed(&mut cluster).await;
    let cases = [
        (
            m::PushTelemetryRequest { metrics: b"no metrics".to_vec().into(), ..push(&subscribed) },
            ErrorCode::InvalidRecord,
        ),
        (m::PushTelemetryRequest { compression_type: 1, ..push(&subscribed) }, ErrorCode::InvalidRecord),
        (m::PushTelemetryRequest { compression_type: 9, ..push(&subscribed) }, ErrorCode::UnsupportedCompressionType),
        (
            m::PushTelemetryRequest { subscription_id: subscribed.subscription_id + 1, ..push(&subscribed) },
            ErrorCode::UnknownSubscriptionId,
        ),
        (
            m::PushTelemetryRequest { metrics: vec![0; (1 << 20) + 1].into(), ..push(&subscribed) },
            ErrorCode::TelemetryTooLarge,
        ),
        (m::PushTelemetryRequest { client_instance_id: Uuid::ZERO, ..push(&subscribed) }, ErrorCode::InvalidRequest),
    ];
    for (request, expected) in cases {
        // Each on a connection of its own: with that, the client before is forgotten, and this one may push at once.
        let mut stream = cluster.connect().await;
        let error = loop {
            match exchange(&mut stream, &request, 0).await.error_code {
                89 => tokio::task::yield_now().await,
                error => break error,
            }
        };
        assert_eq!(ErrorCode::from_code(error), expected);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn clients_are_asked_for_nothing_where_nobody_could_see_it_and_one_that_pushes_nevertheless_is_answered() {
    let mut cluster = Cluster::start().await;
    assert!(!advertised(&mut cluster).await);
    let subscribed = cluster.ask(&m::GetTelemetrySubscriptionsRequest::default(), 0).await;
    assert_eq!((subscribed.error_code, subscribed.requested_metrics.len()), (0, 0));
    assert_eq!(cluster.ask(&push(&subscribed), 0).await.error_code, ErrorCode::None.code());
    cluster.stop().await;
}
