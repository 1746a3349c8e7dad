//! Pages: that they come, that they escape, and that troubles are told.

use thalweg_console::Writes;

use crate::visit::Visit;

#[tokio::test]
async fn every_page_comes_with_a_strict_policy() {
    let visit = Visit::start().await;
    visit.create("orders", 2).await;
    for (path, text) in [
        ("/", "<h1>Cluster"),
        ("/topic", "<h1>Topics</h1>"),
        ("/topic/create", "<h1>New topic</h1>"),
        ("/topic/orders", "<h2>Partitions</h2>"),
        ("/topic/orders/messages", "No messages."),
        ("/topic/orders/allmessages", "0 messages of 2 partitions"),
        ("/topic/orders/search-messages", "<h1>Search"),
        ("/topic/orders/newest", "0 messages of 2 partitions, the newest first."),
        ("/topic/orders/tail", "<h1>Tail of"),
        ("/topic/orders/consumers", "No group has committed an offset here."),
        ("/consumer", "<h1>Groups</h1>"),
        ("/acl", "The cluster has no authorizer"),
        ("/broker/1", "<h1>Broker 1</h1>"),
        ("/quorum", "leads in epoch"),
        ("/quota", "There are no quotas."),
        ("/user", "No user logs in by SCRAM."),
        ("/transaction?topic=orders", "No transaction is open in the topic."),
        ("/reassignment", "No replica moves."),
    ] {
        let got = visit.page(path).await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert!(got.body.contains(text), "{path}: {}", got.body);
        let policy = got.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(
            !got.body.contains(" style=") && !got.body.contains("<script>") && !got.body.contains(" onclick"),
            "{path}"
        );
    }
    for asset in ["console.css", "console.js", "icon.svg"] {
        assert_eq!(visit.page(&format!("/assets/{asset}")).await.status, 200);
    }
    visit.stop().await;
}

#[tokio::test]
async fn every_address_that_is_described_is_there() {
    let visit = Visit::start().await;
    visit.create("orders", 1).await;
    visit.write("orders", 0, &["a"]).await;
    for document in ["/v3/api-docs", "/api/v1/openapi.json"] {
        let document = visit.document(document).await;
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let path = path.replace("{name}", "orders").replace("{id}", "1").replace("{groupId}", "nobody");
            for (method, operation) in methods.as_object().expect("methods") {
                // What is live does not end, and what is written is not tried.
                if method == "get" && !path.contains("tail") {
                    let query = if path.ends_with("/record") { "?partition=0&offset=0" } else { "" };
                    let got = visit.ask("GET", &format!("{path}{query}"), &[("Accept", "application/json")], "").await;
                    let wanted = if path.contains("nobody") { 404 } else { 200 };
                    assert_eq!(got.status, wanted, "{path}: {}", got.body);
                } else if method == "post" {
                    let got = visit.ask("POST", &path, &[("Host", "evil.example")], "").await;
                    assert_eq!(got.status, 403, "{path}");
                    assert!(operation["summary"].is_string(), "{path}");
                }
            }
        }
    }
    let quorum = visit.document("/api/v1/quorum").await;
    assert_eq!(
        (&quorum["replicas"][0]["role"], &quorum["replicas"][0]["lag"]),
        (&"leader".into(), &0.into()),
        "{quorum}"
    );
    assert_eq!(visit.page("/api/v1/topics/none").await.header("content-type"), Some("application/json"));
    visit.stop().await;
}

#[tokio::test]
async fn what_was_written_cannot_become_markup() {
    let visit = Visit::start().await;
    visit.create("t", 1).await;
    let hostile = "</code><script>alert(1)</script>\"'><img src=x>";
    visit.write("t", 0, &[hostile, "{\"a\":\"<b>\"}", "\u{1}\u{2}"]).await;
    for path in ["/topic/t/messages", "/topic/t/allmessages", "/topic/t/newest", "/topic/t/search-messages?search=true"]
    {
        let page = visit.page(path).await.body;
        assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
        assert!(page.contains("0102"), "bytes that are no text are in hex: {page}");
        assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<b>"), "{page}");
    }
    let page = visit.page("/?filter=%22%3E%3Cscript%3E").await.body;
    assert!(page.contains("&#34;&#62;&#60;script&#62;") && !page.contains("\"><script>"), "{page}");
    visit.stop().await;
}

#[tokio::test]
async fn troubles_are_told_in_the_form_that_was_asked_for() {
    let visit = Visit::start().await;
    let page = visit.page("/topic/none").await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("there is no topic none"), "{}", page.body);
    let document = visit.ask("GET", "/topic/none", &[("Accept", "application/json")], "").await;
    assert_eq!((document.status, document.json()["message"].as_str()), (404, Some("there is no topic none")));
    visit.create("t", 1).await;
    for (path, status) in [
        ("/nowhere", 404),
        ("/broker/7", 404),
        ("/broker/x", 400),
        ("/topic/t/messages?partition=3", 404),
        ("/topic/t/messages?partition=x", 400),
        ("/topic/t/messages?offset=-1", 400),
        ("/topic/t/messages?format=AVRO", 400),
        ("/topic/t/search-messages?searchText=(&regex=true", 400),
        ("/topic/t/search-messages?search=true&startTimestamp=soon", 400),
        ("/topic/t/search-messages?search=true&cursor=x", 400),
    ] {
        assert_eq!(visit.page(path).await.status, status, "{path}");
    }
    visit.stop().await;
}

#[tokio::test]
async fn other_names_of_this_machine_are_not_answered() {
    let visit = Visit::start().await;
    let rebound = visit.ask("GET", "/", &[("Host", "evil.example")], "").await;
    assert_eq!(rebound.status, 403);
    assert!(rebound.header("content-security-policy").is_some());
    assert_eq!(visit.ask("GET", "/", &[("Host", "localhost:1")], "").await.status, 200);
    visit.stop().await;
}

#[tokio::test]
async fn a_console_below_a_path_stays_there() {
    let visit = Visit::start_with(|settings| {
        settings.path = "/kafka/".to_owned();
        settings.writes = Writes::NONE;
    })
    .await;
    let page = visit.page("/kafka/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("href=\"/kafka/topic\"") && !page.body.contains("href=\"/topic"), "{}", page.body);
    assert_eq!(visit.page("/topic").await.status, 404);
    visit.stop().await;
}
