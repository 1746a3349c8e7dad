//! StreamsGroupHeartbeat: a member joins, lives and leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use thalweg_coordinator::At;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::streams_group_heartbeat_response as r;

use super::group::{NO_TOPOLOGY, StreamsGroup};
use super::member::{MemberState, StreamsMember};
use super::reconcile::{Goal, Holders, reconcile};
use super::settings::StreamsSettings;
use super::tasks::{HeldTasks, TargetTasks, Tasks, collect, contains, without_epochs};
use super::topology::{ConfiguredSubtopology, ConfiguredTopology, Topology};
use super::validate::{JOIN_EPOCH, LEAVE_EPOCH, Status};
use crate::consumer::{Refusal, hash_of_topics};
use crate::records::Record;
use crate::request::Caller;

/// When and under which configuration a heartbeat is decided, and what of the group is not in the log.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) at: At<'a>,
    pub(super) settings: &'a StreamsSettings,
    /// Whether the group waits for more members before its first assignment.
    pub(super) is_delayed: bool,
    /// Whether the log holds nothing of the group yet.
    pub(super) is_new: bool,
}

/// What a heartbeat comes to.
pub(super) struct Beat {
    pub(super) records: Vec<Record>,
    pub(super) response: m::StreamsGroupHeartbeatResponse,
    /// Internal topics that are to be created.
    pub(super) missing: Vec<CreatableTopic>,
    /// What was made of the topology.
    pub(super) configured: Option<Arc<ConfiguredTopology>>,
    /// The topics were looked at when the group's epoch was to be this.
    pub(super) looked_at: Option<i32>,
    pub(super) endpoint_epoch: i32,
    /// The group waits so long for more members, from now on.
    pub(super) delay: Option<Duration>,
    /// The member gives up tasks and has so long for that, from now on; none if it gives up nothing.
    pub(super) rebalance_timeout: Option<Duration>,
}

/// What a target is wanted for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Whether the group waits for more members.
    waits: bool,
    /// The epoch that the group is to be in.
    epoch: i32,
    /// The member that says something.
    updated: (&'a ByteString, &'a StreamsMember),
    topology: &'a ConfiguredTopology,
    configs: &'a BTreeMap<ByteString, ByteString>,
}

/// What was found out about the topology.
struct Looked {
    topology: Arc<Topology>,
    /// The topology if it is new.
    record: Option<Record>,
    configured: Arc<ConfiguredTopology>,
    hash: i64,
    /// Whether the tasks are to be assigned anew for it.
    changed: bool,
    /// Whether the topics were looked at, and not what was known of them.
    at_topics: bool,
}

impl StreamsGroup {
    /// A member's heartbeat that does not leave.
    ///
    /// # Errors
    /// If the member is not who it says, is too many, or its topology does not fit.
    pub(super) fn heartbeat(
        &self,
        context: Context<'_>,
        caller: &Caller,
        request: &m::StreamsGroupHeartbeatRequest,
    ) -> Result<Beat, Refusal> {
        let (at, settings, id) = (context.at, context.settings, &request.member_id);
        let before = self.known_member(settings, request)?;
        let member = before.updated(caller, request);
        let mut records = Vec::new();
        let mut bump = member != before || !self.members.contains_key(id);
        if bump {
            records.push(self.member_record(id, &member));
        }
        let looked = self.look(at, request)?;
        bump |= looked.changed;
        records.extend(looked.record);
        let mut statuses = self.stale_status(&member);
        let validated = if looked.configured.is_ready() { looked.topology.epoch } else { NO_TOPOLOGY };
        check_tasks(&looked.configured, request)?;
        let configs = self.current_configs(at, settings);
        bump |= validated != self.validated_topology_epoch || configs != self.assignment_configs;
        let mut epoch = self.epoch;
        if bump {
            epoch = epoch.saturating_add(1);
            records.push(self.epoch_record(epoch, looked.hash, validated, &configs));
        }
        let delay = settings.initial_rebalance_delay(at.image, &self.id);
        let delay = (self.is_empty() && !context.is_delayed && !delay.is_zero()).then_some(delay);
        let waits = context.is_delayed || delay.is_some();
        let wanted = Wanted { waits, epoch, updated: (id, &member), topology: &looked.configured, configs: &configs };
        let (target_epoch, target) = self.target_for(at, settings, wanted, &mut records, &mut statuses);
        let next = self.next_step(&member, Goal { epoch: target_epoch, target: &target }, request)?;
        if next != member {
            records.push(self.assignment_record(id, &next));
        }
        let begins_to_revoke = next != member && next.state == MemberState::UnrevokedTasks;
        let rebalance_timeout = begins_to_revoke.then(|| next.rebalance_timeout());
        let changed = request.member_epoch == JOIN_EPOCH || next.assigned != before.assigned;
        // Kafka Streams says its rebalance timeout when it joins only. If it lists its tasks later, and not all that it was
        // given, it has missed an answer.
        let is_later = request.rebalance_timeout_ms == -1;
        let missed = is_later && owned_tasks(request).is_some_and(|owned| !runs_all(&owned, &next.assigned));
        let tells = changed || missed;
        let endpoint_epoch = match changed && next.user_endpoint.is_some() {
            true => self.endpoint_epoch.saturating_add(1),
            false => self.endpoint_epoch,
        };
        self.tell_problems(request, &looked.configured, &mut statuses);
        let mut response = m::StreamsGroupHeartbeatResponse {
            member_id: id.clone(),
            member_epoch: next.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms(at.image, &self.id),
            status: Some(statuses),
            // What the log does not hold begins with the second heartbeat.
            endpoint_information_epoch: if context.is_new { 0 } else { endpoint_epoch },
            ..Default::default()
        };
        if tells {
            tell_tasks(&mut response, &next.assigned);
        }
        if endpoint_epoch != request.endpoint_information_epoch {
            response.partitions_by_user_endpoint = Some(self.endpoints(at.image, id, &next, &looked.configured));
        }
        let missing = looked.configured.missing.clone();
        let looked_at = (bump || looked.at_topics).then_some(epoch);
        let configured = Some(looked.configured);
        Ok(Beat { records, response, missing, configured, looked_at, endpoint_epoch, delay, rebalance_timeout })
    }

