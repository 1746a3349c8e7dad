//! The language, the codec and the golden files, without any node.

use std::collections::BTreeSet;
use std::path::Path;

use crate::known::fits;
use crate::play::Pair;
use crate::schema::Schema;
use crate::value::{Value, differences, parse};
use crate::{codec, golden};

fn schema() -> Schema {
    Schema::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("the schema files")
}

#[test]
fn a_value_is_read_as_it_was_printed() {
    let text = r#"{topics=[{name="a b" id=<id> note="x\"y\\\nz"} {name=null ids=[1 -2 3]}] empty="" word="null"}"#;
    let value = parse(text).expect("a value");
    assert_eq!(value.line(), text);
    let long = Value::List(vec![value.clone(), value]);
    assert_eq!(parse(&long.lines(4)).expect("several lines"), long);
}

#[test]
fn a_path_goes_down_by_position_and_by_field() {
    let value = parse("{a=[{name=x.y b=[1 2]} {name=z b=[3]}]}").expect("a value");
    assert_eq!(value.at("a[name=x.y].b[1]"), Some(&Value::word(2)));
    assert_eq!(value.text_at("A[1].b[0]"), "3");
    assert_eq!(value.at("a[name=none].b"), None);
}

#[test]
fn messages_come_back_at_every_version() {
    let schema = schema();
    for message in schema.apis() {
        for version in message.versions.low..=message.versions.high {
            let mut bytes = Vec::new();
            codec::encode(message, version, &Value::Struct(Vec::new()), &mut bytes).expect("defaults");
            let (value, used) = codec::decode(message, version, &bytes).expect("what was encoded");
            assert_eq!(used, bytes.len(), "{} {version}", message.name());
            let mut again = Vec::new();
            codec::encode(message, version, &value, &mut again).expect("what was decoded");
            assert_eq!(again, bytes, "{} {version}", message.name());
        }
    }
}

#[test]
fn records_of_an_answer_are_shown_as_batches() {
    let schema = schema();
    let message = schema.message("FetchResponse").expect("a message");
    let batch = crate::batches::call(
        "batch",
        &crate::batches::Arguments { plain: &[Value::word(1)], named: &[("codec".to_owned(), Value::word("gzip"))] },
    )
    .expect("a batch");
    let asked = format!("{{responses=[{{topic=a partitions=[{{highWatermark=1 records={}}}]}}]}}", codec::hex(&batch));
    let mut bytes = Vec::new();
    codec::encode(message, 4, &parse(&asked).expect("a value"), &mut bytes).expect("an answer");
    let (value, _) = codec::decode(message, 4, &bytes).expect("what was encoded");
    let records = value.at("responses[0].partitions[0].records[0].records").expect("records");
    assert_eq!(records.line(), r#"["+0 +0ms key 0: value 0"]"#);
}

#[test]
fn golden_files_are_read_as_they_were_written() {
    let pair = |turn, version, answer: &str| Pair {
        turn,
        request: format!("Api field={turn}"),
        version,
        answer: parse(answer).expect("a value"),
    };
    let wide = format!("{{a=[{}]}}", "{name=one code=NONE} ".repeat(20));
    let pairs = [
        pair(1, Some(3), "{a=1}"),
        pair(1, Some(4), "{a=1}"),
        pair(1, Some(5), &wide),
        pair(2, None, "<closed>"),
        pair(3, Some(0), "{}"),
    ];
    let text = golden::print(&pairs);
    assert!(text.starts_with("Api field=1\n  3..4 {a=1}\n  5 {\n"), "{text}");
    assert_eq!(golden::parse(&text).expect("golden text"), pairs);
}

#[test]
fn a_difference_is_told_by_its_path() {
    let (a, b) = (parse("{x=[{y=1 z=2} {y=3}]}").expect("a"), parse("{x=[{y=1 z=4} {y=3}] w=5}").expect("b"));
    let mut found = Vec::new();
    differences(&a, &b, "", &mut found);
    let told: Vec<String> = found.iter().map(|(path, a, b)| format!("{path}: {a}, {b}")).collect();
    assert_eq!(told, ["x.z: 2, 4", "w: <nothing>, 5"]);
}

#[test]
fn a_star_stands_for_any_text() {
    assert!(fits("JoinGroup *", "JoinGroup groupId=a"));
    assert!(fits("*name=a*", "Metadata topics=[{name=a}]"));
    assert!(fits("*", ""));
    assert!(!fits("a*b", "abc") && !fits("a", "ab"));
}

/// The error codes in an answer.
fn codes(answer: &Value, found: &mut Vec<String>) {
    match answer {
        Value::Struct(fields) => {
            for (name, value) in fields {
                if name.to_ascii_lowercase().ends_with("errorcode") {
                    found.push(value.line());
                }
                codes(value, found);
            }
        }
        Value::List(values) => values.iter().for_each(|value| codes(value, found)),
        _ => {}
    }
}

#[test]
fn every_error_code_that_is_listed_as_asked_is_in_an_answer_of_kafkas() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut given = BTreeSet::new();
    for file in std::fs::read_dir(home.join("golden")).expect("golden files") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("a golden file");
        for pair in golden::parse(&text).expect("golden answers") {
            let api = pair.request.split(' ').find(|word| !word.starts_with('@')).unwrap_or_default().to_owned();
            let mut found = Vec::new();
            codes(&pair.answer, &mut found);
            given.extend(found.into_iter().map(|code| (api.clone(), code)));
        }
    }
    let listed = std::fs::read_to_string(home.join("errors.txt")).expect("the list");
    let mut missing = Vec::new();
    for line in listed.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").collect();
        match parts[..] {
            [api, codes] => {
                let unseen = codes.split(' ').filter(|code| !given.contains(&(api.to_owned(), (*code).to_owned())));
                missing.extend(unseen.map(|code| format!("{api} {code}")));
            }
            [_, _, _] => {}
            _ => panic!("an API and its codes are wanted: {line}"),
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
