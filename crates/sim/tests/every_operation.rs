//! A node whose process ends, or whose power fails, before every operation that changes its disk: while directories are
//! formatted, and through a life of starts, elections, topics, deletions and snapshots of the metadata. What was acknowledged
//! is there at the next start, and what was deleted stays away.

#![cfg(sim)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use thalweg_base::{Timestamp, Uuid};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, OpenDirectories, format, open};
use thalweg_sim::client::{Client, refused};
use thalweg_sim::story::{connect, pause};
use thalweg_sim::world::{CLUSTER_ID, NODE, Outcome, Properties, seeds, with_node_as_left, with_node_to_record};
use thalweg_sys::power::{FEW_WAYS, MANY_WAYS, Story};
use thalweg_sys::random;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Segments finish and snapshots are made within the story, and older ones of either are removed at once.
const PROPERTIES: Properties = &[
    ("log.flush.interval.messages", "1"),
    ("internal.segment.bytes", "300"),
    ("internal.metadata.log.segment.bytes", "700"),
    ("internal.metadata.delete.delay.millis", "0"),
    ("metadata.max.retention.bytes", "1000"),
    ("log.segment.delete.delay.ms", "0"),
];

/// What ListOffsets calls the start of a log.
const EARLIEST: i64 = -2;
/// The name of a topic that is created again after it was deleted.
const TWICE: &str = "twice";
const KEPT: &str = "kept";

/// What is known of one topic.
#[derive(Clone, Debug, Default)]
struct Topic {
    name: &'static str,
    /// Acknowledged records by offset, without those that were deleted.
    records: BTreeMap<i64, Vec<u8>>,
    /// The first offset that was not deleted.
    start: i64,
    /// Its own `retention.ms`, once that was acknowledged.
    retention: Option<&'static str>,
}

/// What must be there from some moment on.
#[derive(Clone, Debug, Default)]
struct Known {
    topics: BTreeMap<Uuid, Topic>,
    /// Topics whose deletion was acknowledged.
    gone: BTreeSet<Uuid>,
    /// The newest epoch in which the node was seen to lead the quorum.
    epoch: i32,
}

/// What is known now, and the story that it is told to.
struct Teller {
    known: Known,
    story: Story<Known>,
}

impl Teller {
    fn learn(&mut self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known);
        self.story.now(self.known.clone());
    }

    fn learn_of(&mut self, id: Uuid, change: impl FnOnce(&mut Topic)) {
        self.learn(|known| change(known.topics.get_mut(&id).expect("a topic that is known")));
    }
}

/// The epoch in which the node leads the quorum.
async fn epoch(client: &mut Client) -> io::Result<i32> {
    use m::describe_quorum_request::{PartitionData, TopicData};
    let topic = TopicData { topic_name: "__cluster_metadata".into(), partitions: vec![PartitionData::default()] };
    let answer = client.ask(&m::DescribeQuorumRequest { topics: vec![topic] }, 2).await?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.ok_or_else(|| io::Error::other(format!("no quorum: {:?}", answer.error_code)))?;
    Ok(partition.leader_epoch)
}

async fn delete(client: &mut Client, topic_id: Uuid) -> io::Result<()> {
    let topic = m::delete_topics_request::DeleteTopicState { name: None, topic_id };
    let request = m::DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    refused(client.ask(&request, 6).await?.responses.first().ok_or(io::ErrorKind::InvalidData)?.error_code)
}

async fn delete_records(client: &mut Client, name: &str, offset: i64) -> io::Result<()> {
    use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: name.into(), partitions }];
    let answer = client.ask(&m::DeleteRecordsRequest { topics, timeout_ms: 10_000 }, 2).await?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    refused(partition.ok_or(io::ErrorKind::InvalidData)?.error_code)
}

async fn set_retention(client: &mut Client, name: &str, value: &str) -> io::Result<()> {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = vec![AlterableConfig { name: "retention.ms".into(), config_operation: 0, value: Some(value.into()) }];
    let resource = AlterConfigsResource { resource_type: 2, resource_name: name.into(), configs };
    let request = m::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    refused(client.ask(&request, 1).await?.responses.first().ok_or(io::ErrorKind::InvalidData)?.error_code)
}

async fn retention(client: &mut Client, name: &str) -> io::Result<Option<String>> {
    use m::describe_configs_request::DescribeConfigsResource;
    let keys = Some(vec!["retention.ms".into()]);
    let resource = DescribeConfigsResource { resource_type: 2, resource_name: name.into(), configuration_keys: keys };
    let request = m::DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.ask(&request, 4).await?;
    let result = answer.results.first().ok_or(io::ErrorKind::InvalidData)?;
    refused(result.error_code)?;
    Ok(result.configs.first().and_then(|config| config.value.as_ref()).map(ToString::to_string))
}

