//! What is said of acquired records.

use std::collections::BTreeMap;

use thalweg_base::{NodeId, Offset, TopicPartition};
use thalweg_wire::messages::{share_acknowledge_request, share_fetch_request};

use super::Said;

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Acknowledge {
    /// There is none at this offset.
    Gap = 0,
    /// It is done.
    Accept = 1,
    /// Another delivery is tried.
    Release = 2,
    /// It is not delivered again.
    Reject = 3,
}

/// What is to be said of acquired records, by the node that they came from.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    by_node: BTreeMap<NodeId, BTreeMap<TopicPartition, Said>>,
}

impl Acknowledgements {
    pub(super) fn add(&mut self, node: NodeId, partition: &TopicPartition, offset: Offset, how: Acknowledge) {
        let partitions = self.by_node.entry(node).or_default();
        match partitions.get_mut(partition) {
            Some(said) => {
                said.insert(offset, how);
            }
            None => {
                partitions.insert(partition.clone(), Said::from([(offset, how)]));
            }
        }
    }

    /// Changes what is said of a record; nothing if all has been said already.
    pub(super) fn set(&mut self, partition: &TopicPartition, offset: Offset, how: Acknowledge) {
        for partitions in self.by_node.values_mut() {
            if let Some(known) = partitions.get_mut(partition).and_then(|said| said.get_mut(&offset)) {
                *known = how;
            }
        }
    }

    /// What is to be said to a node; dropped if its session cannot take it.
    pub(super) fn take(&mut self, node: NodeId, can_be_said: bool) -> BTreeMap<TopicPartition, Said> {
        let said = self.by_node.remove(&node).unwrap_or_default();
        if can_be_said { said } else { BTreeMap::new() }
    }

    pub(super) fn drop_node(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }
}

/// A run of offsets without gaps: the first, and what is said of each.
type Run = (Offset, Vec<i8>);

fn runs(said: Said) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (offset, how) in said {
        let follows = |(first, types): &&mut Run| i64::try_from(types.len()).is_ok_and(|len| first.0 + len == offset.0);
        match runs.last_mut().filter(follows) {
            Some((_, types)) => types.push(how as i8),
            None => runs.push((offset, vec![how as i8])),
        }
    }
    runs
}

fn last(run: &Run) -> i64 {
    run.0.0 + i64::try_from(run.1.len()).unwrap_or(i64::MAX) - 1
}

/// As it stands in a fetch.
pub(super) fn in_fetch(said: Said) -> Vec<share_fetch_request::AcknowledgementBatch> {
    let batch = |run: Run| share_fetch_request::AcknowledgementBatch {
        first_offset: run.0.0,
        last_offset: last(&run),
        acknowledge_types: run.1,
    };
    runs(said).into_iter().map(batch).collect()
}

/// As it stands in a request of its own.
pub(super) fn in_acknowledge(said: Said) -> Vec<share_acknowledge_request::AcknowledgementBatch> {
    let batch = |run: Run| share_acknowledge_request::AcknowledgementBatch {
        first_offset: run.0.0,
        last_offset: last(&run),
        acknowledge_types: run.1,
    };
    runs(said).into_iter().map(batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_without_gaps_make_one_batch() {
        let said = Said::from([
            (Offset(3), Acknowledge::Accept),
            (Offset(4), Acknowledge::Reject),
            (Offset(9), Acknowledge::Gap),
        ]);
        let batches = in_fetch(said);
        let shown: Vec<_> =
            batches.iter().map(|one| (one.first_offset, one.last_offset, one.acknowledge_types.clone())).collect();
        assert_eq!(shown, [(3, 4, vec![1, 3]), (9, 9, vec![0])]);
    }
}
