//! `kafka-console-consumer.sh`: prints the records of topics.

mod deserializer;
mod formatter;
mod settings;

use std::time::Duration;

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{Consumer, ConsumerRecord, Error, Start};
use thalweg_metadata::topic_name;
use thalweg_sys::time::{Instant, now};
use thalweg_wire::ErrorCode;

use crate::admin::{self, client_config, resolvable};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::BOOTSTRAP_SERVER;
use crate::out::Out;
use crate::signals::Signals;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use crate::topic_filter::IncludeList;
pub(crate) use formatter::{Formatter, of_line as formatter_of};
use settings::Settings;
pub(crate) use settings::{consumer_config, one_group};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "console-consumer",
    script: "kafka-console-consumer",
    classes: &["org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"],
    about: "Print the records of topics.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to read data from Kafka topics and outputs it to standard output.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning",
        "kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --partition 0 --offset 100 --max-messages 10",
        "kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --group billing --formatter-property print.key=true",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::Main,
    run,
};

const FORMATTER: &str = "How records are printed: print.timestamp, print.key, print.offset, print.delivery, print.epoch, print.partition, \
    print.headers, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, \
    value.deserializer, headers.deserializer.";

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("topic", "topic", "The topic."),
    value("include", "Java regex (String)", "A regular expression of topics."),
    value("partition", "partition", "One partition, from its end unless --offset says otherwise."),
    value("offset", "consume offset", "With --partition: an offset, earliest or latest. Default: latest."),
    value("consumer-property", "consumer_prop", "Deprecated: use --command-property."),
    value("command-property", "consumer_prop", "A property of the consumer, as key=value. May be repeated."),
    value("consumer.config", "config file", "Deprecated: use --command-config."),
    value("command-config", "config file", "A properties file for the consumer."),
    value(
        "formatter",
        "class",
        "The formatter: org.apache.kafka.tools.consumer.DefaultMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter; \
        for Kafka's own topics OffsetsMessageFormatter, GroupMetadataMessageFormatter, ShareGroupMessageFormatter, \
        TransactionLogMessageFormatter.",
    ),
    value("property", "prop", "Deprecated: use --formatter-property."),
    value("formatter-property", "prop", FORMATTER),
    value("formatter-config", "config file", "A properties file for the formatter."),
    flag("from-beginning", "From the first record on, where the group has no offset yet."),
    value("max-messages", "num_messages", "End after so many records."),
    value("timeout-ms", "timeout_ms", "End when no record has come for so long."),
    flag("skip-message-on-error", "Go on after a record that cannot be printed."),
    value("key-deserializer", "deserializer for keys", "A deserializer of Kafka for keys."),
    value("value-deserializer", "deserializer for values", "A deserializer of Kafka for values."),
    flag("enable-systest-events", "Print shutdown_complete in the end."),
    value("isolation-level", "String", "read_committed or read_uncommitted, which is the default."),
    value("group", "consumer group id", "The group. Without one, a group of its own without committed offsets."),
];

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// How long leaving the group may take.
const CLOSE_MAX: Duration = Duration::from_secs(30);

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let settings = settings::of_line(line, out)?;
    let result = admin::block_on(consume(line, &settings, out));
    end(line, result, LOGGER, out)
}

/// Says what went wrong, and that all is over if the line asks for it.
pub(crate) fn end(line: &Line, result: Result<(), Failure>, logger: &str, out: &mut Out) -> Result<(), Failure> {
    let ended = match result {
        Err(Failure::Thrown(thrown)) => {
            out.log_thrown("Unknown error when running consumer: ", &thrown, logger);
            Err(Failure::Exit(1))
        }
        other => other,
    };
    if line.has("enable-systest-events") {
        out.line("shutdown_complete");
    }
    ended
}

async fn consume(line: &Line, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let constructed = |cause: Thrown| {
        Thrown::caused_by("org.apache.kafka.common.KafkaException", "Failed to construct kafka consumer", cause)
    };
    let config = settings::consumer_config(&settings.consumer)?;
    let checked = client_config(&settings.consumer).map_err(constructed)?;
    resolvable(&checked.bootstrap, out).await.map_err(constructed)?;
    if !line.has("partition") && settings.is_classic() {
        out.error(
            "The consumer rebalance protocol (KIP-848) is production-ready! Set group.protocol=consumer to try it out. See \
             https://kafka.apache.org/documentation/#consumer_rebalance_protocol",
        );
    }
    let mut consumer = Consumer::new(config);
    if let Some(topic) = line.value("topic")?.filter(|topic| topic_name::validate(topic).is_err()) {
        return invalid_topic(topic, settings, out);
    }
    begin(line, settings, &mut consumer)?;
    let mut printer = Printer { settings, count: 0, rest: Vec::new().into_iter() };
    let printed = printer.print(line, &mut consumer, out).await;
    let mut first_unread = std::collections::BTreeMap::new();
    for record in printer.rest {
        first_unread.entry(TopicPartition::new(record.topic, record.partition)).or_insert(record.offset);
    }
    for (partition, offset) in first_unread {
        consumer.seek(&partition, Start::At(offset));
    }
    // What cannot be committed any more is read again by the next member.
    let _ = consumer.close(now() + CLOSE_MAX).await;
    out.error(format_args!("Processed a total of {} messages", printer.count));
    printed
}

