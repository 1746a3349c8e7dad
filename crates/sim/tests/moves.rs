//! A log that moves to another directory of a node, when the power or one of the disks fails before any operation.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use thalweg_sim::client::Client;
use thalweg_sim::story::{Topic, check, connect, pause, produce};
use thalweg_sim::world::{NODE, Outcome, seeds, with_node_and};
use thalweg_sys::faults::{self, Kind, Plan};
use thalweg_sys::time::timeout;

/// The metadata is in the first one.
const PROPERTIES: &[(&str, &str)] = &[("log.dirs", "/data/a,/data/b,/data/c"), ("log.flush.interval.messages", "1")];
/// Another topic is where the metadata is: partitions go where the fewest are.
const FROM: &str = "/data/b";
const TO: &str = "/data/c";
const NAME: &str = "moving";
/// So many records there are before the log moves.
const RECORDS: u64 = 20;
/// The last one that is produced while it moves, if it never arrives.
const RECORDS_MAX: u64 = 60;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The power of the whole node.
    Power,
    /// The disk that the log goes to.
    Target,
    /// The disk that it comes from.
    Source,
}

impl Ends {
    fn under(self) -> &'static str {
        match self {
            Self::Power => "/data",
            Self::Target => TO,
            Self::Source => FROM,
        }
    }
}

/// The one place where the log is, whether or not a copy of it grows elsewhere; `None` if its disk has failed.
async fn place(client: &mut Client) -> std::io::Result<Option<String>> {
    let places = client.places(NAME).await?;
    let current: Vec<&String> = places.iter().filter(|(_, is_copy)| !is_copy).map(|(dir, _)| dir).collect();
    assert!(current.len() <= 1, "the log is in one directory: {places:?}");
    Ok(current.first().map(|dir| (*dir).clone()))
}

/// Lets the log move while it is written to. A disk that has failed where it goes is nobody's concern.
async fn set_out(topic: &RefCell<Topic>, client: &mut Client, ends: Ends) -> std::io::Result<()> {
    let set_out = client.move_to(NAME, TO).await;
    for number in RECORDS..RECORDS_MAX {
        if place(client).await?.as_deref() == Some(TO) {
            break;
        }
        if !produce(topic, client, number).await && ends == Ends::Target {
            assert_eq!(
                place(client).await?,
                None,
                "the log has moved before its new disk failed, or the old one is well"
            );
        }
        pause().await;
    }
    set_out.or(Ok(()))
}

/// Waits until the log is in one directory and no copy grows; gives that directory.
async fn settled(client: &mut Client) -> std::io::Result<String> {
    for _ in 0..100 {
        let here = place(client).await?.expect("the disks are well: the log is there");
        if client.places(NAME).await?.len() == 1 {
            return Ok(here);
        }
        pause().await;
    }
    panic!("the move does not come to an end")
}

/// Lets a log move on a node of which something fails before the operation `at`. Gives how many operations there were, and
/// whether the log had moved in the end.
fn run(seed: u64, ends: Ends, at: u64, kind: Kind) -> (u64, bool) {
    let what = format!("seed {seed}, {ends:?} by {kind:?} at {at}");
    let topic: Rc<RefCell<Topic>> = Rc::default();
    let (seen, moved, phase) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let mut sim = with_node_and(seed, PROPERTIES);
    let (of_client, count, arrived, step) = (Rc::clone(&topic), Rc::clone(&seen), Rc::clone(&moved), Rc::clone(&phase));
    sim.client("client", async move {
        let topic = &*of_client;
        let mut client = connect().await;
        client.create_topic("other", &[]).await?;
        let id = client.create_topic(NAME, &[("internal.segment.bytes", "500")]).await?;
        topic.borrow_mut().id = Some(id);
        for number in 0..RECORDS {
            assert!(produce(topic, &mut client, number).await, "the disks are well");
        }
        assert_eq!(place(&mut client).await?.as_deref(), Some(FROM));
        faults::plan(Some(Plan { under: ends.under().into(), at, times: u64::MAX, kind }));
        // A connection to a host that is gone may hang: it is given up.
        let told = timeout(Duration::from_secs(10), set_out(topic, &mut client, ends)).await;
        assert!(ends == Ends::Power || told.is_ok_and(|told| told.is_ok()), "the node goes on");
        count.set(faults::seen());
        step.set(step.get().max(1));
        while step.get() < 2 {
            pause().await;
        }
        let mut client = connect().await;
        arrived.set(settled(&mut client).await? == TO);
        check(topic, &mut client).await?;
        assert!(produce(topic, &mut client, RECORDS_MAX).await, "the disks are well again");
        check(topic, &mut client).await?;
        Ok(()) as Outcome
    });
    while phase.get() < 1 && (ends != Ends::Power || faults::seen() <= at) {
        if let Err(e) = sim.step() {
            assert!(ends == Ends::Power && faults::seen() > at, "{what}: {e}");
        }
    }
    sim.crash(NODE);
    faults::plan(None);
    sim.bounce(NODE);
    phase.set(2);
    sim.run().unwrap_or_else(|e| panic!("{what}, afterwards: {e}"));
    (seen.get(), moved.get())
}

fn at_every_operation(ends: Ends, kinds: &[Kind]) {
    // The power takes and leaves by turns what was not synced: the second seed the other way round.
    for seed in seeds(if ends == Ends::Power { 2 } else { 1 }) {
        let (operations, moved) = run(seed, ends, u64::MAX, kinds[0]);
        assert!(operations > 2 && moved, "{operations}");
        let runs = (0..operations).map(|at| run(seed * 1001 + at, ends, at, kinds[at as usize % kinds.len()]));
        let arrived = runs.filter(|(_, moved)| *moved).count() as u64;
        assert!(arrived > 0, "some copies go on after something has failed");
    }
}

#[test]
fn a_move_that_loses_its_power_at_any_operation_loses_no_record_and_goes_on_or_never_was() {
    at_every_operation(Ends::Power, &[Kind::Io]);
}

#[test]
fn a_log_is_served_where_it_is_when_the_disk_fails_that_it_moves_to() {
    at_every_operation(Ends::Target, &[Kind::Io, Kind::Full, Kind::ReadOnly]);
}

#[test]
fn a_log_that_moves_away_from_a_disk_that_fails_is_there_when_the_disk_is_well_again() {
    at_every_operation(Ends::Source, &[Kind::Io, Kind::Full, Kind::ReadOnly]);
}

#[test]
fn a_log_that_cannot_be_read_while_it_moves_is_there_when_the_disk_is_well_again() {
    at_every_operation(Ends::Source, &[Kind::Unreadable, Kind::Short]);
    at_every_operation(Ends::Target, &[Kind::Unreadable, Kind::Short]);
}
