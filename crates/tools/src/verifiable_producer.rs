//! `kafka-verifiable-producer.sh`: produces increasing numbers and prints what was acknowledged, as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_base::Timestamp;
use thalweg_client::{Delivery, Producer, ProducerConfig, ProducerRecord};
use thalweg_sys::time::{self, now};

use crate::admin::{self, block_on, client_config, config_exception, resolvable};
use crate::argparse::{Command, Group, Kind, Parsed, value};
use crate::console_producer;
use crate::failure::Failure;
use crate::java;
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "verifiable-producer",
    script: "kafka-verifiable-producer",
    classes: &["org.apache.kafka.tools.VerifiableProducer"],
    about: "Produce increasing numbers and print what was acknowledged, as JSON.",
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
    name: "verifiable-producer",
    about: "Produces increasing numbers to a topic, and prints each acknowledgement as a line of JSON.",
    options: &[
        value("topic", "TOPIC", "The topic.").required(),
        value("max-messages", "MAX-MESSAGES", "How many; without end if -1, the default.").kind(Kind::Int),
        value("throughput", "THROUGHPUT", "At most about so many a second; no limit if -1, the default.")
            .kind(Kind::Int),
        value("acks", "ACKS", "The acknowledgements that each needs: 0, 1 or -1, the default.").kind(Kind::Int),
        value("producer.config", "CONFIG-FILE", "Deprecated: use --command-config."),
        value("message-create-time", "CREATE-TIME", "The time of the first in milliseconds, counted up; now if -1.")
            .kind(Kind::Long),
        value("value-prefix", "VALUE-PREFIX", "A number that stands before each value, with a dot.").kind(Kind::Int),
        value("repeating-keys", "REPEATING-KEYS", "Keys from 0 up to this number, over and over.").kind(Kind::Int),
        value("command-config", "CONFIG-FILE", "A properties file for the producer."),
    ],
    groups: &[Group {
        required: true,
        options: &[value("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "The brokers to begin with.")],
    }],
    ..Command::EMPTY
};

/// Prints an event as a line of JSON.
pub(crate) fn event(name: &str, fields: Value, out: &mut Out) {
    let mut object = json!({"timestamp": time::wall_clock_ms(), "name": name});
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    out.line(object);
    out.flush();
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let file = parsed.value("command-config").or(parsed.value("producer.config"));
    let mut properties = admin::properties_of(file)?;
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), None);
    properties.set("acks", parsed.value("acks").unwrap_or("-1"));
    properties.set("retries", "0");
    properties.set_default("enable.idempotence", "false");
    let checked = client_config(&properties)?;
    let config = ProducerConfig::from_properties(&properties).map_err(|e| config_exception(e.to_string()))?;
    block_on(async {
        resolvable(&checked.bootstrap, out).await?;
        let producer = Producer::new(config);
        event("startup_complete", json!({}), out);
        produce(parsed, &producer, out).await;
        Ok(())
    })
}

/// A record on its way.
struct Sent {
    key: Option<String>,
    value: String,
}

async fn produce(parsed: &Parsed, producer: &Producer, out: &mut Out) {
    let max = parsed.number::<i32>("max-messages").and_then(|max| u64::try_from(max).ok()).unwrap_or(u64::MAX);
    let throughput = parsed.number::<i32>("throughput").unwrap_or(-1);
    let create_time = parsed.number::<i64>("message-create-time").filter(|time| *time >= 0);
    let topic = parsed.value("topic").unwrap_or_default();
    let began = now();
    let mut acked: u64 = 0;
    let mut sent: u64 = 0;
    while sent < max && !out.is_broken() {
        let value = match parsed.value("value-prefix") {
            Some(prefix) => format!("{prefix}.{sent}"),
            None => sent.to_string(),
        };
        let keys = parsed.number::<i32>("repeating-keys").and_then(|keys| u64::try_from(keys).ok());
        let key = keys.filter(|keys| *keys > 0).map(|keys| (sent % keys).to_string());
        let mut record = ProducerRecord::new(topic, value.clone().into_bytes());
        if let Some(key) = &key {
            record = record.with_key(key.clone().into_bytes());
        }
        record.timestamp = create_time.map(|time| Timestamp(time.saturating_add_unsigned(sent)));
        sent += 1;
        let about = Sent { key, value };
        let delivered = match producer.send(record).await {
            Ok(delivery) => acknowledged(topic, &about, delivery, out).await,
            Err(error) => Err(console_producer::thrown(&error)),
        };
        match delivered {
            Ok(()) => acked += 1,
            Err(thrown) => event(
                "producer_send_error",
                json!({"topic": topic, "key": about.key, "value": about.value, "exception": thrown.class,
                    "message": thrown.message}),
                out,
            ),
        }
        if throughput > 0 {
            let due = began + Duration::from_secs_f64(sent as f64 / f64::from(throughput));
            time::sleep_until(due).await;
        }
    }
    event("shutdown_complete", json!({}), out);
    let seconds = now().saturating_duration_since(began).as_secs_f64().max(0.001);
    let average = java::double(acked as f64 / seconds);
    let average = average.parse::<f64>().unwrap_or(0.0);
    event(
        "tool_data",
        json!({"sent": sent, "acked": acked, "target_throughput": throughput, "avg_throughput": average}),
        out,
    );
}

async fn acknowledged(topic: &str, about: &Sent, delivery: Delivery, out: &mut Out) -> Result<(), Thrown> {
    let metadata = delivery.wait().await.map_err(|error| console_producer::thrown(&error))?;
    let fields = json!({
        "key": about.key,
        "value": about.value,
        "offset": metadata.offset.map_or(-1, |offset| offset.0),
        "partition": metadata.partition.partition,
        "topic": topic,
    });
    event("producer_send_success", fields, out);
    Ok(())
}
