//! The sticky assignor: tasks stay where they are or where their state is, and processes have as many as each other.
//!
//! Kafka's algorithm in Kafka's order. Where Kafka leaves a choice to the order of a hash table, the smallest name is chosen.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;

use super::tasks::{TargetTasks, Tasks, each};
use super::topology::ConfiguredSubtopology;

/// A task: a subtopology and one of its partitions.
type Task<'a> = (&'a ByteString, i32);

/// What is known of a member.
pub(super) struct MemberSpec<'a> {
    pub(super) process_id: &'a ByteString,
    /// What it is to run so far.
    pub(super) target: Option<&'a TargetTasks>,
}

/// The input: members by id, the topology, and how many standby copies tasks with state have.
pub(super) struct Spec<'a> {
    pub(super) members: BTreeMap<&'a ByteString, MemberSpec<'a>>,
    pub(super) subtopologies: &'a BTreeMap<ByteString, ConfiguredSubtopology>,
    pub(super) standby_replicas: usize,
}

/// Says which member runs which task.
pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<ByteString, TargetTasks> {
    let mut state = Assignment::new(spec);
    state.assign_active(spec);
    if spec.standby_replicas > 0 {
        state.assign_standby(spec);
    }
    let members = spec.members.iter().map(|(id, member)| {
        let process = &state.processes[member.process_id];
        let own = |by_member: &BTreeMap<&ByteString, BTreeSet<Task<'_>>>| {
            let mut tasks = Tasks::new();
            for (subtopology, task) in by_member.get(id).into_iter().flatten() {
                tasks.entry((*subtopology).clone()).or_default().insert(*task);
            }
            tasks
        };
        let target = TargetTasks { active: own(&process.active), standby: own(&process.standby), warmup: Tasks::new() };
        ((*id).clone(), target)
    });
    members.collect()
}

/// The members of one process and what they were given.
#[derive(Default)]
struct Process<'a> {
    /// How many tasks each member has.
    counts: BTreeMap<&'a ByteString, usize>,
    tasks: BTreeSet<Task<'a>>,
    task_count: usize,
    active: BTreeMap<&'a ByteString, BTreeSet<Task<'a>>>,
    standby: BTreeMap<&'a ByteString, BTreeSet<Task<'a>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Active,
    Standby,
}

impl<'a> Process<'a> {
    /// Tasks for each member.
    fn load(&self) -> f64 {
        self.task_count as f64 / self.counts.len().max(1) as f64
    }

    fn add(&mut self, member: &'a ByteString, task: Task<'a>, kind: Kind) -> usize {
        self.task_count += 1;
        self.tasks.insert(task);
        let by_member = match kind {
            Kind::Active => &mut self.active,
            Kind::Standby => &mut self.standby,
        };
        by_member.entry(member).or_default().insert(task);
        let count = self.counts.entry(member).or_default();
        *count += 1;
        *count
    }

    fn add_to_least_loaded(&mut self, task: Task<'a>, kind: Kind) -> Option<usize> {
        let (member, _) = self.counts.iter().min_by_key(|(_, count)| **count)?;
        let member = *member;
        Some(self.add(member, task, kind))
    }
}

/// How many tasks a member should have: what is left, shared out among the members that are left.
struct Quota {
    tasks: usize,
    members: usize,
    per_member: usize,
}

impl Quota {
    fn new(tasks: usize, members: usize) -> Self {
        Self { tasks, members, per_member: share(tasks, members) }
    }

    /// A member has so many tasks now: one that has its share counts no more.
    fn update(&mut self, count: usize) {
        if count == self.per_member {
            self.members = self.members.saturating_sub(1);
            self.tasks = self.tasks.saturating_sub(count);
            self.per_member = share(self.tasks, self.members);
        }
    }
}

fn share(tasks: usize, members: usize) -> usize {
    if members == 0 { 0 } else { tasks.div_ceil(members) }
}

/// An assignment in the making.
struct Assignment<'a> {
    processes: BTreeMap<&'a ByteString, Process<'a>>,
    /// Who runs a task so far: process and member.
    previous_active: BTreeMap<Task<'a>, (&'a ByteString, &'a ByteString)>,
    /// Who has a standby copy so far.
    previous_standby: BTreeMap<Task<'a>, Vec<(&'a ByteString, &'a ByteString)>>,
    active: Quota,
    total: Quota,
}

impl<'a> Assignment<'a> {
    fn new(spec: &Spec<'a>) -> Self {
        let mut processes: BTreeMap<&ByteString, Process<'_>> = BTreeMap::new();
        let mut previous_active = BTreeMap::new();
        let mut previous_standby: BTreeMap<Task<'_>, Vec<_>> = BTreeMap::new();
        for (id, member) in &spec.members {
            let holder = (member.process_id, *id);
            processes.entry(member.process_id).or_default().counts.insert(id, 0);
            let Some(target) = member.target else { continue };
            previous_active.extend(each(&target.active).map(|task| (task, holder)));
            each(&target.standby).for_each(|task| previous_standby.entry(task).or_default().push(holder));
        }
        let count = |of: &ConfiguredSubtopology| usize::try_from(of.tasks).unwrap_or(0);
        let active: usize = spec.subtopologies.values().map(count).sum();
        let standby: usize = spec.subtopologies.values().filter(|of| is_stateful(of)).map(count).sum();
        let members = spec.members.len();
        Self {
            processes,
            previous_active,
            previous_standby,
            active: Quota::new(active, members),
            total: Quota::new(active + standby * spec.standby_replicas, members),
        }
    }

