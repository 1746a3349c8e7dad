//! Fetch sessions (KIP-227): a broker remembers what is fetched, so that a request names only what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, Offset, Uuid};
use thalweg_wire::messages::FetchRequest;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

/// The epoch of a request that begins a session.
const BEGIN: i32 = 0;

/// A topic as a fetch names it: by name before version 13, by id from then on.
pub(super) type TopicKey = (Arc<str>, Uuid);

/// From where a partition is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) offset: Offset,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) bytes_max: i32,
}

/// What is fetched from one node, by topic and partition.
pub(super) type Wants = BTreeMap<(TopicKey, i32), Want>;

/// The session with one node.
///
/// Invariant: `sent` is what the broker remembers, if the last request was answered well.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    sent: Wants,
}

impl Session {
    /// Adds to a request what has changed since the last one, or everything when a session begins.
    pub(super) fn fill(&mut self, request: &mut FetchRequest, wants: &Wants) {
        request.session_id = self.id;
        request.session_epoch = self.epoch;
        let begins = self.epoch == BEGIN;
        let changed = wants.iter().filter(|(key, want)| begins || self.sent.get(key) != Some(want));
        request.topics = topics(changed);
        if !begins {
            let sent: BTreeSet<_> = self.sent.keys().collect();
            request.forgotten_topics_data = forgotten(sent.into_iter().filter(|key| !wants.contains_key(key)));
        }
        self.sent = wants.clone();
    }

    /// The request was answered well, and the broker named a session, or 0 for none.
    pub(super) fn answered(&mut self, id: i32) {
        if id == 0 {
            self.restart();
        } else {
            self.epoch = if self.id == id { next_epoch(self.epoch) } else { 1 };
            self.id = id;
        }
    }

    /// The broker does not know the session, or nobody knows what it remembers: the next request begins one.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn topics<'a>(wants: impl Iterator<Item = (&'a (TopicKey, i32), &'a Want)>) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    for ((key, partition), want) in wants {
        if last != Some(key) {
            let topic = key.0.to_string().into();
            topics.push(FetchTopic { topic, topic_id: key.1, ..FetchTopic::default() });
            last = Some(key);
        }
        let partition = FetchPartition {
            partition: *partition,
            current_leader_epoch: want.leader_epoch.0,
            fetch_offset: want.offset.0,
            partition_max_bytes: want.bytes_max,
            ..FetchPartition::default()
        };
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition);
        }
    }
    topics
}

fn forgotten<'a>(keys: impl Iterator<Item = &'a (TopicKey, i32)>) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    for (key, partition) in keys {
        if last != Some(key) {
            let topic = key.0.to_string().into();
            topics.push(ForgottenTopic { topic, topic_id: key.1, ..ForgottenTopic::default() });
            last = Some(key);
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(*partition);
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(entries: &[(&str, i32, i64)]) -> Wants {
        let want = |offset| Want { offset: Offset(offset), leader_epoch: LeaderEpoch::NONE, bytes_max: 10 };
        entries
            .iter()
            .map(|(topic, partition, offset)| (((Arc::from(*topic), Uuid::ZERO), *partition), want(*offset)))
            .collect()
    }

    /// What a request says: session, epoch, fetched partitions with their offsets, forgotten partitions.
    type Said = (i32, i32, Vec<(String, i32, i64)>, Vec<(String, i32)>);

    fn said(session: &mut Session, entries: &[(&str, i32, i64)]) -> Said {
        let mut request = FetchRequest::default();
        session.fill(&mut request, &wants(entries));
        let mut fetched = Vec::new();
        for topic in &request.topics {
            let one =
                |partition: &FetchPartition| (topic.topic.to_string(), partition.partition, partition.fetch_offset);
            fetched.extend(topic.partitions.iter().map(one));
        }
        let mut forgotten = Vec::new();
        for topic in &request.forgotten_topics_data {
            forgotten.extend(topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition)));
        }
        (request.session_id, request.session_epoch, fetched, forgotten)
    }

    fn t(partition: i32, offset: i64) -> (String, i32, i64) {
        ("t".to_owned(), partition, offset)
    }

    #[test]
    fn a_session_names_only_what_has_changed() {
        let mut session = Session::default();
        assert_eq!(said(&mut session, &[("t", 0, 1), ("t", 1, 5)]), (0, 0, vec![t(0, 1), t(1, 5)], vec![]));
        session.answered(77);
        assert_eq!(said(&mut session, &[("t", 0, 1), ("t", 1, 6)]), (77, 1, vec![t(1, 6)], vec![]));
        session.answered(77);
        assert_eq!(said(&mut session, &[("t", 1, 6)]), (77, 2, vec![], vec![("t".to_owned(), 0)]));
        session.restart();
        assert_eq!(said(&mut session, &[("t", 1, 6)]), (0, 0, vec![t(1, 6)], vec![]));
    }

    #[test]
    fn without_a_session_every_request_names_everything() {
        let mut session = Session::default();
        said(&mut session, &[("t", 0, 1)]);
        session.answered(0);
        assert_eq!(said(&mut session, &[("t", 0, 1)]), (0, 0, vec![t(0, 1)], vec![]));
    }
}
