//! `kafka-e2e-latency.sh`: measures how long a record takes from a producer to a consumer.

use std::time::Duration;

use bytes::Bytes;
use thalweg_base::TopicPartition;
use thalweg_client::{Consumer, ConsumerRecord, Producer, ProducerConfig, ProducerRecord, Properties, Start};
use thalweg_records::RecordHeader;
use thalweg_sys::random;
use thalweg_sys::time::now;
use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_request::CreatableTopic;

use crate::admin::{self, Admin, block_on, check, config_exception};
use crate::console_consumer::{consumer_config, thrown};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, optional, optional_number, value};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "e2e-latency",
    script: "kafka-e2e-latency",
    classes: &["org.apache.kafka.tools.EndToEndLatency", "kafka.tools.EndToEndLatency"],
    about: "Measure how long a record takes from a producer to a consumer.",
    run: run_words,
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-e2e-latency --bootstrap-server localhost:9092 --topic latency --num-records 10000 --producer-acks all --record-size 1024",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "bootstrap-server", "The brokers to begin with, as HOST:PORT[,...]."),
    value("topic", "topic-name", "The topic; it is made if there is none."),
    value("num-records", "count", "How many records are sent, one after another."),
    value("producer-acks", "producer-acks", "The acknowledgements that each needs: 1 or all."),
    value("record-size", "bytes", "How large the value of each is."),
    optional_number("record-key-size", "bytes", "How large the key of each is. Default: no key."),
    optional_number("num-headers", "count", "How many headers each has. Default: 0."),
    optional_number("record-header-key-size", "bytes", "How large the key of a header is. Default: 0."),
    optional_number("record-header-size", "bytes", "How large the value of a header is; -1: none. Default: 0."),
    optional("command-config", "config-file", "A properties file for the clients."),
];

const NAMED: [&str; 5] = ["bootstrap-server", "topic", "num-records", "producer-acks", "record-size"];
/// How long a record may take.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// Reads the line, which in older versions had no names.
fn run_words(words: &[String], out: &mut Out) -> u8 {
    let is_named = words.iter().any(|word| NAMED.iter().any(|name| word.strip_prefix("--") == Some(name)));
    let asks = words.iter().any(|word| matches!(word.trim_start_matches('-'), "help" | "version"));
    if words.is_empty() || is_named || asks && words.len() == 1 {
        return JOPT.run(words, out);
    }
    if words.len() != 5 && words.len() != 6 {
        out.error(format_args!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server topic \
             num-records producer-acks record-size [optional] command-config",
            words.len()
        ));
        return 1;
    }
    out.line(
        "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments \
         instead: --bootstrap-server, --topic, --num-records, --producer-acks, --record-size, --command-config",
    );
    let names = NAMED.iter().copied().chain(["command-config"]);
    let named: Vec<String> = names.zip(words).flat_map(|(name, word)| [format!("--{name}"), word.clone()]).collect();
    JOPT.run(&named, out)
}

/// What is sent.
struct Plan {
    topic: String,
    records: usize,
    value_size: usize,
    key_size: usize,
    headers: usize,
    header_key_size: usize,
    /// None: headers without values.
    header_value_size: Option<usize>,
}

fn plan(line: &Line) -> Result<Plan, Failure> {
    let usage = |text: &str| Failure::Usage(text.to_owned());
    line.require(&NAMED)?;
    if !matches!(line.value("producer-acks")?, Some("1" | "all")) {
        return Err(usage(
            "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.",
        ));
    }
    let records = line.number::<i32>("num-records")?.and_then(|records| usize::try_from(records).ok());
    let records = records.filter(|records| *records > 0);
    let size = |name: &str| -> Result<usize, Failure> {
        usize::try_from(line.number::<i32>(name)?.unwrap_or(0))
            .map_err(|_| usage(&format!("Value for --{name} must be a non-negative integer.")))
    };
    let header_value_size = line.number::<i32>("record-header-size")?.unwrap_or(0);
    let records = records.ok_or_else(|| usage("Value for --num-records must be a positive integer."))?;
    let plan = Plan {
        topic: line.value("topic")?.unwrap_or_default().to_owned(),
        records,
        value_size: size("record-size")?,
        key_size: size("record-key-size")?,
        headers: size("num-headers")?,
        header_key_size: size("record-header-key-size")?,
        header_value_size: usize::try_from(header_value_size).ok(),
    };
    if header_value_size < -1 {
        return Err(usage(
            "Value for --record-header-size must be a non-negative integer or -1 for null header value.",
        ));
    }
    Ok(plan)
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let plan = plan(line)?;
    let mut properties = admin::command_config(line)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    let mut for_producer = properties.clone();
    for_producer.set("linger.ms", "0");
    for_producer.set("acks", line.value("producer-acks")?.unwrap_or("all"));
    if line.value("producer-acks")? == Some("1") {
        for_producer.set_default("enable.idempotence", "false");
    }
    let producer = ProducerConfig::from_properties(&for_producer).map_err(|e| config_exception(e.to_string()))?;
    let mut for_consumer = properties.clone();
    for_consumer.set("auto.offset.reset", "latest");
    for_consumer.set("fetch.max.wait.ms", "0");
    let consumer = consumer_config(&for_consumer)?;
    block_on(async {
        let partitions = partitions(&plan, &properties, out).await?;
        let producer = Producer::new(producer);
        let mut consumer = Consumer::new(consumer);
        consumer.assign(partitions.iter().map(|partition| (partition.clone(), Start::End)));
        find_ends(&mut consumer, &partitions).await?;
        measure(&plan, &producer, &mut consumer, out).await
    })
}

