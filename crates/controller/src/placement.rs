//! Which brokers get the replicas of new partitions.
//!
//! Kafka's striped placement: racks take turns, and within a rack its brokers, so that leaders and replicas are spread
//! evenly; replicas of one partition are in as many racks as there are. The first replica is on a broker that is not
//! fenced, since it is to lead. The turns begin at random places, so that small topics do not all meet on one broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::NodeId;

use crate::random::{Random, below, shuffle};

/// A broker that may take replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    /// Its id.
    pub id: NodeId,
    /// The rack that it stands in.
    pub rack: Option<Arc<str>>,
    /// Whether it is fenced: then it comes last.
    pub fenced: bool,
}

/// Why partitions cannot be placed. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// No replicas were asked for.
    #[error("Invalid replication factor {0}: the replication factor must be positive.")]
    NonPositive(i32),
    /// There is no broker that could lead.
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    AllFenced,
    /// There are fewer brokers than replicas.
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {brokers} broker(s) are registered \
         or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        /// The replicas that were asked for.
        wanted: usize,
        /// The brokers that there are.
        brokers: usize,
    },
}

/// Chooses the brokers of `partitions` new partitions with `replicas` replicas each.
///
/// # Errors
/// If there are not as many usable brokers, or none of them may lead.
pub fn place(
    partitions: usize,
    replicas: i32,
    brokers: &[UsableBroker],
    random: Random<'_>,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    if wanted == 0 {
        return Err(PlacementError::NonPositive(replicas));
    }
    if brokers.iter().all(|broker| broker.fenced) {
        return Err(PlacementError::AllFenced);
    }
    if wanted > brokers.len() {
        return Err(PlacementError::TooFewBrokers { wanted, brokers: brokers.len() });
    }
    let mut racks = Racks::new(brokers, random);
    Ok((0..partitions).map(|_| racks.place(wanted, random)).collect())
}

/// Brokers that take turns, beginning at another one in each round.
#[derive(Default)]
struct Turns {
    brokers: Vec<NodeId>,
    index: usize,
    offset: usize,
    round: usize,
}

impl Turns {
    fn begin(&mut self, random: Random<'_>) {
        self.brokers.sort_unstable();
        if !self.brokers.is_empty() {
            self.offset = below(random, self.brokers.len());
        }
    }

    /// The next broker in this round; `None` if all have had their turn.
    fn next(&mut self, round: usize) -> Option<NodeId> {
        if self.round != round && !self.brokers.is_empty() {
            self.round = round;
            self.index = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.index >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.index + self.offset) % self.brokers.len()];
        self.index += 1;
        Some(broker)
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Turns,
    fenced: Turns,
}

impl Rack {
    fn next(&mut self, round: usize) -> Option<NodeId> {
        self.unfenced.next(round).or_else(|| self.fenced.next(round))
    }
}

/// All racks, which take turns as well. One partition is placed in each round.
///
/// Invariants: some broker is unfenced, and there are at least as many brokers as replicas of a partition.
struct Racks {
    racks: Vec<Rack>,
    unfenced: usize,
    round: usize,
    offset: usize,
}

impl Racks {
    fn new(brokers: &[UsableBroker], random: Random<'_>) -> Self {
        let mut by_name: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in brokers {
            let rack = by_name.entry(broker.rack.as_deref()).or_default();
            let turns = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
            turns.brokers.push(broker.id);
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.fenced.begin(random);
            rack.unfenced.begin(random);
        }
        let unfenced = brokers.iter().filter(|broker| !broker.fenced).count();
        let offset = below(random, racks.len());
        Self { racks, unfenced, round: 0, offset }
    }

    fn place(&mut self, replicas: usize, random: Random<'_>) -> Vec<NodeId> {
        // After as many partitions as brokers the assignments would repeat: begin anew in another order.
        if self.round == self.unfenced && self.unfenced > 1 {
            self.shuffle(random);
            self.round = 0;
        }
        self.offset %= self.racks.len();
        let (first_rack, leader) = self.leader();
        let mut placed = vec![leader];
        let mut skip = Some(first_rack);
        let mut rack = self.offset;
        while placed.len() < replicas {
            // The leader's rack has had its turn once already.
            if skip == Some(rack) {
                skip = None;
            } else if let Some(broker) = self.racks[rack].next(self.round) {
                placed.push(broker);
            }
            rack = (rack + 1) % self.racks.len();
        }
        self.round += 1;
        self.offset += 1;
        placed
    }

    /// The first rack from here on with an unfenced broker, and that broker.
    fn leader(&mut self) -> (usize, NodeId) {
        let count = self.racks.len();
        let found = (0..count).map(|step| (self.offset + step) % count).find_map(|rack| {
            let broker = self.racks[rack].unfenced.next(self.round)?;
            Some((rack, broker))
        });
        assert!(found.is_some(), "each round begins with an unfenced broker");
        found.unwrap_or((0, NodeId::NONE))
    }

    fn shuffle(&mut self, random: Random<'_>) {
        shuffle(random, &mut self.racks);
        for rack in &mut self.racks {
            for turns in [&mut rack.fenced, &mut rack.unfenced] {
                shuffle(random, &mut turns.brokers);
                turns.round = usize::MAX;
            }
        }
    }
}

#[cfg(test)]
mod tests;
