//! Tasks: a subtopology and one of its partitions, by role.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;

use crate::consumer::copy;

/// Tasks by subtopology. No subtopology is there without a task.
pub(crate) type Tasks = BTreeMap<ByteString, BTreeSet<i32>>;

/// Active tasks, each with the assignment epoch in which it was given. No subtopology is there without a task.
pub(crate) type ActiveTasks = BTreeMap<ByteString, BTreeMap<i32, i32>>;

/// What a member is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetTasks {
    pub(crate) active: Tasks,
    pub(crate) standby: Tasks,
    pub(crate) warmup: Tasks,
}

/// What a member runs, or is giving up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldTasks {
    pub(crate) active: ActiveTasks,
    pub(crate) standby: Tasks,
    pub(crate) warmup: Tasks,
}

impl TargetTasks {
    /// Whether some task is in the same role in both.
    pub(crate) fn shares_any(&self, held: &HeldTasks) -> bool {
        let active = &held.active;
        let has =
            |subtopology: &ByteString, task: &i32| active.get(subtopology).is_some_and(|of| of.contains_key(task));
        each(&self.active).any(|(subtopology, task)| has(subtopology, &task))
            || each(&self.standby).any(|(subtopology, task)| contains(&held.standby, subtopology, task))
            || each(&self.warmup).any(|(subtopology, task)| contains(&held.warmup, subtopology, task))
    }

    /// Whether there is no task.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }
}

impl HeldTasks {
    /// Whether there is no task.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Adds the tasks of the other.
    pub(crate) fn merge(&mut self, other: Self) {
        for (subtopology, tasks) in other.active {
            self.active.entry(subtopology).or_default().extend(tasks);
        }
        for (mine, others) in [(&mut self.standby, other.standby), (&mut self.warmup, other.warmup)] {
            for (subtopology, tasks) in others {
                mine.entry(subtopology).or_default().extend(tasks);
            }
        }
    }
}

/// Whether a task is among these.
pub(crate) fn contains(tasks: &Tasks, subtopology: &ByteString, task: i32) -> bool {
    tasks.get(subtopology).is_some_and(|of| of.contains(&task))
}

/// Every task.
pub(crate) fn each(tasks: &Tasks) -> impl Iterator<Item = (&ByteString, i32)> {
    tasks.iter().flat_map(|(subtopology, of)| of.iter().map(move |task| (subtopology, *task)))
}

/// Active tasks without their epochs.
pub(crate) fn without_epochs(tasks: &ActiveTasks) -> Tasks {
    tasks.iter().map(|(subtopology, of)| (subtopology.clone(), of.keys().copied().collect())).collect()
}

/// Tasks as they come from a message, copied: they outlive the frame.
pub(crate) fn collect<'a>(named: impl Iterator<Item = (&'a ByteString, &'a Vec<i32>)>) -> Tasks {
    let mut tasks = Tasks::new();
    for (subtopology, partitions) in named.filter(|(_, partitions)| !partitions.is_empty()) {
        tasks.entry(copy(subtopology)).or_default().extend(partitions);
    }
    tasks
}

/// Active tasks as they come from a record. Those without an epoch were given in `epoch`.
pub(crate) fn collect_active<'a>(
    named: impl Iterator<Item = (&'a ByteString, &'a Vec<i32>, Option<&'a Vec<i32>>)>,
    epoch: i32,
) -> ActiveTasks {
    let mut tasks = ActiveTasks::new();
    for (subtopology, partitions, epochs) in named {
        for (index, partition) in partitions.iter().enumerate() {
            let given = epochs.and_then(|epochs| epochs.get(index)).copied().unwrap_or(epoch);
            tasks.entry(copy(subtopology)).or_default().insert(*partition, given);
        }
    }
    tasks
}