/// The id of the topic with this name, if there is one.
async fn id_of(client: &mut Client, name: &str) -> io::Result<Option<Uuid>> {
    let topic = m::metadata_request::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = m::MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let answer = client.ask(&request, 12).await?;
    let topic = answer.topics.first().ok_or(io::ErrorKind::InvalidData)?;
    Ok((topic.error_code == 0).then_some(topic.topic_id))
}

/// What Metadata answers about a topic's id.
async fn error_of(client: &mut Client, topic_id: Uuid) -> io::Result<ErrorCode> {
    let topic = m::metadata_request::MetadataRequestTopic { topic_id, name: None };
    let request = m::MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let answer = client.ask(&request, 12).await?;
    Ok(answer.topics.first().ok_or(io::ErrorKind::InvalidData)?.error_code.into())
}

/// Creates a topic with a few records.
async fn create(teller: &RefCell<Teller>, client: &mut Client, name: &'static str) -> io::Result<Uuid> {
    let id = client.create_topic(name, &[]).await?;
    teller.borrow_mut().learn(|known| {
        known.topics.insert(id, Topic { name, ..Topic::default() });
    });
    produce(teller, client, id, 6).await?;
    Ok(id)
}

async fn produce(teller: &RefCell<Teller>, client: &mut Client, id: Uuid, count: usize) -> io::Result<()> {
    for number in 0..count {
        let value = format!("record {number} of {id}").into_bytes();
        let offset = client.produce(id, &value).await?;
        teller.borrow_mut().learn_of(id, |topic| {
            topic.records.insert(offset, value);
        });
    }
    Ok(())
}

/// Deletes a topic. Until that is acknowledged it may be there or not.
async fn delete_topic(teller: &RefCell<Teller>, client: &mut Client, id: Uuid) -> io::Result<()> {
    teller.borrow_mut().learn(|known| {
        known.topics.remove(&id);
    });
    delete(client, id).await?;
    teller.borrow_mut().learn(|known| {
        known.gone.insert(id);
    });
    Ok(())
}

/// The node's first life: topics with records, one deleted and created again, a changed configuration, deleted records.
async fn first_life(teller: &RefCell<Teller>) -> io::Result<()> {
    let mut client = connect().await;
    let kept = create(teller, &mut client, KEPT).await?;
    let old = create(teller, &mut client, TWICE).await?;
    set_retention(&mut client, KEPT, "777777777").await?;
    teller.borrow_mut().learn_of(kept, |topic| topic.retention = Some("777777777"));
    delete_topic(teller, &mut client, old).await?;
    create(teller, &mut client, TWICE).await?;
    // Until they are acknowledged to be deleted, these records may be there or not.
    teller.borrow_mut().learn_of(kept, |topic| topic.records.retain(|offset, _| *offset >= 4));
    delete_records(&mut client, KEPT, 4).await?;
    teller.borrow_mut().learn_of(kept, |topic| topic.start = 4);
    produce(teller, &mut client, kept, 4).await?;
    let epoch = epoch(&mut client).await?;
    teller.borrow_mut().learn(|known| known.epoch = epoch);
    Ok(())
}

/// Its second one, after a stop in order.
async fn second_life(teller: &RefCell<Teller>) -> io::Result<()> {
    let mut client = connect().await;
    let epoch = epoch(&mut client).await?;
    teller.borrow_mut().learn(|known| known.epoch = epoch);
    let (kept, twice) = {
        let known = &teller.borrow().known;
        let id = |name| *known.topics.iter().find(|(_, topic)| topic.name == name).expect("it was created").0;
        (id(KEPT), id(TWICE))
    };
    produce(teller, &mut client, kept, 4).await?;
    delete_topic(teller, &mut client, twice).await?;
    create(teller, &mut client, "third").await?;
    Ok(())
}

/// Reads a topic, whose records must all have been produced to it and not to another one of its name.
async fn read(client: &mut Client, id: Uuid, name: &str, how: &str) -> io::Result<BTreeMap<i64, Vec<u8>>> {
    let start = client.offset_at(name, EARLIEST).await?;
    let read = client.read_from(id, start).await;
    let read = read.unwrap_or_else(|e| panic!("{how}: topic {name} cannot be read: {e}"));
    let own = format!(" of {id}").into_bytes();
    assert!(read.iter().all(|(_, value)| value.ends_with(&own)), "{how}: {name} has records of another topic");
    Ok(read.into_iter().map(|(offset, value)| (offset, value.to_vec())).collect())
}

