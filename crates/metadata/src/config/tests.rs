use super::*;

#[test]
fn every_config_has_a_description_and_a_default_that_it_takes() {
    let tables = [ConfigTable::TOPIC, ConfigTable::BROKER, ConfigTable::GROUP, ConfigTable::CLIENT_METRICS];
    for def in tables.into_iter().flat_map(ConfigTable::iter) {
        assert!(def.internal || def.doc.ends_with('.'), "{} has no description", def.name);
        if let Some(text) = def.default_text() {
            assert_eq!(def.parse(text).map(|value| value.to_text()), Ok(text.to_owned()), "{}", def.name);
        }
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

fn map(entries: &[(&str, &str)]) -> ConfigMap {
    entries.iter().map(|(name, text)| (Arc::from(*name), Arc::from(*text))).collect()
}

/// The node that the fixtures of `DescribeConfigs` were recorded on.
struct Node {
    dynamic_node: ConfigMap,
    dynamic_cluster: ConfigMap,
    static_node: ConfigMap,
}

impl Node {
    fn recorded() -> Self {
        Self {
            dynamic_node: map(&[("log.flush.interval.ms", "99"), ("log.segment.bytes", "4194304")]),
            dynamic_cluster: map(&[
                ("leader.replication.throttled.rate", "1000"),
                ("log.retention.ms", "777"),
                ("message.max.bytes", "3000000"),
                ("min.insync.replicas", "1"),
            ]),
            static_node: map(&[
                ("broker.id", "1"),
                ("compression.type", "zstd"),
                ("controller.listener.names", "CONTROLLER"),
                ("controller.quorum.bootstrap.servers", "127.0.0.1:19393"),
                ("listener.name.plaintext.ssl.keystore.password", "hush"),
                ("listeners", "PLAINTEXT://127.0.0.1:19392,CONTROLLER://127.0.0.1:19393"),
                ("log.cleanup.policy", "compact, delete"),
                ("log.dirs", "thalweg-data"),
                ("log.initial.task.delay.ms", "1000"),
                ("log.retention.hours", "24"),
                ("log.roll.ms", "3600000"),
                ("log.segment.bytes", "2097152"),
                ("message.max.bytes", "2000000"),
                ("node.id", "1"),
                ("offsets.topic.replication.factor", "1"),
                ("process.roles", "broker,controller"),
                ("some.unknown.key", "value"),
                ("ssl.keystore.password", "secret"),
            ]),
        }
    }

    fn configs(&self) -> BrokerConfigs<'_> {
        BrokerConfigs {
            dynamic_node: &self.dynamic_node,
            dynamic_cluster: &self.dynamic_cluster,
            static_node: &self.static_node,
        }
    }
}

/// Entries as the fixtures write them.
fn text(entries: &[Entry]) -> String {
    let source = |source: Source| match source {
        Source::Topic => "DYNAMIC_TOPIC_CONFIG",
        Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        Source::StaticBroker => "STATIC_BROKER_CONFIG",
        Source::Default => "DEFAULT_CONFIG",
        Source::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
        Source::Group => "DYNAMIC_GROUP_CONFIG",
        Source::BrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
    };
    let kinds = ["UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"];
    let line = |entry: &Entry| {
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|s| format!("{}:{}={}", source(s.source), s.name, s.value.as_deref().unwrap_or("null")))
            .collect();
        let flags = format!(
            "{}{}",
            if entry.is_sensitive { "sensitive " } else { "" },
            if entry.read_only { "read-only " } else { "" }
        );
        let columns = [
            entry.name.clone(),
            entry.value.as_ref().map_or("null".to_owned(), |value| format!("\"{value}\"")),
            source(entry.source).to_owned(),
            kinds[usize::try_from(entry.kind_code).expect("a type")].to_owned(),
            flags,
            synonyms.join("; "),
        ];
        columns.join(" | ").trim_end().to_owned() + "\n"
    };
    entries.iter().map(line).collect()
}

