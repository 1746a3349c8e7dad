//! `kafka-console-share-consumer.sh`: prints the records that a share group gives this member (KIP-932).

use std::time::Duration;

use thalweg_client::{Acknowledge, Properties, ShareConsumer, ShareRecord};
use thalweg_sys::time::now;

use crate::admin::{self, block_on, client_config, resolvable};
use crate::console_consumer::{Formatter, consumer_config, end, formatter_of, one_group, thrown};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, key_values, value};
use crate::options::{BOOTSTRAP_SERVER, exclusive, warn_deprecated};
use crate::out::Out;
use crate::signals::Signals;
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
        exclusive(line, old, new)?;
        warn_deprecated(line, old, new, out);
    }
    let properties = properties(line)?;
    let formatter = formatter_of(line, out)?;
    let result = block_on(consume(line, &properties, &formatter, out));
    end(line, result, LOGGER, out)
}

/// The consumer's properties. The group may be named in several places, which must agree.
fn properties(line: &Line) -> Result<Properties, Failure> {
    let path = line.value("command-config")?.or(line.value("consumer-config")?);
    let mut properties = admin::properties_of(path)?;
    let mut given = key_values(line.values("consumer-property"));
    given.extend(key_values(line.values("command-property")));
    let of_property = given.iter().rev().find(|(key, _)| key == "group.id").map(|(_, value)| value.as_str());
    let named = [line.value("group")?, properties.get("group.id"), of_property];
    let group = one_group(named, "consumer-config")?;
    for (key, value) in &given {
        properties.set(key, value);
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "console-share-consumer");
    properties.set("group.id", group.as_deref().unwrap_or("share"));
    Ok(properties)
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
        let mut signals = Signals::listen()?;
        while self.count < max {
            out.flush();
            let deadline = now() + timeout.map_or(Duration::from_secs(3600), Duration::from_millis);
            let polled = tokio::select! {
                biased;
                code = signals.exit_code() => return Err(Failure::Exit(code)),
                polled = consumer.poll(deadline) => polled,
            };
            match polled {
                Ok(records) if records.is_empty() && timeout.is_some() => {
                    let class = "org.apache.kafka.common.errors.TimeoutException".to_owned();
                    let thrown = Thrown { class, message: None, cause: None };
                    out.log_thrown("Error processing message, terminating consumer process: ", &thrown, LOGGER);
                    return Ok(());
                }
                Ok(records) => {
                    for record in &records {
                        self.one(record, max, consumer, out)?;
                    }
                }
                Err(error) => {
                    out.log_thrown("Error processing message, terminating consumer process: ", &thrown(&error), LOGGER);
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
                out.log_thrown("Error processing message, rejecting this message: ", &thrown, LOGGER);
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
