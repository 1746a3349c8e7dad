//! The topics in which coordinators keep their state: how they are created, and when they cannot be.

use bytestring::ByteString;
use thalweg_metadata::topic_name::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};

use crate::config::{GroupsConfig, NodeConfig, ShareConfig, TransactionsConfig};

/// A topic that is created because a client has asked about it: with the broker's defaults, or as an internal topic has to
/// be.
pub(crate) fn creatable(name: ByteString, config: &NodeConfig) -> CreatableTopic {
    match &*name {
        CONSUMER_OFFSETS => offsets_topic(name, &config.groups),
        TRANSACTION_STATE => transactions_topic(name, &config.transactions),
        SHARE_GROUP_STATE => share_topic(name, &config.share),
        _ => CreatableTopic { name, num_partitions: -1, replication_factor: -1, ..CreatableTopic::default() },
    }
}

/// The settings that make an internal topic impossible, or useless, in a cluster of so many brokers.
pub(crate) fn impossible(config: &NodeConfig, brokers: usize) -> Vec<String> {
    let (groups, transactions) = (&config.groups, &config.transactions);
    let mut found = Vec::new();
    let factors = [
        ("offsets.topic.replication.factor", groups.offsets_topic_replication_factor, CONSUMER_OFFSETS, "groups"),
        (
            "transaction.state.log.replication.factor",
            transactions.topic_replication_factor,
            TRANSACTION_STATE,
            "transactions",
        ),
    ];
    for (key, factor, topic, what) in factors {
        if usize::try_from(factor).is_ok_and(|factor| factor > brokers) {
            found.push(format!(
                "{key} is {factor} and there are {brokers} brokers: {topic} cannot be created, and {what} do not work, \
                 before there are as many"
            ));
        }
    }
    if transactions.topic_min_isr > i32::from(transactions.topic_replication_factor) {
        found.push(format!(
            "transaction.state.log.min.isr is {}, more than transaction.state.log.replication.factor ({}): transactions do \
             not work",
            transactions.topic_min_isr, transactions.topic_replication_factor
        ));
    }
    found
}

/// The topic in which groups are kept.
fn offsets_topic(name: ByteString, groups: &GroupsConfig) -> CreatableTopic {
    let segment_bytes = groups.offsets_topic_segment_bytes.to_string();
    let configs = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", &segment_bytes)];
    CreatableTopic {
        name,
        num_partitions: groups.offsets_topic_num_partitions,
        replication_factor: groups.offsets_topic_replication_factor,
        configs: configs.into_iter().map(topic_config).collect(),
        ..CreatableTopic::default()
    }
}

/// The topic in which transactions are kept.
fn transactions_topic(name: ByteString, transactions: &TransactionsConfig) -> CreatableTopic {
    let segment_bytes = transactions.topic_segment_bytes.to_string();
    let min_isr = transactions.topic_min_isr.to_string();
    let configs = [
        ("unclean.leader.election.enable", "false"),
        ("compression.type", "uncompressed"),
        ("cleanup.policy", "compact"),
        ("min.insync.replicas", &min_isr),
        ("segment.bytes", &segment_bytes),
    ];
    CreatableTopic {
        name,
        num_partitions: transactions.topic_num_partitions,
        replication_factor: transactions.topic_replication_factor,
        configs: configs.into_iter().map(topic_config).collect(),
        ..CreatableTopic::default()
    }
}

/// The topic in which the state of share groups is kept. What nobody needs any more is deleted, not compacted.
fn share_topic(name: ByteString, share: &ShareConfig) -> CreatableTopic {
    let segment_bytes = share.topic_segment_bytes.to_string();
    let min_isr = share.topic_min_isr.to_string();
    let configs = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("compression.type", "producer"),
        ("segment.bytes", &segment_bytes),
        ("min.insync.replicas", &min_isr),
    ];
    CreatableTopic {
        name,
        num_partitions: share.topic_num_partitions,
        replication_factor: share.topic_replication_factor,
        configs: configs.into_iter().map(topic_config).collect(),
        ..CreatableTopic::default()
    }
}

fn topic_config((name, value): (&str, &str)) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: Some(value.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_small_cluster_cannot_meet_are_named() {
        let config = |more: &[(&str, &str)]| {
            let overrides: Vec<_> = more.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
            NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("it is valid").0
        };
        let ones = [("offsets.topic.replication.factor", "1"), ("transaction.state.log.replication.factor", "1")];
        let fitting = config(&[ones[0], ones[1], ("transaction.state.log.min.isr", "1")]);
        assert_eq!(impossible(&fitting, 1), Vec::<String>::new());
        let kafka = config(&[
            ("offsets.topic.replication.factor", "3"),
            ("transaction.state.log.replication.factor", "3"),
            ("transaction.state.log.min.isr", "2"),
        ]);
        assert_eq!(impossible(&kafka, 1).len(), 2);
        assert_eq!(impossible(&kafka, 3), Vec::<String>::new());
        let unreachable = config(&[ones[0], ones[1], ("transaction.state.log.min.isr", "2")]);
        assert_eq!(impossible(&unreachable, 3).len(), 1);
    }
}
