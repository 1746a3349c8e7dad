use bytes::Bytes;
use thalweg_base::Timestamp;
use thalweg_metadata::image::{DelegationToken, ScramCredential};

use super::commands::{self, Next, ONE, Place, TYPED, Typing};
use super::{glob, interactive, load, text, tree};
use crate::out::Out;

/// The metadata log of a node of Apache Kafka 4.3.1.
fn log() -> load::Loaded {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-4.3.1/metadata/00000000000000000000.log");
    load::load(path).expect("the log of Kafka")
}

#[test]
fn the_tree_is_that_of_kafkas_shell() {
    let loaded = log();
    let root = tree::of_image(loaded.image.visible());
    let mut lines = Vec::new();
    root.child("image").expect("an image").lines(0, &mut |line| lines.push(line));
    let expected = include_str!("../../tests/fixtures/kafka-4.3.1/metadata/tree-image.txt");
    // Kafka's shell shows the quotas of a default without name and content.
    let default = lines.iter().position(|line| line == "  clientId(<default>):").expect("the default of clients");
    let ours: Vec<String> = lines.drain(default..default + 3).collect();
    assert_eq!(ours[1..], ["    consumer_byte_rate:", "      5.0"]);
    assert_eq!(lines, expected.lines().filter(|line| *line != "  :").collect::<Vec<_>>());
}

#[test]
fn globs_find_names_in_their_order() {
    let loaded = log();
    let root = tree::of_image(loaded.image.visible());
    let found = |directory: &str, path: &str| {
        glob::find(&root, directory, path).iter().map(glob::Found::absolute).collect::<Vec<_>>()
    };
    assert_eq!(found("/", "image/t*/by?ame/*"), ["/image/topics/byName/a.b_c", "/image/topics/byName/orders"]);
    assert_eq!(found("/image", "{scram,acls}"), ["/image/acls", "/image/scram"]);
    assert_eq!(found("/image/acls", "../../local/./version"), ["/local/version"]);
    assert_eq!(found("/", "../.."), ["/"]);
    for nothing in ["/image/topics/byName/a.b.c", "/local/version/x", "/{image", "/image/\\*"] {
        assert_eq!(found("/", nothing), [""; 0], "{nothing}");
    }
}

#[test]
fn a_line_moves_the_place_or_ends_the_shell() {
    let loaded = log();
    let root = tree::of_image(loaded.image.visible());
    let mut place = Place::new(&root);
    let history = [(0, "pwd".to_owned())];
    let typing = Typing { columns: Some(80), history: &history };
    let run = |line: &str, place: &mut Place| {
        commands::run(&TYPED, &interactive::words(line), place, Some(&typing), &mut Out::default())
    };
    assert_eq!(run("cd image/topics/byName", &mut place), Next::Go);
    assert_eq!(place.directory(), "/image/topics/byName");
    assert_eq!(run("cd orders/id", &mut place), Next::Go);
    assert_eq!(place.directory(), "/image/topics/byName", "a file is no directory");
    assert_eq!(run("cd", &mut place), Next::Go);
    assert_eq!(place.directory(), "/");
    assert_eq!(run("", &mut place), Next::Go);
    assert_eq!(run("exit", &mut place), Next::Exit);
    let one = commands::run(&ONE, &["exit".to_owned()], &mut place, None, &mut Out::default());
    assert_eq!(one, Next::Go, "only a shell ends");
}

#[test]
fn quotation_marks_keep_blanks_together() {
    assert_eq!(interactive::words(r#" ls  "a b" c\ d '"' "#), ["ls", "a b", "c d", "\""]);
    assert_eq!(interactive::words("  "), [""; 0]);
    assert_eq!(interactive::words("cd ''"), ["cd", ""]);
}

#[test]
fn names_stand_in_as_many_columns_as_fit() {
    let names: Vec<String> = ["acls", "cluster", "configs", "features", "scram"].map(str::to_owned).to_vec();
    assert_eq!(commands::column_widths(&names, 80), [6, 9, 9, 10, 7]);
    assert_eq!(commands::column_widths(&names, 30), [9, 10, 7]);
    assert_eq!(commands::column_widths(&names, 7), [0]);
}

#[test]
fn secrets_are_shown_as_kafkas_shell_does() {
    let credential = ScramCredential {
        salt: Bytes::from_static(b"\x01\xff"),
        stored_key: Bytes::from_static(b"a"),
        server_key: Bytes::from_static(b"b"),
        iterations: 4096,
    };
    assert_eq!(text::scram(&credential), "ScramCredentialData(salt=01ff, storedKey=61, serverKey=62, iterations=4096)");
    let token = DelegationToken {
        owner: "User:a".into(),
        requester: "User:b".into(),
        renewers: vec!["User:c".into(), "User:d".into()],
        issue_timestamp: Timestamp(1),
        max_timestamp: Timestamp(2),
        expiration_timestamp: Timestamp(3),
    };
    assert_eq!(
        text::token("t", &token),
        "DelegationTokenDatatokenId=t(owner=User:a(tokenRequester=User:b(renewers=User:c User:d, issueTimestamp=1, \
         maxTimestamp=2), expiryTimestamp=3"
    );
}