/// The partitions of the topic, which is made if there is none.
async fn partitions(plan: &Plan, properties: &Properties, out: &mut Out) -> Result<Vec<TopicPartition>, Failure> {
    let admin = Admin::connect(properties, out).await?;
    let topic = &plan.topic;
    if !admin.list_topics().await?.iter().any(|known| known.name == *topic) {
        out.line(format_args!(
            "Topic \"{topic}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1"
        ));
        let new = CreatableTopic {
            name: topic.as_str().into(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![new], ..CreateTopicsRequest::default() };
        let created = admin.controller("createTopics", &request).await.and_then(|response| {
            let mut topics = response.topics.iter();
            topics.try_for_each(|topic| check(topic.error_code, topic.error_message.as_deref()))
        });
        if let Err(thrown) = created {
            out.line(format_args!("Creation of topic {topic} failed"));
            return Err(thrown.execution().runtime().into());
        }
        admin.wait_until_known(topic).await;
    }
    let (_, info) = admin.describe_topics(std::slice::from_ref(topic)).await?.remove(0);
    Ok(info?.partitions.iter().map(|partition| TopicPartition::new(topic.as_str(), partition.index)).collect())
}

/// Waits until the consumer knows where the partitions end.
async fn find_ends(consumer: &mut Consumer, partitions: &[TopicPartition]) -> Result<(), Failure> {
    let deadline = now() + ARRIVES_WITHIN;
    while partitions.iter().any(|partition| consumer.position(partition).is_none()) {
        consumer.poll_for(Duration::from_millis(1)).await.map_err(|e| thrown(&e))?;
        if now() > deadline {
            let text = "Timeout of 60000ms expired before the position for partitions could be determined";
            return Err(Thrown::new("org.apache.kafka.common.errors.TimeoutException", text).into());
        }
    }
    Ok(())
}

/// As many times one capital letter.
fn letters(len: usize) -> Bytes {
    let letter = b'A' + u8::try_from(random::u64() % 26).unwrap_or(0);
    vec![letter; len].into()
}

async fn measure(plan: &Plan, producer: &Producer, consumer: &mut Consumer, out: &mut Out) -> Result<(), Failure> {
    let mut latencies = Vec::with_capacity(plan.records.min(1 << 20));
    let mut total = Duration::ZERO;
    for at in 0..plan.records {
        let mut record = ProducerRecord::new(plan.topic.as_str(), letters(plan.value_size));
        if plan.key_size > 0 {
            record = record.with_key(letters(plan.key_size));
        }
        for _ in 0..plan.headers {
            let value = plan.header_value_size.map(letters);
            record.headers.push(RecordHeader { key: letters(plan.header_key_size), value });
        }
        let sent = record.clone();
        let began = now();
        let delivery = producer.send(record).await.map_err(|e| thrown(&e))?;
        delivery.wait().await.map_err(|e| thrown(&e))?;
        let records = consumer.poll_for(ARRIVES_WITHIN).await.map_err(|e| thrown(&e))?;
        let took = now().saturating_duration_since(began);
        compare(&sent, &records)?;
        if at % 1000 == 0 {
            out.line(format_args!("{at}\t{}", java::double(took.as_nanos() as f64 / 1e6)));
            out.flush();
        }
        total += took;
        latencies.push(took);
    }
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() as f64 * part) as usize).min(latencies.len() - 1)].as_millis();
    out.line(format_args!("Avg latency: {:.4} ms", total.as_secs_f64() * 1000.0 / plan.records as f64));
    out.line(format_args!("Percentiles: 50th = {}, 99th = {}, 99.9th = {}", at(0.5), at(0.99), at(0.999)));
    Ok(())
}

/// Refuses what came if it is not what was sent.
fn compare(sent: &ProducerRecord, came: &[ConsumerRecord]) -> Result<(), Thrown> {
    let refused = |text: String| Err(Thrown::new("java.lang.RuntimeException", text));
    let text = |bytes: &Option<Bytes>| {
        bytes.as_ref().map_or("null".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let Some(record) = came.first() else {
        return refused("poll() timed out before finding a result (timeout:[60000ms])".into());
    };
    for (what, sent, read) in [("value", &sent.value, &record.value), ("key", &sent.key, &record.key)] {
        if sent != read {
            let (sent, read) = (text(sent), text(read));
            return refused(format!("The message {what} read [{read}] did not match the message {what} sent [{sent}]"));
        }
    }
    if sent.headers.len() != record.headers.len() {
        return refused("Header count mismatch between sent and received messages".into());
    }
    if came.len() != 1 {
        return refused(format!("Only one result was expected during this test. We found [{}]", came.len()));
    }
    Ok(())
}
