//! `kafka-transactions.sh find-hanging`: transactions that are open longer than they may be and that no coordinator knows.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::TopicPartition;
use thalweg_client::Destination;
use thalweg_sys::time;
use thalweg_wire::messages::describe_producers_response::ProducerState;
use thalweg_wire::messages::{DescribeTransactionsRequest, ListTransactionsRequest};

use super::{failed, listings, producers};
use crate::admin::Admin;
use crate::argparse::Parsed;
use crate::failure::Failure;
use crate::out::Out;
use crate::table;
use crate::thrown::Thrown;

const MINUTE_MS: i64 = 60_000;

/// A transaction that is open on a partition.
struct Open {
    partition: TopicPartition,
    producer: ProducerState,
}

pub(super) async fn find(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let broker = parsed.number::<i32>("broker-id");
    let topic = parsed.value("topic");
    let partition = parsed.number::<i32>("partition");
    if topic.is_none() && broker.is_none() {
        return Err(Failure::Message(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search".into(),
        ));
    }
    let age_max = i64::from(parsed.number::<i32>("max-transaction-timeout").unwrap_or(15)) * MINUTE_MS;
    let partitions = match (topic, partition) {
        (Some(topic), Some(partition)) => vec![TopicPartition::new(topic, partition)],
        _ => partitions(admin, topic, broker).await?,
    };
    let open = open(admin, &partitions, broker, age_max).await?;
    let hanging = unknown(admin, open, out).await?;
    let now = time::wall_clock_ms();
    let row = |open: &Open| {
        let producer = &open.producer;
        vec![
            open.partition.topic.to_string(),
            open.partition.partition.to_string(),
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.to_string(),
            producer.current_txn_start_offset.to_string(),
            producer.last_timestamp.to_string(),
            ((now - producer.last_timestamp) / MINUTE_MS).to_string(),
        ]
    };
    let head = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    table::print(&head, &hanging.iter().map(row).collect::<Vec<_>>(), out);
    Ok(())
}

async fn partitions(admin: &Admin, topic: Option<&str>, broker: Option<i32>) -> Result<Vec<TopicPartition>, Failure> {
    let names = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => {
            let topics = admin.list_topics().await.map_err(|thrown| failed("Failed to list topics", &thrown))?;
            topics.into_iter().map(|topic| topic.name).collect()
        }
    };
    let what = format!("Failed to describe {} topics", names.len());
    let described = admin.describe_topics(&names).await.map_err(|thrown| failed(&what, &thrown))?;
    let mut partitions = Vec::new();
    for (name, info) in described {
        let info = info.map_err(|thrown| failed(&what, &thrown))?;
        let here = info.partitions.iter().filter(|one| broker.is_none_or(|broker| one.replicas.contains(&broker)));
        partitions.extend(here.map(|one| TopicPartition::new(&*name, one.index)));
    }
    Ok(partitions)
}

/// The transactions that are open for longer than `age_max`.
async fn open(
    admin: &Admin,
    partitions: &[TopicPartition],
    broker: Option<i32>,
    age_max: i64,
) -> Result<Vec<Open>, Failure> {
    let mut open = Vec::new();
    for partition in partitions {
        let found = producers(admin, partition, broker).await.map_err(|thrown| {
            let at = broker.map_or("Optional.empty".to_owned(), |broker| format!("Optional[{broker}]"));
            failed(&format!("Failed to describe producers for {} partitions on broker {at}", partitions.len()), &thrown)
        })?;
        let now = time::wall_clock_ms();
        let old = found
            .into_iter()
            .filter(|producer| producer.current_txn_start_offset >= 0 && now - producer.last_timestamp > age_max);
        open.extend(old.map(|producer| Open { partition: partition.clone(), producer }));
    }
    Ok(open)
}

/// Those that no coordinator has among its transactions.
async fn unknown(admin: &Admin, open: Vec<Open>, out: &mut Out) -> Result<Vec<Open>, Failure> {
    let ids: BTreeSet<i64> = open.iter().map(|open| open.producer.producer_id).collect();
    if ids.is_empty() {
        return Ok(open);
    }
    let request = ListTransactionsRequest {
        producer_id_filters: ids.iter().copied().collect(),
        ..ListTransactionsRequest::default()
    };
    let found = listings(admin, &request, out).await;
    let found =
        found.map_err(|thrown| failed(&format!("Failed to list transactions for {} producers", ids.len()), &thrown))?;
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    for listing in found.iter().flat_map(|(_, listings)| listings) {
        names.insert(listing.producer_id, listing.transactional_id.to_string());
    }
    let mut known: BTreeSet<(i64, TopicPartition)> = BTreeSet::new();
    for (producer, name) in &names {
        let partitions = partitions_of(admin, name).await;
        let partitions = partitions
            .map_err(|thrown| failed(&format!("Failed to describe {} transactions", names.len()), &thrown))?;
        known.extend(partitions.into_iter().map(|partition| (*producer, partition)));
    }
    Ok(open.into_iter().filter(|open| !known.contains(&(open.producer.producer_id, open.partition.clone()))).collect())
}

/// The partitions of the transaction of a transactional id; none if its coordinator does not know it.
async fn partitions_of(admin: &Admin, name: &str) -> Result<Vec<TopicPartition>, Thrown> {
    let request = DescribeTransactionsRequest { transactional_ids: vec![name.into()] };
    let to = Destination::TransactionCoordinator(name.into());
    let response = admin.send("describeTransactions(api=DESCRIBE_TRANSACTIONS)", to, &request).await?;
    let mut partitions = Vec::new();
    for topic in response.transaction_states.iter().flat_map(|state| &state.topics) {
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.topic, *index)));
    }
    Ok(partitions)
}
