//! Changes of configurations.

use m::describe_configs_request::DescribeConfigsResource;
use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const APPEND: i8 = 2;

/// What is said about one change: the code and the message.
async fn alter(
    cluster: &mut Cluster,
    (kind, name): (i8, &str),
    (config, operation, value): (&str, i8, &str),
) -> (i16, String) {
    let change = AlterableConfig { name: config.into(), config_operation: operation, value: Some(value.into()) };
    let resource = AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: vec![change] };
    let request = m::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = cluster.ask(&request, 1).await.responses.remove(0);
    (answer.error_code, answer.error_message.unwrap_or_default().to_string())
}

#[tokio::test]
async fn configurations_that_no_broker_could_run_with_are_refused() {
    let mut cluster = Cluster::start().await;
    let invalid = ErrorCode::InvalidRequest.code();
    let cases = [
        (
            "log.cleaner.threads",
            "200",
            "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        ),
        (
            "num.io.threads",
            "100",
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed \
             for num.io.threads=100, value should not be greater than double the current value 8 for configuration Invalid \
             dynamic configuration",
        ),
        (
            "listeners",
            "PLAINTEXT://127.0.0.1:1",
            "requirement failed: controller.listener.names must contain at least one value appearing in the 'listeners' \
             configuration when running the KRaft controller role",
        ),
    ];
    for (config, value, message) in cases {
        let expected = (invalid, message.to_owned());
        assert_eq!(alter(&mut cluster, (BROKER, "1"), (config, SET, value)).await, expected);
    }
    assert_eq!(alter(&mut cluster, (BROKER, "1"), ("num.io.threads", SET, "16")).await.0, 0);
    assert_eq!(alter(&mut cluster, (BROKER, "1"), ("num.io.threads", SET, "32")).await.0, 0, "it counts from there");
    let unknown = (ErrorCode::InvalidConfig.code(), "Unknown config name: none".to_owned());
    assert_eq!(alter(&mut cluster, (BROKER, "1"), ("none", APPEND, "x")).await, unknown);
    cluster.stop().await;
}

#[tokio::test]
async fn configurations_of_groups_and_metrics_are_checked() {
    let mut cluster = Cluster::start().await;
    let (invalid, request) = (ErrorCode::InvalidConfig.code(), ErrorCode::InvalidRequest.code());
    let cases = [
        (
            (GROUP, "g"),
            ("consumer.session.timeout.ms", SET, "1"),
            invalid,
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        ((METRICS, "m"), ("match", SET, "bad"), invalid, "Illegal client matching pattern: bad"),
        ((METRICS, ""), ("interval.ms", SET, "1000"), request, "Subscription name can't be empty"),
        ((LOGGER, "1"), ("none", SET, "INFO"), invalid, "Logger none does not exist!"),
        ((LOGGER, "2"), ("none", SET, "INFO"), request, "Unexpected node id. Expected 1, but received 2"),
        (
            (TOPIC, "t"),
            ("retention.ms", APPEND, "1"),
            invalid,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
    ];
    for (resource, change, code, message) in cases {
        assert_eq!(alter(&mut cluster, resource, change).await, (code, message.to_owned()));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn levels_of_loggers_are_shown_and_changed() {
    let mut cluster = Cluster::start().await;
    let logger = "thalweg_storage";
    assert_eq!(alter(&mut cluster, (LOGGER, "1"), (logger, SET, "DEBUG")).await, (0, String::new()));
    let resource = DescribeConfigsResource {
        resource_type: LOGGER,
        resource_name: "1".into(),
        ..DescribeConfigsResource::default()
    };
    let request = m::DescribeConfigsRequest { resources: vec![resource], ..m::DescribeConfigsRequest::default() };
    let described = cluster.ask(&request, 4).await.results.remove(0).configs;
    let level = |name: &str| described.iter().find(|config| &*config.name == name).and_then(|c| c.value.as_deref());
    assert_eq!((level(logger), level("root")), (Some("DEBUG"), Some("INFO")));
    assert!(described.iter().all(|config| config.config_source == 6 && !config.read_only));
    cluster.stop().await;
}

#[tokio::test]
async fn what_has_neither_name_nor_id_fails_the_whole_request() {
    let mut cluster = Cluster::start().await;
    cluster.create("t", &[]).await;
    let topic = |name: Option<&str>| m::metadata_request::MetadataRequestTopic {
        name: name.map(Into::into),
        ..m::metadata_request::MetadataRequestTopic::default()
    };
    let request = m::MetadataRequest { topics: Some(vec![topic(None)]), ..m::MetadataRequest::default() };
    let response = cluster.ask(&request, 13).await;
    let failed = ErrorCode::UnknownServerError.code();
    assert_eq!((response.error_code, response.topics[0].error_code, response.brokers.len()), (failed, failed, 0));
    let names = ["", "t"].map(|name| m::describe_topic_partitions_request::TopicRequest { name: name.into() });
    let request = m::DescribeTopicPartitionsRequest { topics: names.into(), ..Default::default() };
    let response = cluster.ask(&request, 0).await;
    assert_eq!(response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [failed, failed]);
    cluster.stop().await;
}
