//! `kafka-transactions.sh`: transactions and their producers, and those that hang.

mod hanging;

use thalweg_base::{NodeId, TopicPartition};
use thalweg_client::Destination;
use thalweg_sys::time;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::describe_producers_request::TopicRequest;
use thalweg_wire::messages::describe_producers_response::ProducerState;
use thalweg_wire::messages::list_transactions_response::TransactionState as Listing;
use thalweg_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use thalweg_wire::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest,
    WriteTxnMarkersRequest,
};

use crate::admin::{self, Admin, check};
use crate::argparse::{Command, Kind, OUTPUT, Opt, Parsed, flag, value};
use crate::failure::Failure;
use crate::java;
use crate::out::Out;
use crate::table;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "transactions",
    script: "kafka-transactions",
    classes: &["org.apache.kafka.tools.TransactionsCommand", "kafka.admin.TransactionsCommand"],
    about: "List, describe and abort transactions, and find those that hang.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 1,
    empty_is_help: false,
    wrong: Wrong::Usage,
    has_version: true,
    uncaught: Uncaught::Main,
    run,
};

const TOPIC: Opt = value("topic", "TOPIC", "The topic.");
const PARTITION: Opt = value("partition", "PARTITION", "The partition.").kind(Kind::Int);
const BROKER: Opt =
    value("broker-id", "BROKER_ID", "The broker whose replicas are looked at; else the leaders.").kind(Kind::Int);
const TIMEOUT: Opt =
    value("max-transaction-timeout", "MAX_TRANSACTION_TIMEOUT", "How many minutes a transaction may last; default 15.")
        .kind(Kind::Int);

const PROGRAM: Command = Command {
    name: "kafka-transactions.sh",
    about: "Analyzes the transactional state of producers, and recovers from transactions that hang.",
    options: &[
        flag("version", "Print the version of Kafka whose tools these are.").short('v'),
        value("command-config", "FILE", "A properties file for the client."),
        value("bootstrap-server", "host:port", "The brokers to begin with.").required(),
    ],
    command_label: "COMMAND",
    commands: &[
        Command {
            name: "list",
            about: "list transactions",
            options: &[
                value("duration-filter", "DURATION_FILTER", "Only those that have lasted longer, in milliseconds.")
                    .kind(Kind::Long),
                value(
                    "transactional-id-pattern",
                    "TRANSACTIONAL_ID_PATTERN",
                    "Only those whose ids match this regular expression.",
                ),
                OUTPUT,
            ],
            ..Command::EMPTY
        },
        Command {
            name: "describe",
            about: "describe the state of a transactional id",
            options: &[value("transactional-id", "TRANSACTIONAL_ID", "The transactional id.").required(), OUTPUT],
            ..Command::EMPTY
        },
        Command {
            name: "describe-producers",
            about: "describe the active producers of a partition",
            options: &[BROKER, TOPIC.required(), PARTITION.required(), OUTPUT],
            ..Command::EMPTY
        },
        Command {
            name: "abort",
            about: "abort a hanging transaction",
            options: &[
                TOPIC.required(),
                PARTITION.required(),
                value("start-offset", "START_OFFSET", "Where the transaction begins; enough since Kafka 3.0.")
                    .kind(Kind::Long),
                value("producer-id", "PRODUCER_ID", "Before Kafka 3.0: the producer's id.").kind(Kind::Long),
                value("producer-epoch", "PRODUCER_EPOCH", "Before Kafka 3.0: its epoch.").kind(Kind::Int),
                value("coordinator-epoch", "COORDINATOR_EPOCH", "Before Kafka 3.0: its coordinator's epoch.")
                    .kind(Kind::Int),
            ],
            ..Command::EMPTY
        },
        Command {
            name: "find-hanging",
            about: "find hanging transactions",
            options: &[BROKER, TIMEOUT, TOPIC, PARTITION, OUTPUT],
            ..Command::EMPTY
        },
        Command {
            name: "forceTerminateTransaction",
            about: "abort the ongoing transaction of a transactional id",
            options: &[value("transactionalId", "TRANSACTIONALID", "The transactional id.").required()],
            ..Command::EMPTY
        },
    ],
    ..Command::EMPTY
};

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let mut properties = admin::properties_of(parsed.value("command-config"))
        .map_err(|thrown| failed("Failed to load admin client properties", &thrown))?;
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), None);
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        match parsed.command {
            "list" => list(&admin, parsed, out).await,
            "describe" => describe(&admin, parsed, out).await,
            "describe-producers" => describe_producers(&admin, parsed, out).await,
            "abort" => abort(&admin, parsed).await,
            "find-hanging" => hanging::find(&admin, parsed, out).await,
            _ => terminate(&admin, parsed).await,
        }
    })
}

