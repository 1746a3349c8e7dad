//! A member of a classic group.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_wire::messages as m;
use thalweg_wire::messages::join_group_request::JoinGroupRequestProtocol;

use crate::group::owned;
use crate::millis::millis;

/// The protocols that a member supports, in the order of its preference; what each means is the members' affair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protocols(Vec<(ByteString, Bytes)>);

impl Protocols {
    /// Those of a request, without names that were there before.
    pub(crate) fn new(protocols: &[JoinGroupRequestProtocol]) -> Self {
        let mut names = BTreeSet::new();
        let first = protocols.iter().filter(|protocol| names.insert(&*protocol.name));
        Self(first.map(|protocol| (owned(&protocol.name), Bytes::copy_from_slice(&protocol.metadata))).collect())
    }

    /// One protocol alone.
    pub(crate) fn one(name: &str, metadata: &[u8]) -> Self {
        Self(vec![(owned(name), Bytes::copy_from_slice(metadata))])
    }

    /// The names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ByteString> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the member says about the protocol of that name; empty if it does not support it.
    pub(crate) fn metadata(&self, name: &str) -> Bytes {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The instance id of a static member (KIP-345).
    pub(crate) instance_id: Option<ByteString>,
    /// What the client calls itself.
    pub(crate) client_id: ByteString,
    /// Where it is.
    pub(crate) client_host: ByteString,
    /// How long it may take to join a rebalance.
    pub(crate) rebalance_timeout: Duration,
    /// How long it may be silent.
    pub(crate) session_timeout: Duration,
    /// What it supports.
    pub(crate) protocols: Protocols,
    /// What the leader gave it.
    pub(crate) assignment: Bytes,
    /// Its JoinGroup that is not answered. The group counts these: see [`super::ClassicGroup::set_join`].
    pub(super) join: Option<Ticket>,
    /// Its SyncGroup that is not answered.
    pub(super) sync: Option<Ticket>,
    /// Whether it has not finished its first JoinGroup: until then its connection may be gone without notice.
    pub(super) is_new: bool,
}

impl Member {
    /// A member that has sent nothing yet.
    pub(crate) fn new(
        instance_id: Option<ByteString>,
        client: (ByteString, ByteString),
        rebalance_timeout: Duration,
        session_timeout: Duration,
        protocols: Protocols,
    ) -> Self {
        Self {
            instance_id,
            client_id: client.0,
            client_host: client.1,
            rebalance_timeout,
            session_timeout,
            protocols,
            assignment: Bytes::new(),
            join: None,
            sync: None,
            is_new: false,
        }
    }

    /// Whether its silence means nothing, since it waits for us.
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }
}

/// The time limits of a JoinGroup: for the rebalance and for the session.
pub(super) fn timeouts(request: &m::JoinGroupRequest, version: i16) -> (Duration, Duration) {
    let session = millis(request.session_timeout_ms);
    // Version 0 has one time limit for both.
    let rebalance = if version == 0 { session } else { millis(request.rebalance_timeout_ms) };
    (rebalance, session)
}
