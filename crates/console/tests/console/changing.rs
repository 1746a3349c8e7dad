//! What changes the cluster, and what keeps others from changing it.

use serde_json::json;
use thalweg_console::Writes;

use crate::visit::{Got, Visit};

/// The token of a page's form.
async fn token(visit: &Visit) -> String {
    let page = visit.page("/topic/create").await.body;
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a token");
    rest.split('"').next().expect("a value").to_owned()
}

#[tokio::test]
async fn a_topic_is_created_written_to_and_deleted() {
    let visit = Visit::start().await;
    let created = visit.form("/topic", &[], "name=orders&partitionsNumber=2&replicationFactor=1").await;
    assert_eq!((created.status, created.header("location")), (303, Some("/topic/orders")));
    let again = visit.form("/topic", &[], "name=orders&partitionsNumber=2&replicationFactor=1").await;
    assert!(again.body.contains("Topic &#39;orders&#39; already exists."), "{}", again.body);
    let configs = visit.form("/topic", &[], "name=kept&configs=retention.ms%3D1000%0Acleanup.policy%3Dcompact").await;
    assert_eq!(configs.status, 303, "{}", configs.body);
    let config = &visit.document("/topic/kept").await["config"];
    assert_eq!(*config, json!({ "cleanup.policy": "compact", "min.insync.replicas": "1", "retention.ms": "1000" }));
    let written = visit.form("/topic/orders/addmessage", &[], "topicPartition=1&key=k&value=a+b&topic=orders").await;
    let shown = "/topic/orders/messages?partition=1&offset=0&count=100";
    assert_eq!((written.status, written.header("location")), (303, Some(shown)));
    let message = &visit.document(shown).await[0];
    assert_eq!((&message["key"], &message["message"]), (&json!("k"), &json!("a b")));
    let deleted = visit.form("/topic/orders/delete", &[], "").await;
    assert_eq!((deleted.status, deleted.header("location")), (303, Some("/")));
    assert_eq!(visit.page("/topic/orders").await.status, 404);
    assert_eq!(visit.form("/topic/orders/delete", &[], "").await.status, 404);
    visit.stop().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_wrong_name_deletes_nothing() {
    let visit = Visit::start().await;
    let dry = visit.form("/topic", &[], "name=orders&dryRun=true").await;
    assert!(dry.body.contains("Topic orders could be created."), "{}", dry.body);
    assert_eq!(visit.page("/topic/orders").await.status, 404);
    let refused = visit.form("/topic", &[], "name=a%2Fb&dryRun=true").await;
    assert!(refused.body.contains("INVALID_TOPIC_EXCEPTION"), "{}", refused.body);
    visit.create("orders", 1).await;
    assert_eq!(visit.form("/topic/orders/delete", &[], "confirm=order").await.status, 400);
    assert_eq!(visit.page("/topic/orders").await.status, 200);
    visit.stop().await;
}

#[tokio::test]
async fn a_browser_needs_a_page_of_this_console() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    let (origin, other) = (("Sec-Fetch-Site", "same-origin"), ("Origin", "http://evil.example"));
    assert_eq!(visit.form("/topic/orders/delete", &[origin], "").await.status, 403);
    let token = token(&visit).await;
    let form = format!("token={token}&confirm=orders");
    assert_eq!(visit.form("/topic/orders/delete", &[other], &form).await.status, 403);
    assert_eq!(visit.form("/topic/orders/delete", &[("Host", "evil.example")], &form).await.status, 403);
    assert_eq!(visit.page("/topic/orders").await.status, 200);
    assert_eq!(visit.form("/topic/orders/delete", &[origin], &form).await.status, 303);
    visit.stop().await;
}

#[tokio::test]
async fn what_is_switched_off_is_refused_and_not_offered() {
    let visit = Visit::start_with(|settings| settings.writes = Writes::NONE).await;
    visit.create("orders", 1).await;
    for (path, form) in [
        ("/topic", "name=t"),
        ("/topic/orders/delete", "confirm=orders"),
        ("/topic/orders/addmessage", "topicPartition=0&value=x"),
        ("/topic/orders/configs", "remove=retention.ms&confirm=orders"),
        ("/topic/orders/partitions", "count=3&confirm=orders"),
        ("/topic/orders/deleterecords", "to=end&confirm=orders"),
        ("/consumer/g/reset", "to=latest&topic=orders&confirm=g"),
        ("/consumer/g/delete", "confirm=g"),
    ] {
        let refused = visit.form(path, &[], form).await;
        assert_eq!(refused.status, 403, "{path}");
    }
    for path in ["/", "/topic/create", "/topic/orders", "/topic/orders/messages"] {
        assert!(!visit.page(path).await.body.contains("method=\"post\""), "{path}");
    }
    let messages = visit.document("/topic/orders/messages?partition=0&offset=0&count=9").await;
    assert_eq!(messages, json!([]));
    visit.stop().await;
}

