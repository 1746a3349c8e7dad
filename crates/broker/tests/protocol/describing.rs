//! What the cluster looks like.

use m::describe_configs_request::DescribeConfigsResource;
use m::describe_topic_partitions_request::TopicRequest;
use m::describe_topic_partitions_response::Cursor;
use m::metadata_request::MetadataRequestTopic;
use m::metadata_response::MetadataResponseTopic;
use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;

#[tokio::test]
async fn an_id_that_the_version_cannot_use_comes_back() {
    let mut cluster = Cluster::start().await;
    let id = Uuid([7; 16]);
    for version in 10..=11 {
        let topic = MetadataRequestTopic { topic_id: id, name: None };
        let request = m::MetadataRequest { topics: Some(vec![topic]), ..m::MetadataRequest::default() };
        let expected = m::MetadataResponse {
            topics: vec![MetadataResponseTopic {
                error_code: ErrorCode::InvalidRequest.code(),
                name: Some("".into()),
                topic_id: id,
                ..MetadataResponseTopic::default()
            }],
            ..m::MetadataResponse::default()
        };
        assert_eq!(cluster.ask(&request, version).await, expected);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_made_by_being_asked_for_is_there_when_asked_again() {
    let mut cluster = Cluster::start().await;
    let asked = MetadataRequestTopic { name: Some("t".into()), ..MetadataRequestTopic::default() };
    let request = m::MetadataRequest { topics: Some(vec![asked]), ..m::MetadataRequest::default() };
    let mut answers = Vec::new();
    for _ in 0..2 {
        let topic = cluster.ask(&request, 12).await.topics.remove(0);
        answers.push((topic.error_code, topic.topic_id.is_zero(), topic.partitions.len()));
    }
    assert_eq!(answers, [(ErrorCode::UnknownTopicOrPartition.code(), true, 0), (0, false, 1)]);
    cluster.stop().await;
}

#[tokio::test]
async fn an_endpoint_type_that_is_refused_is_not_repeated() {
    let mut cluster = Cluster::start().await;
    for (endpoint_type, error) in [(2, ErrorCode::MismatchedEndpointType), (3, ErrorCode::UnsupportedEndpointType)] {
        let request = m::DescribeClusterRequest { endpoint_type, ..m::DescribeClusterRequest::default() };
        let response = cluster.ask(&request, 2).await;
        assert_eq!((response.error_code, response.endpoint_type), (error.code(), 1));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_full_page_ends_before_a_missing_topic() {
    let mut cluster = Cluster::start().await;
    for name in ["a", "c"] {
        cluster.create(name, &[]).await;
    }
    let request = m::DescribeTopicPartitionsRequest {
        topics: ["a", "b", "c"].map(|name| TopicRequest { name: name.into() }).into(),
        response_partition_limit: 1,
        cursor: None,
    };
    let response = cluster.ask(&request, 0).await;
    assert_eq!(response.topics.len(), 1);
    assert_eq!(response.next_cursor, Some(Cursor { topic_name: "b".into(), partition_index: 0 }));
    cluster.stop().await;
}

#[tokio::test]
async fn configs_of_what_there_is_not_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::start().await;
    let cases = [
        (0, "x", ErrorCode::InvalidRequest.message()),
        (8, "", "Broker id must not be empty"),
        (8, "x", "Broker id must be an integer, but it is: x"),
        (8, "9", "Unexpected broker id, expected 1 but received 9"),
    ];
    for (resource_type, name, message) in cases {
        let resource =
            DescribeConfigsResource { resource_type, resource_name: name.into(), ..DescribeConfigsResource::default() };
        let request = m::DescribeConfigsRequest { resources: vec![resource], ..m::DescribeConfigsRequest::default() };
        let response = cluster.ask(&request, 4).await;
        assert_eq!(response.results[0].error_code, ErrorCode::InvalidRequest.code());
        assert_eq!(response.results[0].error_message.as_deref(), Some(message));
    }
    cluster.stop().await;
}
