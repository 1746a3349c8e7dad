//! Who votes: replicas, their endpoints, and the set of voters as `VotersRecord` holds it (KIP-853).

use std::collections::BTreeMap;

use thalweg_base::{NodeId, Uuid};

/// A replica of the metadata log: a node, and the directory in which it keeps the log. A node that lost its disk comes
/// back with another directory, and is then another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node.
    pub id: NodeId,
    /// The directory's id. `None`: not known, as with `kraft.version` 0 and in old requests.
    pub directory: Option<Uuid>,
}

/// Where a voter listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// The host to connect to.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
}

/// The level of the feature `kraft.version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KRaftVersion(pub u16);

impl KRaftVersion {
    /// Voters are configured on every node (`controller.quorum.voters`), directory ids are not used.
    pub const STATIC: Self = Self(0);
    /// Voters stand in the log and can change (KIP-853).
    pub const DYNAMIC: Self = Self(1);

    /// Whether voters may be added, removed and updated.
    #[must_use]
    pub fn supports_reconfiguration(self) -> bool {
        self >= Self::DYNAMIC
    }
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Which replica it is.
    pub key: ReplicaKey,
    /// Where it listens, first the default listener.
    pub endpoints: Vec<Endpoint>,
    /// The lowest `kraft.version` that it supports.
    pub kraft_version_min: KRaftVersion,
    /// The highest `kraft.version` that it supports.
    pub kraft_version_max: KRaftVersion,
}

impl Voter {
    /// Whether `key` names this voter. A voter whose directory is not known is named by its id alone.
    #[must_use]
    pub fn is(&self, key: &ReplicaKey) -> bool {
        self.key.id == key.id && self.key.directory.is_none_or(|directory| key.directory == Some(directory))
    }
}

/// The set of voters. Node ids are unique in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters(BTreeMap<NodeId, Voter>);

impl Voters {
    /// No voters.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// The set of these voters; of two with the same id the later one counts.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Self {
        Self(voters.into_iter().map(|voter| (voter.key.id, voter)).collect())
    }

    /// The voters by id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.values()
    }

    /// The ids in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    /// The voter with this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.0.get(&id)
    }

    /// Whether this very replica is a voter.
    #[must_use]
    pub fn contains(&self, key: &ReplicaKey) -> bool {
        self.0.get(&key.id).is_some_and(|voter| voter.is(key))
    }

    /// Whether this very replica is the only voter.
    #[must_use]
    pub fn is_only(&self, key: &ReplicaKey) -> bool {
        self.0.len() == 1 && self.contains(key)
    }

    /// How many voters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: the voters have to be learnt from the log first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many voters decide.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// The set with one more voter, `None` if the id is taken.
    #[must_use]
    pub fn with(&self, voter: Voter) -> Option<Self> {
        let mut voters = self.clone();
        voters.0.insert(voter.key.id, voter).is_none().then_some(voters)
    }

    /// The set without this very replica, `None` if it is no voter or would be the last to go.
    #[must_use]
    pub fn without(&self, key: &ReplicaKey) -> Option<Self> {
        if self.0.get(&key.id).is_none_or(|voter| voter.key != *key) || self.0.len() == 1 {
            return None;
        }
        let mut voters = self.clone();
        voters.0.remove(&key.id);
        Some(voters)
    }

    /// The set in which the voter of this id is this one, `None` if the id is no voter's. For `kraft.version` 0, which knows
    /// no directories.
    #[must_use]
    pub fn updated_by_id(&self, voter: Voter) -> Option<Self> {
        if !self.0.contains_key(&voter.key.id) {
            return None;
        }
        let mut voters = self.clone();
        voters.0.insert(voter.key.id, voter);
        Some(voters)
    }

    /// The set in which this replica's voter has new endpoints and versions, `None` if it is no voter.
    #[must_use]
    pub fn updated(&self, voter: Voter) -> Option<Self> {
        if !self.contains(&voter.key) {
            return None;
        }
        let mut voters = self.clone();
        voters.0.insert(voter.key.id, voter);
        Some(voters)
    }
}
