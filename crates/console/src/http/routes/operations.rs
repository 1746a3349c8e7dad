//! What operators look at: the quorum, transactions, reassignments.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use thalweg_base::TopicPartition;
use thalweg_sys::time::wall_clock_ms;

use super::super::{Answer, Wants};
use super::change::{Change, Sent};
use super::{Console, answered, queried};
use crate::console::Shared;
use crate::kafka::{ActiveProducer, Hanging, MetadataQuorum, Reassignment, Snapshot, Transaction};
use crate::pages::{Cell, ChangeForm, Column, Frame, Plan, SheetPage, Table};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

pub(super) const TOO_OLD: &str = "The brokers are too old to tell.";

pub(super) fn columns(names: &[(&'static str, &'static str)]) -> Vec<Column> {
    names.iter().map(|(name, head)| Column { name, head }).collect()
}

/// A page without a search and without forms.
pub(super) fn sheet(frame: Frame, title: &'static str, note: String, tables: Vec<Table>) -> SheetPage {
    SheetPage { frame, title, note, search: None, troubles: Vec::new(), tables, forms: Vec::new() }
}

pub(super) fn in_form(page: &SheetPage, headers: &HeaderMap) -> Answer {
    Answer::in_form(headers, page, || page.document())
}

/// A time, and how long ago it was; nothing where no time is told.
fn ago(ms: i64) -> Cell {
    if ms < 0 {
        return Cell::plain("");
    }
    let seconds = (wall_clock_ms() - ms).max(0) / 1000;
    Cell::shown(ms, format!("{} ({} s ago)", text::time(ms), text::number(seconds)))
}

