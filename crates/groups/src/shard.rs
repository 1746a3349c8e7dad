//! One partition of `__consumer_offsets` and its groups.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, Moment, ProducerId};
use thalweg_coordinator::{At, Effect, LogRecord, Machine, Now, Origin, Ticket, WriteId, refused_write};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;

use crate::classic;
use crate::describable::Describable;
use crate::group::{Group, Groups, owned};
use crate::offsets::Offsets;
use crate::outbox::{After, Outbox, Timer};
use crate::records::Record;
use crate::request::{Answer, Caller, Request};
use crate::settings::Settings;

/// One partition of `__consumer_offsets` and the groups that live there.
///
/// What the log says about a group is changed by [`Shard::replay`] alone. What the log does not hold of a classic group
/// (who waits for an answer, who has joined the rebalance that is under way) changes with requests and time; it is lost
/// with the shard, and the members begin a new generation.
///
/// Invariants:
/// - While a write is open, nothing else is decided: the driver reports it before the next call.
/// - A ticket is answered at most once.
#[derive(Debug)]
pub struct Shard {
    pub(crate) settings: Settings,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    pub(crate) outbox: Outbox,
    /// What may be described by the members that caused groups' regular expressions to be resolved, until that is done: at
    /// most one for each group.
    pub(crate) regex_askers: BTreeMap<ByteString, Describable>,
    /// Whether the log was replayed and requests are answered.
    loaded: bool,
}

impl Shard {
    /// A shard without groups, whose partition this node leads in `epoch`. `random` seeds the member ids that it makes.
    #[must_use]
    pub fn new(settings: Settings, epoch: LeaderEpoch, random: u64) -> Self {
        let (groups, offsets, outbox) = (Groups::default(), Offsets::default(), Outbox::new(random));
        Self { settings, epoch, groups, offsets, outbox, regex_askers: BTreeMap::new(), loaded: false }
    }

    /// A request has arrived.
    pub fn request(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        caller: &Caller,
        request: Request,
    ) -> Vec<Effect<Answer>> {
        assert!(self.loaded, "a shard answers once it is loaded");
        assert!(!self.outbox.has_writes(), "every write is reported before the next request");
        let at = At { now, image };
        if request.has_forbidden_group_id() {
            self.outbox.answer(ticket, request.refuse(ErrorCode::InvalidGroupId));
            return self.effects(at);
        }
        match request {
            Request::JoinGroup(request) => self.join(at, ticket, caller, request),
            Request::SyncGroup(request) => self.sync(at, ticket, request),
            Request::Heartbeat(request) => self.heartbeat(at, ticket, request),
            Request::LeaveGroup(request) => self.leave(at, ticket, caller, request),
            Request::ConsumerGroupHeartbeat(request) => self.consumer_heartbeat(at, ticket, caller, request),
            Request::ConsumerGroupDescribe(group) => {
                let described = self.consumer_describe(image, &group);
                self.outbox.answer(ticket, Answer::ConsumerGroupDescribe(described));
            }
            Request::ShareGroupHeartbeat(request) => self.share_heartbeat(at, ticket, caller, &request),
            Request::ShareGroupDescribe(group) => {
                let described = self.share_describe(image, &group);
                self.outbox.answer(ticket, Answer::ShareGroupDescribe(described));
            }
            Request::StreamsGroupHeartbeat(request) => self.streams_heartbeat(at, ticket, caller, &request),
            Request::StreamsGroupDescribe(group) => {
                let described = self.streams_describe(&group);
                self.outbox.answer(ticket, Answer::StreamsGroupDescribe(described));
            }
            Request::ShareStateInitialized { group, partitions, result } => {
                self.share_state_initialized(at, ticket, &group, &partitions, result);
            }
            Request::SharePartitions(group) => {
                let partitions = self.share_partitions(&group);
                self.outbox.answer(ticket, Answer::SharePartitions(partitions));
            }
            Request::AlterShareOffsets { group, starts } => self.alter_share_offsets(at, ticket, &group, starts),
            Request::DeleteShareOffsets { group, topics } => self.delete_share_offsets(ticket, &group, &topics),
            Request::DescribeGroup(group) => {
                let described = self.describe(&group, caller.version);
                self.outbox.answer(ticket, Answer::DescribeGroup(described));
            }
            Request::ListGroups(request) => {
                let listed = self.list(&request);
                self.outbox.answer(ticket, Answer::ListGroups(listed));
            }
            Request::DeleteGroup(group) => self.delete_group(ticket, &group),
            Request::OffsetCommit(request) => self.commit_offsets(at, ticket, caller, &request),
            Request::TxnOffsetCommit(request) => self.commit_transactional_offsets(at, ticket, caller, &request),
            Request::OffsetFetch { group, require_stable } => {
                let fetched = self.fetch_offsets(&group, require_stable);
                self.outbox.answer(ticket, Answer::OffsetFetch(fetched));
            }
            Request::OffsetDelete(request) => self.delete_offsets(ticket, &request),
        }
        self.effects(at)
    }

