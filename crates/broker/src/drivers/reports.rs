//! Which connection each broker reports by to this controller, of those that report at once when it ends.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use thalweg_base::NodeId;

/// The connection of the last heartbeat of each broker. Only heartbeats that were taken count, so that there are never more
/// than registered brokers.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    connections: Mutex<BTreeMap<NodeId, u64>>,
}

impl Reports {
    /// A heartbeat came by that connection.
    pub(crate) fn heard(&self, broker: NodeId, connection: u64) {
        self.connections.lock().insert(broker, connection);
    }

    /// A connection has ended. Gives the broker whose last heartbeat came by it.
    pub(crate) fn ended(&self, connection: u64) -> Option<NodeId> {
        let mut connections = self.connections.lock();
        let (&broker, _) = connections.iter().find(|(_, of_broker)| **of_broker == connection)?;
        connections.remove(&broker);
        Some(broker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_latest_connection_of_a_broker_says_something() {
        let reports = Reports::default();
        reports.heard(NodeId(1), 10);
        reports.heard(NodeId(1), 11);
        assert_eq!(reports.ended(10), None);
        assert_eq!(reports.ended(11), Some(NodeId(1)));
        assert_eq!(reports.ended(11), None);
    }
}
