//! `kafka-verifiable-consumer.sh`: reads a topic as a member of a group and prints what happens, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use thalweg_base::{LeaderEpoch, Offset, TopicPartition};
use thalweg_client::{Consumer, ConsumerRecord, Properties, RebalanceListener};
use thalweg_sys::time::now;

use crate::admin::{self, block_on, client_config, resolvable};
use crate::argparse::{Command, Group, Kind, Parsed, flag, value};
use crate::console_consumer::{consumer_config, thrown};
use crate::failure::Failure;
use crate::out::Out;
use crate::signals::Signals;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};
use crate::verifiable_producer::event;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "verifiable-consumer",
    script: "kafka-verifiable-consumer",
    classes: &["org.apache.kafka.tools.VerifiableConsumer"],
    about: "Read a topic as a member of a group and print what happens, as JSON.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 1,
    empty_is_help: true,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::Main,
    run,
};

const PROGRAM: Command = Command {
    name: "verifiable-consumer",
    about: "Reads a topic as a member of a group, and prints each event as a line of JSON: partitions that come and go, records, commits.",
    options: &[
        value("topic", "TOPIC", "The topic.").required(),
        value("group-protocol", "GROUP-PROTOCOL", "classic, which is the default, or consumer."),
        value("group-remote-assignor", "GROUP-REMOTE-ASSIGNOR", "With consumer: the assignor of the coordinator."),
        value("group-id", "GROUP-ID", "The group.").required(),
        value("group-instance-id", "GROUP-INSTANCE-ID", "The name of a static member."),
        value("max-messages", "MAX-MESSAGES", "How many records; without end if -1, the default.").kind(Kind::Int),
        value("session-timeout", "TIMEOUT-MS", "With classic: how long the member may be silent.").kind(Kind::Int),
        flag("verbose", "Print each record."),
        flag("enable-autocommit", "Let the consumer commit by itself."),
        value("reset-policy", "RESET-POLICY", "earliest, which is the default, latest or none."),
        value("assignment-strategy", "ASSIGNMENT-STRATEGY", "With classic: the assignor. Default: range."),
        value("consumer.config", "CONFIG-FILE", "Deprecated: use --command-config."),
        value("command-config", "CONFIG-FILE", "A properties file for the consumer."),
    ],
    groups: &[Group {
        required: true,
        options: &[value("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "The brokers to begin with.")],
    }],
    ..Command::EMPTY
};

fn properties(parsed: &Parsed) -> Result<Properties, Thrown> {
    let file = parsed.value("command-config").or(parsed.value("consumer.config"));
    let mut properties = admin::properties_of(file)?;
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), None);
    let protocol = parsed.value("group-protocol").unwrap_or("classic");
    properties.set("group.protocol", &protocol.to_lowercase());
    properties.set("group.id", parsed.value("group-id").unwrap_or_default());
    if protocol.eq_ignore_ascii_case("classic") {
        let strategy = parsed.value("assignment-strategy").unwrap_or("range");
        properties.set("partition.assignment.strategy", strategy);
        if let Some(timeout) = parsed.value("session-timeout") {
            properties.set("session.timeout.ms", timeout);
        }
    } else if let Some(assignor) = parsed.value("group-remote-assignor") {
        properties.set("group.remote.assignor", assignor);
    }
    if let Some(instance) = parsed.value("group-instance-id") {
        properties.set("group.instance.id", instance);
    }
    properties.set("enable.auto.commit", if parsed.has("enable-autocommit") { "true" } else { "false" });
    properties.set("auto.offset.reset", parsed.value("reset-policy").unwrap_or("earliest"));
    Ok(properties)
}

const LOGGER: &str = "org.apache.kafka.tools.VerifiableConsumer";

