//! Transactions over two topics, on a node that loses its power between any two operations.

#![cfg(sim)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::{ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchBuilder, BatchOptions, batches};
use thalweg_sim::client::Client;
use thalweg_sim::story::{connect, pause};
use thalweg_sim::world::{Outcome, fail_power, seeds, with_node_and};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

const ID: &str = "id";

/// What a producer knows: its topics, the transactions that it has begun, and what it was told of them.
#[derive(Default)]
struct Known {
    topics: Vec<Uuid>,
    begun: u64,
    asked_commit: BTreeSet<u64>,
    told: BTreeMap<u64, bool>,
}

/// Who the producer is from now on, once what it left is aborted.
async fn init(client: &mut Client) -> io::Result<(i64, i16)> {
    let find = m::FindCoordinatorRequest { key_type: 1, coordinator_keys: vec![ID.into()], ..Default::default() };
    client.ask(&find, 6).await?;
    let request = m::InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: 60_000,
        ..m::InitProducerIdRequest::default()
    };
    loop {
        let given = client.ask(&request, 5).await?;
        match ErrorCode::from(given.error_code) {
            ErrorCode::None => return Ok((given.producer_id, given.producer_epoch)),
            _ => pause().await,
        }
    }
}

async fn produce(client: &mut Client, topic_id: Uuid, producer: (i64, i16), number: u64) -> io::Result<()> {
    use m::produce_request::{PartitionProduceData, TopicProduceData};
    let mut batch = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(producer.0),
        producer_epoch: ProducerEpoch(producer.1),
        base_sequence: 0,
        transactional: true,
        ..BatchOptions::default()
    });
    batch.append(Timestamp(1), None, Some(number.to_string().as_bytes()), &[]);
    let records = Some(batch.build().map_err(io::Error::other)?);
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let request = m::ProduceRequest {
        transactional_id: Some(ID.into()),
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData { topic_id, partition_data, ..TopicProduceData::default() }],
    };
    let answer = client.ask(&request, 13).await?;
    match answer.responses[0].partition_responses[0].error_code {
        0 => Ok(()),
        error => Err(io::Error::other(format!("{:?}", ErrorCode::from(error)))),
    }
}

async fn end(client: &mut Client, producer: (i64, i16), committed: bool) -> io::Result<(i64, i16)> {
    let request = m::EndTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed,
    };
    loop {
        let ended = client.ask(&request, 5).await?;
        match ErrorCode::from(ended.error_code) {
            ErrorCode::None => return Ok((ended.producer_id, ended.producer_epoch)),
            ErrorCode::ConcurrentTransactions => pause().await,
            error => return Err(io::Error::other(format!("{error:?}"))),
        }
    }
}

/// Writes one transaction after the other until the connection breaks.
async fn write_until_it_breaks(known: &RefCell<Known>) -> io::Result<()> {
    let mut client = connect().await;
    let mut producer = init(&mut client).await?;
    let created = known.borrow().topics.len();
    for name in ["a", "b"].into_iter().skip(created) {
        let topic = client.create_topic(name, &[]).await?;
        known.borrow_mut().topics.push(topic);
    }
    let topics = known.borrow().topics.clone();
    loop {
        let number = known.borrow().begun;
        known.borrow_mut().begun += 1;
        for topic in &topics {
            produce(&mut client, *topic, producer, number).await?;
        }
        let committed = number % 3 != 2;
        if committed {
            known.borrow_mut().asked_commit.insert(number);
        }
        producer = end(&mut client, producer, committed).await?;
        known.borrow_mut().told.insert(number, committed);
    }
}

/// The transactions whose records are committed in a topic, by its markers. Nothing may be open.
async fn committed(client: &mut Client, topic_id: Uuid) -> io::Result<BTreeSet<u64>> {
    use m::fetch_request::{FetchPartition, FetchTopic};
    let (mut open, mut found, mut next) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let partition = FetchPartition { fetch_offset: next, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() };
        let request = m::FetchRequest { isolation_level: 1, topics: vec![topic], ..m::FetchRequest::default() };
        let mut answer = client.ask(&request, 16).await?;
        let data = answer.responses.remove(0).partitions.remove(0);
        if data.error_code != 0 {
            return Err(io::Error::other(format!("{:?}", ErrorCode::from(data.error_code))));
        }
        let before = next;
        let records = data.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default();
        for batch in batches(records) {
            let Ok(batch) = batch else { break };
            next = batch.next_offset().0;
            for record in batch.records(1 << 20).map_err(io::Error::other)? {
                let record = record.map_err(io::Error::other)?;
                if !batch.header().attributes.is_control() {
                    let text = String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
                    open.insert(text.parse::<u64>().map_err(io::Error::other)?);
                    continue;
                }
                match ControlType::parse_key(&record.key.unwrap_or_default()).map_err(io::Error::other)? {
                    Some(ControlType::Commit) => found.append(&mut open),
                    _ => open.clear(),
                }
            }
        }
        if next == before {
            assert_eq!(data.last_stable_offset, data.high_watermark, "nothing is open");
            assert!(open.is_empty(), "{open:?} are open");
            return Ok(found);
        }
    }
}

/// Both topics, as they are when nothing is open.
async fn both(known: &RefCell<Known>) -> io::Result<(BTreeSet<u64>, BTreeSet<u64>)> {
    let mut client = connect().await;
    let producer = init(&mut client).await?;
    // What was decided before this is complete when an abort of nothing is.
    end(&mut client, producer, false).await?;
    init(&mut client).await?;
    let topics = known.borrow().topics.clone();
    Ok((committed(&mut client, topics[0]).await?, committed(&mut client, topics[1]).await?))
}

#[test]
fn transactions_are_whole_and_as_they_were_told_through_power_failures() {
    for seed in seeds(12) {
        let known = Rc::new(RefCell::new(Known::default()));
        let stop = Rc::new(RefCell::new(false));
        let properties = &[("log.flush.interval.messages", "1"), ("transaction.state.log.num.partitions", "2")];
        let mut sim = with_node_and(seed, properties);
        let (of_client, stopped) = (Rc::clone(&known), Rc::clone(&stop));
        sim.client("client", async move {
            while !*stopped.borrow() {
                // A connection to a host that is gone may hang: it is given up.
                let _ = thalweg_sys::time::timeout(Duration::from_secs(2), write_until_it_breaks(&of_client)).await;
            }
            let (a, b) = both(&of_client).await?;
            let known = of_client.borrow();
            assert_eq!(a, b, "seed {seed}: what is committed in one topic is so in the other");
            for (number, committed) in &known.told {
                assert_eq!(a.contains(number), *committed, "seed {seed}: transaction {number} is as it was told");
            }
            assert!(a.is_subset(&known.asked_commit), "seed {seed}: nothing is committed that nobody asked for");
            Ok(()) as Outcome
        });
        fail_power(&mut sim, seed, 3, 300);
        *stop.borrow_mut() = true;
        sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let told = known.borrow().told.len();
        assert!(told > 10, "seed {seed}: only {told} transactions were told");
    }
}
