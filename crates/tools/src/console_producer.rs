//! `kafka-console-producer.sh`: writes the lines of standard input as records.

mod reader;

use std::io::{self, BufRead as _, IsTerminal as _};

use thalweg_client::{Delivery, Error, Producer, ProducerConfig, ProducerRecord, Properties};
use thalweg_sys::task::spawn;
use tokio::sync::mpsc;

use crate::admin::{self, block_on_beside_input, client_config, config_exception, resolvable};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, key_values, optional, value};
use crate::options::{self, BOOTSTRAP_SERVER};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use reader::LineReader;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "console-producer",
    script: "kafka-console-producer",
    classes: &["org.apache.kafka.tools.ConsoleProducer", "kafka.tools.ConsoleProducer"],
    about: "Write the lines of standard input to a topic.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to read data from standard input and publish it to Kafka.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "seq 20 | kafka-console-producer --bootstrap-server localhost:9092 --topic numbers",
        "kafka-console-producer --bootstrap-server localhost:9092 --topic orders --reader-property parse.key=true --reader-property key.separator=:",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::Trace,
    run,
};

const READER: &str = "How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, \
    headers.key.separator, null.marker, ignore.error. Lines are headers, key and value in this order.";

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("topic", "topic", "The topic."),
    flag("sync", "Wait for each record before the next is sent."),
    optional("compression-codec", "compression-codec", "none, gzip, snappy, lz4 or zstd; gzip without a value."),
    value("batch-size", "size", "batch.size: bytes of a batch of a partition. Default: 16384."),
    value("message-send-max-retries", "Integer", "retries. Default: 3."),
    value("retry-backoff-ms", "Long", "retry.backoff.ms. Default: 100."),
    value("timeout", "timeout_ms", "linger.ms: how long records wait for others. Default: 1000."),
    value("request-required-acks", "request required acks", "acks: all or -1, 1, 0. Default: -1."),
    value("request-timeout-ms", "request timeout ms", "request.timeout.ms. Default: 1500."),
    value("metadata-expiry-ms", "metadata expiration interval", "metadata.max.age.ms. Default: 300000."),
    value("max-block-ms", "max block on send", "max.block.ms. Default: 60000."),
    value("max-memory-bytes", "total memory in bytes", "buffer.memory. Default: 33554432."),
    value("max-partition-memory-bytes", "memory in bytes per partition", "Deprecated: use --batch-size."),
    value("line-reader", "reader_class", "The reader of lines: org.apache.kafka.tools.LineMessageReader."),
    value("socket-buffer-size", "size", "send.buffer.bytes. Default: 102400."),
    value("property", "prop", "Deprecated: use --reader-property."),
    value("reader-property", "prop", READER),
    value("reader-config", "config file", "A properties file for the reader."),
    value("producer-property", "producer_prop", "Deprecated: use --command-property."),
    value("command-property", "producer_prop", "A property of the producer, as key=value. May be repeated."),
    value("producer.config", "config file", "Deprecated: use --command-config."),
    value("command-config", "config file", "A properties file for the producer."),
];

/// The options that replace others, and those that they replace.
const REPLACED: [(&str, &str); 3] =
    [("command-config", "producer.config"), ("command-property", "producer-property"), ("reader-property", "property")];

