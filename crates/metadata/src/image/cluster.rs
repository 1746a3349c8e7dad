//! The brokers and controllers that have registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use thalweg_base::{BrokerEpoch, NodeId, Offset, Uuid};
use thalweg_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use thalweg_wire::messages::register_controller_record::{ControllerEndpoint, ControllerFeature};
use thalweg_wire::messages::{BrokerRegistrationChangeRecord, RegisterBrokerRecord, RegisterControllerRecord};

use super::partition::directory;
use crate::{MetadataRecord, MetadataVersion};

/// How clients speak on a listener, by the number that registrations carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityProtocol(pub i16);

impl SecurityProtocol {
    /// Neither encrypted nor authenticated.
    pub const PLAINTEXT: Self = Self(0);
    /// TLS.
    pub const SSL: Self = Self(1);
    /// SASL over plain TCP.
    pub const SASL_PLAINTEXT: Self = Self(2);
    /// SASL over TLS.
    pub const SASL_SSL: Self = Self(3);
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub name: Arc<str>,
    /// The host that clients are told.
    pub host: Arc<str>,
    /// The port that clients are told.
    pub port: u16,
    /// How to speak there.
    pub security_protocol: SecurityProtocol,
}

/// The levels of a feature that a node supports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

impl VersionRange {
    /// Whether the node supports the level.
    #[must_use]
    pub fn contains(self, level: i16) -> bool {
        self.min <= level && level <= self.max
    }
}

/// A broker that has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// The broker's `node.id`.
    pub id: NodeId,
    /// Which registration of the broker this is.
    pub epoch: BrokerEpoch,
    /// Which run of its process registered.
    pub incarnation_id: Uuid,
    /// Its listeners, in the order in which it named them.
    pub endpoints: Vec<Endpoint>,
    /// The features that it supports.
    pub features: BTreeMap<Arc<str>, VersionRange>,
    /// The rack that it stands in.
    pub rack: Option<Arc<str>>,
    /// Whether it may not lead nor be in an ISR: it has not caught up, or it has not been heard of.
    pub fenced: bool,
    /// Whether it hands over its leaderships because it is about to stop.
    pub in_controlled_shutdown: bool,
    /// The ids of its log directories that are online.
    pub directories: Vec<Uuid>,
    /// The directories that take no new replicas; `None` until the broker has told (KIP-1066).
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl BrokerRegistration {
    /// What a `RegisterBrokerRecord` says.
    #[must_use]
    pub fn from_record(record: &RegisterBrokerRecord) -> Self {
        let endpoint = |e: &BrokerEndpoint| Endpoint {
            name: Arc::from(&*e.name),
            host: Arc::from(&*e.host),
            port: e.port,
            security_protocol: SecurityProtocol(e.security_protocol),
        };
        let feature = |f: &BrokerFeature| {
            (Arc::from(&*f.name), VersionRange { min: f.min_supported_version, max: f.max_supported_version })
        };
        Self {
            id: NodeId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.as_deref().map(Arc::from),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        }
    }

    /// The record that says all of this, as far as that metadata version can.
    #[must_use]
    pub fn to_record(&self, version: MetadataVersion) -> RegisterBrokerRecord {
        let endpoint = |e: &Endpoint| BrokerEndpoint {
            name: (&*e.name).into(),
            host: (&*e.host).into(),
            port: e.port,
            security_protocol: e.security_protocol.0,
        };
        let feature = |(name, range): (&Arc<str>, &VersionRange)| BrokerFeature {
            name: (&**name).into(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        };
        let directories = version >= MetadataVersion::DIRECTORY_ASSIGNMENT;
        let cordoned = version >= MetadataVersion::CORDONED_DIRECTORIES;
        RegisterBrokerRecord {
            broker_id: self.id.0,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch.0,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: self.rack.as_deref().map(Into::into),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: if directories { self.directories.clone() } else { Vec::new() },
            cordoned_log_dirs: self.cordoned_directories.clone().filter(|_| cordoned),
            ..RegisterBrokerRecord::default()
        }
    }

    /// Whether the broker may lead partitions and be in their ISR.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The listener of that name.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == listener)
    }

    /// Whether a replica whose directory has that id is online on this broker. Brokers from before KIP-858 name no
    /// directories: then any is.
    #[must_use]
    pub fn has_online_directory(&self, id: Uuid) -> bool {
        match id {
            directory::UNASSIGNED | directory::MIGRATING => true,
            directory::LOST => false,
            _ => self.directories.is_empty() || self.directories.contains(&id),
        }
    }

    /// Whether some directory takes new replicas.
    #[must_use]
    pub fn has_uncordoned_directory(&self) -> bool {
        match &self.cordoned_directories {
            Some(cordoned) if !self.directories.is_empty() => self.directories.iter().any(|id| !cordoned.contains(id)),
            _ => true,
        }
    }
}

/// A controller that has registered (KIP-919).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerRegistration {
    /// The controller's `node.id`.
    pub id: NodeId,
    /// Which run of its process registered.
    pub incarnation_id: Uuid,
    /// Whether it was ready for a migration from ZooKeeper: false since 4.0.
    pub zk_migration_ready: bool,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// The features that it supports.
    pub features: BTreeMap<Arc<str>, VersionRange>,
}

