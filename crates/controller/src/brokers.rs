//! Brokers and controllers register, report, and leave (KIP-631, 841, 858, 919).

use thalweg_base::{BrokerEpoch, Moment, NodeId, Offset, Uuid};
use thalweg_metadata::image::partition::directory;
use thalweg_metadata::image::{BrokerRegistration, FENCE, IN_CONTROLLED_SHUTDOWN, UNFENCE};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, feature};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::broker_registration_request::Feature;
use thalweg_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use thalweg_wire::messages::register_controller_record::{ControllerEndpoint, ControllerFeature};
use thalweg_wire::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationChangeRecord, BrokerRegistrationRequest,
    BrokerRegistrationResponse, ControllerRegistrationRequest, ControllerRegistrationResponse, RegisterBrokerRecord,
    RegisterControllerRecord, UnregisterBrokerRecord, UnregisterBrokerResponse,
};

use crate::partitions::BrokerEvent;
use crate::{Controller, Outcome, Refusal, Sessions};

/// What a registration depends on besides the image.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationContext {
    /// The offset that the next record of the metadata log will have: the new broker epoch.
    pub next_offset: Offset,
    /// The level of `kraft.version`, which the quorum keeps.
    pub kraft_version: i16,
    /// The version of the request: from 3 on it tells whether the broker was stopped cleanly.
    pub request_version: i16,
}

