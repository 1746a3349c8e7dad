//! What brokers copy from each other, and how the replicas in sync change.

use thalweg_base::NodeId;
use thalweg_base::metrics::Counter;

/// The counters of all partitions of this node.
#[derive(Debug, Default)]
pub(crate) struct Replicated {
    /// How often a partition led here had a replica more in sync.
    pub(crate) isr_expands: Counter,
    /// How often one had a replica less in sync.
    pub(crate) isr_shrinks: Counter,
    /// How often the controller did not take over what a leader here proposed.
    pub(crate) failed_isr_updates: Counter,
    /// Bytes of records that were fetched from leaders on other brokers.
    pub(crate) bytes_in: Counter,
    /// Bytes of records that followers on other brokers were given.
    pub(crate) bytes_out: Counter,
}

impl Replicated {
    /// The controller has committed the replicas in sync of a partition led here.
    pub(crate) fn isr_changed(&self, before: &[NodeId], after: &[NodeId]) {
        if after.iter().any(|node| !before.contains(node)) {
            self.isr_expands.increment();
        }
        if before.iter().any(|node| !after.contains(node)) {
            self.isr_shrinks.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_more_is_an_expansion_and_one_less_a_shrinking() {
        let counted = Replicated::default();
        let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
        let steps: [&[i32]; 5] = [&[1, 2, 3], &[1, 2], &[1, 2], &[1, 3], &[1, 3, 2]];
        for pair in steps.windows(2) {
            counted.isr_changed(&nodes(pair[0]), &nodes(pair[1]));
        }
        assert_eq!((counted.isr_expands.get(), counted.isr_shrinks.get()), (2, 2));
    }
}
