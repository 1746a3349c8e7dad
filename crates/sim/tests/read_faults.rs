//! A node of which one of two disks does not give back what it has, at any read.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use thalweg_base::Uuid;
use thalweg_sim::client::Client;
use thalweg_sim::story::{Topic, check, connect, pause, produce};
use thalweg_sim::world::{NODE, Outcome, seeds, with_node_and};
use thalweg_sys::faults::{self, Kind, Plan};
use thalweg_wire::messages as m;

/// The disk that fails; the metadata is on the other one.
const BAD: &str = "/data/b";
const RECORDS: u64 = 12;
const PROPERTIES: &[(&str, &str)] = &[
    ("log.dirs", "/data/a,/data/b"),
    ("log.flush.interval.messages", "1"),
    ("offsets.topic.num.partitions", "1"),
    ("log.cleaner.backoff.ms", "20"),
];
const GROUP: &str = "g";

/// What clients know.
#[derive(Default)]
struct Known {
    good: RefCell<Topic>,
    bad: RefCell<Topic>,
    compacted: Cell<Uuid>,
    /// The last value of the one key that was acknowledged, and the last that was sent.
    last: Cell<(u64, u64)>,
    committed: Cell<i64>,
}

/// What clients may be told of a disk that has failed.
fn assert_storage_error(told: io::Error) {
    let expected = ["KAFKA_STORAGE_ERROR", "NOT_LEADER_OR_FOLLOWER"];
    assert!(expected.contains(&told.to_string().as_str()), "{told}");
}

/// The committed offset; `None` when the group cannot be asked.
async fn committed(client: &mut Client, topic_id: Uuid) -> io::Result<Option<i64>> {
    let topics = vec![OffsetFetchRequestTopics { topic_id, partition_indexes: vec![0], ..Default::default() }];
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(topics), ..Default::default() };
    let request = m::OffsetFetchRequest { groups: vec![group], ..m::OffsetFetchRequest::default() };
    for _ in 0..10 {
        let response = client.ask(&request, 10).await?;
        let group = response.groups.first().ok_or(io::ErrorKind::InvalidData)?;
        if group.error_code == 0 {
            let answer = group.topics.first().and_then(|topic| topic.partitions.first());
            return Ok(Some(answer.ok_or(io::ErrorKind::InvalidData)?.committed_offset));
        }
        pause().await;
    }
    Ok(None)
}