    /// The broker's configuration has changed. What waits already waits as long as it was told to.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The epoch in which this node leads the partition.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether the log was replayed.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    fn finish(&mut self, at: At<'_>, after: After, result: Result<(), ErrorCode>) {
        match (after, result) {
            (After::Nothing, _) => {}
            (After::Answer(ticket, answer), Ok(())) => self.outbox.answer(ticket, answer),
            (After::Answer(ticket, answer), Err(error)) => self.outbox.answer(ticket, answer.refused(error)),
            (After::ClassicSync(pending), result) => self.classic_assignment_written(at, pending, result),
            (After::ClassicReplace(pending), result) => self.classic_replacement_written(at, pending, result),
            (After::Consumer(after), result) => self.consumer_written(at, after, result),
        }
    }

    fn effects(&mut self, at: At<'_>) -> Vec<Effect<Answer>> {
        while let Some(after) = self.outbox.pop_unwritable() {
            self.finish(at, after, Err(ErrorCode::UnknownServerError));
        }
        self.outbox.take_effects()
    }
}

impl Machine for Shard {
    type Answer = Answer;
    type Errand = Infallible;

    fn replay(&mut self, origin: Origin, record: &LogRecord) {
        match Record::decode(record) {
            Ok(Record::OffsetCommit { key, value: Some(value) }) => {
                if !self.groups.contains_key(&*key.group) {
                    // Offsets without members: a so-called simple group.
                    let id = owned(&key.group);
                    self.groups.insert(id, Group::Classic(Box::new(classic::ClassicGroup::simple(origin.timestamp))));
                }
                self.outbox.tally.offset_commits += u64::from(self.loaded);
                self.offsets.replay(origin, &key, &value);
            }
            Ok(Record::OffsetCommit { key, value: None }) => self.offsets.replay_tombstone(&key),
            Ok(Record::GroupMetadata { key, value }) => self.classic_replay(&key.group, value),
            Ok(record) if record.is_of_share_group() => {
                let begins = matches!(record, Record::ShareGroupMetadata { value: Some(_), .. });
                self.outbox.tally.share_rebalances += u64::from(self.loaded && begins);
                self.share_replay(record, origin.timestamp);
            }
            Ok(record) if record.is_of_streams_group() => {
                let begins = matches!(record, Record::StreamsGroupMetadata { value: Some(_), .. });
                self.outbox.tally.streams_rebalances += u64::from(self.loaded && begins);
                self.streams_replay(record);
            }
            Ok(record) => {
                // Whenever it begins to assign anew, a group has a new epoch.
                let begins = matches!(record, Record::ConsumerGroupMetadata { value: Some(_), .. });
                self.outbox.tally.consumer_rebalances += u64::from(self.loaded && begins);
                self.consumer_replay(record);
            }
            Err(_) => {}
        }
    }

    fn replay_end_of_transaction(&mut self, producer: ProducerId, committed: bool) {
        self.offsets.replay_end_of_transaction(producer, committed);
    }

    fn loaded(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Answer>> {
        assert!(!self.loaded, "a shard is loaded once");
        self.loaded = true;
        let at = At { now, image };
        let due = now.moment.after(self.settings.offsets_retention_check_interval);
        self.outbox.timers.set(Timer::OffsetExpiry, due);
        let ids: Vec<_> = self.groups.keys().cloned().collect();
        for id in ids {
            match self.groups.get(&id) {
                Some(Group::Classic(_)) => self.classic_loaded(at, &id),
                Some(Group::Consumer(_)) => self.consumer_loaded(at, &id),
                Some(Group::Share(_)) => self.share_loaded(at, &id),
                Some(Group::Streams(_)) => self.streams_loaded(at, &id),
                None => {}
            }
        }
        self.effects(at)
    }

    fn written(
        &mut self,
        now: Now,
        image: &MetadataImage,
        write: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Vec<Effect<Answer>> {
        let after = self.outbox.reported(write);
        assert!(after.is_some(), "a write is reported once, and only if it was asked for");
        let at = At { now, image };
        if let Some(after) = after {
            self.finish(at, after, result.map_err(refused_write));
        }
        self.effects(at)
    }

    fn next_deadline(&self) -> Option<Moment> {
        if self.loaded { self.outbox.timers.next() } else { None }
    }

    fn tick(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Answer>> {
        assert!(self.loaded, "time passes for a shard once it is loaded");
        let at = At { now, image };
        while !self.outbox.has_writes() {
            let Some(timer) = self.outbox.timers.pop_due(now.moment) else { break };
            match timer {
                Timer::OffsetExpiry => self.expire_offsets(at),
                Timer::ClassicJoin(group) => self.classic_join_timer(at, &group),
                Timer::ClassicSync(group) => self.classic_sync_timer(at, &group),
                Timer::ClassicMember(group, member) => self.classic_member_timer(at, &group, &member),
                Timer::Consumer(group, timer) => self.consumer_timer(at, &group, &timer),
                Timer::ShareMember(group, member) => self.share_member_timer(at, &group, &member),
                Timer::StreamsMember(group, member) => self.streams_member_timer(at, &group, &member),
                Timer::StreamsRebalance(group, member) => self.streams_rebalance_timer(at, &group, &member),
                Timer::StreamsDelay(group) => self.streams_delay_timer(at, &group),
                Timer::ConsumerRegexes(group) => self.resolve_consumer_regexes(at, &group),
            }
        }
        self.effects(at)
    }

    fn metadata_changed(&mut self, now: Now, image: &MetadataImage, changes: &Changes) -> Vec<Effect<Answer>> {
        if !self.loaded {
            return Vec::new();
        }
        let at = At { now, image };
        self.consumer_topics_changed(at, changes);
        self.share_topics_changed(changes);
        self.streams_topics_changed(changes);
        self.delete_offsets_of(&changes.topics_deleted);
        self.effects(at)
    }
}
