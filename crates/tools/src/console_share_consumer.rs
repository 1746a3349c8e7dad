//! `kafka-console-share-consumer.sh`: prints the records that a share group gives this member (KIP-932).

use std::time::Duration;

use thalweg_client::{Acknowledge, Properties, ShareConsumer, ShareRecord};
use thalweg_sys::time::now;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{self, block_on, client_config, resolvable};
use crate::console_consumer::{Formatter, consumer_config, formatter_of, thrown};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, key_values, value};
use crate::options::BOOTSTRAP_SERVER;
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "console-share-consumer",
    script: "kafka-console-share-consumer",
    classes: &["org.apache.kafka.tools.consumer.ConsoleShareConsumer"],
    about: "Print the records of a topic as a member of a share group.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str =
    "This tool helps to read data from Kafka topics using share groups and outputs it to standard output.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-console-share-consumer --bootstrap-server localhost:9092 --topic tasks --group jobs",
        "kafka-console-share-consumer --bootstrap-server localhost:9092 --topic tasks --group jobs --release --max-messages 1",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::Main,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("topic", "topic", "The topic."),
    value("group", "share group id", "The share group. Default: share."),
    value("consumer-property", "consumer_prop", "Deprecated: use --command-property."),
    value("command-property", "consumer_prop", "A property of the consumer, as key=value. May be repeated."),
    value("consumer-config", "config file", "Deprecated: use --command-config."),
    value("command-config", "config file", "A properties file for the consumer."),
    value("formatter", "class", "The formatter; see kafka-console-consumer."),
    value("property", "prop", "Deprecated: use --formatter-property."),
    value("formatter-property", "prop", "How records are printed; see kafka-console-consumer. May be repeated."),
    value("formatter-config", "config file", "A properties file for the formatter."),
    value("max-messages", "num_messages", "End after so many records."),
    value("timeout-ms", "timeout_ms", "End when no record has come for so long."),
    flag("reject", "Reject the records: they are not delivered again."),
    flag("release", "Release the records: another delivery is tried."),
    flag("reject-message-on-error", "Reject a record that cannot be printed, and go on."),
    value("key-deserializer", "deserializer for keys", "A deserializer of Kafka for keys."),
    value("value-deserializer", "deserializer for values", "A deserializer of Kafka for values."),
    flag("enable-systest-events", "Print shutdown_complete in the end."),
];

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
/// How long leaving the group may take.
const CLOSE_MAX: Duration = Duration::from_secs(30);

fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if !line.has("topic") {
        return usage("--topic is a required argument");
    }
    line.require(&["bootstrap-server"])?;
    if line.has("reject") && line.has("release") {
        return usage("At most one of --reject and --release may be specified.");
    }
    for (old, new) in [("consumer-property", "command-property"), ("consumer-config", "command-config")] {
        if line.has(old) && line.has(new) {
            return usage(format!("Options --{old} and --{new} cannot be specified together."));
        }
        if line.has(old) {
            out.line(format_args!(
                "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            ));
        }
    }
    let properties = properties(line)?;
    let formatter = formatter_of(line, out)?;
    let result = block_on(consume(line, &properties, &formatter, out));
    let ended = match result {
        Err(Failure::Thrown(thrown)) => {
            log("Unknown error when running consumer: ", &thrown, out);
            Err(Failure::Exit(1))
        }
        other => other,
    };
    if line.has("enable-systest-events") {
        out.line("shutdown_complete");
    }
    ended
}

/// The consumer's properties. The group may be named in several places, which must agree.
fn properties(line: &Line) -> Result<Properties, Failure> {
    let path = line.value("command-config")?.or(line.value("consumer-config")?);
    let mut properties = admin::properties_of(path)?;
    let mut given = key_values(line.values("consumer-property"));
    given.extend(key_values(line.values("command-property")));
    let mut groups: Vec<String> = Vec::new();
    let of_property = given.iter().rev().find(|(key, _)| key == "group.id").map(|(_, value)| value.as_str());
    for group in [line.value("group")?, properties.get("group.id"), of_property].into_iter().flatten() {
        if !groups.iter().any(|other| other == group) {
            groups.push(group.to_owned());
        }
    }
    if groups.len() > 1 {
        let shown: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer-config') do not match. Detected group ids: {}",
            shown.join(", ")
        ));
    }
    for (key, value) in &given {
        properties.set(key, value);
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "console-share-consumer");
    properties.set("group.id", groups.first().map_or("share", String::as_str));
    Ok(properties)
}