/// Ends as Kafka's consumer does when brokers say that the name can be no topic's; the rule is the same here.
fn invalid_topic(topic: &str, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let property = |name: &str| settings.consumer.text(name).unwrap_or_default().to_owned();
    let (client, group) = (property("client.id"), property("group.id"));
    let text =
        format!("[Consumer clientId={client}, groupId={group}] Metadata response reported invalid topics [{topic}]");
    out.log("ERROR", text, "org.apache.kafka.clients.Metadata");
    let invalid = Thrown::of_code(ErrorCode::InvalidTopicException, Some(&format!("Invalid topics: [{topic}]")));
    out.log_thrown("Error processing message, terminating consumer process: ", &invalid, LOGGER);
    out.error("Processed a total of 0 messages");
    Ok(())
}

/// Subscribes, or assigns the one partition.
fn begin(line: &Line, settings: &Settings, consumer: &mut Consumer) -> Result<(), Failure> {
    let failed = |e: Error| Failure::Thrown(thrown(&e));
    if let Some(pattern) = line.value("include")? {
        let list = IncludeList::pattern(pattern)?;
        return consumer.subscribe_matching(move |name| list.allows(name, true)).map_err(failed);
    }
    let topic = line.value("topic")?.unwrap_or_default();
    let Some(partition) = line.number::<i32>("partition")? else {
        return consumer.subscribe([topic.to_owned()]).map_err(failed);
    };
    consumer.assign([(TopicPartition::new(topic, partition), settings.start)]);
    Ok(())
}

/// Prints records until there are enough of them.
struct Printer<'a> {
    settings: &'a Settings,
    count: u64,
    /// Records that were read and not printed.
    rest: std::vec::IntoIter<ConsumerRecord>,
}

/// What ends the waiting for records.
enum Wait {
    Records(Vec<ConsumerRecord>),
    Failed(Thrown),
    Signal(u8),
}

impl Printer<'_> {
    async fn print(&mut self, line: &Line, consumer: &mut Consumer, out: &mut Out) -> Result<(), Failure> {
        let max = line.number::<i32>("max-messages")?.unwrap_or(-1);
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        let mut signals = Signals::listen()?;
        while self.count < max {
            let Some(record) = self.rest.next() else {
                out.flush();
                match self.wait(consumer, &mut signals).await {
                    Wait::Records(records) => self.rest = records.into_iter(),
                    Wait::Failed(thrown) => {
                        out.log_thrown("Error processing message, terminating consumer process: ", &thrown, LOGGER);
                        return Ok(());
                    }
                    Wait::Signal(code) => return Err(Failure::Exit(code)),
                }
                continue;
            };
            self.count += 1;
            match self.settings.formatter.write(&record, None, out) {
                Err(thrown) if line.has("skip-message-on-error") => {
                    out.log_thrown("Error processing message, skipping this message: ", &thrown, LOGGER);
                }
                written => written?,
            }
            if out.is_broken() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn wait(&self, consumer: &mut Consumer, signals: &mut Signals) -> Wait {
        let deadline = self.settings.timeout.map(|timeout| now() + timeout);
        loop {
            let until = deadline.unwrap_or_else(|| now() + Duration::from_secs(3600));
            let polled = tokio::select! {
                biased;
                code = signals.exit_code() => return Wait::Signal(code),
                polled = consumer.poll(until) => polled,
            };
            match polled {
                Ok(records) if !records.is_empty() => return Wait::Records(records),
                Ok(_) if is_past(deadline) => {
                    let class = "org.apache.kafka.common.errors.TimeoutException".to_owned();
                    return Wait::Failed(Thrown { class, message: None, cause: None });
                }
                Ok(_) => {}
                Err(error) => return Wait::Failed(self.settings.thrown(&error)),
            }
        }
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= now())
}

/// What Kafka's consumer throws.
pub(crate) fn thrown(error: &Error) -> Thrown {
    match error {
        Error::NoOffset { partition } => {
            let class = "org.apache.kafka.clients.consumer.NoOffsetForPartitionException";
            let text = format!("Undefined offset with no reset policy for partitions: [{partition}]");
            Thrown::new(class, text)
        }
        other => crate::console_producer::thrown(other),
    }
}

/// Where an assigned partition begins.
fn start(offset: Option<&str>, from_beginning: bool) -> Result<Start, Failure> {
    let Some(text) = offset else { return Ok(if from_beginning { Start::Beginning } else { Start::End }) };
    match text.to_lowercase().as_str() {
        "earliest" => return Ok(Start::Beginning),
        "latest" => return Ok(Start::End),
        _ => {}
    }
    match text.parse::<i64>() {
        Ok(offset) if offset >= 0 => Ok(Start::At(Offset(offset))),
        _ => Err(Failure::Usage(format!(
            "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
        ))),
    }
}