    /// The member one step nearer to its target.
    fn next_step(
        &self,
        member: &StreamsMember,
        goal: Goal<'_>,
        request: &m::StreamsGroupHeartbeatRequest,
    ) -> Result<StreamsMember, Refusal> {
        if member.is_reconciled_to(goal.epoch) {
            return Ok(member.clone());
        }
        let owned = owned_tasks(request);
        reconcile(member, goal, owned.as_ref(), &Holders::of(self.members.values()))
    }

    /// The member as it is known; a new one if it joins.
    fn known_member(
        &self,
        settings: &StreamsSettings,
        request: &m::StreamsGroupHeartbeatRequest,
    ) -> Result<StreamsMember, Refusal> {
        let (id, epoch, max) = (&request.member_id, request.member_epoch, settings.group_size_max);
        let Some(member) = self.members.get(id) else {
            return match epoch {
                JOIN_EPOCH if self.members.len() >= max => {
                    let message = format!("The streams group has reached its maximum capacity of {max} members.");
                    Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
                }
                JOIN_EPOCH => Ok(StreamsMember::new()),
                _ => Err(Refusal::unknown_member(&self.id, id)),
            };
        };
        let fenced = |relation: &str| {
            let message = format!(
                "The streams group member has a {relation} member epoch ({epoch}) than the one known by the group \
                 coordinator ({}). The member must abandon all its partitions and rejoin.",
                member.epoch
            );
            Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
        };
        match epoch {
            JOIN_EPOCH => Ok(member.clone()),
            _ if epoch > member.epoch => fenced("greater"),
            // The answer with the new epoch may have been lost.
            _ if epoch < member.epoch && !(epoch == member.previous_epoch && owns_only(request, &member.assigned)) => {
                fenced("smaller")
            }
            _ => Ok(member.clone()),
        }
    }

    /// Looks at the topology, and at the topics if that is due.
    fn look(&self, at: At<'_>, request: &m::StreamsGroupHeartbeatRequest) -> Result<Looked, Refusal> {
        let (topology, record) = self.topology_for(request)?;
        let mut hash = self.metadata_hash;
        let known = self.configured.as_ref().filter(|_| self.topology.is_some());
        let is_due = self.refresh.is_none_or(|(due, epoch)| at.now.moment >= due || self.epoch < epoch);
        if let Some(configured) = known.filter(|_| !is_due) {
            return Ok(Looked {
                topology,
                record,
                configured: Arc::clone(configured),
                hash,
                changed: false,
                at_topics: false,
            });
        }
        hash = hash_of_topics(topology.required_topics().into_iter(), at.image);
        let changed = hash != self.metadata_hash;
        let configured = match known.filter(|_| !changed) {
            Some(configured) => Arc::clone(configured),
            None => Arc::new(topology.configure(at.image)?),
        };
        Ok(Looked { topology, record, configured, hash, changed, at_topics: true })
    }

