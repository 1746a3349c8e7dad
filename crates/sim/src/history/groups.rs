//! Groups: a partition has one owner, and what was committed is where the next one begins.

use super::{Anomaly, History, Instant};

/// A member was given a partition.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    at: Instant,
    group: u32,
    member: u32,
    generation: i32,
    partition: i32,
}

/// A member commits an offset.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    begun: Instant,
    ended: Option<Instant>,
    group: u32,
    member: u32,
    generation: i32,
    partition: i32,
    offset: i64,
}

/// A member began to read a partition that it was given.
#[derive(Clone, Debug)]
pub(super) struct Resumption {
    /// When it asked where, or earlier.
    at: Instant,
    group: u32,
    partition: i32,
    offset: i64,
}

/// A commit that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Committing(usize);

/// A member of a group, in one of its generations (or at one of its epochs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group's number.
    pub group: u32,
    /// The member's number.
    pub member: u32,
    /// The generation.
    pub generation: i32,
}

impl History {
    /// This moment, for [`History::resumes`].
    pub fn moment(&mut self) -> usize {
        self.tick()
    }

    /// A member was given a partition.
    pub fn owns(&mut self, member: Member, partition: i32) {
        let at = self.tick();
        let Member { group, member, generation } = member;
        self.tenures.push(Tenure { at, group, member, generation, partition });
    }

    /// A member that was given a partition after this moment begins to read it here.
    pub fn resumes(&mut self, at: usize, group: u32, partition: i32, offset: i64) {
        self.tick();
        self.resumptions.push(Resumption { at, group, partition, offset });
    }

    /// A member begins to commit. Without [`History::committed`] nobody knows whether it did.
    pub fn commits(&mut self, member: Member, partition: i32, offset: i64) -> Committing {
        let begun = self.tick();
        let Member { group, member, generation } = member;
        self.commits.push(Commit { begun, ended: None, group, member, generation, partition, offset });
        Committing(self.commits.len() - 1)
    }

    /// The group has taken the commit.
    pub fn committed(&mut self, committing: Committing) {
        let ended = self.tick();
        self.commits[committing.0].ended = Some(ended);
    }

    /// How many offsets were committed.
    #[must_use]
    pub fn committed_offsets(&self) -> usize {
        self.commits.iter().filter(|commit| commit.ended.is_some()).count()
    }

    pub(super) fn judge_groups(&self, found: &mut Vec<Anomaly>) {
        for tenure in &self.tenures {
            let same = |other: &&Tenure| {
                (other.group, other.partition, other.generation) == (tenure.group, tenure.partition, tenure.generation)
            };
            let others = self.tenures.iter().filter(same).filter(|other| other.member < tenure.member);
            found.extend(others.map(|other| Anomaly::DoubleOwnership {
                partition: tenure.partition,
                member: tenure.member,
                owner: other.member,
            }));
            // Whoever belongs to an older generation commits nothing once the partition has another owner.
            let is_late = |commit: &&Commit| {
                (commit.group, commit.partition) == (tenure.group, tenure.partition)
                    && commit.ended.is_some()
                    && commit.member != tenure.member
                    && commit.generation < tenure.generation
                    && commit.begun > tenure.at
            };
            found.extend(self.commits.iter().filter(is_late).map(|commit| Anomaly::DoubleOwnership {
                partition: tenure.partition,
                member: commit.member,
                owner: tenure.member,
            }));
        }
        for resumption in &self.resumptions {
            let before = self.commits.iter().filter(|commit| {
                (commit.group, commit.partition) == (resumption.group, resumption.partition)
                    && commit.ended.is_some_and(|ended| ended < resumption.at)
            });
            if let Some(committed) = before.map(|commit| commit.offset).max().filter(|max| *max > resumption.offset) {
                let (partition, found_at) = (resumption.partition, resumption.offset);
                found.push(Anomaly::LostCommit { partition, committed, found: found_at });
            }
        }
    }
}
