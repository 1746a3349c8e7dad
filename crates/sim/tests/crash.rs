//! A node that loses its power between any two operations.

#![cfg(sim)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::Uuid;
use thalweg_sim::story::connect;
use thalweg_sim::world::{Outcome, fail_power, seeds, with_node};

/// What a producer knows: the topic, and what was acknowledged, by offset.
#[derive(Default)]
struct Known {
    topic: Option<Uuid>,
    acknowledged: Vec<(i64, Vec<u8>)>,
    sent: u64,
}

/// Produces numbered records until the connection breaks.
async fn produce_until_it_breaks(known: &RefCell<Known>, configs: &[(&str, &str)]) {
    let mut client = connect().await;
    let topic = known.borrow().topic;
    let topic = match topic {
        Some(topic) => topic,
        None => {
            let Ok(topic) = client.create_topic("t", configs).await else { return };
            known.borrow_mut().topic = Some(topic);
            topic
        }
    };
    loop {
        let number = known.borrow().sent;
        known.borrow_mut().sent += 1;
        let value = format!("record {number}").into_bytes();
        match client.produce(topic, &value).await {
            Ok(offset) => known.borrow_mut().acknowledged.push((offset, value)),
            Err(_) => return,
        }
    }
}

/// By offset.
type Records = Vec<(i64, Vec<u8>)>;

/// Runs a producer through `crashes` power failures, then reads everything; gives what was acknowledged and what was read.
fn run(seed: u64, crashes: u32, configs: &'static [(&str, &str)]) -> (Records, Records) {
    let known = Rc::new(RefCell::new(Known::default()));
    let read = Rc::new(RefCell::new(Vec::new()));
    let mut sim = with_node(seed);
    let (of_producer, result) = (Rc::clone(&known), Rc::clone(&read));
    let stop = Rc::new(RefCell::new(false));
    let stopped = Rc::clone(&stop);
    sim.client("client", async move {
        while !*stopped.borrow() {
            let produced = produce_until_it_breaks(&of_producer, configs);
            // A connection to a host that is gone may hang: it is given up.
            let _ = thalweg_sys::time::timeout(Duration::from_secs(2), produced).await;
        }
        let topic = of_producer.borrow().topic.ok_or("no topic was ever created")?;
        let mut client = connect().await;
        for (offset, value) in client.read_all(topic).await? {
            result.borrow_mut().push((offset, value.to_vec()));
        }
        Ok(()) as Outcome
    });
    fail_power(&mut sim, seed, crashes, 200);
    *stop.borrow_mut() = true;
    sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let acknowledged = std::mem::take(&mut known.borrow_mut().acknowledged);
    let read = std::mem::take(&mut *read.borrow_mut());
    (acknowledged, read)
}

#[test]
fn what_was_synced_before_its_acknowledgement_survives_power_failures() {
    for seed in seeds(20) {
        let (acknowledged, read) = run(seed, 3, &[("flush.messages", "1")]);
        assert!(acknowledged.len() > 10, "seed {seed}: only {} records were acknowledged", acknowledged.len());
        for record in &acknowledged {
            assert!(read.contains(record), "seed {seed}: acknowledged record {record:?} is lost");
        }
    }
}

#[test]
fn without_syncs_the_log_is_a_beginning_of_what_was_written() {
    for seed in seeds(20) {
        let (_, read) = run(seed, 2, &[]);
        let offsets: Vec<i64> = read.iter().map(|(offset, _)| *offset).collect();
        let expected: Vec<i64> = (0..read.len() as i64).collect();
        assert_eq!(offsets, expected, "seed {seed}: the offsets have gaps");
    }
}

#[test]
fn a_seed_says_what_happens() {
    assert_eq!(run(7, 2, &[("flush.messages", "1")]), run(7, 2, &[("flush.messages", "1")]));
}
