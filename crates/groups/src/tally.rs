//! What a coordinator counts of what happens to groups.

/// What a shard has counted since it was loaded. Names are those of Kafka's sensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Offsets that were committed, those of transactions among them.
    pub offset_commits: u64,
    /// Offsets that nobody needed any more.
    pub offset_expirations: u64,
    /// Offsets that were deleted because somebody asked for it, or with their topic or group.
    pub offset_deletions: u64,
    /// Rebalances of classic groups that have come to their end.
    pub completed_rebalances: u64,
    /// How often consumer groups began to assign anew.
    pub consumer_rebalances: u64,
    /// How often share groups began to assign anew.
    pub share_rebalances: u64,
    /// How often streams groups began to assign anew.
    pub streams_rebalances: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.offset_commits += other.offset_commits;
        self.offset_expirations += other.offset_expirations;
        self.offset_deletions += other.offset_deletions;
        self.completed_rebalances += other.completed_rebalances;
        self.consumer_rebalances += other.consumer_rebalances;
        self.share_rebalances += other.share_rebalances;
        self.streams_rebalances += other.streams_rebalances;
    }
}