/// The message of a failure, with the pointer that Kafka adds.
fn failed(what: &str, thrown: &Thrown) -> Failure {
    Failure::Message(format!("{what}: {}. Enable debug logging for additional detail.", thrown.text()))
}

/// The transactions of each coordinator.
async fn listings(
    admin: &Admin,
    request: &ListTransactionsRequest,
    out: &mut Out,
) -> Result<Vec<(i32, Vec<Listing>)>, Thrown> {
    let mut found = Vec::new();
    let brokers = admin.brokers("findAllBrokers").await?;
    for broker in java::hash_order(brokers, 16, |broker| *broker) {
        let response = admin.node("listTransactions(api=LIST_TRANSACTIONS)", broker, request).await?;
        let code = ErrorCode::from(response.error_code);
        if code.is_error() {
            let text = format!(
                "[AdminClient clientId=adminclient-1] The `ListTransactions` request sent to broker {broker} failed because of an \
                 unexpected error {code}"
            );
            out.log("ERROR", text, "org.apache.kafka.clients.admin.internals.ListTransactionsHandler");
            let text = format!("ListTransactions request sent to broker {broker} failed with an unexpected exception");
            return Err(Thrown::of_code(code, Some(&text)));
        }
        found.push((broker, response.transaction_states));
    }
    Ok(found)
}

async fn list(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let request = ListTransactionsRequest {
        duration_filter: parsed.number("duration-filter").unwrap_or(-1),
        transactional_id_pattern: parsed.value("transactional-id-pattern").map(Into::into),
        ..ListTransactionsRequest::default()
    };
    let found =
        listings(admin, &request, out).await.map_err(|thrown| failed("Failed to list transactions", &thrown))?;
    let mut rows = Vec::new();
    for (coordinator, listings) in &found {
        rows.extend(listings.iter().map(|listing| {
            vec![
                listing.transactional_id.to_string(),
                coordinator.to_string(),
                listing.producer_id.to_string(),
                listing.transaction_state.to_string(),
            ]
        }));
    }
    table::print(&["TransactionalId", "Coordinator", "ProducerId", "TransactionState"], &rows, out);
    Ok(())
}

async fn describe(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let id = parsed.value("transactional-id").unwrap_or_default();
    let what = format!("Failed to describe transaction state of transactional-id `{id}`");
    let row = describe_row(admin, id).await.map_err(|thrown| failed(&what, &thrown))?;
    let head = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    table::print(&head, &[row], out);
    Ok(())
}

async fn describe_row(admin: &Admin, id: &str) -> Result<Vec<String>, Thrown> {
    let to = Destination::TransactionCoordinator(id.into());
    let request = DescribeTransactionsRequest { transactional_ids: vec![id.into()] };
    let response = admin.send("describeTransactions(api=DESCRIBE_TRANSACTIONS)", to, &request).await?;
    let state = response.transaction_states.first();
    let state = state.ok_or_else(|| Thrown::of_code(ErrorCode::UnknownServerError, None))?;
    let code = ErrorCode::from(state.error_code);
    if code == ErrorCode::TransactionalIdNotFound {
        let text =
            format!("DescribeTransactions request for transactionalId `{id}` failed because the ID could not be found");
        return Err(Thrown::of_code(code, Some(&text)));
    }
    check(state.error_code, None)?;
    let coordinator = admin.transaction_coordinator(id).await?;
    let started = state.transaction_start_time_ms;
    let (start, duration) = if started >= 0 {
        (started.to_string(), (time::wall_clock_ms() - started).to_string())
    } else {
        ("None".to_owned(), "None".to_owned())
    };
    let mut partitions = Vec::new();
    for topic in &state.topics {
        partitions.extend(topic.partitions.iter().map(|partition| format!("{}-{partition}", topic.topic)));
    }
    Ok(vec![
        coordinator.to_string(),
        id.to_owned(),
        state.producer_id.to_string(),
        state.producer_epoch.to_string(),
        state.transaction_state.to_string(),
        state.transaction_timeout_ms.to_string(),
        start,
        duration,
        partitions.join(","),
    ])
}

/// The active producers of a partition, at its leader or another replica.
async fn producers(
    admin: &Admin,
    partition: &TopicPartition,
    broker: Option<i32>,
) -> Result<Vec<ProducerState>, Thrown> {
    let topic = TopicRequest { name: (&*partition.topic).into(), partition_indexes: vec![partition.partition] };
    let request = DescribeProducersRequest { topics: vec![topic] };
    let (call, to) = match broker {
        Some(broker) => ("describeProducers(api=DESCRIBE_PRODUCERS)", Destination::Node(NodeId(broker))),
        None => ("describeProducers(api=METADATA)", Destination::Leader(partition.clone())),
    };
    let response = admin.send(call, to, &request).await?;
    let found = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let found = found.ok_or_else(|| Thrown::of_code(ErrorCode::UnknownServerError, None))?;
    if broker.is_none() && found.error_code == ErrorCode::UnknownTopicOrPartition.code() {
        return Err(admin::no_node(call));
    }
    check(found.error_code, found.error_message.as_deref())?;
    Ok(found.active_producers)
}

