//! What holds for members and descriptions of groups of every kind with a protocol of its own (KIP-848, KIP-932, KIP-1071).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_wire::ErrorCode;

use super::{Gate, Restricted};

/// A described group in an answer.
pub(super) trait Described: Sized + 'static {
    /// The sentence of Kafka's about a group whose topics the client may not see.
    const HIDDEN: &'static str;

    /// Its id.
    fn id(&self) -> &ByteString;

    /// What the client may do with it; the least number if that was not asked for.
    fn operations(&mut self) -> &mut i32;

    /// Every topic that is shown, in the order in which they are looked at.
    fn topics(&self) -> Vec<ByteString>;

    /// The answer about a group that cannot be shown.
    fn refused(id: ByteString, error: ErrorCode, message: Option<ByteString>) -> Self;
}

/// Describing a group needs DESCRIBE of it, and of the topics that are shown.
pub(super) fn describe<G: Described, R: 'static>(
    gate: &Arc<Gate>,
    ids: &mut Vec<ByteString>,
    groups: fn(&mut R) -> &mut Vec<G>,
) -> Restricted<R> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        std::mem::take(ids).into_iter().partition(|group| gate.may(Operation::Describe, Resource::group(group)));
    *ids = allowed;
    let gate = Arc::clone(gate);
    Restricted::filtered(move |response: &mut R| {
        let mut known: BTreeMap<ByteString, bool> = BTreeMap::new();
        let groups = groups(response);
        for group in groups.iter_mut() {
            if *group.operations() != i32::MIN {
                *group.operations() = gate.operations(Resource::group(group.id()));
            }
            let mut hidden = false;
            for topic in group.topics() {
                let may_see = || gate.may(Operation::Describe, Resource::topic(&topic));
                hidden |= !*known.entry(topic.clone()).or_insert_with(may_see);
            }
            if hidden {
                let error = ErrorCode::TopicAuthorizationFailed;
                *group = G::refused(group.id().clone(), error, Some(ByteString::from_static(G::HIDDEN)));
            }
        }
        let refused = refused.iter().cloned();
        groups.extend(refused.map(|group| G::refused(group, ErrorCode::GroupAuthorizationFailed, None)));
    })
}

/// A heartbeat needs READ of the group, and DESCRIBE of the topics that it names. Gives the error of one that is refused.
pub(super) fn refuses_member<'a>(
    gate: &Gate,
    group: &str,
    topics: impl Iterator<Item = &'a ByteString>,
) -> Option<ErrorCode> {
    if !gate.may(Operation::Read, Resource::group(group)) {
        return Some(ErrorCode::GroupAuthorizationFailed);
    }
    let names: BTreeSet<&ByteString> = topics.collect();
    // Every name is looked at, so that the audit log has all of them.
    let seen = names.iter().filter(|name| gate.may(Operation::Describe, Resource::topic(name))).count();
    (seen < names.len()).then_some(ErrorCode::TopicAuthorizationFailed)
}

/// What tells the kinds apart: the response's module, the sentence, and the topics of a group.
macro_rules! described {
    ($group:path, $hidden:expr, $topics:expr) => {
        impl $crate::handlers::authorization::described::Described for $group {
            const HIDDEN: &'static str = $hidden;

            fn id(&self) -> &ByteString {
                &self.group_id
            }

            fn operations(&mut self) -> &mut i32 {
                &mut self.authorized_operations
            }

            fn topics(&self) -> Vec<ByteString> {
                let topics: fn(&Self) -> Vec<ByteString> = $topics;
                topics(self)
            }

            fn refused(group_id: ByteString, error: ErrorCode, error_message: Option<ByteString>) -> Self {
                Self { group_id, error_code: error.code(), error_message, ..Self::default() }
            }
        }
    };
}
pub(super) use described;