fn check(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["topic"])?;
    for (new, old) in REPLACED {
        if line.has(new) && line.has(old) {
            return Err(Failure::Usage(format!("Options --{new} and --{old} cannot be specified together.")));
        }
    }
    for (new, old) in [REPLACED[1], REPLACED[0], REPLACED[2]] {
        if line.has(old) {
            out.line(format_args!(
                "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            ));
        }
    }
    if line.has("max-partition-memory-bytes") {
        out.line(
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size \
             instead.",
        );
    }
    options::valid_servers(line)
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    check(line, out)?;
    let prepared = (|| Ok((reader(line)?, properties(line)?)))();
    match prepared.and_then(|(reader, properties)| produce(line, reader, &properties, out)) {
        Err(Failure::Thrown(thrown)) if thrown.class.starts_with("joptsimple.") => {
            Err(Failure::Message(thrown.text().to_owned()))
        }
        result => result,
    }
}

fn reader(line: &Line) -> Result<LineReader, Failure> {
    const READERS: [&str; 2] =
        ["org.apache.kafka.tools.LineMessageReader", "kafka.tools.ConsoleProducer$LineMessageReader"];
    let class = line.value("line-reader")?.unwrap_or(READERS[0]);
    if !READERS.contains(&class) {
        return Err(Thrown::new("java.lang.ClassNotFoundException", class).into());
    }
    let mut settings = admin::settings_of(line.value("reader-config")?)?;
    for name in ["property", "reader-property"] {
        settings.extend(key_values(line.values(name)));
    }
    Ok(LineReader::new(&settings)?)
}

/// The producer's properties. An option counts over the file and the properties of the line, its default does not.
fn properties(line: &Line) -> Result<Properties, Failure> {
    let file = line.value("command-config")?.or(line.value("producer.config")?);
    let mut properties = admin::properties_of(file)?;
    for name in ["producer-property", "command-property"] {
        for (key, value) in key_values(line.values(name)) {
            properties.set(&key, &value);
        }
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    let codec = if line.has("compression-codec") { line.value("compression-codec")?.unwrap_or("gzip") } else { "none" };
    properties.set("compression.type", codec);
    properties.set_default("client.id", "console-producer");
    let mut merge = |key: &str, option: &str, value: Option<String>, default: &str| match value {
        Some(value) if line.has(option) => properties.set(key, &value),
        _ => properties.set_default(key, default),
    };
    let text = |value: Option<i64>| value.map(|value| value.to_string());
    let int = |name: &str| Ok::<_, Thrown>(line.number::<i32>(name)?.map(i64::from));
    merge("linger.ms", "timeout", text(line.number("timeout")?), "1000");
    let acks = line.value("request-required-acks")?.map(str::to_owned);
    merge("acks", "request-required-acks", acks, "-1");
    merge("request.timeout.ms", "request-timeout-ms", text(int("request-timeout-ms")?), "1500");
    merge("retries", "message-send-max-retries", text(int("message-send-max-retries")?), "3");
    merge("retry.backoff.ms", "retry-backoff-ms", text(line.number("retry-backoff-ms")?), "100");
    merge("send.buffer.bytes", "socket-buffer-size", text(int("socket-buffer-size")?), "102400");
    merge("buffer.memory", "max-memory-bytes", text(line.number("max-memory-bytes")?), "33554432");
    merge("batch.size", "batch-size", text(int("batch-size")?), "16384");
    merge("batch.size", "max-partition-memory-bytes", text(int("max-partition-memory-bytes")?), "16384");
    merge("metadata.max.age.ms", "metadata-expiry-ms", text(line.number("metadata-expiry-ms")?), "300000");
    merge("max.block.ms", "max-block-ms", text(line.number("max-block-ms")?), "60000");
    Ok(properties)
}

fn produce(line: &Line, mut reader: LineReader, properties: &Properties, out: &mut Out) -> Result<(), Failure> {
    let topic = line.value("topic")?.unwrap_or_default().to_owned();
    let sync = line.has("sync");
    let checked = client_config(properties)?;
    let config = ProducerConfig::from_properties(properties).map_err(|e| config_exception(e.to_string()))?;
    block_on_beside_input(async {
        resolvable(&checked.bootstrap, out).await?;
        let producer = Producer::new(config);
        let (sent, receiver) = mpsc::channel(WAITING_MAX);
        let reporter = spawn(report_failures(receiver));
        let result = send_lines(&topic, sync, &mut reader, &producer, sent, out).await;
        let flushed = producer.flush(producer.client().api_deadline()).await;
        // It has ended: its channel is closed, and every delivery has ended.
        let _ = reporter.await;
        result?;
        flushed.map_err(|e| Failure::Thrown(thrown(&e)))
    })
}

/// What is said about a record that was not delivered.
struct Sent {
    topic: String,
    key_len: Option<usize>,
    value_len: Option<usize>,
    /// How many bytes it takes at most in a batch of its own, as Kafka counts.
    size: usize,
}

impl Sent {
    fn of(record: &ProducerRecord) -> Self {
        /// The head of a batch, and the numbers before a record's key.
        const OVERHEAD: usize = 61 + 21;
        let varint = |len: usize| (usize::BITS - (len * 2).leading_zeros()).max(1).div_ceil(7) as usize;
        let field = |len: Option<usize>| len.map_or(1, |len| varint(len) + len);
        let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(bytes::Bytes::len);
        let headers = record.headers.iter().map(|header| field(Some(header.key.len())) + field(len(&header.value)));
        let (key_len, value_len) = (len(&record.key), len(&record.value));
        let headers = varint(record.headers.len()) + headers.sum::<usize>();
        let size = OVERHEAD + field(key_len) + field(value_len) + headers;
        Self { topic: record.topic.to_string(), key_len, value_len, size }
    }

    /// What Kafka's producer throws for this record.
    fn thrown(&self, error: &Error) -> Thrown {
        match error {
            Error::RecordTooLarge { max, .. } => thrown(&Error::RecordTooLarge { bytes: self.size, max: *max }),
            error => thrown(error),
        }
    }
}

fn report(record: &Sent, error: &Error, out: &mut Out) {
    let len = |len: Option<usize>| len.map_or("null".to_owned(), |len| format!("{len} bytes"));
    let text = format!(
        "Error when sending message to topic {} with key: {}, value: {} with error:",
        record.topic,
        len(record.key_len),
        len(record.value_len)
    );
    let logger = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";
    out.log_thrown(text, &record.thrown(error), logger);
}

/// How many records may wait for somebody to look at their delivery; then no further line is read.
const WAITING_MAX: usize = 10_000;

/// Says which records were not delivered, as soon as that is known.
async fn report_failures(mut sent: mpsc::Receiver<(Sent, Delivery)>) {
    // What it writes goes to standard error.
    let mut out = Out::default();
    while let Some((record, delivery)) = sent.recv().await {
        if let Err(error) = delivery.wait().await {
            report(&record, &error, &mut out);
        }
    }
}

async fn send_lines(
    topic: &str,
    sync: bool,
    reader: &mut LineReader,
    producer: &Producer,
    sent: mpsc::Sender<(Sent, Delivery)>,
    out: &mut Out,
) -> Result<(), Failure> {
    let has_prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    loop {
        if has_prompt {
            out.text(">");
            out.flush();
        }
        bytes.clear();
        let read = input.read_until(b'\n', &mut bytes).map_err(|e| Failure::Message(e.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let record = reader.record(topic, text.strip_suffix('\r').unwrap_or(text))?;
        let about = Sent::of(&record);
        match send(record, producer, sync).await {
            // The other end is there until this one is dropped.
            Ok(Some(delivery)) => drop(sent.send((about, delivery)).await),
            Ok(None) => {}
            Err(error) if sync => return Err(about.thrown(&error).execution().into()),
            Err(error) => report(&about, &error, out),
        }
    }
}

async fn send(record: ProducerRecord, producer: &Producer, sync: bool) -> Result<Option<Delivery>, Error> {
    let delivery = producer.send(record).await?;
    if sync {
        delivery.wait().await?;
        return Ok(None);
    }
    Ok(Some(delivery))
}

/// What Kafka's producer throws.
pub(crate) fn thrown(error: &Error) -> Thrown {
    if let Some(reason) = error.authentication() {
        return crate::thrown::authentication_failed(reason);
    }
    match error {
        Error::RecordTooLarge { bytes, max } => {
            let text = format!(
                "The message is {bytes} bytes when serialized which is larger than {max}, which is the value of the \
                 max.request.size configuration."
            );
            Thrown::of_code(thalweg_wire::ErrorCode::MessageTooLarge, Some(&text))
        }
        Error::Topic { topic, code: code @ thalweg_wire::ErrorCode::TopicAuthorizationFailed } => {
            Thrown::of_code(*code, Some(&format!("Not authorized to access topics: [{topic}]")))
        }
        Error::Topic { topic, code: thalweg_wire::ErrorCode::InvalidTopicException } => {
            Thrown::of_code(thalweg_wire::ErrorCode::InvalidTopicException, Some(&format!("Invalid topics: [{topic}]")))
        }
        Error::Topic { code, .. } | Error::Partition { code, .. } => Thrown::of_code(*code, None),
        Error::Refused { code, message, .. } => Thrown::of_code(*code, message.as_deref()),
        other => Thrown::of_code(thalweg_wire::ErrorCode::RequestTimedOut, Some(&other.to_string())),
    }
}
