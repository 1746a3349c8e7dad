//! DescribeConfigs and IncrementalAlterConfigs.

use m::describe_configs_request::DescribeConfigsResource;
use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_wire::messages as m;

use crate::pair::Pair;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn describe(asked: &[(i8, &str)], keys: Option<&[&str]>, all: bool) -> m::DescribeConfigsRequest {
    m::DescribeConfigsRequest {
        resources: asked
            .iter()
            .map(|(kind, name)| DescribeConfigsResource {
                resource_type: *kind,
                resource_name: (*name).into(),
                configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
            })
            .collect(),
        include_synonyms: all,
        // Descriptions are our own words.
        include_documentation: false,
    }
}

pub(crate) fn described(pair: &mut Pair) {
    pair.all("nothing", |_| describe(&[], None, true));
    for all in [false, true] {
        for kind in [0, 1, 3, 5, TOPIC, BROKER, LOGGER, METRICS, GROUP, 64, -1] {
            for name in ["", "1", "one", "none", "a b", "2", "-1", "g"] {
                if kind == LOGGER && name == "1" {
                    continue;
                }
                pair.all(&format!("{kind} {name:?} {all}"), |_| describe(&[(kind, name)], None, all));
            }
        }
        pair.all("twice", |_| describe(&[(TOPIC, "one"), (TOPIC, "one")], None, all));
        pair.all("compacted", |_| describe(&[(TOPIC, "compacted")], None, all));
        for keys in [&[][..], &["retention.ms"], &["no.such"], &["retention.ms", "cleanup.policy", "x"]] {
            pair.all(&format!("keys {keys:?}"), |_| describe(&[(TOPIC, "one"), (BROKER, "1")], Some(keys), all));
        }
    }
}

type Change<'a> = (&'a str, i8, Option<&'a str>);

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is tried with every resource.
const CHANGES: &[&[Change<'static>]] = &[
    &[],
    &[("retention.ms", SET, Some("1000"))],
    &[("retention.ms", SET, Some("x"))],
    &[("retention.ms", SET, None)],
    &[("retention.ms", DELETE, None)],
    &[("retention.ms", DELETE, Some("x"))],
    &[("retention.ms", APPEND, Some("1"))],
    &[("retention.ms", SUBTRACT, Some("1"))],
    &[("cleanup.policy", APPEND, Some("compact"))],
    &[("cleanup.policy", APPEND, Some("delete"))],
    &[("cleanup.policy", APPEND, Some("wrong"))],
    &[("cleanup.policy", APPEND, None)],
    &[("cleanup.policy", SUBTRACT, Some("compact"))],
    &[("cleanup.policy", SUBTRACT, Some("delete"))],
    &[("cleanup.policy", SUBTRACT, None)],
    &[("no.such", SET, Some("1"))],
    &[("no.such", DELETE, None)],
    &[("no.such", APPEND, Some("1"))],
    &[("", SET, Some("1"))],
    &[("retention.ms", 4, Some("1"))],
    &[("retention.ms", -1, Some("1"))],
    &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))],
    &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
    &[("retention.ms", SET, Some("1")), ("no.such", SET, Some("2"))],
    &[("log.retention.ms", SET, Some("1000"))],
    &[("log.cleaner.threads", SET, Some("2"))],
    &[("log.cleaner.threads", SET, Some("200"))],
    &[("log.dirs", SET, Some("x"))],
    &[("node.id", SET, Some("5"))],
    &[("num.io.threads", SET, Some("5"))],
    &[("num.io.threads", SET, Some("0"))],
    &[("min.insync.replicas", SET, Some("1"))],
    &[("min.insync.replicas", DELETE, None)],
    &[("min.insync.replicas", SET, Some("0"))],
    &[("message.max.bytes", SET, Some("2000000"))],
    &[("leader.replication.throttled.rate", SET, Some("1000"))],
    &[("log.cleanup.policy", APPEND, Some("compact"))],
    &[("listeners", SET, Some("PLAINTEXT://127.0.0.1:1"))],
    &[("advertised.listeners", SET, Some("PLAINTEXT://127.0.0.1:1"))],
    &[("metrics", SET, Some("org.apache.kafka."))],
    &[("interval.ms", SET, Some("100"))],
    &[("interval.ms", SET, Some("10"))],
    &[("match", SET, Some("client_id=a"))],
    &[("match", SET, Some("bad"))],
    &[("consumer.session.timeout.ms", SET, Some("45000"))],
    &[("consumer.session.timeout.ms", SET, Some("1"))],
    &[("consumer.heartbeat.interval.ms", SET, Some("5000"))],
    &[("consumer.assignor.offload.enable", SET, Some("true"))],
    &[("share.delivery.count.limit", SET, Some("100"))],
    &[("share.record.lock.duration.ms", SET, Some("1000"))],
    &[("streams.num.standby.replicas", SET, Some("50"))],
    &[("consumer.heartbeat.interval.ms", SET, Some("15000")), ("consumer.session.timeout.ms", SET, Some("45000"))],
    &[("num.io.threads", SET, Some("100"))],
    &[("num.io.threads", SET, Some("3"))],
    &[("max.connections.per.ip", SET, Some("0"))],
    &[("log.retention.ms", SET, Some("0"))],
    &[("match", SET, Some("client_id=(a"))],
    &[("match", SET, Some("client_id=a=b"))],
    &[("org.apache.kafka.none", SET, Some("INFO"))],
    &[("root", DELETE, None)],
    &[("root", 9, Some("INFO"))],
    &[("root", SET, Some("NOISY"))],
    &[("root", APPEND, Some("INFO"))],
];

