//! The table of APIs: numbers, names, versions, listeners.

use std::ops::RangeInclusive;

include!(concat!(env!("OUT_DIR"), "/api_key.rs"));

struct Facts {
    name: &'static str,
    low: i16,
    high: i16,
    /// The first flexible version.
    flexible: i16,
    broker: bool,
    controller: bool,
    latest_version_unstable: bool,
}

/// Where each number stands in [`KEYS`]: every request asks for several facts of its API.
const PLACES: [Option<u8>; 1 + KEYS[KEYS.len() - 1] as usize] = places();

const fn places() -> [Option<u8>; 1 + KEYS[KEYS.len() - 1] as usize] {
    let mut places = [None; 1 + KEYS[KEYS.len() - 1] as usize];
    let mut at = 0;
    while at < KEYS.len() {
        places[KEYS[at] as usize] = Some(at as u8);
        at += 1;
    }
    places
}

impl ApiKey {
    /// Every API, in the order of their numbers.
    pub const ALL: &'static [Self] = &KEYS;

    /// The API with this number, if there is one in Kafka 4.3.
    #[must_use]
    pub fn from_i16(key: i16) -> Option<Self> {
        let place = PLACES.get(usize::try_from(key).ok()?).copied().flatten()?;
        Some(KEYS[usize::from(place)])
    }

    fn facts(self) -> &'static Facts {
        let place = PLACES[self as usize].unwrap_or_default();
        &FACTS[usize::from(place)]
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `CreateTopics`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The versions that can be decoded and encoded.
    #[must_use]
    pub fn valid_versions(self) -> RangeInclusive<i16> {
        let facts = self.facts();
        facts.low..=facts.high
    }

    /// The versions that Kafka 4.3 advertises.
    ///
    /// Produce is advertised from version 0 although the oldest that is served is 3, since librdkafka turns features off
    /// otherwise (KAFKA-18659). A latest version that is not stable yet is advertised only with
    /// `unstable.api.versions.enable`.
    #[must_use]
    pub fn advertised_versions(self, unstable: Unstable) -> RangeInclusive<i16> {
        let facts = self.facts();
        let low = if self == Self::Produce { 0 } else { facts.low };
        match unstable {
            Unstable::Hidden if facts.latest_version_unstable => low..=facts.high - 1,
            _ => low..=facts.high,
        }
    }

    /// Whether the latest of the valid versions may still change (`latestVersionUnstable`).
    #[must_use]
    pub fn latest_version_unstable(self) -> bool {
        self.facts().latest_version_unstable
    }

    /// Whether brokers serve it to clients and to other brokers.
    #[must_use]
    pub fn on_broker(self) -> bool {
        self.facts().broker
    }

    /// Whether controllers serve it.
    #[must_use]
    pub fn on_controller(self) -> bool {
        self.facts().controller
    }

    /// Whether this version has compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.facts().flexible
    }

    /// The version of `RequestHeader` that stands before a request of this version.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of `ResponseHeader` that stands before a response of this version.
    ///
    /// Before an ApiVersions response it is always 0, so that a client can read the answer to a version that the broker
    /// does not know (KIP-511).
    #[must_use]
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != Self::ApiVersions && self.is_flexible(version))
    }
}

/// What to do about latest versions that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstable {
    /// They are not advertised: what Kafka does by default.
    Hidden,
    /// They are advertised: `unstable.api.versions.enable=true`.
    Shown,
}
