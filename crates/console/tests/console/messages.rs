//! Searching records, taking them as files, and watching them come.

use serde_json::json;
use thalweg_client::{Producer, ProducerConfig};
use thalweg_sys::time::{Duration, now};

use crate::visit::Visit;

#[tokio::test]
async fn a_search_is_narrowed_by_place_header_and_json() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    visit.write("orders", 0, &[r#"{"total":120,"who":"key"}"#, r#"{"total":80}"#, "no json"]).await;
    let search = async |body: &str| {
        let headers = [("Accept", "application/json"), ("Content-Type", "application/json")];
        let found = visit.ask("POST", "/topic/orders/search-messages", &headers, body).await;
        assert_eq!(found.status, 200, "{}", found.body);
        found.json()["messages"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(search(r#"{"json":"total > 100"}"#).await, 1);
    assert_eq!(search(r#"{"json":"total"}"#).await, 2);
    assert_eq!(search(r#"{"searchText":"key"}"#).await, 3);
    assert_eq!(search(r#"{"searchText":"key","in":"value"}"#).await, 1);
    assert_eq!(search(r#"{"searchText":"key","in":"headers"}"#).await, 0);
    assert_eq!(search(r#"{"header":"trace"}"#).await, 0);
    for wrong in ["json=total%20~%201", "in=nowhere"] {
        let page = visit.page(&format!("/topic/orders/search-messages?search=true&{wrong}")).await;
        assert_eq!(page.status, 400, "{wrong}");
    }
    visit.stop().await;
}

#[tokio::test]
async fn a_search_tells_aborted_records_and_markers_from_others() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    let mut properties = visit.properties.clone();
    properties.set("transactional.id", "t");
    let producer = Producer::new(ProducerConfig::from_properties(&properties).expect("a config"));
    let deadline = now() + Duration::from_secs(60);
    producer.init_transactions(deadline).await.expect("a producer id");
    for commits in [false, true] {
        producer.begin_transaction().expect("a transaction");
        for value in ["a", "b"] {
            let record = thalweg_client::ProducerRecord::new("orders", value);
            producer.send(record).await.expect("a place").wait().await.expect("a record");
        }
        if commits {
            producer.commit_transaction(deadline).await.expect("a commit");
        } else {
            producer.abort_transaction(deadline).await.expect("an abort");
        }
    }
    let page = visit.page("/topic/orders/search-messages?search=true").await.body;
    assert!(page.contains("2 found, and every offset was read."), "{page}");
    let cells: String = [0, 0, 6, 6, 2, 2, 2, 0].map(|number| format!("<td class=\"n\">{number}</td>")).concat();
    assert!(page.contains(&cells), "partition, from, to, read, records, aborted, markers, compacted: {page}");
    visit.stop().await;
}

#[tokio::test]
async fn what_is_found_is_taken_as_a_file() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 0, &["apple", "pear", "plum, \"ripe\""]).await;
    let file = async |query: &str| {
        let got = visit.page(&format!("/topic/orders/download?{query}")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        got
    };
    let lines = file("searchText=p").await;
    assert_eq!(lines.header("content-disposition"), Some("attachment; filename=\"orders.jsonl\""));
    let first: serde_json::Value = serde_json::from_str(lines.chunked().lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["value"], &first["key"], &first["offset"]), (&json!("apple"), &json!("key"), &json!(0)));
    assert_eq!(lines.chunked().lines().count(), 3);
    let table = file("as=csv&searchText=plum").await.chunked();
    assert!(table.starts_with("partition,offset,timestamp,key,value,headers\r\n0,2,"), "{table}");
    assert!(table.ends_with(",key,\"plum, \"\"ripe\"\"\",\r\n"), "{table}");
    assert_eq!(file("as=raw&searchText=apple&format=HEX").await.chunked(), "apple\n");
    assert_eq!(visit.page("/topic/orders/download?as=pdf").await.status, 400);
    assert_eq!(visit.page("/topic/none/download").await.status, 404);
    visit.stop().await;
}

#[tokio::test]
async fn a_tail_shows_records_as_they_come() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    visit.write("orders", 0, &["before"]).await;
    assert!(visit.page("/topic/orders/tail").await.body.contains("data-tail=\"/topic/orders/tail/events?"));
    let mut tail = visit.open("/topic/orders/tail/events?searchText=new").await;
    // The first event says that the tail has begun, from the end that the topic had.
    let head = visit.read_until(&mut tail, "event: records").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    visit.write("orders", 0, &["new one", "other", "<b>new</b>"]).await;
    let events = visit.read_until(&mut tail, "&#60;b&#62;new").await;
    assert!(!events.contains("other") && !events.contains("before"), "{events}");
    visit.stop().await;
}

#[tokio::test]
async fn the_newest_come_first_and_lead_to_those_before_them() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    for n in 0..7 {
        visit.write("orders", n % 2, &[&format!("v{n}")]).await;
    }
    let (mut texts, mut pages) = (Vec::new(), 0);
    let mut path = "/topic/orders/newest?count=3".to_owned();
    loop {
        let page = visit.document(&path).await;
        pages += 1;
        let messages = page["messages"].as_array().expect("a list").clone();
        texts.extend(messages.iter().map(|message| message["message"].as_str().expect("a text").to_owned()));
        let Some(older) = page["older"].as_str() else { break };
        path = format!("/topic/orders/newest?count=3&cursor={older}");
    }
    assert_eq!((pages, texts.join(" ")), (3, "v6 v5 v4 v3 v2 v1 v0".to_owned()));
    let page = visit.page("/topic/orders/newest?count=3").await.body;
    assert!(page.contains("3 messages of 2 partitions, the newest first.") && page.contains("rel=\"next\""), "{page}");
    assert_eq!(visit.page("/topic/orders/newest?cursor=x").await.status, 400);
    visit.stop().await;
}

#[tokio::test]
async fn a_record_has_its_whole_story() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    let mut properties = visit.properties.clone();
    properties.set("transactional.id", "t");
    let producer = Producer::new(ProducerConfig::from_properties(&properties).expect("a config"));
    let deadline = now() + Duration::from_secs(60);
    producer.init_transactions(deadline).await.expect("a producer id");
    let story = async |offset: i64| visit.document(&format!("/topic/orders/record?partition=0&offset={offset}")).await;
    let write = async |value: &str| {
        let record = thalweg_client::ProducerRecord::new("orders", value.to_owned());
        producer.send(record).await.expect("a place").wait().await.expect("a record");
    };
    producer.begin_transaction().expect("a transaction");
    write("a").await;
    let open = story(0).await;
    assert!(open["says"].as_str().is_some_and(|says| says.contains("is open")), "{open}");
    assert_eq!((&open["record"]["value"], &open["facts"]["sequence"]), (&json!("a"), &json!("0")));
    producer.abort_transaction(deadline).await.expect("an abort");
    producer.begin_transaction().expect("a transaction");
    write("b").await;
    producer.commit_transaction(deadline).await.expect("a commit");
    for (offset, says) in
        [(0, "that was aborted:"), (1, "marker of a transaction that was aborted"), (2, "was committed")]
    {
        let story = story(offset).await;
        assert!(story["says"].as_str().is_some_and(|text| text.contains(says)), "{offset}: {story}");
    }
    assert_eq!(visit.page("/topic/orders/record?partition=0&offset=99").await.status, 400);
    assert_eq!(visit.page("/topic/orders/record?partition=7&offset=0").await.status, 404);
    let page = visit.page("/topic/orders/record?partition=0&offset=2&groups=true").await.body;
    assert!(page.contains("No group has an offset in this partition."), "{page}");
    visit.stop().await;
}

#[tokio::test]
async fn the_topics_of_coordinators_are_decoded() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    let form = "topic=orders&to=latest&confirm=readers";
    let done = visit.form("/consumer/readers/reset", &[("Accept", "application/json")], form).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let page = visit.page("/topic/__consumer_offsets/newest").await.body;
    assert!(page.contains("&#34;group&#34;: &#34;readers&#34;") && page.contains("decoded"), "{page}");
    let hex = visit.page("/topic/__consumer_offsets/newest?keyFormat=HEX&format=HEX").await.body;
    assert!(!hex.contains("decoded") && hex.contains("72656164657273"), "{hex}");
    visit.stop().await;
}
