//! What makes a classic group of a consumer group whole.

use bytestring::ByteString;

use crate::classic::Protocols;

/// What is to be done besides the records when a consumer group becomes a classic one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Downgrade {
    /// What the members support, of which the log holds one protocol alone.
    pub(super) protocols: Vec<(ByteString, Protocols)>,
    /// The generation that the members are in, as they know it.
    pub(super) generation: i32,
    /// Whether they are to rebalance.
    pub(super) rebalance: bool,
}

impl Downgrade {
    /// Makes the group that the records gave whole.
    pub(super) fn finish(self, mut desk: crate::classic::Desk<'_>) {
        for (id, protocols) in self.protocols {
            desk.group.set_supported(&id, protocols);
        }
        desk.group.generation = self.generation;
        desk.take_over(self.rebalance);
    }
}