/// Topics on both disks; the offsets of groups are on the bad one. Partitions go where the fewest are.
async fn prepare(known: &Known, client: &mut Client) -> io::Result<()> {
    let small = ("internal.segment.bytes", "300");
    known.good.borrow_mut().id = Some(client.create_topic("good", &[small]).await?);
    known.bad.borrow_mut().id = Some(client.create_topic("bad", &[small]).await?);
    client.create_topic("other", &[]).await?;
    let compact = [small, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")];
    known.compacted.set(client.create_topic("compacted", &compact).await?);
    client.create_topic("another", &[]).await?;
    let find = m::FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    client.ask(&find, 6).await?;
    assert_eq!(client.places("__consumer_offsets").await?, [(BAD.to_owned(), false)]);
    let good = known.good.borrow().id.unwrap_or_default();
    while client.commit(GROUP, good, 1).await? != 0 {
        pause().await;
    }
    known.committed.set(1);
    Ok(())
}

/// Everything that reads, in turn.
async fn work(known: &Known, client: &mut Client, first: u64) -> io::Result<()> {
    let (good, bad) = (known.good.borrow().id.unwrap_or_default(), known.bad.borrow().id.unwrap_or_default());
    for number in first..first + RECORDS {
        assert!(produce(&known.good, client, number).await, "the other disk is well");
        produce(&known.bad, client, number).await;
        known.last.set((known.last.get().0, number));
        let value = number.to_string();
        match client.produce_keyed(known.compacted.get(), Some(b"key"), value.as_bytes()).await {
            Ok(_) => known.last.set((number, number)),
            Err(told) => assert_storage_error(told),
        }
        if number % 4 == 0 {
            client.read_all(bad).await.map(|_| ()).unwrap_or_else(assert_storage_error);
            for timestamp in [-3, 0, 2] {
                client.offset_at("bad", timestamp).await.map(|_| ()).unwrap_or_else(assert_storage_error);
            }
            client.read_all(known.compacted.get()).await.map(|_| ()).unwrap_or_else(assert_storage_error);
            if client.commit(GROUP, good, number as i64).await? == 0 {
                known.committed.set(number as i64);
            }
            if let Some(found) = committed(client, good).await? {
                assert!(found >= known.committed.get(), "offset {found} is there");
            }
            // The cleaner gets its turn.
            pause().await;
        }
    }
    check(&known.good, client).await
}

/// Everything that was acknowledged is there.
async fn look(known: &Known, client: &mut Client) -> io::Result<()> {
    check(&known.good, client).await?;
    check(&known.bad, client).await?;
    let read = client.read_all(known.compacted.get()).await?;
    let last = read.last().and_then(|(_, value)| str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
    let (acknowledged, sent) = known.last.get();
    assert!(acknowledged <= last && last <= sent, "{last} is the last value; {acknowledged} was acknowledged");
    let good = known.good.borrow().id.unwrap_or_default();
    let found = committed(client, good).await?;
    assert!(found >= Some(known.committed.get()), "offset {found:?} is there");
    assert!(produce(&known.bad, client, 1000).await, "the disks are well again");
    Ok(())
}

/// When reads fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Serving,
    Starting,
}

/// Runs a node whose reads fail as planned, then a node whose disks are well. Gives how many reads there were.
fn run(seed: u64, when: When, plan: Plan) -> u64 {
    let what = format!("seed {seed}, {when:?}, {plan:?}");
    let known: Rc<Known> = Rc::default();
    let (seen, phase) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut sim = with_node_and(seed, PROPERTIES);
    let (of_client, count, step, fails) = (Rc::clone(&known), Rc::clone(&seen), Rc::clone(&phase), plan.clone());
    sim.client("client", async move {
        let wait_for = async |number| {
            while step.get() < number {
                thalweg_sys::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await.unwrap_or(());
            }
        };
        let mut client = connect().await;
        prepare(&of_client, &mut client).await?;
        work(&of_client, &mut client, 1).await?;
        if when == When::Starting {
            step.set(1);
            wait_for(2).await;
            client = connect().await;
        } else {
            faults::plan(Some(fails));
        }
        work(&of_client, &mut client, 1 + RECORDS).await?;
        count.set(faults::seen());
        step.set(3);
        wait_for(4).await;
        look(&of_client, &mut connect().await).await?;
        Ok(()) as Outcome
    });
    let until = |sim: &mut turmoil::Sim<'_>, number| {
        while phase.get() < number {
            sim.step().unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    };
    if when == When::Starting {
        until(&mut sim, 1);
        sim.crash(NODE);
        faults::plan(Some(plan.clone()));
        sim.bounce(NODE);
        phase.set(2);
    }
    until(&mut sim, 3);
    sim.crash(NODE);
    faults::plan(None);
    sim.bounce(NODE);
    phase.set(4);
    sim.run().unwrap_or_else(|e| panic!("{what}, afterwards: {e}"));
    seen.get()
}

fn at_every_read(when: When) {
    let plan = |at, times, kind| Plan { under: BAD.into(), at, times, kind };
    for seed in seeds(1) {
        let reads = run(seed, when, plan(u64::MAX, 0, Kind::Unreadable));
        assert!(reads > 30, "{reads}");
        // Every third read, and with each seed others of them.
        for at in (seed % 3..reads).step_by(3) {
            let kind = [Kind::Unreadable, Kind::Short][at as usize % 2];
            let times = if at % 4 < 2 { u64::MAX } else { 1 };
            run(seed * 1001 + at, when, plan(at, times, kind));
        }
    }
}

#[test]
fn a_read_that_fails_takes_nothing_acknowledged_with_it_and_no_other_disk() {
    at_every_read(When::Serving);
}

#[test]
fn a_read_that_fails_at_the_start_takes_nothing_acknowledged_with_it_and_no_other_disk() {
    at_every_read(When::Starting);
}
