//! The groups of a shard by id, of whatever kind.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_wire::messages as m;

use crate::classic::ClassicGroup;
use crate::consumer::ConsumerGroup;
use crate::records::Record;
use crate::share::ShareGroup;
use crate::streams::StreamsGroup;

/// A group of one kind or the other.
#[derive(Debug)]
pub(crate) enum Group {
    /// Members rebalance by JoinGroup and SyncGroup. A group that only has committed offsets is one, without members.
    Classic(Box<ClassicGroup>),
    /// KIP-848.
    Consumer(Box<ConsumerGroup>),
    /// KIP-932.
    Share(Box<ShareGroup>),
    /// KIP-1071.
    Streams(Box<StreamsGroup>),
}

/// Every group of a shard.
pub(crate) type Groups = BTreeMap<ByteString, Group>;

impl Group {
    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
            Self::Share(group) => group.is_empty(),
            Self::Streams(group) => group.is_empty(),
        }
    }

    /// Whether some member reads `topic`, or may do so.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
            Self::Share(group) => group.is_subscribed_to(topic),
            Self::Streams(group) => group.is_subscribed_to(topic),
        }
    }

    /// The tombstones of everything that the log holds about the group, its offsets aside.
    pub(crate) fn tombstones(&self, id: &ByteString) -> Vec<Record> {
        match self {
            Self::Classic(_) => vec![m::GroupMetadataKey { group: id.clone() }.into()],
            Self::Consumer(group) => group.tombstones(id),
            Self::Share(group) => group.tombstones(id),
            Self::Streams(group) => group.tombstones(id),
        }
    }
}

/// A copy that does not keep the frame alive which the string came in.
pub(crate) fn owned(text: &str) -> ByteString {
    ByteString::from(text)
}
