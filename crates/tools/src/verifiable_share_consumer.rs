//! `kafka-verifiable-share-consumer.sh`: reads a topic as a member of a share group and prints what happens, as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_base::Offset;
use thalweg_client::{Properties, ShareConsumer, ShareRecord};
use thalweg_sys::time::now;

use crate::admin::{self, Admin, AlterConfig, Resource, ResourceKind, block_on, client_config, resolvable};
use crate::argparse::{Command, Group, Kind, Parsed, flag, value};
use crate::console_consumer::{consumer_config, thrown};
use crate::failure::Failure;
use crate::out::Out;
use crate::signals::Signals;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};
use crate::verifiable_consumer::print_record;
use crate::verifiable_producer::event;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "verifiable-share-consumer",
    script: "kafka-verifiable-share-consumer",
    classes: &["org.apache.kafka.tools.VerifiableShareConsumer"],
    about: "Read a topic as a member of a share group and print what happens, as JSON.",
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
    name: "verifiable-share-consumer",
    about: "Reads a topic as a member of a share group, and prints each event as a line of JSON: records, acknowledgements.",
    options: &[
        value("topic", "TOPIC", "The topic.").required(),
        value("group-id", "GROUP-ID", "The share group.").required(),
        value("max-messages", "MAX-MESSAGES", "How many records; without end if -1, the default.").kind(Kind::Int),
        flag("verbose", "Print each record."),
        value("acknowledgement-mode", "ACKNOWLEDGEMENT-MODE", "auto, which is the default, sync or async."),
        value("offset-reset-strategy", "OFFSET-RESET-STRATEGY", "Let the group begin at earliest or latest."),
        value("command-config", "CONFIG-FILE", "A properties file for the consumer."),
    ],
    groups: &[Group {
        required: true,
        options: &[value("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "The brokers to begin with.")],
    }],
    ..Command::EMPTY
};

const LOGGER: &str = "org.apache.kafka.tools.VerifiableShareConsumer";
/// How long leaving the group may take.
const CLOSE_MAX: Duration = Duration::from_secs(30);

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let mode = parsed.value("acknowledgement-mode").unwrap_or("auto").to_uppercase();
    if !["AUTO", "SYNC", "ASYNC"].contains(&mode.as_str()) {
        let class = "org.apache.kafka.tools.VerifiableShareConsumer.AcknowledgementMode";
        return Err(Thrown::illegal_argument(format!("No enum constant {class}.{mode}")).into());
    }
    let file = parsed.value("command-config");
    let properties = admin::properties_of(file);
    let mut properties = properties.map_err(|e| Failure::Usage(e.text().to_owned()))?;
    properties.set("group.id", parsed.value("group-id").unwrap_or_default());
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), None);
    let config = consumer_config(&properties)?;
    block_on(async {
        resolvable(&client_config(&properties)?.bootstrap, out).await?;
        let mut consumer = ShareConsumer::new(config).map_err(|e| thrown(&e))?;
        event("startup_complete", json!({}), out);
        let mut ended = set_reset_strategy(parsed, &properties, out).await;
        if ended.is_ok() {
            consumer.subscribe([parsed.value("topic").unwrap_or_default()]);
            ended = consume(parsed, &mut consumer, out).await;
        }
        if let Err(Failure::Thrown(thrown)) = &ended {
            out.log_thrown("Error during processing, terminating share consumer process: ", thrown, LOGGER);
        }
        // What cannot be said any more is delivered again when its lock has ended.
        let _ = consumer.close(now() + CLOSE_MAX).await;
        event("shutdown_complete", json!({}), out);
        match ended {
            Err(Failure::Thrown(_)) => Ok(()),
            ended => ended,
        }
    })
}

/// Lets the group begin where the line says, if it says something.
async fn set_reset_strategy(parsed: &Parsed, properties: &Properties, out: &mut Out) -> Result<(), Failure> {
    let strategy = parsed.value("offset-reset-strategy").unwrap_or_default().to_lowercase();
    if strategy.is_empty() {
        return Ok(());
    }
    let admin = Admin::connect(properties, out).await?;
    let group = parsed.value("group-id").unwrap_or_default().to_owned();
    let change = AlterConfig { name: "share.auto.offset.reset".to_owned(), value: Some(strategy.clone()) };
    admin.alter_configs(&Resource { kind: ResourceKind::Group, name: group }, &[change]).await?;
    event("offset_reset_strategy_set", json!({"offsetResetStrategy": strategy}), out);
    Ok(())
}

/// Offsets by topic and partition.
type Offsets = BTreeMap<(String, i32), BTreeSet<Offset>>;

async fn consume(parsed: &Parsed, consumer: &mut ShareConsumer, out: &mut Out) -> Result<(), Failure> {
    let max = parsed.number::<i32>("max-messages").and_then(|max| usize::try_from(max).ok());
    let mut signals = Signals::listen()?;
    let mut acknowledged = 0;
    while max.is_none_or(|max| acknowledged < max) && !out.is_broken() {
        let records = tokio::select! {
            biased;
            code = signals.exit_code() => return Err(Failure::Exit(code)),
            polled = consumer.poll(now() + Duration::from_secs(5)) => polled.map_err(|e| thrown(&e))?,
        };
        if records.is_empty() {
            continue;
        }
        let offsets = received(parsed, &records, out);
        // Whatever the mode, the brokers are told before the next poll, so that one event says what became of one poll.
        let deadline = now() + CLOSE_MAX;
        let committed = consumer.commit(deadline).await;
        let mut fields = json!({"count": records.len(), "partitions": summaries(&offsets)});
        if let Err(error) = &committed {
            fields["error"] = json!(thrown(error).text());
        }
        fields["success"] = json!(committed.is_ok());
        event("offsets_acknowledged", fields, out);
        if committed.is_ok() {
            acknowledged += records.len();
        }
    }
    Ok(())
}

fn summaries(offsets: &Offsets) -> Value {
    let partition = |((topic, partition), offsets): (&(String, i32), &BTreeSet<Offset>)| {
        let offsets: Vec<i64> = offsets.iter().map(|offset| offset.0).collect();
        json!({"topic": topic, "partition": partition, "count": offsets.len(), "offsets": offsets})
    };
    offsets.iter().map(partition).collect()
}

/// Prints the records of a poll; gives their offsets.
fn received(parsed: &Parsed, records: &[ShareRecord], out: &mut Out) -> Offsets {
    let mut offsets = Offsets::new();
    for ShareRecord { record, .. } in records {
        offsets.entry((record.topic.to_string(), record.partition)).or_default().insert(record.offset);
        if parsed.has("verbose") {
            print_record(record, out);
        }
    }
    event("records_consumed", json!({"count": records.len(), "partitions": summaries(&offsets)}), out);
    offsets
}