    /// The topology that counts after this heartbeat, and its record if it is new.
    fn topology_for(
        &self,
        request: &m::StreamsGroupHeartbeatRequest,
    ) -> Result<(Arc<Topology>, Option<Record>), Refusal> {
        let named = request.topology.as_ref().map(Topology::from_heartbeat).transpose()?;
        match (named, &self.topology) {
            (Some(named), None) => {
                if named.epoch < 0 {
                    return Err(Refusal::new(ErrorCode::UnknownServerError, "Topology epoch must be non-negative."));
                }
                let record = self.topology_record(&named);
                Ok((Arc::new(named), Some(record)))
            }
            (Some(named), Some(known)) if known.epoch <= named.epoch && **known != named => {
                Err(Refusal::invalid("Topology updates are not supported yet."))
            }
            (_, Some(known)) => Ok((Arc::clone(known), None)),
            (None, None) => Err(Refusal::new(
                ErrorCode::UnknownServerError,
                "The topology is null and the group topology is also null.",
            )),
        }
    }

    fn stale_status(&self, member: &StreamsMember) -> Vec<r::Status> {
        let stale = self.topology.iter().filter(|topology| member.topology_epoch < topology.epoch);
        let told = stale.map(|topology| {
            Status::StaleTopology.told(format!(
                "The member's topology epoch {} is behind the group's topology epoch {}.",
                member.topology_epoch, topology.epoch
            ))
        });
        told.collect()
    }

    /// The target of the member that is about to be updated, and its epoch: a new one if none was computed for the epoch
    /// that is wanted, and nothing says to wait.
    fn target_for(
        &self,
        at: At<'_>,
        settings: &StreamsSettings,
        wanted: Wanted<'_>,
        records: &mut Vec<Record>,
        statuses: &mut Vec<r::Status>,
    ) -> (i32, TargetTasks) {
        let Wanted { waits, epoch, updated, topology, configs } = wanted;
        let last = || self.target.get(updated.0).cloned().unwrap_or_default();
        if waits {
            let detail = "Assignment delayed due to the configured initial rebalance delay.";
            statuses.push(Status::AssignmentDelayed.told(detail));
            return (self.assignment_epoch, TargetTasks::default());
        }
        if self.assignment_epoch >= epoch {
            return (self.assignment_epoch, last());
        }
        if !self.may_assign(at, settings) {
            let detail = "Assignment delayed due to the configured assignment interval.";
            statuses.push(Status::AssignmentDelayed.told(detail));
            return (self.assignment_epoch, last());
        }
        let mut target = self.assign(at, epoch, Some(updated), topology, configs, records);
        (epoch, target.remove(updated.0).unwrap_or_default())
    }

    fn tell_problems(
        &self,
        request: &m::StreamsGroupHeartbeatRequest,
        topology: &ConfiguredTopology,
        statuses: &mut Vec<r::Status>,
    ) {
        statuses.extend(topology.problem.iter().map(|(status, detail)| status.told(detail.as_str())));
        let asking = request.shutdown_application.then_some(&request.member_id);
        if let Some(member) = asking.or(self.shutdown_by.as_ref()) {
            statuses.push(Status::ShutdownApplication.told(format!(
                "Streams group member {member} encountered a fatal error and requested a shutdown for the entire \
                 application."
            )));
        }
    }

    /// Which partitions are served at which endpoint, the member's own last.
    fn endpoints(
        &self,
        image: &MetadataImage,
        id: &ByteString,
        member: &StreamsMember,
        topology: &ConfiguredTopology,
    ) -> Vec<r::EndpointToPartitions> {
        let Some(subtopologies) = &topology.subtopologies else { return Vec::new() };
        let others = self.members.iter().filter(|(other, _)| *other != id).map(|(_, other)| other);
        let all = others.chain([member]);
        all.filter_map(|member| {
            let endpoint = member.user_endpoint.as_ref()?;
            Some(r::EndpointToPartitions {
                user_endpoint: r::Endpoint { host: endpoint.host.clone(), port: endpoint.port },
                active_partitions: partitions(&without_epochs(&member.assigned.active), subtopologies, image),
                standby_partitions: partitions(&member.assigned.standby, subtopologies, image),
            })
        })
        .collect()
    }

