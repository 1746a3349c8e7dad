//! The two files that a cluster begins with: its first metadata records, and its first voters.

use std::path::Path;

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_metadata::{MetadataRecord, MetadataVersion};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchBuilder, BatchOptions, batches};
use thalweg_sys::fs;
use thalweg_wire::messages::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use thalweg_wire::messages::{KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord};
use thalweg_wire::{EncodeError, Writer};

use super::DynamicVoters;

/// What a bootstrap file may hold at most, so that a damaged one cannot take all memory.
const BOOTSTRAP_BYTES_MAX: usize = 64 << 20;

/// The bytes of `bootstrap.checkpoint`: a snapshot's header, the records, a snapshot's footer.
pub(super) fn bootstrap_file(
    records: &[MetadataRecord],
    version: MetadataVersion,
    now: Timestamp,
) -> Result<Bytes, String> {
    snapshot_file(&SnapshotContent { last: Timestamp(0), epoch: LeaderEpoch(0), quorum: &[], records, version }, now)
}

/// What a snapshot of the metadata holds.
pub(crate) struct SnapshotContent<'a> {
    /// The timestamp of the last batch of the log that is in it.
    pub(crate) last: Timestamp,
    /// The epoch of that batch.
    pub(crate) epoch: LeaderEpoch,
    /// The quorum's own records: its version and voters.
    pub(crate) quorum: &'a [(ControlType, Bytes)],
    /// Everything else.
    pub(crate) records: &'a [MetadataRecord],
    /// At which version the records are written.
    pub(crate) version: MetadataVersion,
}

/// So many records are in one batch of a snapshot.
const RECORDS_PER_BATCH: usize = 1000;

/// The bytes of a snapshot (KIP-630): a header, records, a footer.
pub(crate) fn snapshot_file(content: &SnapshotContent<'_>, now: Timestamp) -> Result<Bytes, String> {
    let mut file = Vec::new();
    file.extend_from_slice(&header(content, now)?);
    let mut next = Offset(1 + content.quorum.len() as i64);
    for records in content.records.chunks(RECORDS_PER_BATCH) {
        let options = BatchOptions { base_offset: next, leader_epoch: content.epoch, ..BatchOptions::default() };
        let mut batch = BatchBuilder::new(options);
        for record in records {
            let value = record.encode_at(content.version).map_err(|e| e.to_string())?;
            batch.append(now, None, Some(&value), &[]);
        }
        next = batch.next_offset();
        file.extend_from_slice(&batch.build().map_err(|e| e.to_string())?);
    }
    file.extend_from_slice(&footer(next, content.epoch, now)?);
    Ok(file.into())
}

/// The bytes of the first snapshot of the metadata log: no records, only who votes.
pub(super) fn first_snapshot(
    voters: &DynamicVoters,
    listener: &str,
    kraft_version: i16,
    now: Timestamp,
) -> Result<Bytes, String> {
    let version = KRaftVersionRecord { k_raft_version: kraft_version, ..KRaftVersionRecord::default() };
    let voter = |voter: &super::DynamicVoter| Voter {
        voter_id: voter.id.0,
        voter_directory_id: voter.directory_id,
        endpoints: vec![Endpoint {
            name: listener.to_uppercase().into(),
            host: voter.host.as_str().into(),
            port: voter.port,
        }],
        k_raft_version_feature: KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 },
    };
    let voters = VotersRecord { voters: voters.iter().map(voter).collect(), ..VotersRecord::default() };
    let more = [
        (ControlType::KRaftVersion, value(|w| version.encode(w, 0))?),
        (ControlType::KRaftVoters, value(|w| voters.encode(w, 0))?),
    ];
    let version = MetadataVersion::LATEST;
    let content = SnapshotContent { last: now, epoch: LeaderEpoch(0), quorum: &more, records: &[], version };
    snapshot_file(&content, now)
}

fn value(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Result<Bytes, String> {
    let mut w = Writer::new();
    encode(&mut w).map_err(|e| e.to_string())?;
    Ok(w.into_bytes())
}

fn control(base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchBuilder {
    BatchBuilder::new(BatchOptions { base_offset, leader_epoch, control: true, ..BatchOptions::default() })
}

fn header(content: &SnapshotContent<'_>, now: Timestamp) -> Result<Bytes, String> {
    let header =
        SnapshotHeaderRecord { last_contained_log_timestamp: content.last.0, ..SnapshotHeaderRecord::default() };
    let mut batch = control(Offset(0), content.epoch);
    batch.append_control(now, ControlType::SnapshotHeader, &value(|w| header.encode(w, 0))?);
    for (kind, value) in content.quorum {
        batch.append_control(now, *kind, value);
    }
    batch.build().map_err(|e| e.to_string())
}

fn footer(at: Offset, epoch: LeaderEpoch, now: Timestamp) -> Result<Bytes, String> {
    let mut batch = control(at, epoch);
    let footer = SnapshotFooterRecord::default();
    batch.append_control(now, ControlType::SnapshotFooter, &value(|w| footer.encode(w, 0))?);
    batch.build().map_err(|e| e.to_string())
}

/// The metadata records in the bytes of a `bootstrap.checkpoint`.
///
/// # Errors
/// When the bytes are damaged, or hold a record that this node does not know.
pub fn read_bootstrap(bytes: Bytes) -> Result<Vec<MetadataRecord>, String> {
    let mut records = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.map_err(|e| e.to_string())?;
        batch.verify_crc().map_err(|e| e.to_string())?;
        if batch.header().attributes.is_control() {
            continue;
        }
        for record in batch.records(BOOTSTRAP_BYTES_MAX).map_err(|e| e.to_string())? {
            let value = record.map_err(|e| e.to_string())?.value.ok_or("a metadata record has no value")?;
            records.push(MetadataRecord::decode(value).map_err(|e| e.to_string())?);
        }
    }
    Ok(records)
}

/// The metadata records in the `bootstrap.checkpoint` of a directory; those of a new cluster when it has none, as Kafka
/// does.
///
/// # Errors
/// When the file cannot be read, is damaged, or holds a record that this node does not know.
pub fn read_bootstrap_file(directory: &Path) -> Result<Vec<MetadataRecord>, String> {
    let path = directory.join(super::BOOTSTRAP);
    let fail = |e: String| format!("cannot read {}: {e}", path.display());
    if !fs::exists(&path) {
        let version = MetadataVersion::LATEST;
        let levels = thalweg_metadata::bootstrap::default_levels(version);
        return Ok(thalweg_metadata::bootstrap::bootstrap_records(version, &levels, &[]));
    }
    let bytes = fs::read(&path).map_err(|e| fail(e.to_string()))?;
    read_bootstrap(bytes.into()).map_err(fail)
}

/// The records as Kafka's tool prints them.
pub(super) fn text(records: &[MetadataRecord], version: MetadataVersion) -> String {
    let record = |record: &MetadataRecord| match record {
        MetadataRecord::FeatureLevel(level) => format!(
            "ApiMessageAndVersion(FeatureLevelRecord(name='{}', featureLevel={}) at version 0)",
            level.name, level.feature_level
        ),
        MetadataRecord::UserScramCredential(credential) => {
            format!("ApiMessageAndVersion({} at version 0)", super::scram::text(credential))
        }
        other => format!("ApiMessageAndVersion({} at version {})", other.name(), other.version_at(version)),
    };
    let records: Vec<String> = records.iter().map(record).collect();
    format!(
        "BootstrapMetadata(records=[{}], metadataVersionLevel={}, source=format command)",
        records.join(", "),
        version.0
    )
}
