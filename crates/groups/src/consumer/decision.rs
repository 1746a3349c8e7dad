//! What a consumer group has decided: records, what comes back to the client, and what to wait for.

use std::time::Duration;

use bytestring::ByteString;

use super::downgrade::Downgrade;
use super::refresh::Refresh;
use thalweg_coordinator::At;

use crate::records::Record;
use crate::settings::Settings;

/// What a consumer group waits for; each of one member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// It is to be heard of.
    Session(ByteString),
    /// It is to give up what it was told to.
    Rebalance(ByteString),
    /// It speaks the classic protocol and is to join again.
    Join(ByteString),
    /// It speaks the classic protocol, has joined and is to ask for its assignment.
    Sync(ByteString),
}

impl Timer {
    /// The member that it is about.
    pub(crate) fn member(&self) -> &ByteString {
        match self {
            Self::Session(member) | Self::Rebalance(member) | Self::Join(member) | Self::Sync(member) => member,
        }
    }

    /// All that a member may be waited for.
    pub(crate) fn all(member: &ByteString) -> [Self; 4] {
        let member = || member.clone();
        [Self::Session(member()), Self::Rebalance(member()), Self::Join(member()), Self::Sync(member())]
    }
}

/// When and under which configuration something is decided.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) at: At<'a>,
    pub(crate) settings: &'a Settings,
}

/// A decision. `R` is what comes back to the client.
#[derive(Debug)]
pub(crate) struct Decision<R> {
    /// What to write; empty if nothing changes.
    pub(super) records: Vec<Record>,
    pub(super) response: R,
    /// What to wait for, from now on.
    pub(super) start: Vec<(Timer, Duration)>,
    /// What not to wait for any more, once the records are written.
    pub(super) stop: Vec<Timer>,
    /// When to look at the topics again, once the records are written.
    pub(super) refresh: Option<Refresh>,
    /// Whether the group's regular expressions are to be resolved once this is done.
    pub(super) resolve_regexes: bool,
    /// That the records make a classic group of it.
    pub(super) downgrade: Option<Downgrade>,
}

impl<R> Decision<R> {
    /// Nothing but a response.
    pub(super) fn answer(response: R) -> Self {
        Self {
            records: Vec::new(),
            response,
            start: Vec::new(),
            stop: Vec::new(),
            refresh: None,
            resolve_regexes: false,
            downgrade: None,
        }
    }
}
