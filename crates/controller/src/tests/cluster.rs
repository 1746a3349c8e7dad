//! A cluster for tests: brokers come and go, and what the controller decides is replayed at once.

use thalweg_base::{BrokerEpoch, Moment, NodeId, Offset, Uuid};
use thalweg_metadata::bootstrap::{bootstrap_records, default_levels};
use thalweg_metadata::config::ConfigMap;
use thalweg_metadata::feature::supported_ranges;
use thalweg_metadata::image::partition::ids;
use thalweg_metadata::image::{PartitionRegistration, TopicImage};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::Unstable;
use thalweg_wire::messages::broker_registration_request::{Feature, Listener};
use thalweg_wire::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use thalweg_wire::messages::create_topics_response::CreatableTopicResult;
use thalweg_wire::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, CreateTopicsRequest,
    CreateTopicsResponse,
};

use crate::{Controller, Outcome, Refusal, RegistrationContext, SessionTimes, Sessions, Settings};

pub const SESSION_MS: i64 = 9000;
pub const SESSION: std::time::Duration = std::time::Duration::from_secs(9);

/// Seeded randomness: xorshift, never zero.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }
}

pub struct Cluster {
    pub controller: Controller,
    pub image: MetadataImage,
    pub sessions: Sessions,
    pub next_offset: Offset,
    pub now: Moment,
    pub random: Seeded,
}

impl Cluster {
    /// A cluster of that metadata version whose controller has become active; no broker has registered.
    pub fn at_version(version: MetadataVersion, seed: u64) -> Self {
        let controller = Controller::new(Settings {
            node_id: NodeId(1),
            cluster_id: "a-cluster".to_owned(),
            static_configs: ConfigMap::new(),
            partitions_default: 1,
            replication_factor_default: 1,
            delete_topic_enable: true,
            tokens: crate::TokenSettings::default(),
            remote_storage_enable: false,
            unstable_features: Unstable::Hidden,
        });
        let image = MetadataImage::default();
        let sessions = Sessions::begin(SessionTimes { timeout: SESSION, grace: None }, &image, Moment(0));
        let mut cluster = Self {
            controller,
            image,
            sessions,
            next_offset: Offset(3),
            now: Moment(1_000_000),
            random: Seeded(seed | 1),
        };
        let bootstrap = bootstrap_records(version, &default_levels(version), &[]);
        let records = cluster.controller.activate(&cluster.image, &bootstrap);
        cluster.replay(&records);
        cluster
    }

    /// A cluster of 4.3 with the brokers 1 to `brokers`, all unfenced.
    pub fn of(brokers: i32) -> Self {
        let mut cluster = Self::at_version(MetadataVersion::LATEST, 42);
        for id in 1..=brokers {
            cluster.start(id);
        }
        cluster
    }

    /// Replays records as they come back from the log.
    pub fn replay(&mut self, records: &[MetadataRecord]) {
        for record in records {
            let bytes = record.encode_at(self.image.metadata_version()).expect("every record of the controller fits");
            let read = MetadataRecord::decode(bytes).expect("what was written can be read");
            assert_eq!(&read, record);
            self.image.replay(&read, self.next_offset);
            self.next_offset = self.next_offset.next();
        }
    }

    /// Replays what was decided and tells what was answered.
    pub fn apply<R>(&mut self, outcome: Outcome<R>) -> R {
        self.replay(&outcome.records);
        outcome.response
    }

