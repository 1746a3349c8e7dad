//! What the active controller is asked, as values: a request can be decided here, or sent to the node that decides.

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_base::{BrokerEpoch, Moment, NodeId, Offset, Timestamp};
use thalweg_metadata::feature::KRAFT_VERSION;
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, ErrorCode};

use crate::alter_configs::ConfigsRequest as _;
use crate::{Controller, KRaftFeature, Mutations, Outcome, Random, Refusal, RegistrationContext, Sessions};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The kind: `User`, unless somebody has built another.
    pub kind: ByteString,
    /// The name.
    pub name: ByteString,
}

impl Principal {
    /// Whoever did not authenticate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { kind: ByteString::from_static("User"), name: ByteString::from_static("ANONYMOUS") }
    }
}

/// What comes with a request besides its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Who asks.
    pub principal: Principal,
    /// The sender's `client.id`, by which quotas are found; `None` for what a node asks for itself.
    pub client_id: Option<ByteString>,
    /// The version of the request.
    pub version: i16,
    /// Until when its sender waits. Nothing is decided after that.
    pub deadline: Moment,
    /// The addresses that the request names and that mean nothing to the node that it reached (AlterClientQuotas): the
    /// controller itself asks no resolver.
    pub unknown_hosts: BTreeSet<ByteString>,
}

impl Context {
    /// The context of a request of a node's own.
    #[must_use]
    pub fn of_node(version: i16, deadline: Moment) -> Self {
        Self { principal: Principal::anonymous(), client_id: None, version, deadline, unknown_hosts: BTreeSet::new() }
    }
}

/// What a decision looks at: the cluster with everything that was decided before, committed or not.
pub struct Cluster<'a> {
    /// The metadata.
    pub image: &'a MetadataImage,
    /// Which brokers are alive.
    pub sessions: &'a Sessions,
    /// The time.
    pub now: Moment,
    /// The time by the wall clock.
    pub wall_clock: Timestamp,
    /// The offset that the decision's first record will have in the metadata log.
    pub next_offset: Offset,
    /// How many partitions the sender may still create and delete (KIP-599); `None` where nothing limits it.
    pub mutations_left: Option<i64>,
    /// The feature that the quorum keeps.
    pub kraft: KRaftFeature<'a>,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What changes. They count together: the driver appends them as one batch, or within a metadata transaction.
    pub records: Vec<MetadataRecord>,
    /// What the sender is answered when the records are committed.
    pub response: Response,
    /// What is to be noted about a broker's session, whatever becomes of the records.
    pub contact: Option<Contact>,
    /// How many partitions it creates and deletes, which counts against the sender's quota.
    pub mutations: Mutations,
    /// The level to which the quorum is to raise `kraft.version`, before the records are appended.
    pub kraft_version: Option<i16>,
}

/// A broker was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The broker,
    pub broker: NodeId,
    /// in the run with this epoch.
    pub epoch: BrokerEpoch,
    /// How far it has read the metadata log.
    pub metadata_offset: Offset,
    /// What becomes of its session.
    pub session: SessionChange,
}

/// What a heartbeat makes of a broker's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// It goes on.
    Renewed,
    /// It goes on; the broker may stop when all active brokers have read this record of the metadata log.
    ShuttingDown(Offset),
    /// It ends: the broker stops.
    Ended,
}

/// A message that is a request to the active controller.
pub trait Ask: thalweg_wire::Request<Response: Send + 'static> + Clone + Send + 'static {
    /// The request as a value.
    fn into_request(self) -> Request;

    /// The response to it, `None` if it is one to another request.
    fn response(response: Response) -> Option<Self::Response>;
}

macro_rules! requests {
    ($($name:ident $request:ident $response:ident;)*) => {
        /// A request to the active controller, one variant for each of Kafka's APIs.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $(#[doc = concat!("`", stringify!($name), "`.")] $name(m::$request),)*
        }

        /// The response to a [`Request`], in the variant of the same name.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $(#[doc = concat!("To `", stringify!($name), "`.")] $name(m::$response),)*
        }

        impl Request {
            /// Its API.
            #[must_use]
            pub fn api(&self) -> ApiKey {
                match self { $(Self::$name(_) => ApiKey::$name,)* }
            }
        }

        $(impl Ask for m::$request {
            fn into_request(self) -> Request {
                Request::$name(self)
            }

            fn response(response: Response) -> Option<m::$response> {
                match response {
                    Response::$name(response) => Some(response),
                    _ => None,
                }
            }
        })*
    };
}

