//! Quotas, passwords, ACLs and delegation tokens.

use bytes::Bytes;
use m::alter_client_quotas_request as quotas;
use m::alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
use m::describe_client_quotas_request::ComponentData;
use m::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use m::describe_user_scram_credentials_request::UserName;
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;

fn quota(kind: &str, name: Option<&str>, key: &str, value: f64) -> quotas::EntryData {
    quotas::EntryData {
        entity: vec![quotas::EntityData { entity_type: kind.into(), entity_name: name.map(Into::into) }],
        ops: vec![quotas::OpData { key: key.into(), value, remove: false }],
    }
}

#[tokio::test]
async fn quotas_are_stored_and_found_by_entity() {
    let mut cluster = Cluster::start().await;
    let entries = vec![
        quota("user", Some("alice"), "producer_byte_rate", 1000.0),
        quota("client-id", None, "request_percentage", 12.5),
        quota("ip", Some("127.0.0.1"), "connection_creation_rate", 0.5),
    ];
    let altered = cluster.ask(&m::AlterClientQuotasRequest { entries, validate_only: false }, 1).await;
    let messages: Vec<_> = altered.entries.iter().map(|e| e.error_message.as_deref()).collect();
    assert_eq!(messages, [None, Some("connection_creation_rate cannot be a fractional value."), None]);
    let component = ComponentData { entity_type: "user".into(), match_type: 2, match_: None };
    let request = m::DescribeClientQuotasRequest { components: vec![component], strict: true };
    let expected = EntryData {
        entity: vec![EntityData { entity_type: "user".into(), entity_name: Some("alice".into()) }],
        values: vec![ValueData { key: "producer_byte_rate".into(), value: 1000.0 }],
    };
    assert_eq!(cluster.ask(&request, 1).await.entries, Some(vec![expected]));
    let all = m::DescribeClientQuotasRequest::default();
    assert_eq!(cluster.ask(&all, 1).await.entries.map(|entries| entries.len()), Some(2));
    cluster.stop().await;
}

