//! `thalweg consume`: reads topics in the way of kcat and rpk. Kafka has no such tool.

mod format;
mod range;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use thalweg_base::{Offset, Timestamp, TopicPartition};
use thalweg_client::{
    Client, Consumer, ConsumerConfig, ConsumerRecord, Destination, Error, Isolation, OffsetSpec, Properties, Start,
};
use thalweg_sys::time::{now, wall_clock_ms};
use thalweg_wire::messages::MetadataRequest;

use crate::admin::block_on;
use crate::argparse::{Command, Kind, Parsed, flag, value};
use crate::envelope;
use crate::failure::Failure;
use crate::out::Out;
use crate::plain::{BOOTSTRAP_SERVER, COMMAND_CONFIG, PROPERTY, failed, properties, time, unescaped};
use crate::signals::Signals;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};
use format::{Format, LETTERS};
use range::From;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "consume",
    script: "thalweg-consume",
    classes: &[],
    about: "Read topics in the way of kcat: format strings, JSON, the last records, a span of time.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 0,
    empty_is_help: true,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::Message,
    run,
};

const PROGRAM: Command = Command {
    name: "thalweg consume",
    about: "Reads topics and prints each record's value on a line, until Ctrl-C. Without --group it belongs to no group and commits \
        nothing.",
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        PROPERTY,
        value("partition", "N[,N...]", "These partitions only. May be repeated.").short('p').repeated(),
        value(
            "offset",
            "WHERE",
            "Where to begin: beginning (the default), end, an offset, -N for the last N records of each partition, @TIME for the first \
             record not older, or stored for what the group has committed. TIME is in milliseconds, 2026-12-01, \
             2026-12-01T08:00:00Z, or -2h for two hours ago.",
        )
        .short('o'),
        value("last", "N", "The last N records of each partition: the same as --offset -N.").kind(Kind::Long),
        value("from", "TIME", "From the first record that is not older: the same as --offset @TIME."),
        value("until", "TIME", "Up to the first record that is as new, or the end; then end."),
        flag("exit", "End at what was the end of the partitions when it began.").short('e'),
        value("count", "N", "End after N records.").short('c').kind(Kind::Long),
        value("group", "GROUP", "Read as a member of a group, and commit.").short('g'),
        flag("regex", "TOPIC is a regular expression that must match the whole name.").short('r'),
        value("format", "FORMAT", "How a record is printed; the letters are below.").short('f'),
        flag("json", "Print each record as a line of JSON with the fields of kcat.").short('J'),
        value("key-delimiter", "TEXT", "Print the key and this text before each value.").short('K'),
        value("delimiter", "TEXT", "What stands behind each record. Default: \\n").short('D'),
        value("null", "TEXT", "What a missing key or value is printed as. Default: nothing.").short('Z'),
        flag("read-committed", "Leave out records of transactions that are open or were aborted."),
    ],
    words: "TOPIC [TOPIC ...]",
    words_min: 1,
    notes: LETTERS,
    examples: &[
        "thalweg consume orders -e -f '%t %p %o %k %v\\n'",
        "thalweg consume orders --last 10 --json -e | jq .payload",
        "thalweg consume orders --from -2h --until -1h -p 0",
        "thalweg consume orders --group billing -c 100",
    ],
    ..Command::EMPTY
};

/// How often it looks whether the end is reached although nothing came.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long leaving the group may take.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What the line says, read.
struct Settings {
    from: Option<From>,
    until: Option<Timestamp>,
    partitions: BTreeSet<i32>,
    count: u64,
    form: Form,
    null: Vec<u8>,
    pattern: Option<Regex>,
}