#[tokio::test]
async fn a_topic_is_changed_once_its_name_was_typed() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 1, &["a", "b", "c"]).await;
    let set = "configs=retention.ms%3D1000%0Acleanup.policy%3Dcompact,delete";
    let dry = change(&visit, "/topic/orders/configs", set).await;
    assert_eq!(dry.status, 200, "{}", dry.body);
    assert_eq!(
        dry.json()["plan"]["rows"],
        json!([
            ["cleanup.policy", "delete", "default", "compact,delete"],
            ["retention.ms", "604800000", "default", "1000"]
        ])
    );
    let config = async || visit.document("/topic/orders").await["config"].clone();
    assert_eq!(config().await.get("retention.ms"), None);
    let done = change(&visit, "/topic/orders/configs", &format!("{set}&confirm=orders")).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(config().await["retention.ms"], "1000");
    let dry = change(&visit, "/topic/orders/configs", "remove=retention.ms,cleanup.policy").await;
    assert_eq!(dry.json()["plan"]["rows"][1], json!(["retention.ms", "1000", "topic", "the broker's"]), "{}", dry.body);
    change(&visit, "/topic/orders/configs", "remove=retention.ms,cleanup.policy&confirm=orders").await;
    assert_eq!(config().await.get("retention.ms"), None);
    for wrong in ["", "configs=x", "configs=no.such%3D1", "configs=retention.ms%3Dx", "configs=a%3D1&remove=a"] {
        assert_eq!(change(&visit, "/topic/orders/configs", wrong).await.status, 400, "{wrong}");
    }
    let dry = change(&visit, "/topic/orders/partitions", "count=3").await;
    assert!(dry.body.contains("1 partitions come to the 2 that there are."), "{}", dry.body);
    assert_eq!(change(&visit, "/topic/orders/partitions", "count=2").await.status, 400, "there are as many already");
    change(&visit, "/topic/orders/partitions", "count=3&confirm=orders").await;
    assert_eq!(visit.document("/topic/orders").await["partitions"].as_array().map(Vec::len), Some(3));
    let dry = change(&visit, "/topic/orders/deleterecords", "to=offset&value=2").await;
    assert_eq!(dry.json()["plan"]["rows"], json!([["1", "0", "2", "3", "2"]]), "{}", dry.body);
    let done = change(&visit, "/topic/orders/deleterecords", "to=offset&value=2&confirm=orders").await;
    assert_eq!(done.json()["done"], json!(true), "{}", done.body);
    let first = visit.document("/topic/orders").await["partitions"][1]["firstOffset"].clone();
    assert_eq!(first, json!(2));
    let dry = change(&visit, "/topic/orders/delete", "dryRun=true").await;
    assert_eq!(dry.json()["plan"]["rows"][1], json!(["1", "2", "3", "1", "1"]), "{}", dry.body);
    let page = visit.form("/topic/orders/delete", &[], "dryRun=true").await.body;
    assert!(page.contains("Type orders to do it") && !page.contains("name=\"dryRun\""), "{page}");
    assert_eq!(visit.page("/topic/orders").await.status, 200);
    visit.stop().await;
}

/// Sends a form and takes the answer as a document.
async fn change(visit: &Visit, path: &str, body: &str) -> Got {
    visit.form(path, &[("Accept", "application/json")], body).await
}

#[tokio::test]
async fn offsets_of_a_group_are_reset_once_its_name_was_typed() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    visit.write("orders", 0, &["a", "b", "c"]).await;
    // A group that does not exist yet gets offsets: that is how Kafka's tool makes one.
    let dry = change(&visit, "/consumer/readers/reset", "topic=orders&to=latest").await;
    assert_eq!((dry.status, &dry.json()["done"]), (200, &json!(false)), "{}", dry.body);
    let rows = &dry.json()["plan"]["rows"];
    assert_eq!(
        *rows,
        json!([["orders", "0", "none", "3", "none", "0", ""], ["orders", "1", "none", "0", "none", "0", ""]])
    );
    assert_eq!(visit.page("/consumer/readers").await.status, 404, "a dry run changes nothing");
    let page = visit.form("/consumer/readers/reset", &[], "topic=orders&to=latest").await.body;
    assert!(page.contains("Type readers to do it") && page.contains("Nothing has been changed yet."), "{page}");
    let wrong = change(&visit, "/consumer/readers/reset", "topic=orders&to=latest&confirm=reader").await;
    assert_eq!(wrong.status, 400);
    let offset = async || visit.document("/consumer/readers").await["topics"][0]["partitions"][0]["offset"].clone();
    for (body, then) in [
        ("topic=orders&to=latest", 3),
        ("to=shift&value=-2", 1),
        ("to=offset&value=2&topic=orders&partitions=0", 2),
        ("to=offset&value=99&partitions=0", 3),
        ("to=earliest", 0),
        ("to=datetime&value=2100-01-01", 3),
        ("to=duration&value=1h", 0),
    ] {
        let done = change(&visit, "/consumer/readers/reset", &format!("{body}&confirm=readers")).await;
        assert_eq!((done.status, &done.json()["done"]), (200, &json!(true)), "{body}: {}", done.body);
        assert_eq!(offset().await, then, "{body}");
    }
    for wrong in ["to=offset", "to=offset&value=x", "to=nowhere", "to=duration&value=1y", "to=latest&partitions=a"] {
        assert_eq!(change(&visit, "/consumer/readers/reset", wrong).await.status, 400, "{wrong}");
    }
    let dry = change(&visit, "/consumer/readers/delete", "").await;
    assert_eq!(dry.json()["plan"]["rows"], json!([["orders", "2", "3"]]), "{}", dry.body);
    let gone = visit.form("/consumer/readers/delete", &[], "confirm=readers").await;
    assert_eq!((gone.status, gone.header("location")), (303, Some("/consumer")));
    assert_eq!(visit.page("/consumer/readers").await.status, 404);
    visit.stop().await;
}
