//! Random requests against a controller, and what must hold after each.
//!
//! Run one seed: the assertion names it; put it into [`SEEDS`].

use std::collections::BTreeSet;
use std::ops::Range;

use thalweg_base::{Moment, NodeId, Offset};
use thalweg_metadata::image::PartitionRegistration;
use thalweg_metadata::{Changes, MetadataImage, MetadataVersion};
use thalweg_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use thalweg_wire::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use thalweg_wire::messages::create_partitions_request::CreatePartitionsTopic;
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;
use thalweg_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_wire::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
};

use crate::tests::cluster::{Cluster, counted, with_config};

const SEEDS: Range<u64> = 1..50;
const STEPS: usize = 150;
const BROKERS: usize = 5;
const NAMES: [&str; 6] = ["a", "b", "c.d", "c_d", "e-f", "bad name"];
const VERSIONS: [i16; 5] = [7, 15, 19, 25, 30];

#[test]
fn whatever_is_asked_the_image_stays_sound() {
    for seed in SEEDS {
        let version = MetadataVersion(VERSIONS[seed as usize % VERSIONS.len()]);
        let mut cluster = Cluster::at_version(version, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for step in 0..STEPS {
            let before = cluster.image.clone();
            act(&mut cluster);
            check(&cluster, &before, &format!("seed {seed} step {step} at {version}"));
        }
    }
}

#[test]
fn a_seed_gives_the_same_records_again() {
    let run = || {
        let mut cluster = Cluster::at_version(MetadataVersion::LATEST, 77);
        (0..STEPS).for_each(|_| act(&mut cluster));
        cluster.image.to_records()
    };
    assert_eq!(run(), run());
}

fn act(cluster: &mut Cluster) {
    cluster.now = Moment(cluster.now.0 + i64::try_from(cluster.random.below(3000)).expect("it is small"));
    match cluster.random.below(16) {
        0..=1 => register(cluster),
        2..=4 => heartbeat(cluster),
        5 => expire(cluster),
        6..=8 => create(cluster),
        9 => delete(cluster),
        10 => grow(cluster),
        11 => configure(cluster),
        12..=13 => alter_isr(cluster),
        14 => elect(cluster),
        _ => reassign(cluster),
    }
}

fn name(cluster: &mut Cluster) -> &'static str {
    NAMES[cluster.random.below(NAMES.len())]
}

fn broker(cluster: &mut Cluster) -> i32 {
    i32::try_from(1 + cluster.random.below(BROKERS)).expect("it is small")
}

fn register(cluster: &mut Cluster) {
    let id = broker(cluster);
    let known = cluster.alive(id).broker_epoch;
    let previous = if cluster.random.below(2) == 0 { known } else { -1 };
    let mut request = cluster.registration(id, previous);
    request.rack = [None, Some("r1".into()), Some("r2".into())][cluster.random.below(3)].clone();
    let _ = cluster.register(&request);
}

fn heartbeat(cluster: &mut Cluster) {
    let id = broker(cluster);
    let request = BrokerHeartbeatRequest {
        want_fence: cluster.random.below(12) == 0,
        want_shut_down: cluster.random.below(6) == 0,
        cordoned_log_dirs: (cluster.random.below(2) == 0).then(Vec::new),
        ..cluster.alive(id)
    };
    let _ = cluster.heartbeat(&request);
}

fn expire(cluster: &mut Cluster) {
    for id in cluster.sessions.expired(cluster.now) {
        cluster.fence(id.0);
    }
}

fn create(cluster: &mut Cluster) {
    let partitions = i32::try_from(cluster.random.below(5)).expect("it is small") - 1;
    let replicas = i16::try_from(cluster.random.below(5)).expect("it is small") - 1;
    let name = name(cluster);
    let minimum = ["1", "2", "x"][cluster.random.below(3)];
    let topic = with_config(counted(name, partitions, replicas), "min.insync.replicas", Some(minimum));
    let validate_only = cluster.random.below(8) == 0;
    cluster.create(&CreateTopicsRequest { topics: vec![topic], validate_only, ..CreateTopicsRequest::default() });
}

