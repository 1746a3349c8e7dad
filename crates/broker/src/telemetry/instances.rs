//! Clients whose metrics are wanted, as Kafka keeps them: who may push what, and when (KIP-714).
//!
//! A state machine: time, new ids and the clients' requests come in, answers go out.

use std::collections::BTreeMap;

use thalweg_base::{Moment, Uuid};
use thalweg_sys::time::Duration;
use thalweg_wire::ErrorCode;

use super::subscriptions::{Client, Subscriptions, Wanted};

/// So many clients are remembered, as in Kafka; one more, and whoever was heard of least recently is forgotten.
pub(super) const INSTANCES_MAX: usize = 16_384;
/// A client that is not heard of for so long is forgotten, or for three of its intervals if those are longer.
const EXPIRY_MIN: Duration = Duration::from_secs(60);

/// So seldom all of them are looked at.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// One connection of a client, as long as the node runs.
pub(crate) type ConnectionId = u64;

/// What a client is told to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) instance_id: Uuid,
    pub(crate) subscription_id: i32,
    pub(crate) interval_ms: i32,
    pub(crate) metrics: Vec<String>,
}

/// A push as far as it is judged: without its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) subscription_id: i32,
    pub(crate) terminating: bool,
    pub(crate) compression: i8,
    /// How many bytes the metrics take.
    pub(crate) bytes: usize,
}

/// How often clients were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) throttled: u64,
    pub(crate) unknown_subscription: u64,
}

#[derive(Clone, Debug)]
struct Instance {
    client: Client,
    subscription_id: i32,
    /// Of which version of the subscriptions this is.
    version: u64,
    wanted: Wanted,
    last_get: Option<Moment>,
    last_push: Option<Moment>,
    terminating: bool,
    last_error: ErrorCode,
    expires: Moment,
    /// Tells who was heard of least recently.
    used: u64,
    connection: ConnectionId,
}

/// See the module.
///
/// Invariants:
/// - There are no more instances than [`INSTANCES_MAX`].
/// - `by_use` holds each instance once, at its `used`; `by_connection` leads only to instances that name the connection.
#[derive(Debug)]
pub(crate) struct Instances {
    /// `telemetry.max.bytes`
    bytes_max: usize,
    max: usize,
    subscriptions: Subscriptions,
    version: u64,
    instances: BTreeMap<Uuid, Instance>,
    by_use: BTreeMap<u64, Uuid>,
    by_connection: BTreeMap<ConnectionId, Uuid>,
    uses: u64,
    swept: Moment,
    refused: Refused,
}

impl Instances {
    pub(crate) fn new(bytes_max: usize, max: usize) -> Self {
        Self {
            bytes_max,
            max,
            subscriptions: Subscriptions::default(),
            version: 0,
            instances: BTreeMap::new(),
            by_use: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            uses: 0,
            swept: Moment(0),
            refused: Refused::default(),
        }
    }

    /// Other subscriptions may count from now on. Says whether they are others.
    pub(crate) fn subscriptions(&mut self, subscriptions: Subscriptions) -> bool {
        let changed = !self.subscriptions.same(&subscriptions);
        if changed {
            self.subscriptions = subscriptions;
            self.version += 1;
        }
        changed
    }