/// How records are printed.
enum Form {
    Json,
    Format(Format),
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

fn settings(parsed: &Parsed) -> Result<Settings, Failure> {
    let now = Timestamp(wall_clock_ms());
    let exclusive = |options: &[&str]| {
        let given: Vec<String> =
            options.iter().filter(|name| parsed.has(name)).map(|name| format!("--{name}")).collect();
        if given.len() > 1 { Err(wrong(format!("{} exclude each other", given.join(" and ")))) } else { Ok(()) }
    };
    exclusive(&["offset", "last", "from"])?;
    exclusive(&["format", "json", "key-delimiter"])?;
    exclusive(&["format", "json", "delimiter"])?;
    exclusive(&["group", "partition"])?;
    let from = match (parsed.value("offset"), parsed.number::<i64>("last"), parsed.value("from")) {
        (Some(text), ..) => Some(From::parse(text, now).map_err(|e| wrong(format!("--offset {e}")))?),
        (_, Some(last), _) if last < 0 => return Err(wrong(format!("--last {last}: it is not negative"))),
        (_, Some(last), _) => Some(From::Last(last)),
        (.., Some(text)) => Some(From::Time(time(text, now).map_err(|e| wrong(format!("--from {e}")))?)),
        _ => None,
    };
    if from == Some(From::Stored) && !parsed.has("group") {
        return Err(wrong("--offset stored needs --group"));
    }
    if parsed.has("group") && !matches!(from, None | Some(From::Stored | From::Beginning | From::End)) {
        return Err(wrong(
            "a group goes on where it has committed: --offset is stored, beginning or end beside --group",
        ));
    }
    let until = parsed.value("until").map(|text| time(text, now)).transpose();
    let text = |name: &str| parsed.value(name).map(unescaped).transpose().map_err(|e| wrong(format!("--{name}: {e}")));
    let form = match (parsed.has("json"), parsed.value("format")) {
        (true, _) => Form::Json,
        (_, Some(text)) => Form::Format(Format::parse(text).map_err(|e| wrong(format!("--format: {e}")))?),
        _ => {
            let behind = text("delimiter")?.unwrap_or(b"\n".to_vec());
            Form::Format(Format::of_delimiters(text("key-delimiter")?, behind))
        }
    };
    let mut pattern = None;
    if parsed.has("regex") {
        let either = parsed.words.join("|");
        pattern = Some(Regex::new(&format!("^(?:{either})$")).map_err(|e| wrong(e.to_string()))?);
    }
    let mut partitions = BTreeSet::new();
    for text in parsed.values("partition").iter().flat_map(|list| list.split(',')) {
        let number = text.parse::<i32>().ok().filter(|number| *number >= 0);
        partitions.insert(number.ok_or_else(|| wrong(format!("--partition {text}: it is a number")))?);
    }
    Ok(Settings {
        from,
        until: until.map_err(|e| wrong(format!("--until {e}")))?,
        partitions,
        count: parsed.number::<i64>("count").and_then(|count| u64::try_from(count).ok()).unwrap_or(u64::MAX),
        form,
        null: text("null")?.unwrap_or_default(),
        pattern,
    })
}

fn config(parsed: &Parsed, settings: &Settings) -> Result<ConsumerConfig, Failure> {
    let mut properties: Properties = properties(parsed, "thalweg-consume")?;
    let reset = if settings.from == Some(From::End) { "latest" } else { "earliest" };
    properties.set_default("auto.offset.reset", reset);
    properties.set_default("group.protocol", "consumer");
    if parsed.has("read-committed") {
        properties.set("isolation.level", "read_committed");
    }
    if let Some(group) = parsed.value("group") {
        properties.set("group.id", group);
    }
    ConsumerConfig::from_properties(&properties).map_err(|e| Failure::Message(e.to_string()))
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let settings = settings(parsed)?;
    let config = config(parsed, &settings)?;
    let isolation = config.isolation;
    block_on(async {
        let mut signals = Signals::listen()?;
        let mut consumer = Consumer::new(config);
        let read = async {
            let ends = begin(parsed, &settings, isolation, &mut consumer).await?;
            let mut reading = Reading { settings: &settings, ends, count: 0 };
            reading.read(&mut consumer, out).await
        };
        let ended = tokio::select! {
            biased;
            code = signals.exit_code() => Err(Failure::Exit(code)),
            ended = read => ended,
        };
        // What cannot be committed any more is read again by the next member.
        let _ = consumer.close(now() + CLOSE_MAX).await;
        ended
    })
}

/// Finds the partitions, and lets the consumer begin; gives where each of them ends, if it is to end.
async fn begin(
    parsed: &Parsed,
    settings: &Settings,
    isolation: Isolation,
    consumer: &mut Consumer,
) -> Result<Option<BTreeMap<TopicPartition, Offset>>, Failure> {
    let client = consumer.client().clone();
    let partitions = partitions(&client, parsed, settings).await?;
    let spec = match settings.until {
        Some(until) => Some(OffsetSpec::At(until)),
        None => parsed.has("exit").then_some(OffsetSpec::Latest),
    };
    let ends = match spec {
        Some(spec) => Some(range::offsets(&client, &partitions, spec, isolation).await?),
        None => None,
    };
    if parsed.has("group") {
        let topics: BTreeSet<String> = partitions.iter().map(|partition| partition.topic.to_string()).collect();
        consumer.subscribe(topics).map_err(|e| failed(&e))?;
    } else {
        let from = settings.from.unwrap_or(From::Beginning);
        consumer.assign(range::starts(&client, &partitions, from, isolation).await?);
    }
    Ok(ends)
}

/// The partitions of the topics that the line names.
async fn partitions(client: &Client, parsed: &Parsed, settings: &Settings) -> Result<Vec<TopicPartition>, Failure> {
    let deadline = client.api_deadline();
    let mut names = parsed.words.clone();
    if let Some(pattern) = &settings.pattern {
        let all = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let all = client.send(Destination::Any, &all).await.map_err(|e| failed(&e))?;
        let listed = all.topics.iter().filter_map(|topic| topic.name.as_deref());
        names = listed.filter(|name| pattern.is_match(name)).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(Failure::Message(format!("no topic matches {}", parsed.words.join(" or "))));
        }
    }
    let cluster = client.topics(&names, deadline).await.map_err(|e| failed(&e))?;
    let mut found = Vec::new();
    for name in &names {
        let Some(topic) = cluster.topics.get(name.as_str()) else { continue };
        if topic.error.is_error() {
            return Err(failed(&Error::Topic { topic: name.as_str().into(), code: topic.error }));
        }
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if let Some(missing) = settings.partitions.iter().find(|index| **index >= count) {
            return Err(Failure::Message(format!("topic {name} has no partition {missing}: it has {count}")));
        }
        let is_wanted = |index: &i32| settings.partitions.is_empty() || settings.partitions.contains(index);
        found.extend((0..count).filter(is_wanted).map(|index| TopicPartition::new(name.as_str(), index)));
    }
    Ok(found)
}