fn delete(cluster: &mut Cluster) {
    let state = DeleteTopicState { name: Some(name(cluster).into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest { topics: vec![state], ..DeleteTopicsRequest::default() };
    let decided = cluster
        .controller
        .delete_topics(&cluster.image, &request, 6, &mut crate::Mutations::unlimited())
        .expect("deletion is enabled");
    cluster.apply(decided);
}

fn grow(cluster: &mut Cluster) {
    let count = i32::try_from(cluster.random.below(6)).expect("it is small");
    let topic = CreatePartitionsTopic { name: name(cluster).into(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], ..CreatePartitionsRequest::default() };
    let random = &mut cluster.random;
    let decided = cluster.controller.create_partitions(
        &cluster.image,
        &mut || random.next(),
        &request,
        &mut crate::Mutations::unlimited(),
    );
    cluster.apply(decided);
    let id = broker(cluster);
    let request = AllocateProducerIdsRequest { broker_id: id, broker_epoch: cluster.alive(id).broker_epoch };
    if let Ok(decided) = cluster.controller.allocate_producer_ids(&cluster.image, &request) {
        cluster.apply(decided);
    }
}

fn configure(cluster: &mut Cluster) {
    let names = ["min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy"];
    let values = ["1", "2", "true", "compact"];
    let config = AlterableConfig {
        name: names[cluster.random.below(names.len())].into(),
        config_operation: i8::try_from(cluster.random.below(4)).expect("it is small"),
        value: Some(values[cluster.random.below(values.len())].into()),
    };
    let resource =
        AlterConfigsResource { resource_type: 2, resource_name: name(cluster).into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &request);
    cluster.apply(decided);
}

/// A leader asks for a random subset of the replicas, itself included.
fn alter_isr(cluster: &mut Cluster) {
    let name = name(cluster);
    let Some(topic) = cluster.image.topics().by_name(name).cloned() else { return };
    let mut all: Vec<BrokerState> = Vec::new();
    let Some(partition) = topic.partition(0) else { return };
    for id in &partition.replicas {
        if *id == partition.leader || cluster.random.below(2) == 0 {
            all.push(BrokerState { broker_id: id.0, broker_epoch: cluster.alive(id.0).broker_epoch });
        }
    }
    let data = PartitionData {
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch.0,
        new_isr_with_epochs: all,
        ..PartitionData::default()
    };
    let request = AlterPartitionRequest {
        broker_id: partition.leader.0,
        broker_epoch: cluster.alive(partition.leader.0).broker_epoch,
        topics: vec![TopicData { topic_id: topic.id, partitions: vec![data] }],
    };
    if let Ok(decided) = cluster.controller.alter_partition(&cluster.image, &request, 3) {
        cluster.apply(decided);
    }
}

fn elect(cluster: &mut Cluster) {
    let election_type = i8::try_from(cluster.random.below(2)).expect("it is small");
    let request = ElectLeadersRequest { election_type, topic_partitions: None, ..ElectLeadersRequest::default() };
    let decided = cluster.controller.elect_leaders(&cluster.image, &request).expect("there is such an election");
    cluster.apply(decided);
    let records = cluster.controller.balance_leaders(&cluster.image, 10);
    cluster.replay(&records);
}

fn reassign(cluster: &mut Cluster) {
    let mut replicas: Vec<i32> = (0..1 + cluster.random.below(3)).map(|_| broker(cluster)).collect();
    replicas.dedup();
    let replicas = (cluster.random.below(4) > 0).then_some(replicas);
    let partition = ReassignablePartition { partition_index: 0, replicas };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: name(cluster).into(), partitions: vec![partition] }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let decided = cluster.controller.alter_partition_reassignments(&cluster.image, &request);
    cluster.apply(decided);
}

fn check(cluster: &Cluster, before: &MetadataImage, at: &str) {
    let image = &cluster.image;
    for topic in image.topics().iter() {
        let by_name = image.topics().by_name(&topic.name).expect("each topic has its name");
        assert_eq!(by_name.id, topic.id, "{at}");
        let count = i32::try_from(topic.partition_count()).expect("it is small");
        assert!(topic.partitions.keys().copied().eq(0..count), "{at}: no partition is missing");
        for (index, partition) in &topic.partitions {
            check_partition(image, partition, &format!("{at}: {}-{index} {partition:?}", topic.name));
        }
    }
    check_progress(image, before, at);
    let mut again = MetadataImage::default();
    for record in image.to_records() {
        let bytes = record.encode_at(image.metadata_version()).expect("every record of a snapshot fits");
        again.replay(&thalweg_metadata::MetadataRecord::decode(bytes).expect("it can be read"), Offset(0));
    }
    assert!(again == *image, "{at}: a snapshot holds everything");
    assert!(Changes::between(&again, image).is_empty(), "{at}");
}

fn check_partition(image: &MetadataImage, partition: &PartitionRegistration, at: &str) {
    let distinct = |ids: &[NodeId]| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    let within = |ids: &[NodeId]| ids.iter().all(|id| partition.replicas.contains(id));
    assert!(!partition.replicas.is_empty() && distinct(&partition.replicas), "{at}");
    assert_eq!(partition.directories.len(), partition.replicas.len(), "{at}");
    assert!(within(&partition.isr) && distinct(&partition.isr), "{at}");
    assert!(within(&partition.elr) && distinct(&partition.elr), "{at}");
    assert!(!partition.elr.iter().any(|id| partition.isr.contains(id)), "{at}: nobody is in both");
    if partition.has_leader() {
        assert!(partition.isr.contains(&partition.leader), "{at}: the leader is in sync");
        let alone = !image.cluster().brokers().any(|broker| broker.is_active());
        assert!(alone || image.cluster().is_active(partition.leader), "{at}: the leader is alive");
    }
    if !image.features().elr_enabled() {
        assert!(!partition.isr.is_empty() && partition.elr.is_empty(), "{at}");
    }
}

/// Epochs never go back, and whoever becomes the leader anew does so in a new epoch.
fn check_progress(image: &MetadataImage, before: &MetadataImage, at: &str) {
    for change in Changes::between(before, image).partitions_changed {
        let (Some(was), Some(is)) = (change.before, change.after) else { continue };
        assert!(is.partition_epoch > was.partition_epoch, "{at}");
        assert!(is.leader_epoch >= was.leader_epoch, "{at}");
        assert!(is.leader == was.leader || is.leader_epoch > was.leader_epoch, "{at}");
    }
}