    /// A member leaves.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn leave(&self, request: &m::StreamsGroupHeartbeatRequest) -> Result<Beat, Refusal> {
        let Some((id, _)) = self.members.get_key_value(&request.member_id) else {
            return Err(Refusal::unknown_member(&self.id, &request.member_id));
        };
        let response = m::StreamsGroupHeartbeatResponse {
            member_id: request.member_id.clone(),
            member_epoch: LEAVE_EPOCH,
            status: Some(Vec::new()),
            ..Default::default()
        };
        Ok(Beat {
            records: self.remove_member(id),
            response,
            missing: Vec::new(),
            configured: self.configured.clone(),
            looked_at: None,
            endpoint_epoch: self.endpoint_epoch,
            delay: None,
            rebalance_timeout: None,
        })
    }
}

/// The tasks that a member says it runs; `None` if it does not say.
fn owned_tasks(request: &m::StreamsGroupHeartbeatRequest) -> Option<TargetTasks> {
    Some(TargetTasks {
        active: named(request.active_tasks.as_ref()?),
        standby: named(request.standby_tasks.as_ref()?),
        warmup: named(request.warmup_tasks.as_ref()?),
    })
}

/// Whether a member runs every task that it was given.
fn runs_all(owned: &TargetTasks, assigned: &HeldTasks) -> bool {
    is_part(&without_epochs(&assigned.active), &owned.active)
        && is_part(&assigned.standby, &owned.standby)
        && is_part(&assigned.warmup, &owned.warmup)
}

fn named(tasks: &[m::streams_group_heartbeat_request::TaskIds]) -> Tasks {
    collect(tasks.iter().map(|of| (&of.subtopology_id, &of.partitions)))
}

/// Whether a member says what it runs, and has been given all of that.
fn owns_only(request: &m::StreamsGroupHeartbeatRequest, assigned: &HeldTasks) -> bool {
    let Some(owned) = owned_tasks(request) else { return false };
    is_part(&owned.active, &without_epochs(&assigned.active))
        && is_part(&owned.standby, &assigned.standby)
        && is_part(&owned.warmup, &assigned.warmup)
}

fn is_part(tasks: &Tasks, of: &Tasks) -> bool {
    super::tasks::each(tasks).all(|(id, task)| contains(of, id, task))
}

/// The tasks that a member says it runs are tasks of the topology.
fn check_tasks(topology: &ConfiguredTopology, request: &m::StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    let Some(subtopologies) = topology.subtopologies.as_ref().filter(|_| topology.is_ready()) else { return Ok(()) };
    let all = [&request.active_tasks, &request.standby_tasks, &request.warmup_tasks];
    for tasks in all.into_iter().flatten().flatten() {
        let id = &tasks.subtopology_id;
        let Some(subtopology) = subtopologies.get(id) else {
            return Err(Refusal::invalid(&format!("Subtopology {id} does not exist in the topology.")));
        };
        let count = subtopology.tasks;
        if let Some(task) = tasks.partitions.iter().find(|task| !(0..count).contains(*task)) {
            return Err(Refusal::invalid(&format!(
                "Task {task} for subtopology {id} is invalid. Number of tasks for this subtopology: {count}"
            )));
        }
    }
    Ok(())
}

fn tell_tasks(response: &mut m::StreamsGroupHeartbeatResponse, assigned: &HeldTasks) {
    let told = |tasks: &Tasks| {
        let of = tasks.iter().map(|(subtopology_id, partitions)| r::TaskIds {
            subtopology_id: subtopology_id.clone(),
            partitions: partitions.iter().copied().collect(),
        });
        Some(of.collect())
    };
    response.active_tasks = told(&without_epochs(&assigned.active));
    response.standby_tasks = told(&assigned.standby);
    response.warmup_tasks = told(&assigned.warmup);
}

/// The partitions that tasks read.
fn partitions(
    tasks: &Tasks,
    subtopologies: &BTreeMap<ByteString, ConfiguredSubtopology>,
    image: &MetadataImage,
) -> Vec<r::TopicPartition> {
    let mut all = Vec::new();
    for (subtopology, tasks) in tasks {
        let Some(subtopology) = subtopologies.get(subtopology) else { continue };
        let topics: BTreeSet<&ByteString> =
            subtopology.source_topics.iter().chain(subtopology.repartition_source_topics.keys()).collect();
        for topic in topics {
            let count = image.topics().by_name(topic).map_or(0, |topic| topic.partition_count());
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            // A topic with fewer partitions than there are tasks has none for the last ones.
            let partitions: Vec<i32> = tasks.iter().copied().filter(|task| *task < count).collect();
            if !partitions.is_empty() {
                all.push(r::TopicPartition { topic: topic.clone(), partitions });
            }
        }
    }
    all
}
