//! What needs no group to be refused, and the statuses that members are told.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::consumer::Refusal;

/// The epoch of a member that joins.
pub(super) const JOIN_EPOCH: i32 = 0;
/// The epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;
/// The epoch of a static member that leaves for a while.
pub(super) const LEAVE_STATIC_EPOCH: i32 = -2;

/// What a member is told beside its tasks. The numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Status {
    /// Others have a later topology.
    StaleTopology = 0,
    /// Source topics are missing.
    MissingSourceTopics = 1,
    /// Topics have other numbers of partitions than they should.
    IncorrectlyPartitionedTopics = 2,
    /// Internal topics are missing.
    MissingInternalTopics = 3,
    /// A member wants the whole application to end.
    ShutdownApplication = 4,
    /// Tasks are assigned a little later.
    AssignmentDelayed = 5,
}

impl Status {
    /// As the answer has it.
    pub(crate) fn told(self, detail: impl Into<String>) -> m::streams_group_heartbeat_response::Status {
        let detail: String = detail.into();
        m::streams_group_heartbeat_response::Status { status_code: self as i8, status_detail: detail.into() }
    }
}

/// Checks what needs no group.
///
/// # Errors
/// If the request contradicts itself or asks for what Kafka 4.3 does not do either.
pub(crate) fn validate(request: &m::StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    refuse_unsupported(request)?;
    let named = [
        (Some(&request.member_id), "MemberId"),
        (Some(&request.group_id), "GroupId"),
        (request.instance_id.as_ref(), "InstanceId"),
        (request.rack_id.as_ref(), "RackId"),
    ];
    for (value, name) in named {
        if value.is_some_and(|value| value.trim().is_empty()) {
            return Err(Refusal::invalid(&format!("{name} can't be empty.")));
        }
    }
    match request.member_epoch {
        JOIN_EPOCH => validate_join(request)?,
        LEAVE_STATIC_EPOCH if request.instance_id.is_none() => {
            return Err(Refusal::invalid("InstanceId can't be null."));
        }
        epoch if epoch < LEAVE_STATIC_EPOCH => {
            let message = format!("MemberEpoch is {epoch}, but must be greater than or equal to -2.");
            return Err(Refusal::invalid(&message));
        }
        _ => {}
    }
    let tasks = [&request.active_tasks, &request.standby_tasks, &request.warmup_tasks];
    if tasks.iter().any(|tasks| tasks.is_some()) && !tasks.iter().all(|tasks| tasks.is_some()) {
        return Err(Refusal::invalid("If one task-type is non-null, all must be non-null."));
    }
    if request.member_epoch != JOIN_EPOCH && request.topology.is_some() {
        return Err(Refusal::invalid("Topology can only be provided when (re-)joining."));
    }
    Ok(())
}

fn refuse_unsupported(request: &m::StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    let warmups = request.warmup_tasks.as_ref().is_some_and(|tasks| !tasks.is_empty());
    let mut subtopologies = request.topology.iter().flat_map(|topology| &topology.subtopologies);
    let why = if request.instance_id.is_some() {
        "Static membership is not yet supported."
    } else if request.task_offsets.is_some() {
        "TaskOffsets are not supported yet."
    } else if request.task_end_offsets.is_some() {
        "TaskEndOffsets are not supported yet."
    } else if warmups {
        "WarmupTasks are not supported yet."
    } else if subtopologies.any(|subtopology| !subtopology.source_topic_regex.is_empty()) {
        "Regular expressions for source topics are not supported yet."
    } else {
        return Ok(());
    };
    Err(Refusal::invalid(why))
}

fn validate_join(request: &m::StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    if request.rebalance_timeout_ms == -1 {
        return Err(Refusal::invalid("RebalanceTimeoutMs must be provided in first request."));
    }
    let tasks = [
        (&request.active_tasks, "ActiveTasks"),
        (&request.standby_tasks, "StandbyTasks"),
        (&request.warmup_tasks, "WarmupTasks"),
    ];
    for (tasks, name) in tasks {
        if tasks.as_ref().is_none_or(|tasks| !tasks.is_empty()) {
            return Err(Refusal::invalid(&format!("{name} must be empty when (re-)joining.")));
        }
    }
    let Some(topology) = &request.topology else {
        return Err(Refusal::invalid("Topology must be non-null when (re-)joining."));
    };
    for changelog in topology.subtopologies.iter().flat_map(|of| &of.state_changelog_topics) {
        if changelog.partitions != 0 {
            let message = format!(
                "Changelog topic {} must have an undefined partition count, but it is set to {}.",
                changelog.name, changelog.partitions
            );
            return Err(Refusal::new(ErrorCode::StreamsInvalidTopology, message));
        }
    }
    Ok(())
}