fn log(text: &str, thrown: &Thrown, out: &mut Out) {
    out.log("ERROR", text, LOGGER);
    out.error(thrown.trace().trim_end_matches('\n'));
}

async fn consume(line: &Line, properties: &Properties, formatter: &Formatter, out: &mut Out) -> Result<(), Failure> {
    let constructed = |cause: Thrown| {
        let text = "Failed to construct Kafka share consumer";
        Thrown::caused_by("org.apache.kafka.common.KafkaException", text, cause)
    };
    let config = consumer_config(properties)?;
    let checked = client_config(properties).map_err(constructed)?;
    resolvable(&checked.bootstrap, out).await.map_err(constructed)?;
    let mut consumer = ShareConsumer::new(config).map_err(|e| thrown(&e))?;
    consumer.subscribe([line.value("topic")?.unwrap_or_default()]);
    let mut printer = Printer { line, formatter, count: 0 };
    let printed = printer.print(&mut consumer, out).await;
    // What cannot be said any more is delivered again when its lock has ended.
    let _ = consumer.close(now() + CLOSE_MAX).await;
    out.error(format_args!("Processed a total of {} messages", printer.count));
    printed
}

/// Prints records until there are enough of them.
struct Printer<'a> {
    line: &'a Line,
    formatter: &'a Formatter,
    count: u64,
}

impl Printer<'_> {
    async fn print(&mut self, consumer: &mut ShareConsumer, out: &mut Out) -> Result<(), Failure> {
        let max = self.line.number::<i32>("max-messages")?.unwrap_or(-1);
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        let timeout = self.line.number::<i32>("timeout-ms")?.and_then(|ms| u64::try_from(ms).ok());
        let listen = |kind| signal(kind).map_err(|e| Failure::Message(format!("cannot listen to signals: {e}")));
        let mut signals: [Signal; 2] = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?];
        while self.count < max {
            out.flush();
            let [interrupt, terminate] = &mut signals;
            let deadline = now() + timeout.map_or(Duration::from_secs(3600), Duration::from_millis);
            let polled = tokio::select! {
                biased;
                _ = interrupt.recv() => return Err(Failure::Exit(130)),
                _ = terminate.recv() => return Err(Failure::Exit(143)),
                polled = consumer.poll(deadline) => polled,
            };
            match polled {
                Ok(records) if records.is_empty() && timeout.is_some() => {
                    let class = "org.apache.kafka.common.errors.TimeoutException".to_owned();
                    let thrown = Thrown { class, message: None, cause: None };
                    log("Error processing message, terminating consumer process: ", &thrown, out);
                    return Ok(());
                }
                Ok(records) => {
                    for record in &records {
                        self.one(record, max, consumer, out)?;
                    }
                }
                Err(error) => {
                    log("Error processing message, terminating consumer process: ", &thrown(&error), out);
                    return Ok(());
                }
            }
            if out.is_broken() {
                out.error("Unable to write to standard out, closing consumer.");
                return Ok(());
            }
        }
        Ok(())
    }

    /// Prints a record; one that is too many is released.
    fn one(
        &mut self,
        record: &ShareRecord,
        max: u64,
        consumer: &mut ShareConsumer,
        out: &mut Out,
    ) -> Result<(), Failure> {
        if self.count >= max || out.is_broken() {
            consumer.acknowledge(record, Acknowledge::Release);
            return Ok(());
        }
        self.count += 1;
        let how = match (self.line.has("reject"), self.line.has("release")) {
            (true, _) => Acknowledge::Reject,
            (_, true) => Acknowledge::Release,
            _ => Acknowledge::Accept,
        };
        match self.formatter.write(&record.record, Some(record.delivery_count), out) {
            Ok(()) => consumer.acknowledge(record, how),
            Err(thrown) if self.line.has("reject-message-on-error") => {
                log("Error processing message, rejecting this message: ", &thrown, out);
                consumer.acknowledge(record, Acknowledge::Reject);
            }
            Err(thrown) => {
                consumer.acknowledge(record, Acknowledge::Release);
                return Err(thrown.into());
            }
        }
        Ok(())
    }
}
