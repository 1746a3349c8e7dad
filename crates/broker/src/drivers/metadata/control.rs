//! The quorum's own records between the wire and the state machine.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, NodeId, Timestamp};
use thalweg_raft::{Change, ControlRecord, Endpoint, KRaftVersion, ReplicaKey, Voter as QuorumVoter, Voters};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch, Record};
use thalweg_wire::messages::KRaftVersionRecord;
use thalweg_wire::messages::leader_change_message::{LeaderChangeMessage, Voter};
use thalweg_wire::messages::voters_record::{self, VotersRecord};
use thalweg_wire::{Reader, Writer};

/// Builds the batch of control records that a new leader, or a change of voters, begins with.
pub(super) fn batch(records: &[ControlRecord], epoch: LeaderEpoch, now: Timestamp) -> Option<PreparedBatch> {
    let options = BatchOptions { leader_epoch: epoch, control: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for record in records {
        let (control, value) = encoded(record)?;
        builder.append_control(now, control, &value);
    }
    PreparedBatch::parse(&builder.build().ok()?).ok()
}

/// The quorum's own records as a snapshot holds them. Static voters stand in the configuration, not in snapshots.
pub(super) fn in_snapshot(version: KRaftVersion, voters: &Voters) -> Vec<(ControlType, Bytes)> {
    if !version.supports_reconfiguration() {
        return Vec::new();
    }
    let records = [ControlRecord::KRaftVersion(version), ControlRecord::Voters(voters.clone())];
    records.iter().filter_map(encoded).collect()
}

fn encoded(record: &ControlRecord) -> Option<(ControlType, Bytes)> {
    let mut writer = Writer::new();
    let control = match record {
        ControlRecord::LeaderChange { leader, voters, granting } => {
            leader_change(*leader, voters, granting).encode(&mut writer, 0).ok()?;
            ControlType::LeaderChange
        }
        ControlRecord::KRaftVersion(version) => {
            let record = KRaftVersionRecord { version: 0, k_raft_version: version.0.cast_signed() };
            record.encode(&mut writer, 0).ok()?;
            ControlType::KRaftVersion
        }
        ControlRecord::Voters(voters) => {
            voters_record(voters).encode(&mut writer, 0).ok()?;
            ControlType::KRaftVoters
        }
    };
    Some((control, writer.into_bytes()))
}

fn leader_change(leader: NodeId, voters: &[NodeId], granting: &[NodeId]) -> LeaderChangeMessage {
    let list = |ids: &[NodeId]| ids.iter().map(|id| Voter { voter_id: id.0, ..Voter::default() }).collect::<Vec<_>>();
    LeaderChangeMessage { version: 0, leader_id: leader.0, voters: list(voters), granting_voters: list(granting) }
}

fn voters_record(voters: &Voters) -> VotersRecord {
    let voter = |voter: &QuorumVoter| voters_record::Voter {
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.directory.unwrap_or_default(),
        endpoints: voter
            .endpoints
            .iter()
            .map(|e| voters_record::Endpoint {
                name: e.listener.as_str().into(),
                host: e.host.as_str().into(),
                port: e.port,
            })
            .collect(),
        k_raft_version_feature: voters_record::KRaftVersionFeature {
            min_supported_version: voter.kraft_version_min.0.cast_signed(),
            max_supported_version: voter.kraft_version_max.0.cast_signed(),
        },
    };
    VotersRecord { version: 0, voters: voters.iter().map(voter).collect() }
}

/// What a control record changes about the quorum itself, if anything. Records that a newer version defines are skipped.
pub(super) fn change(record: &Record) -> Option<Change> {
    let control = ControlType::parse_key(record.key.as_deref()?).ok()??;
    let mut reader = Reader::new(record.value.clone()?);
    match control {
        ControlType::KRaftVersion => {
            let record = KRaftVersionRecord::decode(&mut reader, 0).ok()?;
            Some(Change::KRaftVersion(KRaftVersion(record.k_raft_version.cast_unsigned())))
        }
        ControlType::KRaftVoters => Some(Change::Voters(voters(&VotersRecord::decode(&mut reader, 0).ok()?))),
        _ => None,
    }
}

fn voters(record: &VotersRecord) -> Voters {
    Voters::new(record.voters.iter().map(|voter| {
        QuorumVoter {
            key: ReplicaKey { id: NodeId(voter.voter_id), directory: Some(voter.voter_directory_id) },
            endpoints: voter
                .endpoints
                .iter()
                .map(|e| Endpoint { listener: e.name.to_string(), host: e.host.to_string(), port: e.port })
                .collect(),
            kraft_version_min: KRaftVersion(voter.k_raft_version_feature.min_supported_version.cast_unsigned()),
            kraft_version_max: KRaftVersion(voter.k_raft_version_feature.max_supported_version.cast_unsigned()),
        }
    }))
}
