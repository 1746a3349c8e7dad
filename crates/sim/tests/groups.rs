//! What groups have committed, on a node that loses its power between any two operations.

#![cfg(sim)]

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use thalweg_base::Uuid;
use thalweg_sim::client::Client;
use thalweg_sim::story::{connect, pause};
use thalweg_sim::world::{Outcome, fail_power, seeds, with_node_and};
use thalweg_wire::messages as m;

const GROUP: &str = "g";

/// What a consumer knows: the topic, what it has committed last, and what it may have committed.
#[derive(Default)]
struct Known {
    topic: Option<Uuid>,
    acknowledged: i64,
    sent: i64,
    commits: u32,
}

/// The committed offset, as soon as the group is loaded.
async fn committed(client: &mut Client, topic_id: Uuid) -> io::Result<i64> {
    let topics = vec![OffsetFetchRequestTopics { topic_id, partition_indexes: vec![0], ..Default::default() }];
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(topics), ..Default::default() };
    let request = m::OffsetFetchRequest { groups: vec![group], ..m::OffsetFetchRequest::default() };
    loop {
        let response = client.ask(&request, 10).await?;
        let group = response.groups.first().ok_or(io::ErrorKind::InvalidData)?;
        if group.error_code == 0 {
            let answer = group.topics.first().and_then(|topic| topic.partitions.first());
            return Ok(answer.ok_or(io::ErrorKind::InvalidData)?.committed_offset);
        }
        pause().await;
    }
}

/// Looks what was kept, then commits one offset after the other until the connection breaks.
async fn commit_until_it_breaks(known: &RefCell<Known>) -> io::Result<()> {
    let mut client = connect().await;
    let find = m::FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    client.ask(&find, 6).await?;
    let topic = known.borrow().topic;
    let topic = match topic {
        Some(topic) => topic,
        None => {
            let topic = client.create_topic("t", &[]).await?;
            known.borrow_mut().topic = Some(topic);
            topic
        }
    };
    let found = committed(&mut client, topic).await?;
    check(&known.borrow(), found);
    loop {
        known.borrow_mut().sent += 1;
        let offset = known.borrow().sent;
        if client.commit(GROUP, topic, offset).await? != 0 {
            pause().await;
            continue;
        }
        let mut known = known.borrow_mut();
        known.acknowledged = offset;
        known.commits += 1;
    }
}

fn check(known: &Known, found: i64) {
    let found = found.max(0);
    assert!(found >= known.acknowledged, "offset {found} is there although {} was acknowledged", known.acknowledged);
    assert!(found <= known.sent, "offset {found} is there although {} was the last to be sent", known.sent);
}

#[test]
fn committed_offsets_survive_power_failures_and_never_go_back() {
    for seed in seeds(20) {
        let known = Rc::new(RefCell::new(Known::default()));
        let stop = Rc::new(RefCell::new(false));
        let properties = &[("log.flush.interval.messages", "1"), ("offsets.topic.num.partitions", "2")];
        let mut sim = with_node_and(seed, properties);
        let (of_client, stopped) = (Rc::clone(&known), Rc::clone(&stop));
        sim.client("client", async move {
            while !*stopped.borrow() {
                // A connection to a host that is gone may hang: it is given up.
                let _ = thalweg_sys::time::timeout(Duration::from_secs(2), commit_until_it_breaks(&of_client)).await;
            }
            let topic = of_client.borrow().topic.ok_or("no topic was ever created")?;
            let found = committed(&mut connect().await, topic).await?;
            check(&of_client.borrow(), found);
            Ok(()) as Outcome
        });
        fail_power(&mut sim, seed, 3, 200);
        *stop.borrow_mut() = true;
        sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(known.borrow().commits > 10, "seed {seed}: only {} commits were acknowledged", known.borrow().commits);
    }
}
