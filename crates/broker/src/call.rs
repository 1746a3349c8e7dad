//! One request as handlers see it, and how its answer becomes a frame.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::quotas::QuotaKind;
use thalweg_access::{Asker, Principal};
use thalweg_base::Uuid;
use thalweg_network::{FileRange, Frame, ListenerType, Origin};
use thalweg_sys::time::Duration;
use thalweg_wire::messages as m;
use thalweg_wire::{ApiKey, Codec, EncodeError, Writer};
use tracing::error;

use crate::broker::Broker;
use crate::quotas::{self, User};
use crate::telemetry::Client;

/// One request's surroundings: what its header says and who sent it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) broker: Arc<Broker>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    /// What the answer begins with.
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<ByteString>,
    /// How large the request is.
    pub(crate) request_bytes: usize,
    pub(crate) listener: Arc<str>,
    pub(crate) listener_type: ListenerType,
    /// Who is at the other end.
    pub(crate) origin: Arc<Origin>,
    /// What the answer needs, since the client may not do all that it asked for.
    pub(crate) amendment: Option<Amendment>,
    /// Who the client is.
    pub(crate) identity: Arc<Identity>,
}

/// Who a client is, and how it has shown that.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) principal: Principal,
    /// As ACLs name it: written once for all of its requests.
    pub(crate) asker: Asker,
    /// It has logged in with a delegation token.
    pub(crate) by_token: bool,
}

impl Identity {
    /// A principal at an address.
    pub(crate) fn new(principal: Principal, address: IpAddr, by_token: bool) -> Arc<Self> {
        let asker = Asker::new(&principal, host_address(address));
        Arc::new(Self { principal, asker, by_token })
    }
}

/// An address as Java's `getHostAddress` prints it: no part of an IPv6 address is left out.
pub(crate) fn host_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let parts: Vec<String> = address.segments().iter().map(|part| format!("{part:x}")).collect();
            parts.join(":")
        }
    }
}

/// Changes an answer, whatever its type.
type Amend = dyn Fn(&mut dyn Any) + Send + Sync;

/// What has to be done to the answer of a request that was refused in part.
#[derive(Clone)]
pub(crate) struct Amendment(Arc<Amend>);

impl fmt::Debug for Amendment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Amendment")
    }
}

impl Amendment {
    /// An amendment of answers of one type.
    pub(crate) fn new<R: 'static>(amend: Box<dyn Fn(&mut R) + Send + Sync>) -> Self {
        Self(Arc::new(move |response| {
            let response = response.downcast_mut();
            assert!(response.is_some(), "an API answers with its own response");
            response.into_iter().for_each(&amend);
        }))
    }

    fn apply<R: Clone + 'static>(&self, response: &R) -> R {
        let mut amended = response.clone();
        (self.0)(&mut amended);
        amended
    }
}

impl Call {
    /// The client by what subscriptions to its metrics tell clients apart. Copies: it is kept longer than the request's
    /// frame should live.
    pub(crate) fn client(&self, instance_id: Uuid) -> Client {
        let (software_name, software_version) = self.origin.software();
        let id = self.client_id.as_deref().map(Into::into);
        Client { instance_id, id, software_name, software_version, address: self.origin.address }
    }

    /// Who the client is.
    pub(crate) fn principal(&self) -> Principal {
        self.identity.principal.clone()
    }

    /// Whose quotas count.
    pub(crate) fn user(&self) -> User<'_> {
        User { principal: &self.identity.principal, client_id: self.client_id.as_deref().unwrap_or_default() }
    }

    /// Whether the time that the request takes counts against nobody's quota: none is set, or only nodes ask so. What fetches
    /// from a controller is a node.
    pub(crate) fn is_unmeasured(&self) -> bool {
        let is_of_quorum = self.api == ApiKey::Fetch && self.listener_type == ListenerType::Controller;
        self.broker.quotas.is_idle() || quotas::is_exempt(self.api) || is_of_quorum
    }

    /// For how many milliseconds the client is throttled because of the time that its requests take.
    pub(crate) fn request_throttle_ms(&self) -> u32 {
        if self.is_unmeasured() {
            return 0;
        }
        self.broker.quotas.record(QuotaKind::Request, self.user(), 0.0, self.broker.moment())
    }

    /// No more requests of the client's connection are read for so long (KIP-219).
    pub(crate) fn mute(&self, throttle_ms: u32) {
        if throttle_ms > 0 {
            self.origin.mute(Duration::from_millis(u64::from(throttle_ms)));
        }
    }

    /// Frames an answer, with what has to be done to it since the client may not do all that it asked for. The client is
    /// throttled as the answer says, or as its quota of request time says if that is longer.
    pub(crate) fn answer<R: Codec + Clone + 'static>(&self, response: &R) -> Frame {
        let told = u32::try_from(response.throttle_time_ms()).unwrap_or(0);
        let throttle_ms = self.request_throttle_ms().max(told);
        self.mute(throttle_ms);
        match &self.amendment {
            None if throttle_ms == told => self.answer_at(self.version, response),
            amendment => {
                let mut amended = amendment.as_ref().map_or_else(|| response.clone(), |by| by.apply(response));
                amended.set_throttle_time_ms(i32::try_from(throttle_ms).unwrap_or(i32::MAX));
                self.answer_at(self.version, &amended)
            }
        }
    }

    /// Frames an answer of another version than the request's.
    pub(crate) fn answer_at(&self, version: i16, response: &impl Codec) -> Frame {
        self.encode(version, response).and_then(Writer::into_frame).map_or_else(|e| self.failed(&e), Frame::from)
    }

    /// Frames an answer whose records stand in files: a range for each of the records that are elsewhere.
    pub(crate) fn answer_with_ranges(&self, response: &impl Codec, ranges: Vec<FileRange>) -> Frame {
        match self.encode(self.version, response).and_then(Writer::into_frame_with_gaps) {
            Ok((parts, gaps)) => Frame::with_ranges(parts, gaps, ranges),
            Err(e) => self.failed(&e),
        }
    }

    fn encode(&self, version: i16, response: &impl Codec) -> Result<Writer, EncodeError> {
        let mut writer = Writer::new();
        let header = m::ResponseHeader { correlation_id: self.correlation_id };
        header.encode(&mut writer, self.api.response_header_version(version))?;
        response.encode(&mut writer, version)?;
        response.errors(&mut |error| self.broker.network.requests.told(self.api, error));
        Ok(writer)
    }

    /// A handler filled in what the version cannot carry: a bug, which costs the client its connection.
    fn failed(&self, e: &EncodeError) -> Frame {
        error!(api = self.api.name(), version = self.version, error = %e, "an answer cannot be encoded");
        Frame::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_java_writes_them() {
        for (address, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("fe80::ab:1", "fe80:0:0:0:0:0:ab:1"),
        ] {
            assert_eq!(host_address(address.parse().expect("an address")), expected);
        }
    }
}
