use std::path::Path;

use thalweg_metadata::config::{BrokerConfigs, ConfigMap};
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_replica::FetchParams;
use thalweg_storage::{FirstBatch, LogConfig, OpenFiles, OpenHints};
use thalweg_sys::time;

use super::reading::{Isolation, Reader};
use super::*;

mod following;
use crate::drivers::acknowledged::Awaited;
use crate::drivers::marker::Marker;
use crate::drivers::settings::BrokerLimits;

const ME: NodeId = NodeId(1);
const NOW: Timestamp = Timestamp(1_000);

fn settings(change: impl FnOnce(&mut LogConfig)) -> Arc<Settings> {
    let limits = BrokerLimits {
        replica_lag_max: Duration::from_secs(30),
        producer_id_expiration_ms: 86_400_000,
        recovery_threads: 1,
        decompressed_bytes_max: usize::MAX,
        open_files: OpenFiles::default(),
    };
    let mut settings = Settings::clone(&Settings::fallback(&TopicPartition::new("t", 0), &limits));
    change(&mut settings.log);
    Arc::new(settings)
}

/// A partition that this node leads, alone, with its log in `dir`.
fn leading(dir: &Path, settings: Arc<Settings>) -> Arc<Partition> {
    let partition = hosted(dir, ME, settings);
    assert_eq!(partition.assign(&registration(ME, 0, &[ME]), &ClusterImage::default()), FollowedUp::Stop);
    partition
}

/// A replica on `node`, with its log in `dir`, that has no part yet.
fn hosted(dir: &Path, node: NodeId, settings: Arc<Settings>) -> Arc<Partition> {
    let log = open(&dir.join("t-0"), &settings);
    let health = Health::new(dir, &Arc::default());
    let none = ConfigMap::new();
    let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &none };
    let throttles = Arc::new(Throttles::new(&broker));
    let local = Local {
        id: node,
        started: time::now(),
        proposals: mpsc::unbounded_channel().0,
        throttles,
        replicated: Arc::default(),
    };
    let id = TopicPartition::new("t", 0);
    Partition::new(id, Uuid::ZERO, (log, &health), Offset::ZERO, settings, local)
}

/// What the metadata says while `leader` leads in this epoch.
fn registration(leader: NodeId, epoch: i32, replicas: &[NodeId]) -> PartitionRegistration {
    PartitionRegistration {
        replicas: replicas.to_vec(),
        directories: vec![Uuid::ZERO; replicas.len()],
        isr: replicas.to_vec(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader,
        leader_recovery_state: Default::default(),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: thalweg_metadata::image::PartitionEpoch(epoch),
    }
}

fn open(dir: &Path, settings: &Settings) -> Log {
    Log::open(dir, None, settings.log.clone(), &OpenHints::UNKNOWN, NOW).expect("a log").0
}

/// A batch of an idempotent producer.
fn batch(sequence: i32) -> PreparedBatch {
    let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(0));
    let options = BatchOptions { producer_id, producer_epoch, base_sequence: sequence, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append(NOW, None, Some(b"value"), &[]);
    PreparedBatch::parse(&builder.build().expect("a batch")).expect("a batch")
}

fn append(partition: &Partition, sequence: i32, acks: Acks) -> Appended {
    partition.append(&mut [batch(sequence)], Origin::Client, acks, NOW, Moment(0)).expect("it is appended")
}

/// What a consumer finds at this offset.
fn readable(partition: &Partition, from: i64) -> (Offset, bool) {
    let params = FetchParams {
        fetch_offset: Offset(from),
        log_start: Offset(-1),
        max_bytes: 1000,
        current_leader_epoch: None,
        last_fetched_epoch: None,
    };
    let look = partition.look(&params, 1000, FirstBatch::Whole, Reader::Consumer, Isolation::ReadUncommitted);
    (look.high_watermark, look.read.is_some())
}

/// The sync runs as a task of this thread: not before the test waits.
#[tokio::test]
async fn what_must_be_synced_is_neither_shown_nor_acknowledged_before_not_even_to_who_sends_it_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|log| log.flush_messages = 1));
    for acks in [Acks::All, Acks::Leader] {
        let sequence = if acks == Acks::All { 0 } else { 1 };
        let at = i64::from(sequence);
        let first = append(&partition, sequence, acks);
        let second = append(&partition, sequence, acks);
        assert_eq!((first.ack, second.ack), (Ack::Unsynced, Ack::Unsynced));
        assert_eq!((first.base, second.base), (Offset(at), Offset(at)));
        assert_eq!(readable(&partition, at), (Offset(at), false));
        let awaited = Awaited { place: Arc::clone(&partition), end: second.end, epoch: second.epoch, acks };
        assert_eq!(awaited.acknowledged(time::now()).await, ErrorCode::None, "the deadline is not for the disk");
        assert_eq!(partition.with_log(|log| Ok(log.recovery_point())), Some(Offset(at + 1)));
        assert_eq!(readable(&partition, at), (Offset(at + 1), true));
    }
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_is_synced_and_shown_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|log| log.flush_messages = 1));
    let parked = Parked::new();
    partition.park(&parked);
    parked.begin();
    append(&partition, 0, Acks::Leader);
    parked.expect(1);
    parked.woken().await;
    assert_eq!(readable(&partition, 0), (Offset(1), true));
}

