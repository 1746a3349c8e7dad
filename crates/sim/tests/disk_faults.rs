//! A node of which one of two disks fails at any operation.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use thalweg_sim::story::{Topic, check, connect, produce};
use thalweg_sim::world::{NODE, Outcome, seeds, with_node_and};
use thalweg_sys::faults::{self, Kind, Plan};

/// The disk that fails; the metadata is on the other one.
const BAD: &str = "/data/b";
/// So many records are written to each topic while the disk fails.
const RECORDS: u64 = 12;

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
            check(topic, &mut client).await?;
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
            run(seed * 1001 + at, at, times, kind);
        }
    }
}
