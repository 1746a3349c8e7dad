//! The offsets of a share group, which the share coordinator keeps: the group says which there are, and lets them be changed
//! while it has no members.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;

use super::group::{Initialized, Partitions, ShareGroup, Topics};
use super::heartbeat::Initialize;
use crate::group::owned;
use crate::outbox::After;
use crate::request::Answer;
use crate::shard::Shard;

impl Shard {
    /// The partitions whose state the share coordinator keeps for the group.
    pub(crate) fn share_partitions(&self, id: &ByteString) -> Result<Partitions, ErrorCode> {
        let group = self.share_group(id).map_err(|refusal| refusal.code)?;
        Ok(group.initialized.iter().map(|(topic, info)| (*topic, info.partitions.clone())).collect())
    }

    /// The group is to begin elsewhere in these partitions: what the share coordinator is to be asked.
    pub(crate) fn alter_share_offsets(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        id: &ByteString,
        starts: BTreeMap<(Uuid, i32), i64>,
    ) {
        // A group that nobody has joined yet is made.
        let new = ShareGroup::new(owned(id));
        let group = match self.empty_share_group(id) {
            Ok(group) => group,
            Err(_) if !self.groups.contains_key(id) => &new,
            Err(error) => return self.outbox.answer(ticket, Answer::ShareInitialize(Err(error))),
        };
        let state_epoch = group.epoch.saturating_add(1);
        let initialize = Initialize { group: id.clone(), state_epoch, starts };
        let initializing = group.initializing_with(&initialize.partitions(), at);
        let records = [group.bumped(state_epoch), group.state_record(&initializing, &group.initialized)];
        self.outbox.write(&records, After::Answer(ticket, Answer::ShareInitialize(Ok(initialize))));
    }

    /// The group is to forget topics: which partitions the share coordinator is to forget.
    pub(crate) fn delete_share_offsets(&mut self, ticket: Ticket, id: &ByteString, topics: &[Uuid]) {
        let group = match self.empty_share_group(id) {
            Ok(group) => group,
            Err(error) => return self.outbox.answer(ticket, Answer::SharePartitions(Err(error))),
        };
        let of = |all: &Topics| {
            let chosen = all.iter().filter(|(topic, _)| topics.contains(topic));
            chosen.map(|(topic, info)| (*topic, info.partitions.clone())).collect::<Partitions>()
        };
        let mut gone = of(&group.initialized);
        for (topic, partitions) in of(&group.initializing) {
            gone.entry(topic).or_default().extend(partitions);
        }
        let mut initialized = group.initialized.clone();
        initialized.retain(|topic, _| !topics.contains(topic));
        let record = group.state_record(&group.initializing_without(&gone), &initialized);
        let records = if gone.is_empty() { Vec::new() } else { vec![record] };
        self.outbox.write(&records, After::Answer(ticket, Answer::SharePartitions(Ok(gone))));
    }

    fn empty_share_group(&self, id: &ByteString) -> Result<&ShareGroup, ErrorCode> {
        let group = self.share_group(id).map_err(|refusal| refusal.code)?;
        if group.is_empty() { Ok(group) } else { Err(ErrorCode::NonEmptyGroup) }
    }
}

impl ShareGroup {
    /// The partitions under way, and some more.
    fn initializing_with(&self, partitions: &Partitions, at: At<'_>) -> Topics {
        let mut initializing = self.initializing.clone();
        for (topic, of) in partitions {
            let name = at.image.topics().by_id(*topic).map_or("<UNKNOWN>", |topic| &topic.name);
            let info = initializing.entry(*topic).or_insert_with(|| Initialized {
                name: ByteString::from(name),
                partitions: std::collections::BTreeSet::new(),
                since: at.now.timestamp,
            });
            info.partitions.extend(of);
        }
        initializing
    }
}