/// Everything that is known is there, and the node serves.
async fn check(known: &Known, how: &str) -> io::Result<()> {
    let mut client = connect().await;
    let now = epoch(&mut client).await?;
    assert!(now > known.epoch, "{how}: the node leads in epoch {now} again, it led in {} before", known.epoch);
    for (id, topic) in &known.topics {
        let name = topic.name;
        let read = read(&mut client, *id, name, how).await?;
        let first = read.keys().next().copied().unwrap_or(topic.start);
        assert!(first >= topic.start, "{how}: deleted records of {name} are back, from {first}");
        for record in &topic.records {
            assert_eq!(read.get(record.0), Some(record.1), "{how}: an acknowledged record of {name} is lost");
        }
        if let Some(value) = topic.retention {
            assert_eq!(retention(&mut client, name).await?.as_deref(), Some(value), "{how}: retention of {name}");
        }
    }
    // It may have been created again although nobody was told.
    if let Some(id) = id_of(&mut client, TWICE).await? {
        read(&mut client, id, TWICE, how).await?;
    }
    for id in &known.gone {
        assert_eq!(error_of(&mut client, *id).await?, ErrorCode::UnknownTopicId, "{how}: a deleted topic is back");
    }
    // Where this has failed again, the first may be there.
    let new = match client.create_topic("new", &[]).await {
        Err(e) if e.to_string() == ErrorCode::TopicAlreadyExists.name() => client.create_topic("newer", &[]).await,
        other => other,
    };
    let new = new.unwrap_or_else(|e| panic!("{how}: no topic can be created: {e}"));
    let offset = client.produce(new, b"first").await.unwrap_or_else(|e| panic!("{how}: nothing can be produced: {e}"));
    assert_eq!(offset, 0, "{how}: a new topic has records");
    Ok(())
}

#[test]
fn a_node_whose_disk_ends_anywhere_starts_with_all_that_it_acknowledged() {
    for seed in seeds(1) {
        let (mut sim, host) = with_node_to_record(seed, PROPERTIES);
        let teller = Rc::new(RefCell::new(Teller { known: Known::default(), story: Story::begin(Known::default()) }));
        let (of_client, node) = (Rc::clone(&teller), host.clone());
        let stopped = Rc::new(RefCell::new(false));
        let (says, again) = (Rc::clone(&stopped), Rc::new(RefCell::new(false)));
        let is_back = Rc::clone(&again);
        sim.client("client", async move {
            first_life(&of_client).await?;
            node.stop();
            *says.borrow_mut() = true;
            while !*is_back.borrow() {
                pause().await;
            }
            second_life(&of_client).await?;
            Ok(()) as Outcome
        });
        while !*stopped.borrow() || sim.is_host_running(NODE) {
            sim.step().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        sim.bounce(NODE);
        *again.borrow_mut() = true;
        sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        drop(sim);
        let Teller { story, .. } = Rc::into_inner(teller).expect("the client has ended").into_inner();
        let operations = story.fail_everywhere(seed, FEW_WAYS, |known, how| {
            // Not the seed of the story: it would draw the same ids of topics again.
            let mut sim = with_node_as_left(random::u64(), PROPERTIES);
            let (known, what) = (known.clone(), how.to_owned());
            sim.client("client", async move {
                check(&known, &what).await?;
                Ok(()) as Outcome
            });
            sim.run().unwrap_or_else(|e| panic!("{how}: {e}"));
        });
        assert!(operations > 100, "{operations}");
    }
}

fn format_all(config: &NodeConfig) -> OpenDirectories {
    let request = FormatRequest { ignore_formatted: true, ..FormatRequest::new(CLUSTER_ID, FirstVoters::Standalone) };
    format(config, &request, NOW, &mut Vec::new()).expect("a format");
    open(config, NOW).expect("directories that were formatted")
}

#[test]
fn a_format_that_ends_anywhere_is_done_again_and_a_finished_one_stays() {
    let directories =
        [("metadata.log.dir", "/m"), ("log.dirs", "/a,/b"), ("controller.quorum.bootstrap.servers", "n:9093")];
    let overrides: Vec<_> = directories.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (config, _) = NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("a configuration");
    for seed in seeds(8) {
        thalweg_sys::disk::replace();
        let mut story = Story::begin(None);
        story.now(Some(format_all(&config)));
        let operations = story.fail_everywhere(seed, MANY_WAYS, |known: &Option<OpenDirectories>, how| match known {
            Some(known) => assert_eq!(open(&config, NOW).as_ref(), Ok(known), "{how}"),
            None => drop(format_all(&config)),
        });
        assert!(operations > 20, "{operations}");
    }
}
