//! ACLs, quotas and users are changed; visitors log in; what is masked is seen by nobody.

use serde_json::json;
use thalweg_base::base64;
use thalweg_console::{LogIn, Masks, Users, Writes};

use crate::visit::Visit;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_are_created_and_deleted_after_a_dry_run() {
    let properties = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:ANONYMOUS"),
    ];
    let visit = Visit::start_on(&properties, |settings| settings.writes = Writes::ALL).await;
    let acl = "resourceType=TOPIC&name=orders&patternType=LITERAL&principal=User:alice&host=*&operation=READ\
               &permissionType=ALLOW";
    let dry = visit.form("/acl", &[], acl).await;
    assert!(dry.status == 200 && dry.body.contains("User:alice is allowed READ."), "{}", dry.body);
    assert_eq!(visit.document("/acl").await, json!([]));
    let done = visit.form("/api/v1/acls", &[], &format!("{acl}&confirm=User:alice")).await;
    assert_eq!((done.status, &done.json()["done"]), (200, &json!(true)));
    let listed = json!([{
        "name": "orders", "resourceType": "TOPIC", "patternType": "LITERAL", "principal": "User:alice", "host": "*",
        "operation": "READ", "permissionType": "ALLOW",
    }]);
    assert_eq!(visit.document("/acl").await, listed);
    assert!(visit.page("/acl?filter=ali").await.body.contains("<td>User:alice</td>"));
    assert_eq!(visit.document("/acl?filter=bob").await, json!([]));
    let twice = visit.form("/acl", &[], acl).await;
    assert!(twice.body.contains("nothing changes"), "{}", twice.body);
    assert_eq!(visit.form("/acl/delete", &[], &format!("{acl}&confirm=User:bob")).await.status, 400);
    assert_eq!(visit.form("/acl/delete", &[], &format!("{acl}&confirm=User:alice")).await.status, 303);
    assert_eq!(visit.document("/acl").await, json!([]));
    assert_eq!(visit.form("/acl/delete", &[], acl).await.status, 404);
    let wrong = visit.form("/acl", &[], &acl.replace("READ", "JUGGLE")).await;
    assert!(wrong.status == 400 && wrong.body.contains("operation must be one of ALL, READ"), "{}", wrong.body);
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_set_and_removed_after_a_dry_run() {
    let visit = Visit::start().await;
    let quota = "user=alice&clientId=%3Cdefault%3E&key=producer_byte_rate";
    let dry = visit.form("/quota", &[], &format!("{quota}&value=1000")).await;
    assert!(dry.body.contains("becomes 1000."), "{}", dry.body);
    assert_eq!(visit.document("/quota").await["quotas"], json!([]));
    let confirm = "confirm=user+alice,+client-id+%3Cdefault%3E";
    assert_eq!(visit.form("/quota", &[], &format!("{quota}&value=1000&{confirm}")).await.status, 303);
    let listed = visit.document("/quota").await;
    assert_eq!(
        (&listed["quotas"][0]["key"], &listed["quotas"][0]["value"]),
        (&json!("producer_byte_rate"), &json!(1000.0))
    );
    assert!(visit.page("/quota").await.body.contains("client-id &#60;default&#62;"));
    for wrong in ["value=1000", "user=alice&key=producer_byte_rate&value=much", "user=alice&ip=1.2.3.4&key=x&value=1"] {
        assert_eq!(visit.form("/quota", &[], wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(visit.form("/quota", &[], &format!("{quota}&{confirm}")).await.status, 303);
    assert_eq!(visit.document("/quota").await["quotas"], json!([]));
    assert_eq!(visit.form("/quota", &[], quota).await.status, 404);
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_passwords_that_no_page_repeats() {
    let visit = Visit::start().await;
    let user = "name=alice&mechanism=SCRAM-SHA-256&password=topsecret";
    let dry = visit.form("/user", &[], user).await;
    assert!(dry.body.contains("User alice can log in by SCRAM-SHA-256."), "{}", dry.body);
    assert!(!dry.body.contains("topsecret") && dry.body.contains("type=\"password\""), "{}", dry.body);
    assert_eq!(visit.form("/user", &[], &format!("{user}&confirm=alice")).await.status, 303);
    let listed = json!([{ "name": "alice", "mechanism": "SCRAM-SHA-256", "iterations": 4096 }]);
    assert_eq!(visit.document("/user").await["users"], listed);
    assert_eq!(visit.form("/user", &[], "name=bob&mechanism=SCRAM-SHA-256&confirm=bob").await.status, 400);
    assert_eq!(visit.form("/user", &[], &format!("{user}&iterations=1&confirm=alice")).await.status, 400);
    let gone = "name=alice&mechanism=SCRAM-SHA-256&confirm=alice";
    assert_eq!(visit.form("/user/delete", &[], gone).await.status, 303);
    assert_eq!(visit.document("/user").await["users"], json!([]));
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_log_in_and_readers_only_look() {
    let users = Users::parse("user_ann=secret\nreader_bob=word").expect("users");
    let visit = Visit::start_with(|settings| {
        settings.writes = Writes::ALL;
        settings.login = LogIn::Users(users);
    })
    .await;
    let stranger = visit.page("/").await;
    assert_eq!((stranger.status, stranger.header("www-authenticate").is_some()), (401, true));
    assert!(!stranger.body.contains("Brokers"), "{}", stranger.body);
    assert_eq!(visit.page("/health_check").await.status, 200);
    let wrong = basic("ann", "Secret");
    let found = visit.ask("GET", "/api/v1/topics", &[("Authorization", &wrong)], "").await;
    assert_eq!(found.status, 401);
    let (ann, bob) = (basic("ann", "secret"), basic("bob", "word"));
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let topic = "name=made&partitionsNumber=1&replicationFactor=1";
    let refused = visit.ask("POST", "/topic", &[kind, ("Authorization", &bob)], topic).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(visit.ask("GET", "/topic/create", &[("Authorization", &bob)], "").await.status, 200);
    assert_eq!(visit.ask("POST", "/topic", &[kind, ("Authorization", &ann)], topic).await.status, 303);
    let seen = visit.ask("GET", "/api/v1/topics/made", &[("Authorization", &bob)], "").await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    visit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_masked_is_neither_shown_nor_found_nor_downloaded() {
    let masks = Masks::new(["people:json=card.no"]).expect("rules");
    let visit = Visit::start_with(|settings| settings.masks = masks).await;
    visit.create("people", 1).await;
    visit.create("others", 1).await;
    let value = r#"{"card":{"no":"4111","kind":"gold"}}"#;
    visit.write("people", 0, &[value, "4111 in plain text"]).await;
    visit.write("others", 0, &[value]).await;
    for path in [
        "/topic/people/messages?partition=0&offset=0&count=10",
        "/topic/people/messages?partition=0&offset=0&count=10&format=HEX",
        "/topic/people/newest",
        "/topic/people/allmessages",
        "/topic/people/record?partition=0&offset=0",
        "/topic/people/record?partition=0&offset=1",
        "/topic/people/search-messages?search=true&searchText=gold",
    ] {
        let page = visit.page(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("4111") && !page.body.contains("34313131"), "{path}: {}", page.body);
    }
    let found = visit.page("/topic/people/search-messages?searchText=4111").await;
    assert!(found.body.contains("Nothing found, and every offset was read."), "{}", found.body);
    let raw = visit.page("/topic/people/download?as=raw").await.chunked();
    assert!(raw.contains("gold") && !raw.contains("4111"), "{raw}");
    assert!(visit.page("/topic/others/newest").await.body.contains("4111"));
    visit.stop().await;
}