/// What a heartbeat makes of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Controller {
    /// A broker registers, for the first time, after a restart, or with new properties.
    ///
    /// # Errors
    /// If it belongs to another cluster, if another run of the broker is alive, or if it lacks something that the
    /// cluster uses.
    pub fn register_broker(
        &self,
        image: &MetadataImage,
        sessions: &Sessions,
        now: Moment,
        context: RegistrationContext,
        request: &BrokerRegistrationRequest,
    ) -> Result<Outcome<BrokerRegistrationResponse>, Refusal> {
        let id = NodeId(request.broker_id);
        let existing = image.cluster().broker(id);
        if &*request.cluster_id != self.settings().cluster_id.as_str() {
            let text = format!(
                "Expected cluster ID {}, but got cluster ID {}",
                self.settings().cluster_id,
                request.cluster_id
            );
            return Err(Refusal::because(ErrorCode::InconsistentClusterId, text));
        }
        let same_run = existing.is_some_and(|broker| broker.incarnation_id == request.incarnation_id);
        if existing.is_some_and(|broker| sessions.is_valid(id, broker.epoch, now)) && !same_run {
            return Err(Refusal::because(ErrorCode::DuplicateBrokerRegistration, ALREADY_REGISTERED));
        }
        if request.is_migrating_zk_broker {
            let text = "Controller does not support registering ZK brokers.";
            return Err(Refusal::because(ErrorCode::BrokerIdNotRegistered, text));
        }
        check_directories(image, request)?;
        let features = check_features(image, context.kraft_version, request)?;
        let mut record = registration(image, request, features);
        let mut records = Vec::new();
        match existing {
            Some(broker) if same_run => {
                record.fenced = broker.fenced;
                record.in_controlled_shutdown = broker.in_controlled_shutdown;
                record.broker_epoch = broker.epoch.0;
            }
            _ => {
                let stored = existing.map_or(BrokerEpoch(-2), |broker| broker.epoch);
                let clean = context.request_version >= 3 && stored.0 == request.previous_broker_epoch;
                records = self.after_restart(image, id, if clean { Stop::Clean } else { Stop::Unclean });
                record.broker_epoch = context.next_offset.0;
            }
        }
        let response = BrokerRegistrationResponse { broker_epoch: record.broker_epoch, ..Default::default() };
        records.push(record.into());
        Ok(Outcome { records, response })
    }

    /// What the partitions of a broker make of it that it was started anew.
    ///
    /// Where it has lost nothing and nobody could have led in its place, it leads on in the same epoch: else every restart
    /// of a node on its own would write two records for each of its partitions.
    fn after_restart(&self, image: &MetadataImage, id: NodeId, stop: Stop) -> Vec<MetadataRecord> {
        let alone = !image.cluster().brokers().any(|other| other.id != id && other.is_active());
        if stop == Stop::Clean && alone {
            return Vec::new();
        }
        if stop == Stop::Clean || !image.features().elr_enabled() {
            return self.partitions_follow(image, BrokerEvent::Leaves(id), |p| p.isr.contains(&id));
        }
        let event = BrokerEvent::CrashedUncleanly(id);
        let mut records = self.partitions_follow(image, event, |p| p.isr.contains(&id));
        records.extend(self.partitions_follow(image, event, |p| p.elr.contains(&id)));
        records
    }

    /// A broker reports: it may be unfenced, wants to stop, or tells about its directories. The driver notes the
    /// contact in [`Sessions::note`] as well.
    ///
    /// # Errors
    /// If the broker is not registered with that epoch.
    pub fn heartbeat(
        &self,
        image: &MetadataImage,
        sessions: &Sessions,
        request: &BrokerHeartbeatRequest,
    ) -> Result<Outcome<BrokerHeartbeatResponse>, Refusal> {
        let id = NodeId(request.broker_id);
        let broker = check_broker_epoch(image, id, BrokerEpoch(request.broker_epoch))?;
        let caught_up =
            image.cluster().registered_at(id).is_none_or(|offset| request.current_metadata_offset >= offset.0);
        let current = state(broker);
        let next = self.next_state(image, sessions, broker, caught_up, request);
        let mut records = match next {
            _ if next == current => Vec::new(),
            State::Fenced | State::ShutdownNow => self.fence(image, id),
            State::Unfenced => self.unfence(image, broker),
            State::ControlledShutdown => self.begin_shutdown(image, broker),
        };
        self.follow_directories(image, broker, request, &mut records);
        let response = BrokerHeartbeatResponse {
            is_caught_up: caught_up,
            is_fenced: matches!(next, State::Fenced | State::ShutdownNow),
            should_shut_down: next == State::ShutdownNow,
            ..Default::default()
        };
        Ok(Outcome { records, response })
    }

    fn next_state(
        &self,
        image: &MetadataImage,
        sessions: &Sessions,
        broker: &BrokerRegistration,
        caught_up: bool,
        request: &BrokerHeartbeatRequest,
    ) -> State {
        match state(broker) {
            State::Fenced if request.want_shut_down => State::ShutdownNow,
            // Who has begun to stop must register anew before it serves again.
            State::Fenced if !request.want_fence && caught_up && !broker.in_controlled_shutdown => State::Unfenced,
            State::Fenced => State::Fenced,
            State::Unfenced if request.want_fence && request.want_shut_down => State::ShutdownNow,
            State::Unfenced if request.want_fence => State::Fenced,
            State::Unfenced if !request.want_shut_down => State::Unfenced,
            State::Unfenced if leads_something(image, broker.id) => State::ControlledShutdown,
            State::Unfenced => State::ShutdownNow,
            _ if leads_something(image, broker.id) || !sessions.may_stop(broker.id, image) => State::ControlledShutdown,
            _ => State::ShutdownNow,
        }
    }

    /// Fences a broker: it is in no ISR and leads nothing until it reports again. Empty if there is no such broker, or it
    /// is fenced already.
    #[must_use]
    pub fn fence(&self, image: &MetadataImage, id: NodeId) -> Vec<MetadataRecord> {
        let Some(broker) = image.cluster().broker(id) else { return Vec::new() };
        let mut records = self.partitions_follow(image, BrokerEvent::Leaves(id), |p| p.isr.contains(&id));
        if !broker.fenced {
            records.push(change(broker, |record| record.fenced = FENCE));
        }
        records
    }

    fn unfence(&self, image: &MetadataImage, broker: &BrokerRegistration) -> Vec<MetadataRecord> {
        let mut records = vec![change(broker, |record| record.fenced = UNFENCE)];
        records.extend(self.partitions_follow(image, BrokerEvent::Returns(broker.id), |p| {
            // A leader that was on its own and has not come back counts as none.
            !p.has_leader() || p.leader != broker.id && !image.cluster().is_active(p.leader)
        }));
        records
    }

    fn begin_shutdown(&self, image: &MetadataImage, broker: &BrokerRegistration) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if !broker.in_controlled_shutdown {
            records.push(change(broker, |record| record.in_controlled_shutdown = IN_CONTROLLED_SHUTDOWN));
        }
        let event = BrokerEvent::Leaves(broker.id);
        records.extend(self.partitions_follow(image, event, |p| p.isr.contains(&broker.id)));
        records
    }

    /// Takes replicas in failed directories out of their ISRs, and notes which directories are cordoned.
    fn follow_directories(
        &self,
        image: &MetadataImage,
        broker: &BrokerRegistration,
        request: &BrokerHeartbeatRequest,
        records: &mut Vec<MetadataRecord>,
    ) {
        let version = image.metadata_version();
        let offline = |id: &&Uuid| request.offline_log_dirs.contains(id);
        let failed: Vec<Uuid> = broker.directories.iter().filter(offline).copied().collect();
        if version >= MetadataVersion::DIRECTORY_ASSIGNMENT && !failed.is_empty() {
            let event = BrokerEvent::Leaves(broker.id);
            let concerned = |id: Option<Uuid>| id.is_some_and(|id| failed.contains(&id));
            records.extend(self.partitions_follow(image, event, |p| concerned(p.directory(broker.id))));
            let online = broker.directories.iter().filter(|id| !offline(id)).copied().collect();
            records.push(change(broker, |record| record.log_dirs = online));
        }
        let told = request.cordoned_log_dirs.as_ref().filter(|_| version >= MetadataVersion::CORDONED_DIRECTORIES);
        if let Some(cordoned) = told
            && broker.cordoned_directories.as_ref().is_none_or(|known| !same_set(known, cordoned))
        {
            records.push(change(broker, |record| record.cordoned_log_dirs = Some(cordoned.clone())));
        }
    }

    /// Removes a broker that has left for good.
    ///
    /// # Errors
    /// If there is no such broker.
    pub fn unregister_broker(
        &self,
        image: &MetadataImage,
        id: NodeId,
    ) -> Result<Outcome<UnregisterBrokerResponse>, Refusal> {
        let Some(broker) = image.cluster().broker(id) else {
            let text = format!("Broker ID {id} is not currently registered");
            return Err(Refusal::because(ErrorCode::BrokerIdNotRegistered, text));
        };
        let event = BrokerEvent::Leaves(id);
        let mut records = self.partitions_follow(image, event, |p| p.isr.contains(&id));
        records.extend(self.partitions_follow(image, event, |p| p.elr.contains(&id)));
        records.push(UnregisterBrokerRecord { broker_id: id.0, broker_epoch: broker.epoch.0 }.into());
        Ok(Outcome {
            records,
            response: UnregisterBrokerResponse { error_message: Some("".into()), ..Default::default() },
        })
    }

    /// A controller registers (KIP-919).
    ///
    /// # Errors
    /// If the metadata version is older than that.
    pub fn register_controller(
        &self,
        image: &MetadataImage,
        request: &ControllerRegistrationRequest,
    ) -> Result<Outcome<ControllerRegistrationResponse>, Refusal> {
        if image.metadata_version() < MetadataVersion::CONTROLLER_REGISTRATION {
            let text = "The current MetadataVersion is too old to support controller registrations.";
            return Err(Refusal::because(ErrorCode::UnsupportedVersion, text));
        }
        let endpoints = request.listeners.iter().map(|listener| ControllerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = request.features.iter().map(|feature| ControllerFeature {
            name: feature.name.clone(),
            min_supported_version: feature.min_supported_version,
            max_supported_version: feature.max_supported_version,
        });
        let record = RegisterControllerRecord {
            controller_id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: false,
            end_points: endpoints.collect(),
            features: features.collect(),
        };
        Ok(Outcome { records: vec![record.into()], response: ControllerRegistrationResponse::default() })
    }
}