requests! {
    AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse;
    AllocateProducerIds AllocateProducerIdsRequest AllocateProducerIdsResponse;
    AlterClientQuotas AlterClientQuotasRequest AlterClientQuotasResponse;
    AlterConfigs AlterConfigsRequest AlterConfigsResponse;
    AlterPartition AlterPartitionRequest AlterPartitionResponse;
    AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    AlterUserScramCredentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse;
    AssignReplicasToDirs AssignReplicasToDirsRequest AssignReplicasToDirsResponse;
    BrokerHeartbeat BrokerHeartbeatRequest BrokerHeartbeatResponse;
    BrokerRegistration BrokerRegistrationRequest BrokerRegistrationResponse;
    ControllerRegistration ControllerRegistrationRequest ControllerRegistrationResponse;
    CreateAcls CreateAclsRequest CreateAclsResponse;
    CreateDelegationToken CreateDelegationTokenRequest CreateDelegationTokenResponse;
    CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
    CreateTopics CreateTopicsRequest CreateTopicsResponse;
    DeleteAcls DeleteAclsRequest DeleteAclsResponse;
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
    ElectLeaders ElectLeadersRequest ElectLeadersResponse;
    ExpireDelegationToken ExpireDelegationTokenRequest ExpireDelegationTokenResponse;
    IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse;
    RenewDelegationToken RenewDelegationTokenRequest RenewDelegationTokenResponse;
    UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse;
    UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
}

impl Decision {
    fn of<R>(outcome: Outcome<R>, response: impl FnOnce(R) -> Response) -> Self {
        let Outcome { records, response: answer } = outcome;
        Self {
            records,
            response: response(answer),
            contact: None,
            mutations: Mutations::unlimited(),
            kraft_version: None,
        }
    }
}

impl Controller {
    /// Decides a request. Nothing changes by that: the driver appends the records, replays them, and notes the contact.
    ///
    /// # Errors
    /// If the whole request is refused, or its sender waits no longer. Changes of voters are not the controller's to decide: the
    /// quorum does that.
    pub fn decide(
        &self,
        cluster: &Cluster<'_>,
        random: Random<'_>,
        context: &Context,
        request: &Request,
    ) -> Result<Decision, Refusal> {
        if cluster.now >= context.deadline {
            return Err(Refusal::bare(ErrorCode::RequestTimedOut));
        }
        let (image, version) = (cluster.image, context.version);
        let mut mutations = Mutations { left: cluster.mutations_left, ..Mutations::unlimited() };
        let decision = match request {
            Request::AllocateProducerIds(request) => {
                Decision::of(self.allocate_producer_ids(image, request)?, Response::AllocateProducerIds)
            }
            Request::AlterClientQuotas(request) => {
                let outcome = self.alter_client_quotas(image, request, &context.unknown_hosts);
                Decision::of(outcome, Response::AlterClientQuotas)
            }
            Request::AlterConfigs(request) => Decision::of(request.decide(self, image), Response::AlterConfigs),
            Request::IncrementalAlterConfigs(request) => {
                Decision::of(request.decide(self, image), Response::IncrementalAlterConfigs)
            }
            Request::AlterPartition(request) => {
                Decision::of(self.alter_partition(image, request, version)?, Response::AlterPartition)
            }
            Request::AlterPartitionReassignments(request) => {
                let outcome = self.alter_partition_reassignments(image, request);
                Decision::of(outcome, Response::AlterPartitionReassignments)
            }
            Request::AlterUserScramCredentials(request) => {
                Decision::of(self.alter_user_scram_credentials(image, request), Response::AlterUserScramCredentials)
            }
            Request::AssignReplicasToDirs(request) => {
                Decision::of(self.assign_replicas_to_dirs(image, request)?, Response::AssignReplicasToDirs)
            }
            Request::BrokerHeartbeat(request) => self.decide_heartbeat(cluster, request)?,
            Request::BrokerRegistration(request) => self.decide_registration(cluster, version, request)?,
            Request::ControllerRegistration(request) => {
                Decision::of(self.register_controller(image, request)?, Response::ControllerRegistration)
            }
            Request::CreateAcls(request) => {
                Decision::of(self.create_acls(image, random, request)?, Response::CreateAcls)
            }
            Request::CreateDelegationToken(_)
            | Request::RenewDelegationToken(_)
            | Request::ExpireDelegationToken(_) => self.decide_token(cluster, random, &context.principal, request)?,
            Request::DeleteAcls(request) => Decision::of(self.delete_acls(image, request)?, Response::DeleteAcls),
            Request::CreatePartitions(request) => {
                let outcome = self.create_partitions(image, random, request, &mut mutations);
                Decision::of(outcome, Response::CreatePartitions)
            }
            Request::CreateTopics(request) => {
                Decision::of(self.create_topics(image, random, request, &mut mutations)?, Response::CreateTopics)
            }
            Request::DeleteTopics(request) => {
                Decision::of(self.delete_topics(image, request, version, &mut mutations)?, Response::DeleteTopics)
            }
            Request::ElectLeaders(request) => Decision::of(self.elect_leaders(image, request)?, Response::ElectLeaders),
            Request::UnregisterBroker(request) => {
                Decision::of(self.unregister_broker(image, NodeId(request.broker_id))?, Response::UnregisterBroker)
            }
            Request::UpdateFeatures(request) => self.decide_features(cluster, version, request)?,
            Request::AddRaftVoter(_) | Request::RemoveRaftVoter(_) => {
                return Err(Refusal::usual(ErrorCode::InvalidRequest));
            }
        };
        Ok(Decision { mutations, ..decision })
    }