#[test]
fn describes_a_topic_as_kafka_does() {
    let node = Node::recorded();
    let plain = describe_topic(&ConfigMap::new(), &node.configs()).expect("valid configs");
    assert_eq!(text(&plain), include_str!("testdata/describe_topic_plain.txt"));
    let overrides = map(&[("cleanup.policy", "delete"), ("max.message.bytes", "1000"), ("retention.ms", "5000")]);
    let tuned = describe_topic(&overrides, &node.configs()).expect("valid configs");
    assert_eq!(text(&tuned), include_str!("testdata/describe_topic_tuned.txt"));
}

#[test]
fn a_new_topic_is_answered_with_its_configs_as_they_were_written() {
    let node = Node::recorded();
    let overrides = map(&[("retention.ms", " 5000 ")]);
    let entries = effective_topic_configs(&overrides, &node.configs()).expect("valid configs");
    let shown = |name: &str| {
        let entry = entries.iter().find(|entry| entry.name == name).expect(name);
        (entry.value.clone().unwrap_or_default(), entry.source)
    };
    assert_eq!(shown("cleanup.policy"), ("compact, delete".to_owned(), Source::StaticBroker));
    assert_eq!(shown("retention.ms"), (" 5000 ".to_owned(), Source::Topic));
    assert_eq!(shown("segment.ms"), ("3600000".to_owned(), Source::StaticBroker));
    assert_eq!(shown("preallocate"), ("false".to_owned(), Source::Default));
}

#[test]
fn describes_a_broker_as_kafka_does() {
    let node = Node::recorded();
    let entries = describe_broker(&node.configs()).expect("valid configs");
    let recorded = include_str!("testdata/describe_broker.txt");
    for (ours, kafka) in text(&entries).lines().zip(recorded.lines()) {
        assert_eq!(ours, kafka);
    }
    assert_eq!(entries.len(), recorded.lines().count());
    assert_eq!(
        text(&describe_broker_defaults(&node.dynamic_cluster)),
        include_str!("testdata/describe_broker_default.txt")
    );
}

#[test]
fn a_topic_takes_its_own_value_then_the_brokers_then_the_default() {
    let node = Node::recorded();
    let config = TopicConfig::resolve(&map(&[("segment.ms", "10")]), &node.configs()).expect("valid configs");
    let expected = TopicConfig {
        cleanup_policy: CleanupPolicy { delete: true, compact: true },
        compression_type: TopicCompression::Zstd,
        flush_ms: 99,
        max_message_bytes: 3_000_000,
        retention_ms: 777,
        segment_bytes: 4_194_304,
        segment_ms: 10,
        ..TopicConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn hours_and_minutes_of_the_broker_become_milliseconds() {
    let none = ConfigMap::new();
    let retention = |static_node: ConfigMap| {
        let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &static_node };
        TopicConfig::resolve(&none, &broker).map(|config| config.retention_ms)
    };
    assert_eq!(retention(map(&[("log.retention.hours", "2")])), Ok(7_200_000));
    assert_eq!(retention(map(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")])), Ok(180_000));
    assert_eq!(retention(map(&[("log.retention.ms", "-7")])), Ok(-1));
}

#[test]
fn refuses_topic_configs_that_contradict_each_other() {
    let none = ConfigMap::new();
    let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &none };
    let refusal = |new: &[(&str, &str)], tiering: bool| {
        validate_topic(&none, &map(new), &broker, tiering).map_err(|error| error.to_string())
    };
    assert_eq!(refusal(&[("nothing", "1")], false), Err("Unknown topic config name: nothing".to_owned()));
    assert_eq!(
        refusal(&[("min.compaction.lag.ms", "5"), ("max.compaction.lag.ms", "4")], false),
        Err("conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)".to_owned())
    );
    assert!(refusal(&[("remote.storage.enable", "true")], false).unwrap_err().starts_with("Tiered Storage"));
    assert_eq!(
        refusal(&[("remote.storage.enable", "true"), ("local.retention.ms", "700000000")], true),
        Err("Invalid value 700000000 for configuration local.retention.ms: \
             Value must not be more than retention.ms property value: 604800000"
            .to_owned())
    );
    assert_eq!(refusal(&[("remote.storage.enable", "true"), ("local.retention.ms", "5")], true), Ok(()));
}
