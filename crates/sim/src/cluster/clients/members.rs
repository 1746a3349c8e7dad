//! Members of consumer groups: each reads the partitions that it owns, and commits how far it has come.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thalweg_base::{LeaderEpoch, TopicPartition};
use thalweg_client::{Consumer, ConsumerConfig, GroupConfig, GroupProtocol, OffsetReset, RebalanceListener};
use thalweg_sys::time::now;

use super::{Clients, PATIENCE};
use crate::cluster::topics::PLAIN;
use crate::history::Member;
use crate::story::pause;

/// After so many polls a member leaves, and comes back as another one.
const POLLS: u32 = 60;
/// How long a commit may take.
const COMMIT_MAX: Duration = Duration::from_secs(3);

/// The partitions that have come and gone since they were last looked at.
#[derive(Clone, Default)]
struct Moved(Arc<Mutex<(BTreeSet<i32>, BTreeSet<i32>)>>);

impl Moved {
    fn note(&self, note: impl FnOnce(&mut BTreeSet<i32>, &mut BTreeSet<i32>)) {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (come, gone) = &mut *moved;
        note(come, gone);
    }

    fn take(&self) -> (BTreeSet<i32>, BTreeSet<i32>) {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RebalanceListener for Moved {
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.note(|come, _| come.extend(partitions.iter().map(|partition| partition.partition)));
    }

    fn revoked(
        &mut self,
        partitions: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, (thalweg_base::Offset, LeaderEpoch)> {
        self.lost(partitions);
        BTreeMap::new()
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.note(|come, gone| {
            for partition in partitions {
                come.remove(&partition.partition);
                gone.insert(partition.partition);
            }
        });
    }
}

impl Clients {
    /// Is a member of a group of each kind. No two members have the same number.
    pub(in crate::cluster) async fn be_members(&self, last_number: &RefCell<u32>) {
        while !self.shared.ready.get() {
            pause().await;
        }
        tokio::join!(
            self.be_member(1, GroupProtocol::Classic, last_number),
            self.be_member(2, GroupProtocol::Consumer, last_number)
        );
    }

    /// Is a member of a group, again and again.
    async fn be_member(&self, group: u32, protocol: GroupProtocol, last_number: &RefCell<u32>) {
        while !self.shared.stop.get() {
            *last_number.borrow_mut() += 1;
            let number = *last_number.borrow();
            let mut config = ConsumerConfig::new(self.client_config());
            config.offset_reset = OffsetReset::Earliest;
            config.group = Some(GroupConfig {
                protocol,
                session_timeout: Duration::from_secs(6),
                heartbeat_interval: Duration::from_secs(1),
                auto_commit: None,
                ..GroupConfig::new(&format!("group-{group}"))
            });
            let mut consumer = Consumer::new(config);
            let moved = Moved::default();
            consumer.set_rebalance_listener(moved.clone());
            if consumer.subscribe([PLAIN.name]).is_ok() {
                self.read_as_member(group, number, &mut consumer, &moved).await;
            }
            let _ = consumer.close(now() + PATIENCE).await;
            pause().await;
        }
    }

    async fn read_as_member(&self, group: u32, number: u32, consumer: &mut Consumer, moved: &Moved) {
        // By partition: a moment before it came, until it is known where it is read on.
        let mut begins: BTreeMap<i32, usize> = BTreeMap::new();
        let history = &self.shared.history;
        for _ in 0..POLLS {
            let before = history.borrow_mut().moment();
            if self.shared.stop.get() {
                return;
            }
            let Ok(records) = consumer.poll_for(Duration::from_millis(300)).await else { return };
            let Ok(metadata) = consumer.group_metadata() else { return };
            let member = Member { group, member: number, generation: metadata.generation };
            let (come, gone) = moved.take();
            begins.retain(|partition, _| !gone.contains(partition));
            for partition in come {
                history.borrow_mut().owns(member, partition);
                begins.insert(partition, before);
            }
            let positions: Vec<(i32, i64)> = consumer
                .assignment()
                .filter_map(|partition| Some((partition.partition, consumer.position(partition)?.0)))
                .collect();
            let mut committing = Vec::new();
            for (partition, position) in positions {
                if let Some(at) = begins.remove(&partition) {
                    let first = records.iter().find(|record| record.partition == partition);
                    let begin = first.map_or(position, |record| record.offset.0);
                    history.borrow_mut().resumes(at, group, partition, begin);
                }
                committing.push(history.borrow_mut().commits(member, partition, position));
            }
            if consumer.commit(now() + COMMIT_MAX).await.is_ok() {
                committing.into_iter().for_each(|committing| history.borrow_mut().committed(committing));
            }
            pause().await;
        }
    }
}
