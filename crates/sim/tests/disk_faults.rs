//! A node of which one of two disks fails at any operation.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::Uuid;
use thalweg_sim::client::Client;
use thalweg_sim::world::{ADDRESS, NODE, Outcome, seeds, with_node_and};
use thalweg_sys::faults::{self, Kind, Plan};

/// The disk that fails; the metadata is on the other one.
const BAD: &str = "/data/b";
/// So many records are written to each topic while the disk fails.
const RECORDS: u64 = 12;

async fn connect() -> Client {
    loop {
        if let Ok(client) = Client::connect(ADDRESS).await {
            return client;
        }
        let pending = std::future::pending::<()>();
        thalweg_sys::time::timeout(Duration::from_millis(50), pending).await.unwrap_or_default();
    }
}

/// What was acknowledged of a topic.
#[derive(Default)]
struct Topic {
    id: Option<Uuid>,
    acknowledged: Vec<(i64, Vec<u8>)>,
}

async fn produce(topic: &RefCell<Topic>, client: &mut Client, number: u64) -> bool {
    let Some(id) = topic.borrow().id else { return false };
    let value = format!("record {number}").into_bytes();
    let answer = client.produce(id, &value).await;
    if let Ok(offset) = answer {
        topic.borrow_mut().acknowledged.push((offset, value));
    }
    answer.is_ok()
}

/// Runs a node whose second disk fails as planned, then a node whose disks are well. Gives how many operations there were.
fn run(seed: u64, at: u64, times: u64, kind: Kind) -> u64 {
    let topics: [Rc<RefCell<Topic>>; 2] = Default::default();
    let (seen, phase) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut sim = with_node_and(seed, &[("log.dirs", "/data/a,/data/b")]);
    let (of_client, count, step) = (topics.clone(), Rc::clone(&seen), Rc::clone(&phase));
    sim.client("client", async move {
        let [good, bad] = &of_client;
        let mut client = connect().await;
        // Partitions go where the fewest are: the first one to the first directory.
        for (topic, name) in [(good, "good"), (bad, "bad")] {
            topic.borrow_mut().id = Some(client.create_topic(name, &[("flush.messages", "1")]).await?);
            assert!(produce(topic, &mut client, 0).await, "the disks are well");
        }
        faults::plan(Some(Plan { under: BAD.into(), at, times, kind }));
        for number in 1..RECORDS {
            assert!(produce(good, &mut client, number).await, "the other disk is well");
            produce(bad, &mut client, number).await;
        }
        for name in ["later1", "later2"] {
            client.create_topic(name, &[]).await?;
        }
        assert!(produce(good, &mut client, RECORDS).await);
        count.set(faults::seen());
        step.set(1);
        while step.get() < 2 {
            let pending = std::future::pending::<()>();
            let _ = thalweg_sys::time::timeout(Duration::from_millis(10), pending).await;
        }
        let mut client = connect().await;
        for topic in [good, bad] {
            let (id, acknowledged) = (topic.borrow().id.ok_or("no id")?, topic.borrow().acknowledged.clone());
            let read = client.read_all(id).await?;
            for (offset, value) in acknowledged {
                let found = read.iter().any(|(at, bytes)| *at == offset && **bytes == *value);
                assert!(found, "record {offset} was acknowledged and is lost");
            }
            assert!(produce(topic, &mut client, 1000).await, "the disks are well again");
        }
        Ok(()) as Outcome
    });
    while phase.get() < 1 {
        sim.step().unwrap_or_else(|e| panic!("seed {seed}, {kind:?} at {at} for {times}: {e}"));
    }
    sim.crash(NODE);
    faults::plan(None);
    sim.bounce(NODE);
    phase.set(2);
    sim.run().unwrap_or_else(|e| panic!("seed {seed}, {kind:?} at {at} for {times}, afterwards: {e}"));
    seen.get()
}

#[test]
fn a_disk_that_fails_at_any_operation_takes_nothing_acknowledged_with_it_and_no_other_disk() {
    for seed in seeds(2) {
        let operations = run(seed, u64::MAX, 0, Kind::Io);
        assert!(operations > 20, "{operations}");
        for at in 0..operations {
            let kind = [Kind::Io, Kind::Full, Kind::ReadOnly][at as usize % 3];
            let times = if at % 2 == 0 { 1 } else { u64::MAX };
            run(seed * 1000 + at, at, times, kind);
        }
    }
}