/// What a listener was told and nobody has printed.
type Events = Arc<Mutex<Vec<(&'static str, Value)>>>;

struct Listener(Events);

fn named(partitions: &[TopicPartition]) -> Value {
    let partition = |partition: &TopicPartition| json!({"topic": &*partition.topic, "partition": partition.partition});
    json!({"partitions": partitions.iter().map(partition).collect::<Vec<_>>()})
}

impl RebalanceListener for Listener {
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.0.lock().push(("partitions_assigned", named(partitions)));
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, (Offset, LeaderEpoch)> {
        self.0.lock().push(("partitions_revoked", named(partitions)));
        BTreeMap::new()
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.0.lock().push(("partitions_revoked", named(partitions)));
    }
}

fn print_events(events: &Events, out: &mut Out) {
    for (name, fields) in std::mem::take(&mut *events.lock()) {
        event(name, fields, out);
    }
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let properties = properties(parsed)?;
    let config = consumer_config(&properties)?;
    block_on(async {
        resolvable(&client_config(&properties)?.bootstrap, out).await?;
        let events = Events::default();
        let mut consumer = Consumer::new(config);
        consumer.set_rebalance_listener(Listener(Arc::clone(&events)));
        event("startup_complete", json!({}), out);
        consumer.subscribe([parsed.value("topic").unwrap_or_default()]).map_err(|e| thrown(&e))?;
        let ended = consume(parsed, &mut consumer, &events, out).await;
        if let Err(Failure::Thrown(thrown)) = &ended {
            out.log_thrown("Error during processing, terminating consumer process: ", thrown, LOGGER);
        }
        if matches!(ended, Err(Failure::Exit(_))) {
            event("shutdown_requested", json!({}), out);
        }
        // What cannot be committed any more is read again by the next member.
        let _ = consumer.close(now() + Duration::from_secs(30)).await;
        print_events(&events, out);
        event("shutdown_complete", json!({}), out);
        if ended.is_ok() {
            event("shutdown_requested", json!({}), out);
        }
        match ended {
            Err(Failure::Thrown(_)) => Ok(()),
            ended => ended,
        }
    })
}

async fn consume(parsed: &Parsed, consumer: &mut Consumer, events: &Events, out: &mut Out) -> Result<(), Failure> {
    let max = parsed.number::<i32>("max-messages").and_then(|max| usize::try_from(max).ok());
    let mut signals = Signals::listen()?;
    let mut consumed = 0;
    while max.is_none_or(|max| consumed < max) {
        let polled = tokio::select! {
            biased;
            code = signals.exit_code() => return Err(Failure::Exit(code)),
            polled = consumer.poll_for(Duration::from_millis(500)) => polled.map_err(|e| thrown(&e))?,
        };
        print_events(events, out);
        if polled.is_empty() {
            continue;
        }
        let left = max.map_or(usize::MAX, |max| max - consumed);
        let offsets = received(parsed, &polled, left, &mut consumed, out);
        if !parsed.has("enable-autocommit") {
            commit(consumer, &offsets, out).await;
        }
    }
    Ok(())
}

/// Prints the records of a poll, `left` of them at most; gives the offsets behind them.
fn received(
    parsed: &Parsed,
    polled: &[ConsumerRecord],
    mut left: usize,
    consumed: &mut usize,
    out: &mut Out,
) -> BTreeMap<TopicPartition, (Offset, LeaderEpoch)> {
    let mut partitions: BTreeMap<TopicPartition, Vec<&ConsumerRecord>> = BTreeMap::new();
    for record in polled {
        partitions.entry(TopicPartition::new(Arc::clone(&record.topic), record.partition)).or_default().push(record);
    }
    let mut offsets = BTreeMap::new();
    let mut summaries = Vec::new();
    for (partition, mut records) in partitions {
        records.truncate(left);
        let (Some(first), Some(last)) = (records.first(), records.last()) else { break };
        summaries.push(json!({
            "topic": &*partition.topic,
            "partition": partition.partition,
            "count": records.len(),
            "minOffset": first.offset.0,
            "maxOffset": last.offset.0,
        }));
        offsets.insert(partition, (Offset(last.offset.0 + 1), LeaderEpoch::NONE));
        if parsed.has("verbose") {
            records.iter().for_each(|record| print_record(record, out));
        }
        left -= records.len();
        *consumed += records.len();
    }
    event("records_consumed", json!({"count": polled.len(), "partitions": summaries}), out);
    offsets
}

/// Prints a record as an event of its own.
pub(crate) fn print_record(record: &ConsumerRecord, out: &mut Out) {
    let text = |part: &Option<bytes::Bytes>| part.as_ref().map(|part| String::from_utf8_lossy(part).into_owned());
    let fields = json!({
        "key": text(&record.key),
        "value": text(&record.value),
        "topic": &*record.topic,
        "partition": record.partition,
        "offset": record.offset.0,
    });
    event("record_data", fields, out);
}

async fn commit(consumer: &mut Consumer, offsets: &BTreeMap<TopicPartition, (Offset, LeaderEpoch)>, out: &mut Out) {
    let deadline = consumer.client().api_deadline();
    let committed = consumer.commit_offsets(offsets, deadline).await;
    let offset = |(partition, (offset, _)): (&TopicPartition, &(Offset, LeaderEpoch))| json!({"topic": &*partition.topic, "partition": partition.partition, "offset": offset.0});
    let mut fields = json!({"offsets": offsets.iter().map(offset).collect::<Vec<_>>()});
    if let Err(error) = &committed {
        fields["error"] = json!(thrown(error).text());
    }
    fields["success"] = json!(committed.is_ok());
    event("offsets_committed", fields, out);
}
