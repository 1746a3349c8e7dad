//! The documents of Kafdrop's addresses.

use serde_json::json;
use thalweg_base::TopicPartition;
use thalweg_client::{Consumer, ConsumerConfig, Start};
use thalweg_sys::time::{Duration, now};

use crate::visit::Visit;

#[tokio::test]
async fn the_cluster_its_brokers_and_topics() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    let cluster = visit.document("/").await;
    assert_eq!(cluster["summary"]["topicCount"], 1);
    assert_eq!(cluster["summary"]["partitionCount"], 2);
    assert_eq!(cluster["summary"]["brokerLeaderPartitionCount"], json!({ "1": 2 }));
    assert_eq!(cluster["summary"]["expectedBrokerIds"], json!([1]));
    assert_eq!(cluster["topics"][0]["name"], "orders");
    assert_eq!(cluster["topics"][0]["partitions"][1]["replicas"], json!([{ "id": 1 }]));
    let broker = visit.document("/broker/1").await;
    assert_eq!(cluster["brokers"], json!([broker]));
    assert_eq!((&broker["id"], &broker["host"], &broker["rack"]), (&json!(1), &json!("127.0.0.1"), &json!(null)));
    assert_eq!(visit.document("/broker").await, json!([broker]));
    assert_eq!(visit.document("/acl").await, json!([]));
    assert_eq!(visit.document("/actuator/health").await, json!({ "status": "UP" }));
    let described = visit.document("/v3/api-docs").await;
    let parameters = &described["paths"]["/topic/{name}/messages"]["get"]["parameters"];
    assert_eq!((&parameters[0]["name"], &parameters[1]["in"]), (&json!("name"), &json!("query")));
    assert!(described["paths"]["/topic"]["post"].is_object());
    visit.stop().await;
}

#[tokio::test]
async fn a_topic_with_its_offsets_and_what_was_set() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 1, &["a", "b", "c"]).await;
    let topic = visit.document("/topic/orders").await;
    assert_eq!((&topic["totalSize"], &topic["availableSize"]), (&json!(3), &json!(3)));
    let replica = json!({ "id": 1 });
    let partition = json!({
        "id": 1, "replicas": [replica], "size": 3, "firstOffset": 0, "leader": replica, "preferredLeader": replica,
        "leaderPreferred": true, "inSyncReplicas": [replica], "offlineReplicas": [], "underReplicated": false,
    });
    assert_eq!(topic["partitions"][1], partition);
    assert_eq!(
        (&topic["config"], &topic["preferredReplicaPercent"]),
        (&json!({ "min.insync.replicas": "1" }), &json!(1.0))
    );
    let offsets = visit.document("/topic/orders/messages").await;
    let of = |id: i32, last: i64| json!({ "partition": id, "firstOffset": 0, "lastOffset": last });
    assert_eq!(offsets, json!([of(0, 0), of(1, 3)]));
    visit.stop().await;
}

#[tokio::test]
async fn messages_by_offset_and_of_all_partitions() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 0, &["a", "b", "c"]).await;
    visit.write("orders", 1, &["d"]).await;
    let texts = |messages: &serde_json::Value| -> Vec<String> {
        let messages = messages.as_array().expect("a list").iter();
        messages.map(|message| message["message"].as_str().expect("a text").to_owned()).collect()
    };
    let messages = visit.document("/topic/orders/messages?partition=0&offset=1&count=5").await;
    assert_eq!(texts(&messages), ["b", "c"]);
    let first = &messages[0];
    assert_eq!((&first["partition"], &first["offset"], &first["key"]), (&json!(0), &json!(1), &json!("key")));
    assert_eq!((&first["headers"], &first["headersFormatted"]), (&json!({}), &json!("empty")));
    assert_eq!(first["timestamp"].as_str().map(str::len), Some("2026-11-30T10:05:00.000Z".len()));
    let hex = visit.document("/topic/orders/messages?partition=0&offset=2&count=1&format=HEX&keyFormat=hex").await;
    assert_eq!((&hex[0]["message"], &hex[0]["key"]), (&json!("63"), &json!("6b6579")));
    assert_eq!(
        texts(&visit.document("/topic/orders/messages?partition=0&offset=9&count=5").await),
        Vec::<String>::new()
    );
    assert_eq!(texts(&visit.document("/topic/orders/allmessages").await), ["a", "b", "c", "d"]);
    assert_eq!(texts(&visit.document("/topic/orders/allmessages?count=1").await), ["a", "d"]);
    assert_eq!(texts(&visit.document("/topic/orders/allmessages?count=1&which=newest").await), ["c", "d"]);
    visit.stop().await;
}

