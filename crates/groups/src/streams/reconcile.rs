//! A member on its way to its target: it gives up tasks first, and is given those that nobody else has any more.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_wire::ErrorCode;

use super::member::{MemberState, StreamsMember};
use super::tasks::{ActiveTasks, HeldTasks, TargetTasks, Tasks};
use crate::consumer::Refusal;

type Task<'a> = (&'a ByteString, i32);

/// Which processes have which tasks, or are still giving them up.
#[derive(Debug, Default)]
pub(super) struct Holders<'a> {
    active: BTreeMap<Task<'a>, &'a ByteString>,
    standby: BTreeMap<Task<'a>, BTreeSet<&'a ByteString>>,
    warmup: BTreeMap<Task<'a>, BTreeSet<&'a ByteString>>,
}

impl<'a> Holders<'a> {
    /// The holders of the tasks of these members.
    pub(super) fn of(members: impl Iterator<Item = &'a StreamsMember>) -> Self {
        let mut holders = Self::default();
        for member in members {
            for held in [&member.assigned, &member.revoking] {
                for (subtopology, tasks) in &held.active {
                    holders.active.extend(tasks.keys().map(|task| ((subtopology, *task), &member.process_id)));
                }
                let copies = [(&held.standby, &mut holders.standby), (&held.warmup, &mut holders.warmup)];
                for (tasks, of) in copies {
                    for task in super::tasks::each(tasks) {
                        of.entry(task).or_default().insert(&member.process_id);
                    }
                }
            }
        }
        holders
    }

    /// Whether a process has a copy of a task that is not active.
    fn has_copy(&self, task: Task<'_>, process: &ByteString) -> bool {
        [&self.standby, &self.warmup].iter().any(|of| of.get(&task).is_some_and(|held| held.contains(process)))
    }

    /// Whether an active task cannot be given to a process yet.
    fn holds_active(&self, task: Task<'_>, process: &ByteString) -> bool {
        self.active.contains_key(&task) || self.has_copy(task, process)
    }

    /// Whether a copy of a task cannot be given to a process yet, which would have it twice.
    fn holds_copy(&self, task: Task<'_>, process: &ByteString) -> bool {
        self.active.get(&task).is_some_and(|held| **held == *process) || self.has_copy(task, process)
    }
}

/// The target of a member, and the epoch in which it was computed.
#[derive(Clone, Copy)]
pub(super) struct Goal<'a> {
    pub(super) epoch: i32,
    pub(super) target: &'a TargetTasks,
}

/// The member one step nearer to its target. `owned` is what it says it runs, if it says so.
///
/// # Errors
/// If it is in a state that a later version has written, and has not given up everything.
pub(super) fn reconcile(
    member: &StreamsMember,
    goal: Goal<'_>,
    owned: Option<&TargetTasks>,
    holders: &Holders<'_>,
) -> Result<StreamsMember, Refusal> {
    if member.is_reconciled_to(goal.epoch) {
        return Ok(member.clone());
    }
    match member.state {
        MemberState::Stable | MemberState::UnreleasedTasks => Ok(step(member, member.epoch, goal, owned, holders)),
        MemberState::UnrevokedTasks => match owned {
            Some(owned) if !owned.shares_any(&member.revoking) => {
                Ok(step(member, member.epoch.saturating_add(1), goal, Some(owned), holders))
            }
            // It has not given up everything, or has not said.
            _ => Ok(member.clone()),
        },
        MemberState::Unknown => match owned {
            Some(owned) if owned.is_empty() => Ok(step(member, goal.epoch, goal, Some(owned), holders)),
            _ => Err(Refusal::new(
                ErrorCode::FencedMemberEpoch,
                "The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.",
            )),
        },
    }
}

fn step(
    member: &StreamsMember,
    epoch: i32,
    goal: Goal<'_>,
    owned: Option<&TargetTasks>,
    holders: &Holders<'_>,
) -> StreamsMember {
    let process = &member.process_id;
    let active = split_active(&member.assigned.active, goal, |task| holders.holds_active(task, process));
    let copy_is_held = |task: Task<'_>| holders.holds_copy(task, process);
    let standby = split(&member.assigned.standby, &goal.target.standby, copy_is_held);
    let warmup = split(&member.assigned.warmup, &goal.target.warmup, copy_is_held);
    let unreleased = active.unreleased || standby.unreleased || warmup.unreleased;
    let revoking = HeldTasks { active: active.revoking, standby: standby.revoking, warmup: warmup.revoking };
    let pending = HeldTasks { active: active.pending, standby: standby.pending, warmup: warmup.pending };
    let mut next = member.clone();
    next.assigned = HeldTasks { active: active.kept, standby: standby.kept, warmup: warmup.kept };
    if !revoking.is_empty() && owned.is_none_or(|owned| owned.shares_any(&revoking)) {
        // It stays in its epoch until it has given them up.
        next.state = MemberState::UnrevokedTasks;
        next.advance(epoch);
        next.revoking = revoking;
        return next;
    }
    next.state = if unreleased { MemberState::UnreleasedTasks } else { MemberState::Stable };
    next.advance(goal.epoch);
    next.assigned.merge(pending);
    next.revoking = HeldTasks::default();
    next
}

/// What becomes of the tasks in one role.
struct Split<T> {
    /// It has them and keeps them.
    kept: T,
    /// It has them and is to give them up.
    revoking: T,
    /// It is to have them, and they are free.
    pending: T,
    /// Whether it is to have others that are not free.
    unreleased: bool,
}

fn split(current: &Tasks, target: &Tasks, is_held: impl Fn(Task<'_>) -> bool) -> Split<Tasks> {
    let mut split = Split { kept: Tasks::new(), revoking: Tasks::new(), pending: Tasks::new(), unreleased: false };
    let put = |tasks: &mut Tasks, (subtopology, task): Task<'_>| {
        tasks.entry(subtopology.clone()).or_default().insert(task);
    };
    for task in super::tasks::each(current) {
        let is_wanted = super::tasks::contains(target, task.0, task.1);
        put(if is_wanted { &mut split.kept } else { &mut split.revoking }, task);
    }
    for task in super::tasks::each(target).filter(|(of, task)| !super::tasks::contains(current, of, *task)) {
        match is_held(task) {
            true => split.unreleased = true,
            false => put(&mut split.pending, task),
        }
    }
    split
}

fn split_active(current: &ActiveTasks, goal: Goal<'_>, is_held: impl Fn(Task<'_>) -> bool) -> Split<ActiveTasks> {
    let (kept, revoking, pending) = (ActiveTasks::new(), ActiveTasks::new(), ActiveTasks::new());
    let mut split = Split { kept, revoking, pending, unreleased: false };
    for (subtopology, tasks) in current {
        for (task, given) in tasks {
            let is_wanted = super::tasks::contains(&goal.target.active, subtopology, *task);
            let of = if is_wanted { &mut split.kept } else { &mut split.revoking };
            of.entry(subtopology.clone()).or_default().insert(*task, *given);
        }
    }
    for (subtopology, task) in super::tasks::each(&goal.target.active) {
        if current.get(subtopology).is_some_and(|of| of.contains_key(&task)) {
            continue;
        }
        match is_held((subtopology, task)) {
            true => split.unreleased = true,
            false => {
                split.pending.entry(subtopology.clone()).or_default().insert(task, goal.epoch);
            }
        }
    }
    split
}
