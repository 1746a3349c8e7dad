//! What a coordinator counts of the transactions that end.

/// What a shard has counted since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions whose commit was decided.
    pub committed: u64,
    /// Transactions whose abort was decided, for whatever reason.
    pub aborted: u64,
    /// Of these, transactions that had lasted longer than their timeout.
    pub timed_out: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.timed_out += other.timed_out;
    }
}
