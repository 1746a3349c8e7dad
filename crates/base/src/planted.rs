//! Bugs that are planted on purpose, to see that the simulation finds them. No shipped binary has them: this module, and each
//! place that asks it, exists only with `--cfg sim`.

use std::cell::Cell;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A replica does not compare the leader epoch of a request with its own.
    ForgetsEpochCheck,
    /// A partition's leader takes what it has for committed, whatever its followers have.
    AdvancesHighWatermarkEarly,
    /// A voter answers before its vote is on the disk.
    AnswersVoteBeforeDurable,
    /// A follower goes on where its log ends, although its leader says that their logs have diverged.
    SkipsTruncation,
    /// A partition's leader goes on alone when it learns that another one was elected.
    FencedLeaderAppends,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ForgetsEpochCheck,
        Self::AdvancesHighWatermarkEarly,
        Self::AnswersVoteBeforeDurable,
        Self::SkipsTruncation,
        Self::FencedLeaderAppends,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Nodes of the simulation that runs in this thread have this bug from now on, and no other.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether nodes have this bug.
#[must_use]
pub fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