const ALREADY_REGISTERED: &str = "Another broker is registered with that broker id. If the broker was recently \
     restarted this should self-resolve once the heartbeat manager expires the broker's session.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Clean,
    Unclean,
}

fn state(broker: &BrokerRegistration) -> State {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => State::Fenced,
        (false, true) => State::ControlledShutdown,
        (false, false) => State::Unfenced,
    }
}

fn leads_something(image: &MetadataImage, id: NodeId) -> bool {
    image.topics().iter().any(|topic| topic.partitions.values().any(|partition| partition.leader == id))
}

fn change(broker: &BrokerRegistration, set: impl FnOnce(&mut BrokerRegistrationChangeRecord)) -> MetadataRecord {
    let mut record = BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        ..BrokerRegistrationChangeRecord::default()
    };
    set(&mut record);
    record.into()
}

fn same_set(a: &[Uuid], b: &[Uuid]) -> bool {
    a.iter().all(|id| b.contains(id)) && b.iter().all(|id| a.contains(id))
}

/// The registration of a broker, if it has that epoch.
pub(crate) fn check_broker_epoch(
    image: &MetadataImage,
    id: NodeId,
    epoch: BrokerEpoch,
) -> Result<&BrokerRegistration, Refusal> {
    let stale = |text| Err(Refusal::because(ErrorCode::StaleBrokerEpoch, text));
    match image.cluster().broker(id) {
        None => stale(format!("No broker registration found for broker id {id}")),
        Some(broker) if broker.epoch != epoch => {
            stale(format!("Expected broker epoch {}, but got broker epoch {epoch}", broker.epoch))
        }
        Some(broker) => Ok(broker),
    }
}