/// Prints records until there are enough of them.
struct Reading<'a> {
    settings: &'a Settings,
    /// Where each partition ends, if it is to end.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    count: u64,
}

impl Reading<'_> {
    async fn read(&mut self, consumer: &mut Consumer, out: &mut Out) -> Result<(), Failure> {
        while self.count < self.settings.count && !out.is_broken() && !self.is_done(consumer) {
            out.flush();
            let records = consumer.poll_for(LOOK_AGAIN).await.map_err(|e| failed(&e))?;
            let mut unread: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
            for record in &records {
                if self.count == self.settings.count || out.is_broken() {
                    let partition = TopicPartition::new(record.topic.clone(), record.partition);
                    unread.entry(partition).or_insert(record.offset);
                } else if self.is_wanted(record) {
                    self.print(record, out);
                }
            }
            // Of a group's records those that were not printed are left for the next time.
            for (partition, offset) in unread {
                consumer.seek(&partition, Start::At(offset));
            }
        }
        Ok(())
    }

    fn is_wanted(&self, record: &ConsumerRecord) -> bool {
        let Some(ends) = &self.ends else { return true };
        let partition = TopicPartition::new(record.topic.clone(), record.partition);
        ends.get(&partition).is_none_or(|end| record.offset < *end)
    }

    fn print(&mut self, record: &ConsumerRecord, out: &mut Out) {
        self.count += 1;
        match &self.settings.form {
            Form::Json => out.line(envelope::of_record(record)),
            Form::Format(format) => format.write(record, &self.settings.null, out),
        }
    }

    /// Whether every partition has been read up to its end.
    fn is_done(&self, consumer: &Consumer) -> bool {
        let Some(ends) = &self.ends else { return false };
        let reached = |partition: &TopicPartition| {
            let end = ends.get(partition).copied().unwrap_or(Offset(0));
            consumer.position(partition).is_some_and(|position| position >= end)
        };
        let mut assigned = consumer.assignment().peekable();
        assigned.peek().is_some() && assigned.all(reached)
    }
}