/// The quorum of the metadata log.
pub(super) async fn quorum(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let quorum = shared.kafka.quorum().await?;
        let frame = shared.frame(&headers).at("quorum");
        let frame = frame.with_tool("kafka-metadata-quorum.sh", "describe --replication").with_curl("/quorum");
        let note = match &quorum {
            Some(quorum) => format!(
                "Controller {} leads in epoch {}; the high watermark is {}.",
                quorum.leader,
                quorum.leader_epoch,
                text::number(quorum.high_watermark)
            ),
            None => "The cluster has no metadata quorum, or its brokers are too old to tell.".to_owned(),
        };
        let table = Table {
            title: "Replicas",
            empty: "None.",
            columns: columns(&[
                ("id", "Id"),
                ("role", "Role"),
                ("logEndOffset", "Log end offset"),
                ("lag", "Lag"),
                ("lastFetchTimestamp", "Last fetch"),
                ("lastCaughtUpTimestamp", "Last caught up"),
            ]),
            rows: quorum.iter().flat_map(quorum_rows).collect(),
        };
        Ok(in_form(&sheet(frame, "Metadata quorum", note, vec![table]), &headers))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn quorum_rows(quorum: &MetadataQuorum) -> Vec<Vec<Cell>> {
    let end = quorum.log_end();
    let row = |replica: &crate::kafka::QuorumReplica| {
        let role = match (replica.is_voter, replica.id == quorum.leader) {
            (true, true) => "leader",
            (true, false) => "voter",
            (false, _) => "observer",
        };
        let lag = end - replica.log_end;
        vec![
            Cell::plain(replica.id),
            Cell::plain(role),
            Cell::shown(replica.log_end, text::number(replica.log_end)),
            Cell::shown(lag, text::number(lag)),
            ago(replica.last_fetch_ms),
            ago(replica.last_caught_up_ms),
        ]
    };
    quorum.replicas.iter().map(row).collect()
}

/// So many topics' replicas are measured, to say how far a move has come.
const MEASURED_MAX: usize = 20;

/// The partitions whose replicas move, and how far that has come.
pub(super) async fn reassignments(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let moving = shared.kafka.reassignments().await?;
        let snapshot = shared.kafka.snapshot().await?;
        let frame = shared.frame(&headers).at("reassignments");
        let frame = frame.with_tool("kafka-reassign-partitions.sh", "--list").with_curl("/reassignment");
        let mut sizes: BTreeMap<String, BTreeMap<(i32, i32), i64>> = BTreeMap::new();
        for found in moving.iter().flatten() {
            if sizes.len() < MEASURED_MAX
                && !sizes.contains_key(&found.topic)
                && let Ok(topic) = snapshot.topic(&found.topic)
            {
                sizes.insert(found.topic.clone(), shared.kafka.replica_sizes(&found.topic, topic).await);
            }
        }
        let table = Table {
            title: "Reassignments",
            empty: if moving.is_some() { "No replica moves." } else { TOO_OLD },
            columns: columns(&[
                ("topic", "Topic"),
                ("partition", "Partition"),
                ("replicas", "Replicas"),
                ("adding", "Adding"),
                ("removing", "Removing"),
                ("progress", "Copied"),
            ]),
            rows: moving.iter().flatten().map(|found| moving_row(found, &snapshot, sizes.get(&found.topic))).collect(),
        };
        Ok(in_form(&sheet(frame, "Reassignments", String::new(), vec![table]), &headers))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

fn moving_row(found: &Reassignment, snapshot: &Snapshot, sizes: Option<&BTreeMap<(i32, i32), i64>>) -> Vec<Cell> {
    let topic = snapshot.topics.get(found.topic.as_str());
    let known = topic.and_then(|topic| topic.partition(found.partition));
    let size = |broker: i32| sizes.and_then(|sizes| sizes.get(&(found.partition, broker))).copied();
    let whole = known.and_then(|known| known.leader).and_then(size);
    let progress = |broker: &i32| {
        let copied = size(*broker).map_or("unknown".to_owned(), text::size);
        format!("broker {broker}: {copied} of {}", whole.map_or("unknown".to_owned(), text::size))
    };
    let progress: Vec<String> = found.adding.iter().map(progress).collect();
    vec![
        Cell::plain(found.topic.as_str()).leading_to(format!("/topic/{}", text::part(&found.topic))),
        Cell::plain(found.partition),
        Cell { text: text::listed(&found.replicas), ..Cell::plain(found.replicas.clone()) },
        Cell { text: text::listed(&found.adding), ..Cell::plain(found.adding.clone()) },
        Cell { text: text::listed(&found.removing), ..Cell::plain(found.removing.clone()) },
        Cell::plain(progress.join(", ")),
    ]
}

/// Which transactions are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct TransactionsQuery {
    /// The topic of which open transactions are looked for, to find those that hang.
    topic: Option<String>,
}

/// So many transactional ids are shown, and the first so many of those that are open described.
const SHOWN_MAX: usize = 500;
const DESCRIBED_MAX: usize = 100;

/// Transactions, and those that hang in a topic.
pub(super) async fn transactions(
    State(shared): Console,
    headers: HeaderMap,
    query: Result<Query<TransactionsQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let topic = queried(query)?.topic.map(|topic| topic.trim().to_owned()).filter(|topic| !topic.is_empty());
        let snapshot = shared.kafka.snapshot().await?;
        let (all, troubles) = shared.kafka.transactions(&snapshot).await;
        let open: Vec<&Transaction> = all.iter().filter(|found| found.is_open()).take(DESCRIBED_MAX).collect();
        let details = shared.kafka.describe_transactions(&open).await?;
        let row = |found: &Transaction| {
            let detail = details.get(&found.id);
            let partitions =
                detail.map(|detail| detail.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            vec![
                Cell::plain(found.id.as_str()),
                Cell::plain(found.state.as_str()),
                Cell::plain(found.producer_id),
                Cell::plain(found.coordinator).leading_to(format!("/broker/{}", found.coordinator)),
                ago(detail.map_or(-1, |detail| detail.started_ms)),
                Cell::plain(partitions.unwrap_or_default()),
            ]
        };
        let ids = Table {
            title: "Transactional ids",
            empty: "No coordinator knows a transactional id.",
            columns: columns(&[
                ("transactionalId", "Transactional id"),
                ("state", "State"),
                ("producerId", "Producer id"),
                ("coordinator", "Coordinator"),
                ("startTimestamp", "Open since"),
                ("partitions", "Partitions"),
            ]),
            rows: all.iter().take(SHOWN_MAX).map(row).collect(),
        };
        let frame = shared.frame(&headers).at("transactions");
        let mut page = SheetPage {
            frame: frame.with_tool("kafka-transactions.sh", "list").with_curl("/transaction"),
            title: "Transactions",
            note: format!("{} transactional ids, {} open.", text::count(all.len()), text::count(open.len())),
            search: Some(("Find what hangs in the topic", "topic", topic.clone().unwrap_or_default())),
            troubles: troubles.iter().map(ToString::to_string).collect(),
            tables: vec![ids],
            forms: Vec::new(),
        };
        if let Some(name) = topic {
            add_open_in(&shared, &mut page, &name, &all).await?;
        }
        Ok(in_form(&page, &headers))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// Adds the transactions that are open in a topic, and for those that hang a form that aborts them.
async fn add_open_in(shared: &Shared, page: &mut SheetPage, name: &str, all: &[Transaction]) -> Result<(), Trouble> {
    let snapshot = shared.kafka.snapshot_with(name).await?;
    let (producers, silent) = shared.kafka.producers(name, snapshot.topic(name)?).await;
    page.troubles.extend(silent.iter().map(ToString::to_string));
    let open: Vec<(&ActiveProducer, i64)> =
        producers.iter().filter_map(|producer| Some((producer, producer.open_since?))).collect();
    let is_known = |producer: &ActiveProducer| all.iter().any(|it| it.is_open() && it.producer_id == producer.id);
    let row = |(producer, since): &(&ActiveProducer, i64)| {
        let known = is_known(producer);
        let link = format!("/topic/{}/record?partition={}&offset={since}", text::part(name), producer.partition);
        vec![
            Cell::plain(producer.partition),
            Cell::plain(producer.id),
            Cell::plain(producer.epoch),
            Cell::shown(*since, text::number(*since)).leading_to(link),
            ago(producer.last_ms),
            Cell::plain(if known { "its coordinator has it open" } else { "hangs: no coordinator has it open" })
                .marked(!known),
        ]
    };
    page.tables.push(Table {
        title: "Open in the topic",
        empty: "No transaction is open in the topic.",
        columns: columns(&[
            ("partition", "Partition"),
            ("producerId", "Producer id"),
            ("producerEpoch", "Epoch"),
            ("startOffset", "Since offset"),
            ("lastTimestamp", "Last write"),
            ("state", "State"),
        ]),
        rows: open.iter().map(row).collect(),
    });
    if !shared.settings.writes.alter_cluster {
        return Ok(());
    }
    for (producer, _) in open.iter().filter(|(producer, _)| !is_known(producer)).take(DESCRIBED_MAX) {
        let button = format!("Dry run of aborting producer {} in partition {}", producer.id, producer.partition);
        let (partition, id) = (producer.partition.to_string(), producer.id.to_string());
        let fields = [("topic", name), ("partition", &partition), ("producerId", &id)];
        page.forms.push(ChangeForm::button("/transaction/abort", button, &fields));
    }
    Ok(())
}

/// Aborts a transaction that hangs in a partition, or shows what that would do.
pub(super) async fn abort(sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let topic = fields.need("topic")?;
        let paths = ("/transaction/abort".to_owned(), format!("/transaction?topic={}", text::part(topic)));
        let change = Change::begin((&sent, fields), Switch::AlterCluster, "abort a transaction", topic, paths)?;
        let (partition, id): (i32, i64) = (fields.number("partition")?, fields.number("producerId")?);
        let snapshot = shared.kafka.snapshot_with(topic).await?;
        let (producers, _) = shared.kafka.producers(topic, snapshot.topic(topic)?).await;
        let open = producers.iter().filter_map(|producer| Some((producer, producer.open_since?)));
        let found = open.into_iter().find(|(producer, _)| producer.partition == partition && producer.id == id);
        let none = || Trouble::NotFound(format!("producer {id} has no transaction open in {topic}-{partition}"));
        let (producer, since) = found.ok_or_else(none)?;
        let (all, _) = shared.kafka.transactions(&snapshot).await;
        if all.iter().any(|it| it.is_open() && it.producer_id == id) {
            return Err(Trouble::Conflict(
                "its coordinator has this transaction open and will end it: it does not hang".to_owned(),
            ));
        }
        let hanging = Hanging {
            partition: TopicPartition::new(topic, partition),
            producer_id: id,
            producer_epoch: i16::try_from(producer.epoch).unwrap_or(-1),
            coordinator_epoch: producer.coordinator_epoch,
        };
        let plan = Plan {
            title: format!("Abort a transaction in {topic}"),
            effect: format!(
                "The transaction of producer {id} that is open in partition {partition} since offset {} is aborted: \
                 readers of committed transactions never get its records.",
                text::number(since)
            ),
            warnings: Vec::new(),
            columns: Vec::new(),
            rows: Vec::new(),
        };
        if !change.is_confirmed()? {
            let arguments =
                format!("abort --topic {} --partition {partition} --start-offset {since}", text::shell(topic));
            let frame = shared.frame(headers).at("transactions").with_tool("kafka-transactions.sh", &arguments);
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.abort_transaction(&hanging).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}