fn partition_of(parsed: &Parsed) -> TopicPartition {
    TopicPartition::new(parsed.value("topic").unwrap_or_default(), parsed.number("partition").unwrap_or(0))
}

async fn describe_producers(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let partition = partition_of(parsed);
    let broker = parsed.number::<i32>("broker-id");
    let found = producers(admin, &partition, broker).await.map_err(|thrown| {
        let at = broker.map_or("leader".to_owned(), |broker| format!("broker {broker}"));
        failed(&format!("Failed to describe producers for partition {partition} on {at}"), &thrown)
    })?;
    let row = |producer: &ProducerState| {
        let start = producer.current_txn_start_offset;
        vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            if start >= 0 { start.to_string() } else { "None".to_owned() },
        ]
    };
    let head = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    table::print(&head, &found.iter().map(row).collect::<Vec<_>>(), out);
    Ok(())
}

/// Which transaction is aborted.
struct AbortSpec {
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
}

async fn abort(admin: &Admin, parsed: &Parsed) -> Result<(), Failure> {
    let message = |text: &str| Failure::Message(text.to_owned());
    let partition = partition_of(parsed);
    let spec = match (parsed.number::<i64>("start-offset"), parsed.number::<i64>("producer-id")) {
        (None, None) => {
            return Err(message(
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with \
                 --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
            ));
        }
        (Some(start), _) => found_at(admin, &partition, start).await?,
        (None, Some(producer_id)) => {
            let epoch = parsed.number::<i32>("producer-epoch").and_then(|epoch| i16::try_from(epoch).ok());
            let producer_epoch = epoch.ok_or_else(|| message("Missing required argument --producer-epoch"))?;
            let epoch = parsed.number::<i32>("coordinator-epoch");
            let epoch = epoch.ok_or_else(|| message("Missing required argument --coordinator-epoch"))?;
            AbortSpec { producer_id, producer_epoch, coordinator_epoch: epoch.max(0) }
        }
    };
    write_marker(admin, &partition, &spec).await.map_err(|thrown| {
        let text = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={partition}, producerId={}, producerEpoch={}, \
             coordinatorEpoch={})",
            spec.producer_id, spec.producer_epoch, spec.coordinator_epoch
        );
        failed(&text, &thrown)
    })
}

async fn found_at(admin: &Admin, partition: &TopicPartition, start: i64) -> Result<AbortSpec, Failure> {
    let found = producers(admin, partition, None)
        .await
        .map_err(|thrown| failed(&format!("Failed to validate producer state for partition {partition}"), &thrown))?;
    let producer = found.iter().find(|producer| producer.current_txn_start_offset == start);
    let producer = producer.ok_or_else(|| {
        Failure::Message(format!(
            "Could not find any open transactions starting at offset {start} on partition {partition}"
        ))
    })?;
    Ok(AbortSpec {
        producer_id: producer.producer_id,
        producer_epoch: i16::try_from(producer.producer_epoch).unwrap_or(i16::MAX),
        coordinator_epoch: producer.coordinator_epoch.max(0),
    })
}

async fn write_marker(admin: &Admin, partition: &TopicPartition, spec: &AbortSpec) -> Result<(), Thrown> {
    let topic =
        WritableTxnMarkerTopic { name: (&*partition.topic).into(), partition_indexes: vec![partition.partition] };
    let marker = WritableTxnMarker {
        producer_id: spec.producer_id,
        producer_epoch: spec.producer_epoch,
        transaction_result: false,
        topics: vec![topic],
        coordinator_epoch: spec.coordinator_epoch,
        ..WritableTxnMarker::default()
    };
    let request = WriteTxnMarkersRequest { markers: vec![marker] };
    let to = Destination::Leader(partition.clone());
    let response = admin.send("abortTransaction(api=METADATA)", to, &request).await?;
    let topics = response.markers.iter().flat_map(|marker| &marker.topics);
    topics.flat_map(|topic| &topic.partitions).try_for_each(|partition| check(partition.error_code, None))
}

async fn terminate(admin: &Admin, parsed: &Parsed) -> Result<(), Failure> {
    let id = parsed.value("transactionalId").unwrap_or_default();
    let request = InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: 30_000,
        ..InitProducerIdRequest::default()
    };
    let to = Destination::TransactionCoordinator(id.into());
    let response = admin.send("fenceProducer(api=INIT_PRODUCER_ID)", to, &request).await;
    let checked = response.and_then(|response| check(response.error_code, None));
    checked.map_err(|thrown| failed(&format!("Failed to force terminate transactionalId `{id}`"), &thrown))
}
