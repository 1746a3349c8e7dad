//! Leaders of partitions: each epoch has one at most.

use super::{Anomaly, History};

impl History {
    /// A node has answered a request that names this leader epoch, or has named the epoch itself, as its leader alone does.
    pub fn led(&mut self, node: i32, partition: i32, epoch: i32) {
        self.tick();
        self.leaders.entry((partition, epoch)).or_default().insert(node);
    }

    /// Each epoch in which two nodes were leaders. That is certain whenever it is seen, not only in the end.
    #[must_use]
    pub fn two_leaders(&self) -> Vec<Anomaly> {
        let several = self.leaders.iter().filter(|(_, nodes)| nodes.len() > 1);
        several
            .map(|((partition, epoch), nodes)| {
                let nodes = nodes.iter().copied().collect();
                Anomaly::TwoLeaders { partition: *partition, epoch: *epoch, nodes }
            })
            .collect()
    }
}