    /// A client asks what it is to push. It has its instance id from the last answer, or gets one.
    ///
    /// # Errors
    /// If it was answered a moment ago.
    pub(crate) fn get(
        &mut self,
        client: Client,
        connection: ConnectionId,
        now: Moment,
    ) -> Result<Subscribed, ErrorCode> {
        let instance = self.hear(client, connection, now);
        let last = instance.last_get.max(instance.last_push);
        let due = is_due(last, instance.wanted.interval_ms, now);
        if due {
            instance.last_get = Some(now);
        }
        let may_ask_again =
            matches!(instance.last_error, ErrorCode::UnknownSubscriptionId | ErrorCode::UnsupportedCompressionType);
        if !due && !may_ask_again {
            self.refused.throttled += 1;
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        instance.last_error = ErrorCode::None;
        Ok(Subscribed {
            instance_id: instance.client.instance_id,
            subscription_id: instance.subscription_id,
            interval_ms: instance.wanted.interval_ms,
            metrics: instance.wanted.metrics.clone(),
        })
    }

    /// A client pushes. Gives how long what it pushes counts.
    ///
    /// # Errors
    /// What is wrong with the push: then nothing of it counts.
    pub(crate) fn push(
        &mut self,
        client: Client,
        connection: ConnectionId,
        push: Push,
        now: Moment,
    ) -> Result<Moment, ErrorCode> {
        if client.instance_id == Uuid::ZERO || client.instance_id == Uuid::ONE {
            return Err(ErrorCode::InvalidRequest);
        }
        let bytes_max = self.bytes_max;
        let instance = self.hear(client, connection, now);
        let judged = instance.judge(push, bytes_max, now);
        instance.terminating = push.terminating;
        instance.last_error = judged.err().unwrap_or(ErrorCode::None);
        let expires = instance.expires;
        match judged {
            Err(ErrorCode::ThrottlingQuotaExceeded) => self.refused.throttled += 1,
            Err(ErrorCode::UnknownSubscriptionId) => self.refused.unknown_subscription += 1,
            _ => {}
        }
        judged.map(|()| expires)
    }

    /// What a client has pushed cannot be read.
    pub(crate) fn unreadable(&mut self, id: &Uuid) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.last_error = ErrorCode::InvalidRecord;
        }
    }

    /// A connection has ended: whoever was heard of over it last is forgotten.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        if let Some(id) = self.by_connection.get(&connection).copied() {
            self.forget(id);
        }
    }

    /// Forgets clients that were not heard of for too long, once in a while.
    pub(crate) fn expire_if_due(&mut self, now: Moment) {
        if now.since(self.swept) >= SWEEP_PAUSE {
            self.expire(now);
        }
    }

    fn expire(&mut self, now: Moment) {
        self.swept = now;
        let expired = self.instances.iter().filter(|(_, instance)| instance.expires <= now);
        let expired: Vec<Uuid> = expired.map(|(id, _)| *id).collect();
        expired.into_iter().for_each(|id| self.forget(id));
    }

    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    /// Notes that a client was heard of, and looks up what is wanted of it where that is not known or has changed.
    fn hear(&mut self, client: Client, connection: ConnectionId, now: Moment) -> &mut Instance {
        let id = client.instance_id;
        let known = self.instances.remove(&id).inspect(|known| {
            self.by_use.remove(&known.used);
            self.by_connection.remove(&known.connection);
        });
        // Whoever spoke over this connection before has another id now.
        if let Some(before) = self.by_connection.get(&connection).copied() {
            self.forget(before);
        }
        let mut instance = match known {
            Some(known) if known.expires <= now => self.instance(client),
            Some(known) if known.version == self.version => known,
            // It is matched by what it was at first.
            Some(known) => self.instance(known.client),
            None => self.instance(client),
        };
        let interval = Duration::from_millis(u64::from(instance.wanted.interval_ms.unsigned_abs()));
        instance.expires = now.after(EXPIRY_MIN.max(3 * interval));
        instance.used = self.uses;
        instance.connection = connection;
        self.uses += 1;
        if self.instances.len() >= self.max
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            self.forget(*oldest);
        }
        assert!(self.instances.len() < self.max, "there is room for one more");
        self.by_use.insert(instance.used, id);
        self.by_connection.insert(connection, id);
        self.instances.entry(id).or_insert(instance)
    }

    fn instance(&self, client: Client) -> Instance {
        let wanted = self.subscriptions.wanted(&client);
        Instance {
            subscription_id: subscription_id(&wanted, client.instance_id),
            client,
            version: self.version,
            wanted,
            last_get: None,
            last_push: None,
            terminating: false,
            last_error: ErrorCode::None,
            expires: Moment(0),
            used: 0,
            connection: 0,
        }
    }

    fn forget(&mut self, id: Uuid) {
        if let Some(instance) = self.instances.remove(&id) {
            self.by_use.remove(&instance.used);
            self.by_connection.remove(&instance.connection);
        }
        assert_eq!(self.by_use.len(), self.instances.len(), "each instance has its place in the order of use");
    }
}

impl Instance {
    fn judge(&mut self, push: Push, bytes_max: usize, now: Moment) -> Result<(), ErrorCode> {
        if self.terminating {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first push comes at any time: clients wait for a random part of the interval.
        let due = self.last_get > self.last_push || is_due(self.last_push, self.wanted.interval_ms, now);
        if due {
            self.last_push = Some(now);
        }
        match () {
            () if !due && !push.terminating => Err(ErrorCode::ThrottlingQuotaExceeded),
            () if push.subscription_id != self.subscription_id => Err(ErrorCode::UnknownSubscriptionId),
            () if !(0..=4).contains(&push.compression) => Err(ErrorCode::UnsupportedCompressionType),
            () if push.bytes > bytes_max => Err(ErrorCode::TelemetryTooLarge),
            () => Ok(()),
        }
    }
}

fn is_due(last: Option<Moment>, interval_ms: i32, now: Moment) -> bool {
    let interval = Duration::from_millis(u64::from(interval_ms.unsigned_abs()));
    last.is_none_or(|last| now.since(last) >= interval)
}

/// Names what is wanted of a client, as Kafka does where at most one name is wanted: its order of several is by chance.
fn subscription_id(wanted: &Wanted, instance: Uuid) -> i32 {
    let text = format!("[{}]{}", wanted.metrics.join(", "), wanted.interval_ms);
    let half = |bytes: &[u8]| bytes.iter().fold(0_u32, |half, byte| half << 8 | u32::from(*byte));
    let java_hash = instance.0.chunks(4).map(half).fold(0, |hash, part| hash ^ part);
    (thalweg_records::crc32c(0, text.as_bytes()) ^ java_hash).cast_signed()
}

#[cfg(test)]
mod tests;