fn check_directories(image: &MetadataImage, request: &BrokerRegistrationRequest) -> Result<(), Refusal> {
    if image.metadata_version() < MetadataVersion::DIRECTORY_ASSIGNMENT {
        return Ok(());
    }
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidRegistration, text));
    let directories = &request.log_dirs;
    if directories.is_empty() {
        return invalid("No directories specified in request".to_owned());
    }
    if directories.iter().any(directory::is_reserved) {
        return invalid("Reserved directory ID in request".to_owned());
    }
    let distinct: std::collections::BTreeSet<&Uuid> = directories.iter().collect();
    if distinct.len() != directories.len() {
        return invalid("Duplicate directory ID in request".to_owned());
    }
    for other in image.cluster().brokers().filter(|other| other.id != NodeId(request.broker_id)) {
        if let Some(directory) = directories.iter().find(|id| other.directories.contains(id)) {
            return invalid(format!("Broker {} is already registered with directory {directory}", other.id));
        }
    }
    Ok(())
}

/// Checks that the broker supports every feature at its finalized level, and tells what it supports.
fn check_features(
    image: &MetadataImage,
    kraft_version: i16,
    request: &BrokerRegistrationRequest,
) -> Result<Vec<BrokerFeature>, Refusal> {
    let finalized = |name: &str| match name {
        _ if name == feature::KRAFT_VERSION.name => kraft_version,
        _ => image.features().level(name),
    };
    let check = |name: &str, min: i16, max: i16| {
        let level = finalized(name);
        if min <= level && level <= max {
            return Ok(());
        }
        let text = format!(
            "Unable to register because the broker does not support finalized version {level} of {name}. The broker \
             wants a version between {min} and {max}, inclusive."
        );
        Err(Refusal::because(ErrorCode::UnsupportedVersion, text))
    };
    for Feature { name, min_supported_version, max_supported_version } in &request.features {
        check(name, *min_supported_version, *max_supported_version)?;
    }
    let announced = |name: &str| request.features.iter().any(|feature| &*feature.name == name);
    if !announced(MetadataVersion::FEATURE) {
        let text = format!("Request features do not contain '{}'", MetadataVersion::FEATURE);
        return Err(Refusal::because(ErrorCode::InvalidRegistration, text));
    }
    let kraft = (feature::KRAFT_VERSION.name, kraft_version);
    for (name, _) in image.features().iter().chain([kraft]).filter(|(name, level)| *level != 0 && !announced(name)) {
        check(name, 0, 0)?;
    }
    let supported = request.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
    });
    Ok(supported.collect())
}

fn registration(
    image: &MetadataImage,
    request: &BrokerRegistrationRequest,
    features: Vec<BrokerFeature>,
) -> RegisterBrokerRecord {
    let endpoints = request.listeners.iter().map(|listener| BrokerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    });
    let directories = image.metadata_version() >= MetadataVersion::DIRECTORY_ASSIGNMENT;
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        end_points: endpoints.collect(),
        features,
        rack: request.rack.clone(),
        fenced: true,
        log_dirs: if directories { request.log_dirs.clone() } else { Vec::new() },
        ..RegisterBrokerRecord::default()
    }
}

#[cfg(test)]
mod tests;
