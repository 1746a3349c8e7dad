//! One step of a member from what it has to what it is to have.
//!
//! A member gives up before it is given: it keeps its epoch until it says that it has given up what it was told to.
//! It is given a partition only when nobody has that any more.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::assignor::Assignment;
use super::group::{ConsumerGroup, Resolved};
use super::member::{Member, MemberState, Owned};
use super::refusal::Refusal;

/// What a step depends on, besides the member.
pub(super) struct Step<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) image: &'a MetadataImage,
    pub(super) target_epoch: i32,
    pub(super) target: &'a Assignment,
    /// Whether it subscribes to other topics than before, which it is not to keep even in its epoch.
    pub(super) subscription_changed: bool,
    /// What the member says that it has; `None` if it does not say.
    pub(super) owned: Option<&'a [TopicPartitions]>,
}

/// What of a member's partitions stays, goes and comes.
#[derive(Default)]
struct Difference {
    kept: Owned,
    revoked: Owned,
    given: Assignment,
    /// Whether more is to come that somebody else still has.
    waits: bool,
}

impl Step<'_> {
    /// The member after the step; the same if there is nothing to do.
    ///
    /// # Errors
    /// If its state is unknown and it has not given up everything.
    pub(super) fn take(&self, member: &Member) -> Result<Member, Refusal> {
        if !self.subscription_changed && member.is_reconciled_to(self.target_epoch) {
            return Ok(member.clone());
        }
        Ok(match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => self.shrink(member),
            MemberState::UnrevokedPartitions if self.still_has(&member.revoking) => {
                if self.subscription_changed {
                    self.shrink(member)
                } else {
                    member.clone()
                }
            }
            MemberState::Stable | MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.advance(member, member.epoch)
            }
            MemberState::Unknown => {
                if self.owned.is_none_or(|owned| !owned.is_empty()) {
                    let message = "The consumer group member is in a unknown state. The member must abandon all its \
                                   partitions and rejoin.";
                    return Err(Refusal::new(ErrorCode::FencedMemberEpoch, message));
                }
                self.advance(member, self.target_epoch)
            }
        })
    }

    /// Whether the member says, or does not deny, that it has some of these.
    fn still_has(&self, partitions: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            let has = |of: &BTreeMap<i32, i32>| topic.partitions.iter().any(|partition| of.contains_key(partition));
            partitions.get(&topic.topic_id).is_some_and(has)
        })
    }

    /// Takes away topics that it does not subscribe to any more, and leaves its epoch as it is.
    fn shrink(&self, member: &Member) -> Member {
        let subscription = Subscription::of(member, &self.group.resolved, self.image);
        let (kept, gone): (Owned, Owned) =
            member.assigned.clone().into_iter().partition(|(topic, _)| subscription.contains(*topic));
        if gone.is_empty() {
            return member.clone();
        }
        let mut next = member.clone();
        next.advance(member.epoch);
        next.assigned = kept;
        let mut revoking = member.revoking.clone();
        for (topic, partitions) in gone {
            revoking.entry(topic).or_default().extend(partitions);
        }
        if self.still_has(&revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.revoking = revoking;
        }
        next
    }

    /// Goes towards the target, at most as far as others let it. `epoch` is the member's if it must first give up.
    fn advance(&self, member: &Member, epoch: i32) -> Member {
        let difference = self.difference(member);
        let mut next = member.clone();
        next.assigned = difference.kept;
        if !difference.revoked.is_empty() && self.still_has(&difference.revoked) {
            next.state = MemberState::UnrevokedPartitions;
            next.advance(epoch);
            next.revoking = difference.revoked;
            return next;
        }
        for (topic, partitions) in difference.given {
            let given = partitions.into_iter().map(|partition| (partition, self.target_epoch));
            next.assigned.entry(topic).or_default().extend(given);
        }
        next.state = if difference.waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        next.advance(self.target_epoch);
        next.revoking = Owned::new();
        next
    }

    fn difference(&self, member: &Member) -> Difference {
        let subscription = Subscription::of(member, &self.group.resolved, self.image);
        let nothing = BTreeSet::new();
        let mut difference = Difference::default();
        let topics: BTreeSet<Uuid> = self.target.keys().chain(member.assigned.keys()).copied().collect();
        for topic in topics {
            let target = self.target.get(&topic).filter(|_| subscription.contains(topic)).unwrap_or(&nothing);
            let has = member.assigned.get(&topic);
            for (partition, epoch) in has.into_iter().flatten() {
                let to = if target.contains(partition) { &mut difference.kept } else { &mut difference.revoked };
                to.entry(topic).or_default().insert(*partition, *epoch);
            }
            for partition in target.iter().filter(|partition| !has.is_some_and(|has| has.contains_key(partition))) {
                let gives_up_itself = member.revoking.get(&topic).is_some_and(|of| of.contains_key(partition));
                if self.group.is_taken(topic, *partition) && !gives_up_itself {
                    difference.waits = true;
                } else {
                    difference.given.entry(topic).or_default().insert(*partition);
                }
            }
        }
        difference
    }
}

/// What a member subscribes to.
pub(super) struct Subscription<'a> {
    names: &'a BTreeSet<ByteString>,
    /// The topics of its regular expression. One that is not resolved has none.
    matched: Option<&'a BTreeSet<ByteString>>,
    image: &'a MetadataImage,
}

impl<'a> Subscription<'a> {
    pub(super) fn of(
        member: &'a Member,
        resolved: &'a BTreeMap<ByteString, Resolved>,
        image: &'a MetadataImage,
    ) -> Self {
        let matched = member.regex().and_then(|regex| resolved.get(regex)).map(|resolved| &resolved.topics);
        Self { names: &member.topics, matched, image }
    }

    /// Whether a topic that exists is among them.
    fn contains(&self, topic: Uuid) -> bool {
        self.image.topics().by_id(topic).is_some_and(|topic| {
            self.names.contains(&*topic.name) || self.matched.is_some_and(|matched| matched.contains(&*topic.name))
        })
    }

    /// The topics that exist.
    pub(super) fn ids(&self) -> BTreeSet<Uuid> {
        let names = self.names.iter().chain(self.matched.into_iter().flatten());
        names.filter_map(|name| self.image.topics().by_name(name)).map(|topic| topic.id).collect()
    }
}
