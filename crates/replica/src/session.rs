//! One incremental fetch session: the partitions that a client follows, and what it was last told about each.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, Offset, Uuid};

/// A topic as a fetch request names it: by id from version 13 on, by name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRef<'a> {
    /// Version 13 and later.
    Id(Uuid),
    /// Version 12 and earlier.
    Name(&'a str),
}

/// A topic as a session keeps it. A name is a copy of its own, never a slice of a request's buffer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Version 13 and later.
    Id(Uuid),
    /// Version 12 and earlier.
    Name(Arc<str>),
}

impl Topic {
    /// The same topic, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> TopicRef<'_> {
        match self {
            Self::Id(id) => TopicRef::Id(*id),
            Self::Name(name) => TopicRef::Name(name),
        }
    }
}

/// What a fetch request asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchParams {
    /// From where to read.
    pub fetch_offset: Offset,
    /// Where the follower's log begins; -1 from consumers.
    pub log_start: Offset,
    /// How many bytes of records at most.
    pub max_bytes: i32,
    /// The leader epoch that the client knows (KIP-320).
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the client's last record (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// What the read of one partition found: decides whether an incremental answer mentions it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The high watermark in the answer, -1 with an error.
    pub high_watermark: Offset,
    /// The log start in the answer, -1 with an error.
    pub log_start: Offset,
    /// There are records.
    pub has_records: bool,
    /// The answer must be seen whatever the offsets are: an error, a diverging epoch or a preferred read replica.
    pub urgent: bool,
    /// There is an error. The partition is mentioned again once the error is gone.
    pub has_error: bool,
}

/// One partition of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedPartition {
    /// Its topic.
    pub topic: Topic,
    /// Its index.
    pub partition: i32,
    /// What the client last asked for.
    pub params: FetchParams,
    /// What the client was last told; -1: nothing, or an error.
    high_watermark: Offset,
    log_start: Offset,
}

impl CachedPartition {
    /// Whether an incremental answer mentions this partition.
    #[must_use]
    pub fn must_mention(&self, shown: &Shown) -> bool {
        shown.has_records
            || shown.urgent
            || shown.has_error
            || self.high_watermark != shown.high_watermark
            || self.log_start != shown.log_start
    }
}

const UNKNOWN: Offset = Offset(-1);

/// A partition's place in a session; valid until the partition is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

/// An end of the list.
const NIL: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Node {
    /// `None`: a free slot; `next` links to the next free one.
    cached: Option<CachedPartition>,
    next: u32,
    prev: u32,
}

/// The partitions of one session in the order in which they are served. Those with records go to the end, so that no
/// busy partition starves the others when an answer is full.
///
/// Invariants: every partition is in the list once and in the index once; freed slots are used again.
#[derive(Clone, Debug)]
pub struct Session {
    /// Which of the sessions ever made this is: ids are used again.
    serial: u64,
    nodes: Vec<Node>,
    first: u32,
    last: u32,
    free: u32,
    len: usize,
    ids: BTreeMap<Uuid, BTreeMap<i32, u32>>,
    names: BTreeMap<Arc<str>, BTreeMap<i32, u32>>,
}

