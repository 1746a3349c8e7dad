//! Whatever records the log holds, in whatever order: replay does not fail, and a snapshot holds what they add up to.

use thalweg_base::Uuid;
use thalweg_wire::messages::client_quota_record::EntityData;
use thalweg_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use thalweg_wire::messages::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord,
    ClearElrRecord, ClientQuotaRecord, ConfigRecord, DelegationTokenRecord, EndTransactionRecord, FeatureLevelRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
    UnregisterBrokerRecord, UserScramCredentialRecord,
};

use super::*;
use crate::Changes;

/// Seeded numbers: small ones, so that records often mean the same things.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn int(&mut self) -> i32 {
        match self.below(12) {
            0 => i32::MAX,
            1 => i32::MIN,
            small => i32::try_from(small).expect("it is small") - 4,
        }
    }

    fn byte(&mut self) -> i8 {
        i8::try_from(self.below(40)).expect("it is small") - 4
    }

    fn id(&mut self) -> Uuid {
        Uuid([u8::try_from(self.below(4)).expect("it is small"); 16])
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| one(self)).collect()
    }

    fn some<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| one(self))
    }

    fn name(&mut self) -> &'static str {
        ["", "a", "a.b", "a_b", "metadata.version", "\u{fffd}"][usize::try_from(self.below(6)).expect("it is small")]
    }

    fn record(&mut self) -> MetadataRecord {
        match self.below(20) {
            0..=2 => TopicRecord { name: self.name().into(), topic_id: self.id() }.into(),
            3..=4 => self.partition().into(),
            5..=6 => self.partition_change().into(),
            7 => RemoveTopicRecord { topic_id: self.id() }.into(),
            8 => ClearElrRecord { topic_name: self.name().into() }.into(),
            9 => self.broker().into(),
            10 => self.broker_change().into(),
            11 => UnregisterBrokerRecord { broker_id: self.int(), broker_epoch: i64::from(self.int()) }.into(),
            12..=13 => ConfigRecord {
                resource_type: self.byte(),
                resource_name: self.name().into(),
                name: self.name().into(),
                value: self.some(|s| s.name().into()),
            }
            .into(),
            14 => ClientQuotaRecord {
                entity: self
                    .list(|s| EntityData { entity_type: s.name().into(), entity_name: s.some(|s| s.name().into()) }),
                key: self.name().into(),
                value: f64::from(self.int()),
                remove: self.below(2) == 0,
            }
            .into(),
            15 => match self.below(3) {
                0 => BeginTransactionRecord::default().into(),
                1 => EndTransactionRecord::default().into(),
                _ => AbortTransactionRecord::default().into(),
            },
            16 => AccessControlEntryRecord { id: self.id(), host: self.name().into(), ..Default::default() }.into(),
            17 => UserScramCredentialRecord { name: self.name().into(), mechanism: self.byte(), ..Default::default() }
                .into(),
            18 => DelegationTokenRecord { token_id: self.name().into(), ..Default::default() }.into(),
            _ => FeatureLevelRecord { name: "group.version".into(), feature_level: i16::from(self.byte()) }.into(),
        }
    }

    fn partition(&mut self) -> PartitionRecord {
        PartitionRecord {
            partition_id: self.int(),
            topic_id: self.id(),
            replicas: self.list(Self::int),
            isr: self.list(Self::int),
            removing_replicas: self.list(Self::int),
            adding_replicas: self.list(Self::int),
            leader: self.int(),
            leader_recovery_state: self.byte(),
            leader_epoch: self.int(),
            partition_epoch: self.int(),
            directories: self.list(Self::id),
            eligible_leader_replicas: self.some(|s| s.list(Self::int)),
            last_known_elr: self.some(|s| s.list(Self::int)),
        }
    }

    fn partition_change(&mut self) -> PartitionChangeRecord {
        PartitionChangeRecord {
            partition_id: self.int(),
            topic_id: self.id(),
            isr: self.some(|s| s.list(Self::int)),
            leader: self.int(),
            replicas: self.some(|s| s.list(Self::int)),
            removing_replicas: self.some(|s| s.list(Self::int)),
            adding_replicas: self.some(|s| s.list(Self::int)),
            leader_recovery_state: self.byte(),
            directories: self.some(|s| s.list(Self::id)),
            eligible_leader_replicas: self.some(|s| s.list(Self::int)),
            last_known_elr: self.some(|s| s.list(Self::int)),
        }
    }

    fn broker(&mut self) -> RegisterBrokerRecord {
        let endpoint = |s: &mut Self| BrokerEndpoint { name: s.name().into(), ..BrokerEndpoint::default() };
        let feature = |s: &mut Self| BrokerFeature { name: s.name().into(), ..BrokerFeature::default() };
        RegisterBrokerRecord {
            broker_id: self.int(),
            broker_epoch: i64::from(self.int()),
            end_points: self.list(endpoint),
            features: self.list(feature),
            rack: self.some(|s| s.name().into()),
            fenced: self.below(2) == 0,
            log_dirs: self.list(Self::id),
            cordoned_log_dirs: self.some(|s| s.list(Self::id)),
            ..RegisterBrokerRecord::default()
        }
    }

    fn broker_change(&mut self) -> BrokerRegistrationChangeRecord {
        BrokerRegistrationChangeRecord {
            broker_id: self.int(),
            broker_epoch: i64::from(self.int()),
            fenced: self.byte(),
            in_controlled_shutdown: self.byte(),
            log_dirs: self.list(Self::id),
            cordoned_log_dirs: self.some(|s| s.list(Self::id)),
        }
    }
}

#[test]
fn any_records_can_be_replayed_and_kept() {
    let version = FeatureLevelRecord { name: "metadata.version".into(), feature_level: MetadataVersion::LATEST.0 };
    for seed in 1..150 {
        let mut seeded = Seeded(seed * 0x9e37_79b9);
        let mut image = MetadataImage::default();
        image.replay(&version.clone().into(), Offset(0));
        for offset in 1..120 {
            let record = seeded.record();
            let bytes = record.encode_at(MetadataVersion::LATEST).expect("4.3 holds everything");
            assert_eq!(MetadataRecord::decode(bytes).expect("it was just written"), record);
            let before = image.clone();
            image.replay(&record, Offset(offset));
            let changes = Changes::between(&before, &image);
            assert_eq!(changes.is_empty(), before == image, "seed {seed} offset {offset}: {record:?}");
        }
        let mut again = MetadataImage::default();
        image.to_records().iter().for_each(|record| again.replay(record, Offset(0)));
        assert!(again == image, "seed {seed}");
        for topic in image.topics().iter() {
            assert_eq!(image.topics().by_name(&topic.name).map(|found| found.id), Some(topic.id), "seed {seed}");
        }
    }
}