    fn decide_token(
        &self,
        cluster: &Cluster<'_>,
        random: Random<'_>,
        asker: &Principal,
        request: &Request,
    ) -> Result<Decision, Refusal> {
        let (image, now) = (cluster.image, cluster.wall_clock);
        Ok(match request {
            Request::CreateDelegationToken(request) => {
                let outcome = self.create_delegation_token(image, random, asker, now, request);
                Decision::of(outcome, Response::CreateDelegationToken)
            }
            Request::RenewDelegationToken(request) => {
                let outcome = self.renew_delegation_token(image, asker, now, request);
                Decision::of(outcome, Response::RenewDelegationToken)
            }
            Request::ExpireDelegationToken(request) => {
                let outcome = self.expire_delegation_token(image, asker, now, request);
                Decision::of(outcome, Response::ExpireDelegationToken)
            }
            _ => return Err(Refusal::usual(ErrorCode::InvalidRequest)),
        })
    }

    /// A broker registers. Its session begins with its first heartbeat: until then another run may take its place.
    fn decide_registration(
        &self,
        cluster: &Cluster<'_>,
        version: i16,
        request: &m::BrokerRegistrationRequest,
    ) -> Result<Decision, Refusal> {
        let context = RegistrationContext {
            next_offset: cluster.next_offset,
            kraft_version: cluster.kraft.level,
            request_version: version,
        };
        let outcome = self.register_broker(cluster.image, cluster.sessions, cluster.now, context, request)?;
        Ok(Decision::of(outcome, Response::BrokerRegistration))
    }

    fn decide_heartbeat(
        &self,
        cluster: &Cluster<'_>,
        request: &m::BrokerHeartbeatRequest,
    ) -> Result<Decision, Refusal> {
        let Outcome { records, response } = self.heartbeat(cluster.image, cluster.sessions, request)?;
        let session = if response.should_shut_down {
            SessionChange::Ended
        } else if request.want_shut_down && !records.is_empty() {
            // The others must have read the last of this before the broker may go. They report the last record they know.
            let before_last = i64::try_from(records.len() - 1).unwrap_or(i64::MAX);
            SessionChange::ShuttingDown(Offset(cluster.next_offset.0.saturating_add(before_last)))
        } else {
            SessionChange::Renewed
        };
        let contact = Contact {
            broker: NodeId(request.broker_id),
            epoch: BrokerEpoch(request.broker_epoch),
            metadata_offset: Offset(request.current_metadata_offset),
            session,
        };
        Ok(Decision {
            records,
            response: Response::BrokerHeartbeat(response),
            contact: Some(contact),
            mutations: Mutations::unlimited(),
            kraft_version: None,
        })
    }