#[tokio::test]
async fn between_two_syncs_records_are_committed_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|log| log.flush_messages = 2));
    assert_eq!(append(&partition, 0, Acks::All).ack, Ack::Committed);
    assert_eq!(append(&partition, 1, Acks::All).ack, Ack::Unsynced);
    assert_eq!(readable(&partition, 0), (Offset(1), true));
}

#[tokio::test]
async fn who_waits_while_the_topic_is_deleted_learns_that_it_is_unknown() {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|log| log.flush_messages = 1));
    let appended = append(&partition, 0, Acks::All);
    drop(partition.remove());
    let awaited = Awaited { place: partition, end: appended.end, epoch: appended.epoch, acks: Acks::All };
    assert_eq!(awaited.acknowledged(time::now()).await, ErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn a_log_that_moves_obeys_the_configuration_that_changed_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|log| log.retention_ms = 1));
    let copy = open(&dir.path().join("copy"), &partition.settings());
    partition.set_settings(settings(|log| log.retention_ms = 1_000_000), Moment(0));
    let health = Health::new(dir.path(), &Arc::default());
    let old = partition.replace_log(&health, |_| Ok::<_, ()>(copy));
    assert!(matches!(old, Some(Ok(_))));
    assert_eq!(partition.with_log(|log| Ok(log.config().retention_ms)), Some(1_000_000));
}

/// The end of the producer's transaction, as its coordinator writes it.
fn end_transaction(partition: &Partition, epoch: i16, transaction_version: i16) {
    let marker = Marker {
        topic: "t".into(),
        partition: 0,
        producer: thalweg_transactions::Producer { id: ProducerId(7), epoch: ProducerEpoch(epoch) },
        committed: true,
        coordinator_epoch: 0,
        transaction_version,
    };
    let batch = marker.batch(NOW).expect("a marker");
    let origin = Origin::Coordinator { transaction_version };
    partition.append(&mut [batch], origin, Acks::All, NOW, Moment(0)).expect("it is appended");
}

/// A batch of the producer's transaction in this epoch.
fn transactional(epoch: i16) -> PreparedBatch {
    let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(epoch));
    let options = BatchOptions { producer_id, producer_epoch, transactional: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(BatchOptions { base_sequence: 0, ..options });
    builder.append(NOW, None, Some(b"value"), &[]);
    PreparedBatch::parse(&builder.build().expect("a batch")).expect("a batch")
}

/// Begins a transaction in this epoch while a marker is written, and says what becomes of its first batch.
fn begun_around_a_marker(epoch: i16, marker_epoch: i16, transaction_version: i16) -> Result<(), ErrorCode> {
    let dir = tempfile::tempdir().expect("a directory");
    let partition = leading(dir.path(), settings(|_| {}));
    let open = |epoch| partition.begin_verification(ProducerId(7), ProducerEpoch(epoch), Some(0)).expect("it may ask");
    let append = |epoch, guard: &Guard| {
        let appended = partition.append_in_transaction(&mut [transactional(epoch)], guard, Acks::All, NOW, Moment(0));
        appended.map(|_| ()).map_err(|refused| match refused {
            AppendRefused::Error(error) | AppendRefused::Sequence(error, _) => error,
        })
    };
    append(0, &open(0).expect("nothing is open yet"))?;
    let guard = open(epoch).unwrap_or(Guard::Open);
    end_transaction(&partition, marker_epoch, transaction_version);
    append(epoch, &guard)
}

#[tokio::test]
async fn a_marker_that_comes_while_its_producer_begins_anew_does_not_end_the_new_transaction() {
    assert_eq!(begun_around_a_marker(1, 1, 2), Ok(()), "the marker has the epoch of the next transaction");
    assert_eq!(begun_around_a_marker(1, 0, 0), Ok(()), "a new instance of the producer begins");
}

#[tokio::test]
async fn records_of_a_transaction_that_has_ended_are_refused() {
    assert_eq!(begun_around_a_marker(0, 1, 2), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(begun_around_a_marker(0, 0, 0), Err(ErrorCode::InvalidTxnState));
    assert_eq!(begun_around_a_marker(1, 1, 0), Err(ErrorCode::InvalidTxnState), "the marker ended this very epoch");
}
