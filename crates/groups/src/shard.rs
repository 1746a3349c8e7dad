//! One partition of `__consumer_offsets` and its groups.

use thalweg_base::{LeaderEpoch, Moment, ProducerEpoch, ProducerId, Timestamp};
use thalweg_coordinator::{Effect, LogRecord, Ticket, WriteId};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;

use crate::request::{Answer, Caller, Request};

/// The broker's configuration as groups need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {}

/// The two clocks: one orders and says when something is due, the other dates what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub moment: Moment,
    /// The date.
    pub timestamp: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    /// A shard without groups, whose partition this node leads in `epoch`. `random` seeds the member ids that it makes.
    #[must_use]
    pub fn new(_settings: Settings, _epoch: LeaderEpoch, _random: u64) -> Self {
        Self {}
    }

    /// Applies one record of the log: of `producer`'s transaction if there is one. It cannot fail: a record that this
    /// version does not know is passed over.
    pub fn replay(&mut self, _producer: Option<(ProducerId, ProducerEpoch)>, _record: &LogRecord, _written: Timestamp) {
    }

    /// The end of `producer`'s transaction, from a marker in the log.
    pub fn replay_end_of_transaction(&mut self, _producer: ProducerId, _committed: bool) {}

    /// All of the log was replayed: members that it names have their session from now.
    pub fn loaded(&mut self, _now: Now, _image: &MetadataImage) -> Vec<Effect<Answer>> {
        Vec::new()
    }

    /// A request has arrived.
    pub fn request(
        &mut self,
        _now: Now,
        _image: &MetadataImage,
        _ticket: Ticket,
        _caller: &Caller,
        _request: Request,
    ) -> Vec<Effect<Answer>> {
        Vec::new()
    }

    /// A write was appended and replayed, or refused.
    pub fn written(
        &mut self,
        _now: Now,
        _image: &MetadataImage,
        _write: WriteId,
        _result: Result<(), ErrorCode>,
    ) -> Vec<Effect<Answer>> {
        Vec::new()
    }

    /// When to call [`Shard::tick`] next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// The deadline has come.
    pub fn tick(&mut self, _now: Now, _image: &MetadataImage) -> Vec<Effect<Answer>> {
        Vec::new()
    }

    /// The cluster has changed: topics were created, grew or went away.
    pub fn metadata_changed(&mut self, _now: Now, _image: &MetadataImage, _changes: &Changes) -> Vec<Effect<Answer>> {
        Vec::new()
    }

    /// The broker's or a group's configuration has changed.
    pub fn set_settings(&mut self, _settings: Settings) {}
}
