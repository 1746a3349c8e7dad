//! `kafka-delete-records.sh`: deletes the records of partitions before an offset.

use thalweg_base::TopicPartition;
use thalweg_client::Destination;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DeleteRecordsRequest;
use thalweg_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};

use crate::admin::{self, Admin, check};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, value};
use crate::json;
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "delete-records",
    script: "kafka-delete-records",
    classes: &["org.apache.kafka.tools.DeleteRecordsCommand", "kafka.admin.DeleteRecordsCommand"],
    about: "Delete the records of partitions before an offset.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "This tool helps to delete records of the given partitions down to the specified offset.",
    about_empty: "This tool helps to delete records of the given partitions down to the specified offset.",
    examples: &[
        "kafka-delete-records --bootstrap-server localhost:9092 --offset-json-file offsets.json",
        "  offsets.json: {\"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"offset\": 100}], \"version\": 1}",
    ],
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        value(
            "offset-json-file",
            "Offset json file path",
            "The file with the first offset that each partition keeps; -1 deletes all.",
        ),
    ],
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server", "offset-json-file"])?;
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        let path = line.value("offset-json-file")?.unwrap_or_default();
        let text = admin::read_input(path)?;
        let wanted = java::hash_order(parse(&text)?, 16, |(partition, _)| {
            java::topic_partition_hash(&partition.topic, partition.partition)
        });
        out.line("Executing records delete operation");
        let mut results = Vec::new();
        for (partition, offset) in &wanted {
            results.push((partition, delete(&admin, partition, *offset, out).await));
        }
        out.line("Records delete operation completed:");
        for (partition, result) in results {
            match result {
                Ok(low) => out.line(format_args!("partition: {partition}\tlow_watermark: {low}")),
                Err(thrown) => out.line(format_args!("partition: {partition}\terror: {thrown}")),
            }
        }
        Ok(())
    })
}

fn parse(text: &str) -> Result<Vec<(TopicPartition, i64)>, Thrown> {
    let value = json::parse(text).ok_or_else(|| Thrown::operation_failed("The input string is not a valid JSON"))?;
    let version = value.get("version").map_or(Ok(1), json::int)?;
    if version != 1 {
        return Err(Thrown::operation_failed(format!("Not supported version field value {version}")));
    }
    let partitions = value.get("partitions").ok_or_else(|| Thrown::operation_failed("Missing partitions field"))?;
    let mut wanted: Vec<(TopicPartition, i64)> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for entry in json::list(partitions)? {
        let topic = json::text(json::field(entry, "topic")?)?;
        let partition = TopicPartition::new(topic, json::int(json::field(entry, "partition")?)?);
        let offset = json::long(json::field(entry, "offset")?)?;
        if wanted.iter().any(|(other, _)| *other == partition) {
            let shown = partition.to_string();
            twice.retain(|other| *other != shown);
            twice.push(shown);
        } else {
            wanted.push((partition, offset));
        }
    }
    if twice.is_empty() {
        return Ok(wanted);
    }
    let text = format!("Offset json file contains duplicate topic partitions: {}", twice.join(","));
    Err(Thrown::command_failed(text))
}

/// Deletes the records of one partition; gives its first offset then.
async fn delete(admin: &Admin, partition: &TopicPartition, offset: i64, out: &mut Out) -> Result<i64, Thrown> {
    let topic = DeleteRecordsTopic {
        name: (&*partition.topic).into(),
        partitions: vec![DeleteRecordsPartition { partition_index: partition.partition, offset }],
    };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 };
    let to = Destination::Leader(partition.clone());
    let response = admin.send("deleteRecords(api=METADATA)", to, &request).await?;
    let results = response.topics.iter().flat_map(|topic| &topic.partitions);
    let Some(result) = results.into_iter().next() else { return Ok(-1) };
    let code = ErrorCode::from(result.error_code);
    if code == ErrorCode::UnknownTopicOrPartition {
        return Err(admin::no_node("deleteRecords(api=METADATA)"));
    }
    if code.is_error() {
        let text = format!(
            "[AdminClient clientId=adminclient-1] DeleteRecords request for topic partition {partition} failed due to an unexpected \
             error {code}"
        );
        out.log("ERROR", text, "org.apache.kafka.clients.admin.internals.DeleteRecordsHandler");
    }
    check(result.error_code, None)?;
    Ok(result.low_watermark)
}
