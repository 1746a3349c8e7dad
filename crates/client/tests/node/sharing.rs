//! Members of share groups.

use thalweg_base::Offset;
use thalweg_client::{Acknowledge, Client, ConsumerConfig, Destination, ShareConsumer, ShareRecord};
use thalweg_records::BatchOptions;
use thalweg_wire::messages::IncrementalAlterConfigsRequest;
use thalweg_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

use crate::node::{Running, append, create, soon};

/// The type of groups among resources with configurations.
const GROUP: i8 = 32;

async fn begin_at_the_first_record(client: &Client, group: &str) {
    let config =
        AlterableConfig { name: "share.auto.offset.reset".into(), config_operation: 0, value: Some("earliest".into()) };
    let resource = AlterConfigsResource { resource_type: GROUP, resource_name: group.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let response = client.send(Destination::Any, &request).await.expect("an answer");
    assert_eq!(response.responses[0].error_code, 0);
}

fn member(node: &Running, group: &str) -> ShareConsumer {
    let config = ConsumerConfig::from_properties(&node.properties(&[("group.id", group)])).expect("a configuration");
    ShareConsumer::new(config).expect("a group")
}

fn offsets(records: &[ShareRecord]) -> Vec<(Offset, i16)> {
    records.iter().map(|record| (record.record.offset, record.delivery_count)).collect()
}

#[tokio::test]
async fn what_is_released_comes_again_and_what_is_accepted_does_not() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 1).await;
    append(&client, "t", 0, BatchOptions::default(), &[(1, "a"), (1, "b"), (1, "c")]).await;
    begin_at_the_first_record(&client, "jobs").await;
    let mut first = member(&node, "jobs");
    first.subscribe(["t"]);
    let records = first.poll(soon()).await.expect("records");
    assert_eq!(offsets(&records), [(Offset(0), 1), (Offset(1), 1), (Offset(2), 1)]);
    first.acknowledge(&records[1], Acknowledge::Release);
    first.acknowledge(&records[2], Acknowledge::Reject);
    let again = first.poll(soon()).await.expect("records");
    assert_eq!(offsets(&again), [(Offset(1), 2)]);
    first.acknowledge(&again[0], Acknowledge::Release);
    first.close(soon()).await.expect("left");
    let mut second = member(&node, "jobs");
    second.subscribe(["t"]);
    assert_eq!(offsets(&second.poll(soon()).await.expect("records")), [(Offset(1), 3)]);
    second.commit(soon()).await.expect("committed");
    append(&client, "t", 0, BatchOptions::default(), &[(1, "d")]).await;
    assert_eq!(offsets(&second.poll(soon()).await.expect("records")), [(Offset(3), 1)]);
    second.close(soon()).await.expect("left");
    node.stop().await;
}