fn alter(resources: &[(i8, &str, &[Change<'_>])], validate_only: bool) -> m::IncrementalAlterConfigsRequest {
    m::IncrementalAlterConfigsRequest {
        resources: resources
            .iter()
            .map(|(kind, name, changes)| AlterConfigsResource {
                resource_type: *kind,
                resource_name: (*name).into(),
                configs: changes
                    .iter()
                    .map(|(name, operation, value)| AlterableConfig {
                        name: (*name).into(),
                        config_operation: *operation,
                        value: value.map(Into::into),
                    })
                    .collect(),
            })
            .collect(),
        validate_only,
    }
}

pub(crate) fn altered(pair: &mut Pair) {
    let resources =
        [(TOPIC, "one"), (TOPIC, "none"), (TOPIC, "a b"), (TOPIC, ""), (BROKER, "1"), (BROKER, ""), (BROKER, "2")];
    let more = [
        (BROKER, "x"),
        (METRICS, "m"),
        (METRICS, ""),
        (GROUP, "g"),
        (GROUP, ""),
        (LOGGER, "2"),
        (0, "x"),
        (1, "x"),
        (64, "x"),
    ];
    for (kind, name) in resources.into_iter().chain(more) {
        for changes in CHANGES {
            pair.all(&format!("{kind} {name:?} {changes:?}"), |_| alter(&[(kind, name, changes)], true));
        }
    }
    let retention: &[Change<'_>] = &[("retention.ms", SET, Some("99999"))];
    pair.all("nothing", |_| alter(&[], false));
    pair.all("twice", |_| alter(&[(TOPIC, "one", retention), (TOPIC, "one", retention)], true));
    pair.all("twice and another", |_| {
        alter(&[(TOPIC, "one", retention), (TOPIC, "three", retention), (TOPIC, "one", &[])], true)
    });
    pair.all("good and bad", |_| alter(&[(TOPIC, "one", retention), (TOPIC, "none", retention)], true));
    pair.all("good and bad of all kinds", |_| {
        alter(
            &[(TOPIC, "one", retention), (64, "x", retention), (BROKER, "x", retention), (GROUP, "g", retention)],
            true,
        )
    });
    pair.last("for good", |_| alter(&[(TOPIC, "one", retention)], false));
    pair.last("for good, a broker", |_| alter(&[(BROKER, "1", &[("log.cleaner.threads", SET, Some("2"))])], false));
    pair.last("for good, all brokers", |_| {
        alter(&[(BROKER, "", &[("message.max.bytes", SET, Some("1048589"))])], false)
    });
    pair.last("for good, a group", |_| {
        alter(&[(GROUP, "g", &[("consumer.session.timeout.ms", SET, Some("46000"))])], false)
    });
    pair.last("for good, metrics", |_| alter(&[(METRICS, "m", &[("interval.ms", SET, Some("1000"))])], false));
}
