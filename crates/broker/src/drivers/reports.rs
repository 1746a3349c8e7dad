//! Which connection each broker reports by to this controller, of those that report at once when it ends.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use thalweg_base::NodeId;

/// The newest connection by which each broker has sent a heartbeat. Only heartbeats that were taken count, so that there are
/// never more than registered brokers.
///
/// Connections are numbered in the order in which they were accepted. After a network was cut, the system still delivers what
/// was sent by a connection that the broker has given up, and then its end: that says nothing of a broker which has connected
/// again.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    connections: Mutex<BTreeMap<NodeId, u64>>,
}

impl Reports {
    /// A heartbeat came by that connection.
    pub(crate) fn heard(&self, broker: NodeId, connection: u64) {
        let mut connections = self.connections.lock();
        let newest = connections.entry(broker).or_insert(connection);
        *newest = connection.max(*newest);
    }

    /// A connection has ended. Gives the broker that has sent a heartbeat by it and by none that is newer.
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

    #[test]
    fn a_heartbeat_that_an_older_connection_delivers_late_does_not_make_it_the_latest() {
        let reports = Reports::default();
        reports.heard(NodeId(1), 10);
        reports.heard(NodeId(1), 11);
        reports.heard(NodeId(1), 10);
        assert_eq!(reports.ended(10), None);
        assert_eq!(reports.ended(11), Some(NodeId(1)));
    }
}
