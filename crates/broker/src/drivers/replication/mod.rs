//! Replication between brokers: what this one fetches from others, and the in-sync replicas that its leaders propose.

mod config;
mod fetching;
pub(crate) mod in_sync;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_replica::{FetchFrom, Followed};
use thalweg_sys::task;

pub(crate) use self::config::FetchingConfig;
pub(crate) use self::fetching::WhenCut;
use self::fetching::{Fetching, followed};
use super::partition::{Local, Partition};

/// The fetchers of this broker: `num.replica.fetchers` for each broker that leads a partition followed here.
#[derive(Debug)]
pub(crate) struct Replication {
    local: Local,
    config: FetchingConfig,
    known: Arc<RwLock<Arc<MetadataImage>>>,
    when_cut: WhenCut,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fetchers: BTreeMap<(NodeId, usize), Arc<Fetching>>,
    /// Where each partition is fetched from.
    sources: BTreeMap<Followed, NodeId>,
    closed: bool,
}

impl Replication {
    pub(super) fn new(
        local: Local,
        config: FetchingConfig,
        known: Arc<RwLock<Arc<MetadataImage>>>,
        when_cut: WhenCut,
    ) -> Self {
        Self { local, config, known, when_cut, state: Mutex::default() }
    }

    /// A partition is fetched from its leader, from here on.
    pub(super) fn follow(&self, partition: &Arc<Partition>, from: FetchFrom) {
        let followed = followed(partition);
        let index = followed.fetcher(self.config.fetchers);
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let before = state.sources.insert(followed, from.leader);
        if let Some(before) = before.filter(|before| *before != from.leader)
            && let Some(fetching) = state.fetchers.get(&(before, index))
        {
            fetching.unfollow(followed);
        }
        let fetching = state.fetchers.entry((from.leader, index)).or_insert_with(|| {
            let (local, config, known) = (self.local.clone(), self.config.clone(), Arc::clone(&self.known));
            let when_cut = self.when_cut.clone();
            let fetching = Arc::new(Fetching::new(local, from.leader, index, config, known, when_cut));
            task::spawn(Arc::clone(&fetching).run());
            fetching
        });
        fetching.follow(followed, Arc::clone(partition), from);
    }

    /// A partition is not fetched any more.
    pub(super) fn unfollow(&self, partition: &Partition) {
        let followed = followed(partition);
        let mut state = self.state.lock();
        if let Some(leader) = state.sources.remove(&followed)
            && let Some(fetching) = state.fetchers.get(&(leader, followed.fetcher(self.config.fetchers)))
        {
            fetching.unfollow(followed);
        }
    }

    /// The fetchers, by the leader and their number, and how many fetches each had answered.
    pub(crate) fn fetchers(&self) -> Vec<((NodeId, usize), u64)> {
        self.state.lock().fetchers.iter().map(|(of, fetching)| (*of, fetching.answered())).collect()
    }

    /// A broker may be reached elsewhere, or again.
    pub(super) fn brokers_changed(&self) {
        self.state.lock().fetchers.values().for_each(|fetching| fetching.look_again());
    }

    /// Nothing is fetched from here on.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.fetchers).into_values().for_each(|fetching| fetching.close());
    }
}
