use super::*;

#[test]
fn every_topic_config_has_a_description_and_a_default_that_it_takes() {
    for def in ConfigTable::TOPIC.iter().filter(|def| !def.internal) {
        assert!(!def.doc.is_empty(), "{} has no description", def.name);
        let text = def.default_text().expect("a default");
        assert_eq!(def.parse(text).map(|value| value.to_text()), Ok(text.to_owned()), "{}", def.name);
    }
}
