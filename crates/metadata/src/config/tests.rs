use super::*;

#[test]
fn every_topic_config_has_a_description_and_a_default_that_it_takes() {
    for def in ConfigTable::TOPIC.iter().filter(|def| !def.internal) {
        assert!(!def.doc.is_empty(), "{} has no description", def.name);
        let text = def.default_text().expect("a default");
        assert_eq!(def.parse(text).map(|value| value.to_text()), Ok(text.to_owned()), "{}", def.name);
    }
}

/// The fixture is what Apache Kafka itself made of these values.
#[test]
fn takes_and_refuses_the_values_that_kafka_does_with_its_messages() {
    let mut wrong = Vec::new();
    for line in include_str!("testdata/values.txt").lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.splitn(4, " | ").collect();
        let [scope, name, text, kafka] = columns[..] else { panic!("not four columns: {line}") };
        let table = match scope {
            "topic" => ConfigTable::TOPIC,
            "broker" => ConfigTable::BROKER,
            _ => ConfigTable::GROUP,
        };
        let ours = match table.get(name).expect(name).parse(text) {
            Ok(value) if value == Value::Password(text.trim().to_owned()) => "= [hidden]".to_owned(),
            Ok(value) => format!("= {}", value.to_text()),
            Err(error) => format!("! {error}"),
        };
        // Kafka fails with something else than a refusal on a port out of range: we refuse it.
        if ours != kafka && !kafka.starts_with("! not a refusal") {
            wrong.push(format!("{scope} {name} {text:?}\n  Kafka {kafka}\n  ours  {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