impl Session {
    /// An empty session.
    pub(crate) fn new(serial: u64) -> Self {
        let (ids, names) = (BTreeMap::new(), BTreeMap::new());
        Self { serial, nodes: Vec::new(), first: NIL, last: NIL, free: NIL, len: 0, ids, names }
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// How many partitions it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no partitions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The partitions in the order in which they are to be read and answered.
    pub fn partitions(&self) -> impl Iterator<Item = (Slot, &CachedPartition)> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            let slot = Slot(at);
            at = node.next;
            node.cached.as_ref().map(|cached| (slot, cached))
        })
    }

    /// The partition in `slot`, if it was not forgotten.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&CachedPartition> {
        self.nodes.get(slot.0 as usize)?.cached.as_ref()
    }

    /// The answer for `slot` is being written: remembers what it says, moves a partition with records to the end, and
    /// returns whether the answer mentions the partition at all.
    pub fn answered(&mut self, slot: Slot, shown: &Shown) -> bool {
        let Some(cached) = self.nodes.get_mut(slot.0 as usize).and_then(|node| node.cached.as_mut()) else {
            return false;
        };
        if !cached.must_mention(shown) {
            return false;
        }
        cached.high_watermark = if shown.has_error { UNKNOWN } else { shown.high_watermark };
        cached.log_start = shown.log_start;
        if shown.has_records {
            self.unlink(slot.0);
            self.link_last(slot.0);
        }
        true
    }

    /// The client asks for this partition from now on, or asks for something new of it.
    pub(crate) fn put(&mut self, topic: TopicRef<'_>, partition: i32, params: FetchParams) -> Slot {
        if let Some(slot) = self.find(topic, partition) {
            if let Some(cached) = self.nodes[slot as usize].cached.as_mut() {
                cached.params = params;
            }
            return Slot(slot);
        }
        let slot = self.take_free_slot();
        let topic = self.insert_in_index(topic, partition, slot);
        let cached = CachedPartition { topic, partition, params, high_watermark: UNKNOWN, log_start: UNKNOWN };
        self.nodes[slot as usize].cached = Some(cached);
        self.link_last(slot);
        self.len += 1;
        Slot(slot)
    }

    /// Records what the first, full answer said.
    pub(crate) fn told(&mut self, slot: Slot, shown: &Shown) {
        if let Some(cached) = self.nodes[slot.0 as usize].cached.as_mut() {
            cached.high_watermark = shown.high_watermark;
            cached.log_start = shown.log_start;
        }
    }

    /// The client is no longer interested. An unknown partition is not an error.
    pub(crate) fn forget(&mut self, topic: TopicRef<'_>, partition: i32) {
        let Some(slot) = self.remove_from_index(topic, partition) else { return };
        self.unlink(slot);
        self.nodes[slot as usize] = Node { cached: None, next: self.free, prev: NIL };
        self.free = slot;
        self.len -= 1;
    }

    fn find(&self, topic: TopicRef<'_>, partition: i32) -> Option<u32> {
        let partitions = match topic {
            TopicRef::Id(id) => self.ids.get(&id),
            TopicRef::Name(name) => self.names.get(name),
        };
        partitions?.get(&partition).copied()
    }

    fn insert_in_index(&mut self, topic: TopicRef<'_>, partition: i32, slot: u32) -> Topic {
        match topic {
            TopicRef::Id(id) => {
                self.ids.entry(id).or_default().insert(partition, slot);
                Topic::Id(id)
            }
            TopicRef::Name(name) => {
                let name = self.names.get_key_value(name).map_or_else(|| Arc::from(name), |(known, _)| known.clone());
                self.names.entry(name.clone()).or_default().insert(partition, slot);
                Topic::Name(name)
            }
        }
    }

    fn remove_from_index(&mut self, topic: TopicRef<'_>, partition: i32) -> Option<u32> {
        let partitions = match topic {
            TopicRef::Id(id) => self.ids.get_mut(&id),
            TopicRef::Name(name) => self.names.get_mut(name),
        }?;
        let slot = partitions.remove(&partition);
        if partitions.is_empty() {
            match topic {
                TopicRef::Id(id) => self.ids.remove(&id),
                TopicRef::Name(name) => self.names.remove(name),
            };
        }
        slot
    }

    fn take_free_slot(&mut self) -> u32 {
        if let Some(node) = self.nodes.get(self.free as usize) {
            let slot = self.free;
            self.free = node.next;
            return slot;
        }
        assert!(self.nodes.len() < NIL as usize, "sessions are smaller than that");
        self.nodes.push(Node { cached: None, next: NIL, prev: NIL });
        u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
    }

    fn link_last(&mut self, slot: u32) {
        let last = self.last;
        let node = &mut self.nodes[slot as usize];
        node.prev = last;
        node.next = NIL;
        match self.nodes.get_mut(last as usize) {
            Some(node) => node.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Node { next, prev, .. } = self.nodes[slot as usize];
        match self.nodes.get_mut(prev as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.prev = prev,
            None => self.last = prev,
        }
    }
}
