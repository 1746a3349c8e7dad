//! What files of the tree hold: the texts of Kafka's objects.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use thalweg_base::NodeId;
use thalweg_metadata::Provenance;
use thalweg_metadata::acl::{Operation, PatternType, Permission, ResourceType};
use thalweg_metadata::image::{
    Acl, BrokerRegistration, ControllerRegistration, DelegationToken, Endpoint, LeaderRecoveryState,
    PartitionRegistration, ScramCredential, SecurityProtocol, VersionRange,
};

use crate::date::Date;
use crate::java::joined;

fn list<T: Display>(items: &[T]) -> String {
    format!("[{}]", joined(items, ", "))
}

fn nodes(nodes: &[NodeId]) -> String {
    list(&nodes.iter().map(|node| node.0).collect::<Vec<_>>())
}

fn endpoints(endpoints: &[Endpoint]) -> String {
    let endpoint = |endpoint: &Endpoint| {
        let protocol = match endpoint.security_protocol {
            SecurityProtocol::PLAINTEXT => "PLAINTEXT",
            SecurityProtocol::SSL => "SSL",
            SecurityProtocol::SASL_PLAINTEXT => "SASL_PLAINTEXT",
            SecurityProtocol::SASL_SSL => "SASL_SSL",
            SecurityProtocol(_) => "UNKNOWN",
        };
        let (name, host, port) = (&endpoint.name, &endpoint.host, endpoint.port);
        format!("Endpoint(listenerName='{name}', securityProtocol={protocol}, host='{host}', port={port})")
    };
    list(&endpoints.iter().map(endpoint).collect::<Vec<_>>())
}

fn features(features: &BTreeMap<Arc<str>, VersionRange>) -> String {
    let feature = |(name, levels): (&Arc<str>, &VersionRange)| format!("{name}: {}", range(*levels));
    format!("{{{}}}", features.iter().map(feature).collect::<Vec<_>>().join(", "))
}

fn range(range: VersionRange) -> String {
    match (range.min, range.max) {
        (min, max) if min == max => min.to_string(),
        (min, i16::MAX) => format!("{min}+"),
        (min, max) => format!("{min}-{max}"),
    }
}

pub(super) fn broker(broker: &BrokerRegistration) -> String {
    let rack = broker.rack.as_ref().map_or("Optional.empty".to_owned(), |rack| format!("Optional[{rack}]"));
    format!(
        "BrokerRegistration(id={}, epoch={}, incarnationId={}, listeners={}, supportedFeatures={}, rack={rack}, fenced={}, \
         inControlledShutdown={}, isMigratingZkBroker=false, directories={}, cordonedDirectories={})",
        broker.id.0,
        broker.epoch.0,
        broker.incarnation_id,
        endpoints(&broker.endpoints),
        features(&broker.features),
        broker.fenced,
        broker.in_controlled_shutdown,
        list(&broker.directories),
        list(broker.cordoned_directories.as_deref().unwrap_or_default()),
    )
}

pub(super) fn controller(controller: &ControllerRegistration) -> String {
    format!(
        "ControllerRegistration(id={}, incarnationId={}, zkMigrationReady={}, listeners={}, supportedFeatures={})",
        controller.id.0,
        controller.incarnation_id,
        controller.zk_migration_ready,
        endpoints(&controller.endpoints),
        features(&controller.features),
    )
}

pub(super) fn partition(partition: &PartitionRegistration) -> String {
    let recovery = match partition.leader_recovery_state {
        LeaderRecoveryState::Recovered => "RECOVERED",
        LeaderRecoveryState::Recovering => "RECOVERING",
    };
    format!(
        "PartitionRegistration(replicas={}, directories={}, isr={}, removingReplicas={}, addingReplicas={}, elr={}, \
         lastKnownElr={}, leader={}, leaderRecoveryState={recovery}, leaderEpoch={}, partitionEpoch={})",
        nodes(&partition.replicas),
        list(&partition.directories),
        nodes(&partition.isr),
        nodes(&partition.removing_replicas),
        nodes(&partition.adding_replicas),
        nodes(&partition.elr),
        nodes(&partition.last_known_elr),
        partition.leader.0,
        partition.leader_epoch.0,
        partition.partition_epoch.0,
    )
}

pub(super) fn acl(acl: &Acl) -> String {
    format!(
        "StandardAcl[resourceType={}, resourceName={}, patternType={}, principal={}, host={}, operation={}, \
         permissionType={}]",
        ResourceType::from_number(acl.resource_type).map_or("UNKNOWN", ResourceType::name),
        acl.resource_name,
        PatternType::from_number(acl.pattern_type).map_or("UNKNOWN", PatternType::name),
        acl.principal,
        acl.host,
        Operation::from_number(acl.operation).map_or("UNKNOWN", Operation::name),
        Permission::from_number(acl.permission_type).map_or("UNKNOWN", Permission::name),
    )
}

pub(super) fn scram(credential: &ScramCredential) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "ScramCredentialData(salt={}, storedKey={}, serverKey={}, iterations={})",
        hex(&credential.salt),
        hex(&credential.stored_key),
        hex(&credential.server_key),
        credential.iterations,
    )
}

/// The parentheses are as Kafka writes them.
pub(super) fn token(id: &str, token: &DelegationToken) -> String {
    format!(
        "DelegationTokenDatatokenId={id}(owner={}(tokenRequester={}(renewers={}, issueTimestamp={}, maxTimestamp={}), \
         expiryTimestamp={}",
        token.owner,
        token.requester,
        joined(&token.renewers, " "),
        token.issue_timestamp.0,
        token.max_timestamp.0,
        token.expiration_timestamp.0,
    )
}

pub(super) fn provenance(provenance: Provenance) -> String {
    let date = Date::of(provenance.timestamp);
    let [hour, minute, second, ms] = date.clock();
    let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    format!(
        "offset {}, epoch {}, time {:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}{}Z[UTC]",
        provenance.offset.0,
        provenance.epoch.0,
        date.year,
        date.month,
        date.day,
        fraction.trim_end_matches('0'),
    )
}