#[tokio::test]
async fn a_filter_of_quotas_is_refused_in_kafkas_words() {
    let mut cluster = Cluster::start().await;
    let cases = [
        ("", 2, None, ErrorCode::InvalidRequest, "Invalid empty entity type."),
        ("group", 2, None, ErrorCode::UnsupportedVersion, "Unsupported entity type group"),
        (
            "user",
            0,
            None,
            ErrorCode::InvalidRequest,
            "Request specified MATCH_TYPE_EXACT, but set match string to null.",
        ),
        ("user", 3, None, ErrorCode::InvalidRequest, "Unknown match type 3"),
    ];
    for (kind, match_type, name, error, message) in cases {
        let component =
            ComponentData { entity_type: kind.into(), match_type, match_: name.map(|name: &str| name.into()) };
        let request = m::DescribeClientQuotasRequest { components: vec![component], strict: false };
        let response = cluster.ask(&request, 1).await;
        assert_eq!((response.error_code, response.error_message.as_deref()), (error.code(), Some(message)));
        assert_eq!(response.entries, None);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_password_is_set_described_and_deleted() {
    let mut cluster = Cluster::start().await;
    let upsertion = ScramCredentialUpsertion {
        name: "alice".into(),
        mechanism: 2,
        iterations: 8192,
        salt: Bytes::from_static(b"salt"),
        salted_password: Bytes::from_static(b"salted"),
    };
    let alter = |deletions, upsertions| m::AlterUserScramCredentialsRequest { deletions, upsertions };
    let set = cluster.ask(&alter(vec![], vec![upsertion]), 0).await;
    assert_eq!((set.results[0].error_code, &*set.results[0].user), (0, "alice"));
    let described = cluster.ask(&m::DescribeUserScramCredentialsRequest { users: None }, 0).await;
    assert_eq!(described.results[0].credential_infos[0].iterations, 8192);
    let deletion = ScramCredentialDeletion { name: "alice".into(), mechanism: 2 };
    assert_eq!(cluster.ask(&alter(vec![deletion.clone()], vec![]), 0).await.results[0].error_code, 0);
    let gone = cluster.ask(&alter(vec![deletion], vec![]), 0).await;
    assert_eq!(gone.results[0].error_code, ErrorCode::ResourceNotFound.code());
    let users = Some(vec![UserName { name: "alice".into() }]);
    let described = cluster.ask(&m::DescribeUserScramCredentialsRequest { users }, 0).await;
    let text = "Attempt to describe a user credential that does not exist: alice";
    assert_eq!(described.results[0].error_message.as_deref(), Some(text));
    cluster.stop().await;
}

#[tokio::test]
async fn without_an_authorizer_there_are_no_acls() {
    let mut cluster = Cluster::start().await;
    let describe = m::DescribeAclsRequest {
        resource_type_filter: 1,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..m::DescribeAclsRequest::default()
    };
    let described = cluster.ask(&describe, 3).await;
    assert_eq!(described.error_code, ErrorCode::SecurityDisabled.code());
    assert_eq!(described.error_message.as_deref(), Some("No Authorizer is configured on the broker"));
    let creation = m::create_acls_request::AclCreation {
        resource_type: 2,
        resource_name: "t".into(),
        principal: "User:a".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
        ..Default::default()
    };
    let created = cluster.ask(&m::CreateAclsRequest { creations: vec![creation] }, 3).await;
    assert_eq!(created.results[0].error_message.as_deref(), Some("No Authorizer is configured."));
    cluster.stop().await;
}

#[tokio::test]
async fn who_is_not_authenticated_gets_no_delegation_token() {
    let mut cluster = Cluster::start().await;
    for version in 1..=3 {
        let response = cluster.ask(&m::CreateDelegationTokenRequest::default(), version).await;
        assert_eq!(response.error_code, ErrorCode::DelegationTokenRequestNotAllowed.code());
        assert_eq!((&*response.principal_name, response.expiry_timestamp_ms), ("ANONYMOUS", -1));
    }
    cluster.stop().await;
}

/// A cluster in which every user may produce and fetch 10,000 bytes a second, measured over two windows.
async fn start_with_quotas() -> (Cluster, thalweg_base::Uuid) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", log_dirs.as_str()), ("quota.window.num", "2")];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = cluster.create("t", &[]).await;
    // An entity is named once in a request, with all of its quotas.
    let mut everybody = quota("user", None, "producer_byte_rate", 10_000.0);
    everybody.ops.extend(quota("user", None, "consumer_byte_rate", 10_000.0).ops);
    let request = m::AlterClientQuotasRequest { entries: vec![everybody], validate_only: false };
    assert_eq!(cluster.ask(&request, 1).await.entries[0].error_code, 0);
    (cluster, topic)
}

#[tokio::test]
async fn a_producer_above_its_quota_is_answered_at_once_and_not_read_for_a_while() {
    let (mut cluster, topic_id) = start_with_quotas().await;
    let records = Some(crate::producing::batch_of(&[7; 12_000]));
    let partition_data = vec![m::produce_request::PartitionProduceData { index: 0, records }];
    let request = m::ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![m::produce_request::TopicProduceData { topic_id, partition_data, ..Default::default() }],
        ..m::ProduceRequest::default()
    };
    // Quotas apply a moment after they are set.
    let (throttled, begun) = loop {
        let begun = now();
        let answer = cluster.ask(&request, 13).await;
        if answer.throttle_time_ms > 0 {
            break (answer, begun);
        }
    };
    assert_eq!(throttled.responses[0].partition_responses[0].error_code, 0);
    cluster.ask(&m::MetadataRequest::default(), 12).await;
    assert!(begun.elapsed() >= Duration::from_millis(throttled.throttle_time_ms.unsigned_abs().into()));
    cluster.stop().await;
}

#[tokio::test]
async fn a_consumer_above_its_quota_gets_no_records_and_gets_them_later() {
    let (mut cluster, topic_id) = start_with_quotas().await;
    crate::producing::produce(&mut cluster, topic_id, None, &[crate::producing::batch_of(&[7; 9000])]).await;
    let partition = m::fetch_request::FetchPartition {
        partition_max_bytes: 1 << 20,
        current_leader_epoch: -1,
        ..Default::default()
    };
    let topic = m::fetch_request::FetchTopic { topic_id, partitions: vec![partition], ..Default::default() };
    let request =
        m::FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics: vec![topic], ..m::FetchRequest::default() };
    // Quotas apply a moment after they are set.
    loop {
        let answer = cluster.ask(&request, 17).await;
        if answer.throttle_time_ms > 0 {
            assert_eq!(answer.responses, []);
            break;
        }
    }
    let later = cluster.ask(&request, 17).await;
    assert_eq!(later.throttle_time_ms, 0);
    assert!(later.responses[0].partitions[0].records.as_ref().is_some_and(|records| records.len() > 9000));
    cluster.stop().await;
}
