//! Scripts of Kafka for what Thalweg does not have. Each says so in a line, and fails.

use crate::out::Out;
use crate::tool::{Grammar, Tool};

const CONNECT: &str = "Thalweg has no Kafka Connect: run Apache Kafka's, with bootstrap.servers at this cluster.";

/// `connect-distributed.sh`.
pub(crate) const CONNECT_DISTRIBUTED: Tool =
    absent("connect-distributed", &["org.apache.kafka.connect.cli.ConnectDistributed"], |_, out| refuse(CONNECT, out));
/// `connect-standalone.sh`.
pub(crate) const CONNECT_STANDALONE: Tool =
    absent("connect-standalone", &["org.apache.kafka.connect.cli.ConnectStandalone"], |_, out| refuse(CONNECT, out));
/// `connect-mirror-maker.sh`.
pub(crate) const CONNECT_MIRROR_MAKER: Tool =
    absent("connect-mirror-maker", &["org.apache.kafka.connect.mirror.MirrorMaker"], |_, out| {
        refuse(CONNECT, out);
        // The exit code of Kafka's when its line is wrong.
        255
    });
/// `connect-plugin-path.sh`.
pub(crate) const CONNECT_PLUGIN_PATH: Tool =
    absent("connect-plugin-path", &["org.apache.kafka.tools.ConnectPluginPath"], |_, out| refuse(CONNECT, out));
/// `kafka-jmx.sh`.
pub(crate) const JMX: Tool = Tool {
    script: "kafka-jmx",
    ..absent("jmx", &["org.apache.kafka.tools.JmxTool", "kafka.tools.JmxTool"], |_, out| {
        refuse("Thalweg has no JMX: its metrics are at /metrics of thalweg.http.listen (docs/operations.md).", out)
    })
};
/// `trogdor.sh`.
pub(crate) const TROGDOR: Tool = absent("trogdor", &["org.apache.kafka.trogdor.coordinator.Coordinator"], |_, out| {
    refuse("Thalweg has no Trogdor: run Apache Kafka's against this cluster.", out)
});

const fn absent(script: &'static str, classes: &'static [&'static str], run: fn(&[String], &mut Out) -> u8) -> Tool {
    let about = "Says that Thalweg does not have this.";
    Tool { name: script, script, classes, about, run, grammar: Grammar::Words }
}

fn refuse(text: &str, out: &mut Out) -> u8 {
    out.error(text);
    1
}