    pub fn registration(&mut self, id: i32, previous_epoch: i64) -> BrokerRegistrationRequest {
        let incarnation = (self.random.next(), self.random.next());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&incarnation.0.to_be_bytes());
        bytes[8..].copy_from_slice(&incarnation.1.to_be_bytes());
        let feature = |(name, min, max): (&str, i16, i16)| Feature {
            name: name.into(),
            min_supported_version: min,
            max_supported_version: max,
        };
        BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: "a-cluster".into(),
            incarnation_id: Uuid(bytes),
            listeners: vec![Listener {
                name: "PLAINTEXT".into(),
                host: "localhost".into(),
                port: 9092,
                security_protocol: 0,
            }],
            features: supported_ranges(Unstable::Hidden).into_iter().map(feature).collect(),
            log_dirs: vec![directory_of(id)],
            previous_broker_epoch: previous_epoch,
            ..BrokerRegistrationRequest::default()
        }
    }

    pub fn register(&mut self, request: &BrokerRegistrationRequest) -> Result<BrokerEpoch, Refusal> {
        let context = RegistrationContext { next_offset: self.next_offset, kraft_version: 1, request_version: 4 };
        let decided = self.controller.register_broker(&self.image, &self.sessions, self.now, context, request)?;
        Ok(BrokerEpoch(self.apply(decided).broker_epoch))
    }

    pub fn heartbeat(&mut self, request: &BrokerHeartbeatRequest) -> Result<BrokerHeartbeatResponse, Refusal> {
        let decided = self.controller.heartbeat(&self.image, &self.sessions, request)?;
        let (id, epoch) = (NodeId(request.broker_id), BrokerEpoch(request.broker_epoch));
        self.sessions.contacted(id, epoch, Offset(request.current_metadata_offset), self.now);
        let response = self.apply(decided);
        if self.image.cluster().broker(id).is_some_and(|broker| broker.in_controlled_shutdown && !broker.fenced) {
            self.sessions.shutting_down(id, self.next_offset);
        }
        if response.is_fenced {
            self.sessions.end(id);
        }
        Ok(response)
    }

    /// What a broker that has read everything and wants to serve sends.
    pub fn alive(&self, id: i32) -> BrokerHeartbeatRequest {
        let epoch = self.image.cluster().broker(NodeId(id)).map_or(-1, |broker| broker.epoch.0);
        BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: epoch,
            current_metadata_offset: self.next_offset.0,
            ..BrokerHeartbeatRequest::default()
        }
    }

    /// Registers a broker that has never been there, and unfences it.
    pub fn start(&mut self, id: i32) {
        let request = self.registration(id, -1);
        self.register(&request).expect("the broker is new");
        let response = self.heartbeat(&self.alive(id)).expect("it has just registered");
        assert!(!response.is_fenced, "broker {id} serves");
    }

    pub fn fence(&mut self, id: i32) {
        let records = self.controller.fence(&self.image, NodeId(id));
        self.replay(&records);
        self.sessions.end(NodeId(id));
    }

    pub fn create(&mut self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let random = &mut self.random;
        let decided = self.controller.create_topics(
            &self.image,
            &mut || random.next(),
            request,
            &mut crate::Mutations::unlimited(),
        );
        self.apply(decided.expect("the request is small"))
    }

    pub fn create_one(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let mut response = self.create(&request);
        assert_eq!(response.topics.len(), 1);
        response.topics.remove(0)
    }

    /// Creates a topic whose partitions have these replicas.
    pub fn topic(&mut self, name: &str, assignments: &[&[i32]]) -> Uuid {
        let result = self.create_one(assigned(name, assignments));
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        result.topic_id
    }

    pub fn image_of(&self, name: &str) -> &TopicImage {
        self.image.topics().by_name(name).expect("the topic exists")
    }

    pub fn partition(&self, name: &str, index: i32) -> &PartitionRegistration {
        self.image_of(name).partition(index).expect("the partition exists")
    }

    /// Leader, leader epoch, ISR, ELR, last known ELR: `1@0 isr [1] elr [] last []`.
    pub fn state(&self, name: &str, index: i32) -> String {
        let p = self.partition(name, index);
        let (isr, elr, last) = (ids(&p.isr), ids(&p.elr), ids(&p.last_known_elr));
        format!("{}@{} isr {isr:?} elr {elr:?} last {last:?}", p.leader, p.leader_epoch)
    }
}

pub fn directory_of(id: i32) -> Uuid {
    let mut bytes = [7; 16];
    bytes[12..].copy_from_slice(&id.to_be_bytes());
    Uuid(bytes)
}

/// A topic with so many partitions and replicas.
pub fn counted(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..CreatableTopic::default()
    }
}

/// A topic whose partitions have these replicas.
pub fn assigned(name: &str, assignments: &[&[i32]]) -> CreatableTopic {
    let assignment = |(partition_index, replicas): (i32, &&[i32])| CreatableReplicaAssignment {
        partition_index,
        broker_ids: replicas.to_vec(),
    };
    CreatableTopic { assignments: (0..).zip(assignments).map(assignment).collect(), ..counted(name, -1, -1) }
}

/// The topic with a configuration.
pub fn with_config(mut topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    topic.configs.push(CreatableTopicConfig { name: name.into(), value: value.map(Into::into) });
    topic
}

/// What a record says, in short: as far as the tests look at it.
pub fn short(record: &MetadataRecord) -> String {
    match record {
        MetadataRecord::FeatureLevel(r) => format!("{}={}", r.name, r.feature_level),
        MetadataRecord::Config(r) => {
            let value = r.value.as_deref().unwrap_or("(deleted)");
            format!("config {}/{} {}={value}", r.resource_type, r.resource_name, r.name)
        }
        MetadataRecord::ClearElr(r) => format!("clear elr {}", r.topic_name),
        MetadataRecord::BrokerRegistrationChange(r) => {
            format!("broker {} fenced {} shutdown {}", r.broker_id, r.fenced, r.in_controlled_shutdown)
        }
        other => other.name().trim_end_matches("Record").to_owned(),
    }
}

pub fn all_short(records: &[MetadataRecord]) -> Vec<String> {
    records.iter().map(short).collect()
}
