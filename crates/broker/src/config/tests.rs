use thalweg_metadata::config::ConfigTable;

use super::support::{Support, support};
use super::*;

fn entries(text: &str) -> Vec<(String, String)> {
    thalweg_base::properties::parse(text)
}

const COMBINED: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
    controller.quorum.bootstrap.servers=127.0.0.1:9093\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\nlog.dirs=a,b\n";

#[test]
fn the_table_says_what_is_done_with_every_key() {
    for def in ConfigTable::BROKER.iter().filter(|def| !def.only_dynamic) {
        match support(def.name) {
            None => panic!("{} is not in support.tbl", def.name),
            Some(Support::Ignored(reason) | Support::Refused(reason)) => assert!(!reason.is_empty(), "{}", def.name),
            Some(Support::Honoured) => {}
        }
    }
}

#[test]
fn a_node_without_a_file_is_a_cluster_of_one_on_loopback() {
    let (config, notices) = NodeConfig::from_properties(&NodeConfig::default_entries(), &[]).expect("accepted");
    assert_eq!(notices, []);
    assert_eq!((config.node_id, config.roles), (NodeId(1), Roles { broker: true, controller: true }));
    let addresses: Vec<_> = config.network.broker_listeners().map(|l| (l.host.as_deref(), l.port)).collect();
    assert_eq!(addresses, [(Some("localhost"), 9092)]);
    assert_eq!(config.storage.directories(), [std::path::PathBuf::from("./thalweg-data")]);
}

#[test]
fn an_override_counts_over_the_file_and_the_last_of_two_lines_counts() {
    let file = entries(&format!("{COMBINED}num.partitions=2\nnum.partitions=3\nfetch.max.bytes=2000\n"));
    let overrides = [("fetch.max.bytes".to_owned(), "3000".to_owned())];
    let (config, _) = NodeConfig::from_properties(&file, &overrides).expect("accepted");
    assert_eq!((config.topics.num_partitions, config.fetch.max_bytes), (3, 3000));
}

#[test]
fn says_which_keys_have_no_effect() {
    let more = "num.replica.fetchers=1\ngroup.share.assignors=other\nzookeeper.connect=h:1\nmy.key=1\n\
        listener.name.plaintext.max.connections.per.ip=5\nrsm.config.a=b\n";
    let (_, notices) = NodeConfig::from_properties(&entries(&format!("{COMBINED}{more}")), &[]).expect("accepted");
    let texts: Vec<String> = notices.iter().map(ToString::to_string).collect();
    let expected = [
        "group.share.assignors has no effect here: there is one assignor",
        "listener.name.plaintext.max.connections.per.ip has no effect here: it counts for all listeners alike",
        "my.key is no known config and has no effect",
        "rsm.config.a has no effect here: tiered storage is not built yet",
        "zookeeper.connect is no known config and has no effect: Kafka 4.0 removed it",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn refuses_what_it_cannot_do() {
    let refusal = |more: &str| {
        NodeConfig::from_properties(&entries(&format!("{COMBINED}{more}")), &[]).map_err(|refused| refused.to_string())
    };
    assert_eq!(
        refusal("authorizer.class.name=org.example.Authorizer\n").unwrap_err(),
        "authorizer.class.name names the Java class org.example.Authorizer, and only \
         org.apache.kafka.metadata.authorizer.StandardAuthorizer can run here"
    );
    assert!(refusal("authorizer.class.name=\n").is_ok());
    let encrypted = "listeners=SSL://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\nsecurity.inter.broker.protocol=SSL\n\
        listener.security.protocol.map=SSL:SSL,CONTROLLER:PLAINTEXT\n";
    assert!(refusal(encrypted).is_ok());
}

/// The fixture is what Apache Kafka itself made of these files.
#[test]
fn takes_and_refuses_the_files_that_kafka_does_with_its_messages() {
    let mut wrong = Vec::new();
    for case in include_str!("testdata/nodes.txt").split("\n\n").filter(|case| case.contains("=> ")) {
        let (text, kafka) = case.rsplit_once("=> ").expect("a result");
        let ours = match NodeConfig::for_formatting(&entries(text)) {
            Ok(_) => "taken".to_owned(),
            Err(refused) => refused.java_text(),
        };
        if ours != kafka.trim_end() {
            wrong.push(format!("{text}  Kafka {kafka}\n  ours  {ours}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
