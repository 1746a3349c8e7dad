//! The metrics of clients (KIP-714): clients ask what they are to push, push it, and `/metrics` shows it.
//!
//! Apache Kafka hands what clients push to a plug-in, and does not tell them that it can be asked without one. Here the node
//! shows it itself, and says nothing of it where it shows nothing: without `thalweg.http.listen`.

mod instances;
mod otlp;
mod pushed;
mod subscriptions;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use thalweg_base::metrics::Counter;
use thalweg_base::{Moment, Uuid};
use thalweg_metadata::MetadataImage;
use thalweg_records::Compression;
use thalweg_records::compression::decompress;
use thalweg_wire::ErrorCode;
use tracing::{debug, info, warn};

pub(crate) use instances::{ConnectionId, Push, Refused, Subscribed};
use instances::{INSTANCES_MAX, Instances};
use pushed::Pushed;
pub(crate) use pushed::Series;
pub(crate) use subscriptions::Client;
use subscriptions::Subscriptions;

/// So many times more than `telemetry.max.bytes` may come out of compressed metrics: such text shrinks to a tenth.
const INFLATED_FACTOR: usize = 16;

/// Who sees what clients push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// Whoever reads `/metrics`.
    Page,
    /// Nobody: clients are not told of these APIs, and what one pushes nevertheless is taken and dropped unread, as Kafka
    /// does without a receiver.
    Nobody,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Telemetry {
    receiver: Receiver,
    /// `telemetry.max.bytes`
    pub(crate) bytes_max: i32,
    instances: Mutex<Instances>,
    pushed: Mutex<Pushed>,
    pub(crate) taken: Counter,
    pub(crate) unreadable: Counter,
}

impl Telemetry {
    pub(crate) fn new(receiver: Receiver, bytes_max: i32, image: &MetadataImage) -> Self {
        let this = Self {
            receiver,
            bytes_max,
            instances: Mutex::new(Instances::new(usize::try_from(bytes_max).unwrap_or(0), INSTANCES_MAX)),
            pushed: Mutex::default(),
            taken: Counter::default(),
            unreadable: Counter::default(),
        };
        this.follow(image);
        this
    }

    /// The cluster has changed: other metrics may be wanted.
    pub(crate) fn follow(&self, image: &MetadataImage) {
        let (subscriptions, odd) = Subscriptions::read(image);
        if !self.instances.lock().subscriptions(subscriptions) {
            return;
        }
        info!("other metrics are wanted of clients from now on");
        for expression in odd {
            warn!(expression, "a subscription matches no client: its expression cannot be used here");
        }
    }

    pub(crate) fn disconnected(&self, connection: ConnectionId) {
        self.instances.lock().disconnected(connection);
    }

    /// A client asks what it is to push.
    pub(crate) fn get(&self, client: Client, connection: ConnectionId, now: Moment) -> Result<Subscribed, ErrorCode> {
        self.instances(now).get(client, connection, now)
    }

    /// A client pushes `metrics`. This takes a moment for each of them.
    pub(crate) fn push(
        &self,
        client: Client,
        connection: ConnectionId,
        push: Push,
        metrics: &Bytes,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        let expires = self.instances(now).push(client.clone(), connection, push, now)?;
        if metrics.is_empty() || self.receiver == Receiver::Nobody {
            return Ok(());
        }
        self.taken.increment();
        let id = client.instance_id;
        self.show(client, push.compression, metrics, expires).map_err(|why| {
            debug!(client = %id, "what a client has pushed cannot be read: {why}");
            self.unreadable.increment();
            self.instances.lock().unreadable(&id);
            ErrorCode::InvalidRecord
        })
    }

    fn show(&self, client: Client, compression: i8, metrics: &Bytes, expires: Moment) -> Result<(), String> {
        let compression = u8::try_from(compression).map_err(|e| e.to_string())?;
        let compression = Compression::from_id(compression).map_err(|e| e.to_string())?;
        let limit = usize::try_from(self.bytes_max).unwrap_or(0).saturating_mul(INFLATED_FACTOR);
        let plain = decompress(compression, metrics, limit).map_err(|e| e.to_string())?;
        let mut pushed = self.pushed.lock();
        otlp::read(&plain, &mut pushed.begin(client, expires)).map_err(|e| e.to_string())
    }

    /// What clients have pushed lately.
    pub(crate) fn pushed(&self, now: Moment) -> MutexGuard<'_, Pushed> {
        let mut pushed = self.pushed.lock();
        pushed.expire(now);
        pushed
    }

    /// How many clients are known, and how often some were refused.
    pub(crate) fn counts(&self, now: Moment) -> (usize, Refused) {
        let instances = self.instances(now);
        (instances.len(), instances.refused())
    }

    fn instances(&self, now: Moment) -> MutexGuard<'_, Instances> {
        let mut instances = self.instances.lock();
        instances.expire_if_due(now);
        instances
    }

    /// An id for a client that has none.
    pub(crate) fn new_id() -> Uuid {
        Uuid::from_random(thalweg_sys::random::bytes16())
    }
}
