use thalweg_broker::config::NodeConfig;

use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.trim().split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}

fn composed(variables: &str) -> Settings {
    let read = |name: &str| match name {
        "creds" => Ok("hush\n".to_owned()),
        _ => Err("No such file".to_owned()),
    };
    let secrets = Secrets { dir: "/etc/kafka/secrets", read: &read };
    compose(&pairs(variables), Vec::new(), &secrets, "/data").expect("composed")
}

fn of<'a>(settings: &'a Settings, key: &str) -> Option<&'a str> {
    value_of(&settings.entries, key)
}

#[test]
fn names_of_variables_become_keys() {
    assert_eq!(property_of("KAFKA_NODE_ID", "1").as_deref(), Some("node.id"));
    assert_eq!(property_of("KAFKA_A_B__C___D", "1").as_deref(), Some("a.b_c-d"));
    assert_eq!(property_of("KAFKA_CFG_PROCESS_ROLES", "broker").as_deref(), Some("process.roles"));
    for (name, value) in [
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_SSL_KEYSTORE_FILENAME", "k.p12"),
        ("PATH", "/bin"),
        ("KAFKA_", ""),
    ] {
        assert_eq!(property_of(name, value), None, "{name}");
    }
}

#[test]
fn nothing_at_all_is_a_lone_node_on_every_interface() {
    let settings = composed("PATH=/bin");
    assert_eq!(of(&settings, "listeners"), Some("PLAINTEXT://:9092,CONTROLLER://:9093"));
    assert_eq!((of(&settings, "log.dirs"), &*settings.cluster_id), (Some("/data"), DEFAULT_CLUSTER_ID));
    let (config, notices) = NodeConfig::from_properties(&settings.entries, &[]).expect("a configuration");
    assert_eq!((config.node_id.0, notices), (1, Vec::new()));
}

#[test]
fn a_compose_file_of_the_image_of_apache_kafka_runs() {
    let settings = composed(
        "CLUSTER_ID=MkU3OEVBNTcwNTJENDM2Qk
         KAFKA_NODE_ID=3
         KAFKA_PROCESS_ROLES=broker,controller
         KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT
         KAFKA_CONTROLLER_QUORUM_VOTERS=3@broker:29093
         KAFKA_LISTENERS=PLAINTEXT://:19092,CONTROLLER://:29093,PLAINTEXT_HOST://:9092
         KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:19092,PLAINTEXT_HOST://localhost:9092
         KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT
         KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER
         KAFKA_LOG_DIRS=/tmp/kraft-combined-logs
         KAFKA_LOG4J_ROOT_LOGLEVEL=WARN",
    );
    assert_eq!(&*settings.cluster_id, "MkU3OEVBNTcwNTJENDM2Qk");
    assert_eq!((settings.log_level.as_deref(), settings.is_standalone), (Some("warn"), false));
    let (config, notices) = NodeConfig::from_properties(&settings.entries, &[]).expect("a configuration");
    assert_eq!((config.node_id.0, notices), (3, Vec::new()));
}

#[test]
fn variables_of_zookeepers_time_run_a_lone_node() {
    let settings = composed(
        "KAFKA_BROKER_ID=1
         KAFKA_ZOOKEEPER_CONNECT=zookeeper:2181
         KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:29092,PLAINTEXT_HOST://localhost:9092
         KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT
         KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT
         KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
    );
    assert_eq!(
        of(&settings, "listeners"),
        Some("PLAINTEXT://0.0.0.0:29092,PLAINTEXT_HOST://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093")
    );
    assert!(settings.is_standalone);
    let (config, _) = NodeConfig::from_properties(&settings.entries, &[]).expect("a configuration");
    assert_eq!(config.node_id.0, 1);

    let older =
        composed("KAFKA_ZOOKEEPER_CONNECT=zk:2181\nKAFKA_ADVERTISED_HOST_NAME=10.1.1.1\nKAFKA_ADVERTISED_PORT=9094");
    assert_eq!(of(&older, "advertised.listeners"), Some("PLAINTEXT://10.1.1.1:9094"));
}

#[test]
fn key_material_is_read_from_the_directory_for_secrets() {
    let settings = composed("KAFKA_NODE_ID=1\nKAFKA_SSL_KEYSTORE_FILENAME=k.p12\nKAFKA_SSL_KEYSTORE_CREDENTIALS=creds");
    assert_eq!(of(&settings, "ssl.keystore.location"), Some("/etc/kafka/secrets/k.p12"));
    assert_eq!(of(&settings, "ssl.keystore.password"), Some("hush"));
    let read = |_: &str| Err("No such file".to_owned());
    let secrets = Secrets { dir: "/s", read: &read };
    let refused =
        compose(&pairs("KAFKA_SSL_KEY_CREDENTIALS=gone"), Vec::new(), &secrets, "/data").expect_err("refused");
    assert_eq!(refused, "KAFKA_SSL_KEY_CREDENTIALS names /s/gone: No such file");
}

#[test]
fn what_a_controller_advertises_is_refused_unless_it_is_empty() {
    let read = |_: &str| Err(String::new());
    let with = |advertised: &str| {
        let variables = format!("KAFKA_PROCESS_ROLES=controller\nKAFKA_ADVERTISED_LISTENERS={advertised}");
        compose(&pairs(&variables), Vec::new(), &Secrets { dir: "", read: &read }, "/data").map(|_| ())
    };
    assert_eq!(with(""), Ok(()));
    assert!(with("PLAINTEXT://x:1").is_err());
}