#[tokio::test]
async fn a_group_and_how_far_it_has_read() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    visit.write("orders", 0, &["a", "b", "c"]).await;
    let mut properties = visit.properties.clone();
    properties.set("group.id", "readers/1");
    properties.set("max.poll.records", "2");
    properties.set("enable.auto.commit", "false");
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties).expect("a config"));
    let partition = TopicPartition::new("orders", 0);
    consumer.assign([(partition.clone(), Start::Beginning)]);
    assert_eq!(consumer.poll_for(Duration::from_secs(30)).await.expect("records").len(), 2);
    consumer.commit(now() + Duration::from_secs(30)).await.expect("a commit");
    let group = visit.document("/consumer/readers%2F1").await;
    let of = json!({ "topic": "orders", "partitionId": 0, "offset": 2, "size": 3, "firstOffset": 0, "lag": 1 });
    assert_eq!(
        group,
        json!({ "groupId": "readers/1", "topics": [{ "topic": "orders", "partitions": [of], "lag": 1 }] })
    );
    assert_eq!(visit.document("/topic/orders/consumers").await, json!([group]));
    assert_eq!(visit.document("/consumer").await[0]["groupId"], "readers/1");
    let page = visit.page("/consumer/readers%2F1").await;
    assert!(page.body.contains("<h1>Group readers/1 <span"), "{}", page.body);
    assert_eq!(visit.page("/consumer/nobody").await.status, 404);
    visit.stop().await;
}

#[tokio::test]
async fn a_search_says_what_it_has_read() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 0, &["apple", "Pear", "plum"]).await;
    visit.write("orders", 1, &["pear tree"]).await;
    let search = async |body: &str| {
        let headers = [("Accept", "application/json"), ("Content-Type", "application/json")];
        visit.ask("POST", "/topic/orders/search-messages", &headers, body).await
    };
    let found = search(r#"{"searchText":"pear"}"#).await.json();
    assert_eq!(
        (&found["messages"][0]["message"], &found["messages"][1]["message"]),
        (&json!("Pear"), &json!("pear tree"))
    );
    let end = "Search reached the end of the topic before finding requested number of results.  Scanned 4 messages.";
    assert_eq!(found["completionDetails"], end);
    let one = search(r#"{"searchText":"p","maximumCount":1,"partition":0}"#).await.json();
    assert_eq!(one["messages"].as_array().map(Vec::len), Some(1));
    let enough = "Search completed after finding requested number of results.  Scanned 1 messages.";
    assert_eq!(one["completionDetails"], enough);
    let none = search(r#"{"searchText":"","keys":["other"],"startTimestamp":"1970-01-01T00:00:00.000Z"}"#).await.json();
    assert_eq!((&none["messages"], &none["completionDetails"]), (&json!([]), &json!(end)));
    assert_eq!(search(r#"{"searchText":"x","maximumCount":1001}"#).await.status, 400);
    assert_eq!(search(r#"{"searchText":"x","partition":9}"#).await.status, 404);
    assert_eq!(search("no json").await.status, 400);
    let page = visit.page("/topic/orders/search-messages?searchText=nothing").await.body;
    assert!(page.contains("Nothing found, and every offset was read."), "{page}");
    let page = visit.page("/topic/orders/search-messages?searchText=p&maximumCount=1&partition=0").await.body;
    assert!(page.contains("1 found: as many as were asked for. The rest was not read."), "{page}");
    let (_, link) =
        page.split_once("data-go-on").map_or(("", ""), |(before, _)| before.rsplit_once("href=\"").expect("a link"));
    let next = visit.page(&link.trim_end_matches(['"', ' ']).replace("&#38;", "&")).await.body;
    assert!(next.contains("2 found: as many as were asked for."), "{next}");
    let (_, cursor) = link.split_once("cursor=").expect("a cursor");
    assert!(!cursor.contains('%') && cursor.len() < 32, "{cursor}");
    visit.stop().await;
}