    fn decide_features(
        &self,
        cluster: &Cluster<'_>,
        version: i16,
        request: &m::UpdateFeaturesRequest,
    ) -> Result<Decision, Refusal> {
        let outcome = self.update_features(cluster.image, cluster.kraft, request, version)?;
        let asked = request.feature_updates.iter().find(|update| &*update.feature == KRAFT_VERSION.name);
        let level = asked.map(|update| update.max_version_level).filter(|level| *level > cluster.kraft.level);
        let kraft_version = level.filter(|_| !request.validate_only);
        Ok(Decision { kraft_version, ..Decision::of(outcome, Response::UpdateFeatures) })
    }

    /// Whether controllers register in this cluster: older metadata versions have no record for it.
    #[must_use]
    pub fn takes_registrations_of_controllers(image: &MetadataImage) -> bool {
        image.metadata_version() >= MetadataVersion::CONTROLLER_REGISTRATION
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster::Cluster as Testbed;

    fn decide(bed: &mut Testbed, deadline: Moment, request: impl Ask) -> Result<Decision, Refusal> {
        let kraft = KRaftFeature { level: 1, may_become: &|_| Ok(()) };
        let cluster = Cluster {
            image: &bed.image,
            sessions: &bed.sessions,
            now: bed.now,
            wall_clock: Timestamp(0),
            next_offset: bed.next_offset,
            mutations_left: None,
            kraft,
        };
        let context = Context::of_node(*m::BrokerHeartbeatRequest::VERSIONS.end(), deadline);
        bed.controller.decide(&cluster, &mut || 7, &context, &request.into_request())
    }

    #[test]
    fn nothing_is_decided_for_a_sender_that_waits_no_longer() {
        let mut bed = Testbed::of(1);
        let heartbeat = bed.alive(1);
        let now = bed.now;
        let late = decide(&mut bed, now, heartbeat.clone());
        assert_eq!(late, Err(Refusal::bare(ErrorCode::RequestTimedOut)));
        assert!(decide(&mut bed, Moment(now.0 + 1), heartbeat).is_ok());
    }

    #[test]
    fn a_broker_that_hands_over_may_stop_when_the_others_have_read_that() {
        let mut bed = Testbed::of(2);
        bed.topic("t", &[&[1, 2]]);
        let stop = m::BrokerHeartbeatRequest { want_shut_down: true, ..bed.alive(1) };
        let (next, far) = (bed.next_offset, Moment(i64::MAX));
        let decision = decide(&mut bed, far, stop.clone()).expect("it is registered");
        let last = next.plus(i64::try_from(decision.records.len()).expect("few records") - 1);
        assert!(last > next, "it hands over");
        assert_eq!(decision.contact.map(|contact| contact.session), Some(SessionChange::ShuttingDown(last)));
        let contact = decision.contact.expect("a contact");
        bed.replay(&decision.records);
        bed.sessions.note(contact, bed.now);
        let again = decide(&mut bed, far, stop.clone()).expect("it is registered");
        assert_eq!(again.contact.map(|contact| contact.session), Some(SessionChange::Renewed), "2 has not read it");
        let read = m::BrokerHeartbeatRequest { current_metadata_offset: last.0, ..bed.alive(2) };
        bed.heartbeat(&read).expect("it is registered");
        let freed = decide(&mut bed, far, stop).expect("it is registered");
        assert_eq!(freed.contact.map(|contact| contact.session), Some(SessionChange::Ended), "2 knows the last record");
    }

    #[test]
    fn answers_belong_to_their_requests() {
        let answer = Response::BrokerHeartbeat(m::BrokerHeartbeatResponse::default());
        assert_eq!(m::BrokerHeartbeatRequest::response(answer.clone()), Some(m::BrokerHeartbeatResponse::default()));
        assert_eq!(m::CreateTopicsRequest::response(answer), None);
    }
}