    fn give(&mut self, (process, member): (&'a ByteString, &'a ByteString), task: Task<'a>, kind: Kind) {
        let Some(process) = self.processes.get_mut(process) else { return };
        let count = process.add(member, task, kind);
        if kind == Kind::Active {
            self.active.update(count);
        }
        self.total.update(count);
    }

    fn count_of(&self, (process, member): (&ByteString, &ByteString)) -> usize {
        self.processes.get(process).and_then(|process| process.counts.get(member)).copied().unwrap_or(0)
    }

    fn assign_active(&mut self, spec: &Spec<'a>) {
        let mut left: Vec<Task<'a>> = tasks(spec, |_| true);
        // Partitions of all subtopologies lie together, as a range assignor would put them.
        left.sort_by_key(|(subtopology, task)| (*task, *subtopology));
        left.retain(|task| match self.previous_active.get(task).copied() {
            Some(holder) if self.count_of(holder) < self.active.per_member => {
                self.give(holder, *task, Kind::Active);
                false
            }
            _ => true,
        });
        left.retain(|task| match self.previous_holder(task, None) {
            Some(holder) if self.count_of(holder) < self.active.per_member => {
                self.give(holder, *task, Kind::Active);
                false
            }
            _ => true,
        });
        left.sort_unstable();
        for task in left {
            let Some(process) = self.least_loaded(&BTreeSet::new()) else { return };
            let count = self.processes.get_mut(process).and_then(|of| of.add_to_least_loaded(task, Kind::Active));
            if let Some(count) = count {
                self.active.update(count);
                self.total.update(count);
            }
        }
    }

    fn assign_standby(&mut self, spec: &Spec<'a>) {
        let mut stateful = tasks(spec, is_stateful);
        stateful.sort_by_key(|(subtopology, task)| std::cmp::Reverse((*task, *subtopology)));
        let mut left: Vec<(Task<'a>, usize)> = Vec::new();
        for task in stateful {
            for copy in 0..spec.standby_replicas {
                let active = self.previous_active.get(&task).copied();
                let active = active.filter(|holder| !self.has(holder.0, &task) && self.is_below_total(*holder));
                let holder = active
                    .or_else(|| self.previous_holder(&task, Some(&task)).filter(|holder| self.is_below_total(*holder)));
                let Some(holder) = holder else {
                    left.push((task, spec.standby_replicas - copy));
                    break;
                };
                self.give(holder, task, Kind::Standby);
            }
        }
        left.sort_by_key(|(task, _)| std::cmp::Reverse(*task));
        for (task, copies) in left {
            for _ in 0..copies {
                if !self.give_to_least_loaded(task) {
                    // There are not enough processes: every copy is on another one.
                    break;
                }
            }
        }
    }

    fn has(&self, process: &ByteString, task: &Task<'_>) -> bool {
        self.processes.get(process).is_some_and(|process| process.tasks.contains(task))
    }

    fn is_below_total(&self, holder: (&ByteString, &ByteString)) -> bool {
        self.count_of(holder) < self.total.per_member
    }

    /// A standby copy goes to the process with the least load that does not have the task.
    fn give_to_least_loaded(&mut self, task: Task<'a>) -> bool {
        let having = self.processes.iter().filter(|(_, process)| process.tasks.contains(&task)).map(|(id, _)| *id);
        let having: BTreeSet<&ByteString> = having.collect();
        let Some(process) = self.least_loaded(&having) else { return false };
        let count = self.processes.get_mut(process).and_then(|of| of.add_to_least_loaded(task, Kind::Standby));
        let Some(count) = count else { return false };
        self.total.update(count);
        true
    }

    fn least_loaded(&self, without: &BTreeSet<&ByteString>) -> Option<&'a ByteString> {
        let among = self.processes.iter().filter(|(id, _)| !without.contains(*id));
        among.min_by(|(_, a), (_, b)| a.load().total_cmp(&b.load())).map(|(id, _)| *id)
    }

    /// The member with the least load that has a standby copy so far. It is not one whose process has the task now, if
    /// that is asked for.
    fn previous_holder(&self, task: &Task<'a>, without: Option<&Task<'a>>) -> Option<(&'a ByteString, &'a ByteString)> {
        let holders = self.previous_standby.get(task)?;
        let load = |process: &ByteString| self.processes.get(process).map_or(0.0, Process::load);
        let mut best = *holders.first()?;
        let (mut process_load, mut member_load) = (load(best.0), self.count_of(best));
        for holder in &holders[1..] {
            let (own_load, own_count) = (load(holder.0), self.count_of(*holder));
            let is_free = without.is_none_or(|task| !self.has(holder.0, task));
            if own_load < process_load && is_free && own_count < member_load {
                (best, process_load, member_load) = (*holder, own_load, own_count);
            }
        }
        without.is_none_or(|task| !self.has(best.0, task)).then_some(best)
    }
}

fn is_stateful(subtopology: &ConfiguredSubtopology) -> bool {
    !subtopology.changelog_topics.is_empty()
}

fn tasks<'a>(spec: &Spec<'a>, wanted: impl Fn(&ConfiguredSubtopology) -> bool) -> Vec<Task<'a>> {
    let subtopologies = spec.subtopologies.iter().filter(|(_, of)| wanted(of));
    subtopologies.flat_map(|(id, of)| (0..of.tasks).map(move |task| (id, task))).collect()
}
