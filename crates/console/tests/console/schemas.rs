//! Values that were written with a schema, and records that are written again.

use serde_json::json;
use thalweg_client::{Producer, ProducerConfig, ProducerRecord};
use thalweg_sys::net::TcpListener;
use thalweg_sys::task;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::visit::Visit;

/// A registry that knows schema 7, which refers to another, and schema 8 of JSON; gives its address.
async fn registry() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    task::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let order = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"int"},{"name":"buyer","type":"Buyer"}]}"#;
            let buyer = r#"{"type":"record","name":"Buyer","fields":[{"name":"name","type":"string"}]}"#;
            let body = match request.split(' ').nth(1) {
                Some("/schemas/ids/7") => json!({
                    "schema": order, "references": [{ "name": "Buyer", "subject": "buyer", "version": 2 }],
                }),
                Some("/subjects/buyer/versions/2") => {
                    json!({ "schema": buyer, "id": 3, "version": 2, "subject": "buyer" })
                }
                Some("/schemas/ids/8") => json!({ "schema": "{}", "schemaType": "JSON" }),
                _ => json!(null),
            };
            let status = if body.is_null() { "404 Not Found" } else { "200 OK" };
            let body = body.to_string();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

fn avro(id: u8, name: &str) -> Vec<u8> {
    // An order: its id, in zigzag, and the name of its buyer.
    let mut bytes = vec![0, 0, 0, 0, 7, id * 2, u8::try_from(name.len() * 2).expect("a short name")];
    bytes.extend(name.as_bytes());
    bytes
}

async fn write(visit: &Visit, topic: &str, values: Vec<Vec<u8>>) {
    let producer = Producer::new(ProducerConfig::from_properties(&visit.properties).expect("a config"));
    for value in values {
        let record = ProducerRecord { partition: Some(0), ..ProducerRecord::new(topic, value) };
        producer.send(record).await.expect("a place").wait().await.expect("a record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_decoded_shown_and_searched_by_their_schemas() {
    let url = registry().await;
    let visit = Visit::start_with(|settings| settings.client.set("schema.registry.url", &url)).await;
    visit.create("orders", 1).await;
    let unknown = vec![0, 0, 0, 0, 99, 1];
    let broken = vec![0, 0, 0, 0, 7, 2];
    let values =
        vec![avro(5, "ann"), avro(6, "bob"), b"\0\0\0\0\x08{\"n\": 1.50}".to_vec(), unknown, broken, b"plain".to_vec()];
    write(&visit, "orders", values).await;
    let messages = visit.document("/topic/orders/messages?partition=0&offset=0&count=10").await;
    let texts: Vec<&str> =
        messages.as_array().expect("a list").iter().filter_map(|it| it["message"].as_str()).collect();
    assert_eq!(
        texts[..3],
        [r#"{"id":5,"buyer":{"name":"ann"}}"#, r#"{"id":6,"buyer":{"name":"bob"}}"#, r#"{"n": 1.50}"#]
    );
    assert_eq!(texts[5], "plain");
    let page = visit.page("/topic/orders/messages?partition=0&offset=0&count=10").await.body;
    for part in [
        "<small>Avro</small>",
        "<small>JSON Schema</small>",
        "schema 99: the registry at",
        "it does not fit schema 7: it ends too early",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let hex = visit.document("/topic/orders/messages?partition=0&offset=0&count=1&format=HEX").await;
    assert_eq!(hex[0]["message"], "00000000070a06616e6e");
    for search in ["json=buyer.name+%3D+bob", "searchText=%22BOB%22"] {
        let found = visit.page(&format!("/topic/orders/search-messages?search=true&{search}")).await.body;
        assert!(found.contains("1 found, and every offset was read."), "{search}: {found}");
    }
    let file = visit.page("/topic/orders/download?json=id+%3C+6").await.chunked();
    assert!(file.contains(r#"\"name\":\"ann\""#) && file.lines().count() == 1, "{file}");
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_its_formats_are_refused() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    let refused = visit.page("/topic/orders/messages?partition=0&offset=0&count=1&format=AVRO").await;
    assert!(refused.status == 400 && refused.body.contains("schema.registry.url"), "{}", refused.body);
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_again_after_a_dry_run() {
    let visit = Visit::start().await;
    visit.create("from", 2).await;
    visit.create("to", 2).await;
    visit.create("narrow", 1).await;
    visit.write("from", 0, &["a 0", "b 1", "a 2"]).await;
    visit.write("from", 1, &["a 3", "b 4"]).await;
    let form = "to=to&keepPartition=true&searchText=a";
    let dry = visit.form("/api/v1/topics/from/replay", &[], form).await.json();
    assert!(
        dry["done"] == false && dry["plan"]["effect"].as_str().is_some_and(|it| it.starts_with("3 records")),
        "{dry}"
    );
    assert_eq!(visit.document("/topic/to/newest").await["messages"], json!([]));
    assert_eq!(visit.form("/topic/from/replay", &[], &format!("{form}&confirm=from")).await.status, 400);
    let first = visit.form("/api/v1/topics/from/replay", &[], &format!("{form}&confirm=to&count=2")).await.json();
    assert_eq!((&first["records"], &first["complete"], &first["cursor"]), (&json!(2), &json!(false), &json!(null)));
    let page = visit.form("/topic/from/replay", &[], &format!("{form}&confirm=to")).await;
    assert!(
        page.status == 200 && page.body.contains("3 records of from were written to to. Nothing is left."),
        "{}",
        page.body
    );
    let written = visit.document("/topic/to/allmessages").await;
    let mut places: Vec<_> = written
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["partition"].as_i64(), it["message"].as_str(), it["key"].as_str()))
        .collect();
    places.sort_unstable();
    assert_eq!(places.len(), 5);
    assert_eq!(places.last(), Some(&(Some(1), Some("a 3"), Some("key"))));
    for wrong in ["to=from", "to=narrow&keepPartition=true", "to=to&count=0", ""] {
        assert_eq!(visit.form("/topic/from/replay", &[], wrong).await.status / 100, 4, "{wrong}");
    }
    visit.stop().await;
}