impl ControllerRegistration {
    /// What a `RegisterControllerRecord` says.
    #[must_use]
    pub fn from_record(record: &RegisterControllerRecord) -> Self {
        let endpoint = |e: &ControllerEndpoint| Endpoint {
            name: Arc::from(&*e.name),
            host: Arc::from(&*e.host),
            port: e.port,
            security_protocol: SecurityProtocol(e.security_protocol),
        };
        let feature = |f: &ControllerFeature| {
            (Arc::from(&*f.name), VersionRange { min: f.min_supported_version, max: f.max_supported_version })
        };
        Self {
            id: NodeId(record.controller_id),
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
        }
    }

    /// The record that says all of this.
    #[must_use]
    pub fn to_record(&self) -> RegisterControllerRecord {
        let endpoint = |e: &Endpoint| ControllerEndpoint {
            name: (&*e.name).into(),
            host: (&*e.host).into(),
            port: e.port,
            security_protocol: e.security_protocol.0,
        };
        let feature = |(name, range): (&Arc<str>, &VersionRange)| ControllerFeature {
            name: (&**name).into(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        };
        RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
        }
    }
}

/// Every registered node.
///
/// Two are equal if they hold the same registrations, whatever the offsets of their records.
#[derive(Clone, Debug, Default)]
pub struct ClusterImage {
    brokers: OrdMap<NodeId, Arc<BrokerRegistration>>,
    controllers: OrdMap<NodeId, Arc<ControllerRegistration>>,
    /// The offset of each broker's last registration record: who has read so far knows the registration.
    registered_at: OrdMap<NodeId, Offset>,
}

impl PartialEq for ClusterImage {
    fn eq(&self, other: &Self) -> bool {
        self.brokers == other.brokers && self.controllers == other.controllers
    }
}

impl ClusterImage {
    /// The brokers, ordered by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// The broker of that id.
    #[must_use]
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// The controllers, ordered by id.
    pub fn controllers(&self) -> impl Iterator<Item = &Arc<ControllerRegistration>> {
        self.controllers.values()
    }

    /// The controller of that id.
    #[must_use]
    pub fn controller(&self, id: NodeId) -> Option<&Arc<ControllerRegistration>> {
        self.controllers.get(&id)
    }

    /// Whether the broker is registered and may lead partitions and be in their ISR.
    #[must_use]
    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// The offset of the record with which the broker last registered. A broker that has read the metadata log so far
    /// has caught up and may be unfenced.
    #[must_use]
    pub fn registered_at(&self, id: NodeId) -> Option<Offset> {
        self.registered_at.get(&id).copied()
    }

    pub(crate) fn broker_map(&self) -> &OrdMap<NodeId, Arc<BrokerRegistration>> {
        &self.brokers
    }

    pub(crate) fn controller_map(&self) -> &OrdMap<NodeId, Arc<ControllerRegistration>> {
        &self.controllers
    }

    pub(super) fn replay_register_broker(&mut self, record: &RegisterBrokerRecord, offset: Offset) {
        let broker = BrokerRegistration::from_record(record);
        self.registered_at.insert(broker.id, offset);
        self.brokers.insert(broker.id, Arc::new(broker));
    }

    pub(super) fn replay_unregister_broker(&mut self, id: NodeId, epoch: BrokerEpoch) {
        if self.broker(id).is_some_and(|broker| broker.epoch == epoch) {
            self.brokers.remove(&id);
            self.registered_at.remove(&id);
        }
    }

    /// Changes a broker's registration, if the record means the registration that is there.
    pub(super) fn replay_broker_change(&mut self, record: &BrokerRegistrationChangeRecord) {
        let Some(current) = self.brokers.get_mut(&NodeId(record.broker_id)) else { return };
        if current.epoch != BrokerEpoch(record.broker_epoch) {
            return;
        }
        let broker = Arc::make_mut(current);
        match record.fenced {
            FENCE => broker.fenced = true,
            UNFENCE => broker.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == IN_CONTROLLED_SHUTDOWN {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.directories.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_directories.clone_from(&record.cordoned_log_dirs);
        }
    }

    pub(super) fn replay_register_controller(&mut self, record: &RegisterControllerRecord) {
        let controller = ControllerRegistration::from_record(record);
        self.controllers.insert(controller.id, Arc::new(controller));
    }

    pub(super) fn write(&self, version: MetadataVersion, out: &mut Vec<MetadataRecord>) {
        out.extend(self.brokers().map(|broker| broker.to_record(version).into()));
        if version >= MetadataVersion::CONTROLLER_REGISTRATION {
            out.extend(self.controllers().map(|controller| controller.to_record().into()));
        }
    }
}

/// `BrokerRegistrationChangeRecord.fenced`: the broker is fenced from now on.
pub const FENCE: i8 = 1;
/// `BrokerRegistrationChangeRecord.fenced`: the broker is unfenced from now on.
pub const UNFENCE: i8 = -1;
/// `BrokerRegistrationChangeRecord.in_controlled_shutdown`: the broker is about to stop.
pub const IN_CONTROLLED_SHUTDOWN: i8 = 1;
