//! The producer: batches records and writes each once.

mod accumulator;
mod batch;
mod config;
mod keeper;
mod partitioner;
mod queue;
mod sender;
mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_base::{NodeId, Timestamp};
use thalweg_records::RecordHeader;
use thalweg_sys::time::{Instant, now, timeout_at};
use tokio::sync::{Notify, Semaphore};

use crate::{Client, Error};
use accumulator::{Accumulator, Appended};
pub use batch::{Delivery, RecordMetadata};
pub use config::{Acks, ProducerConfig};
pub use partitioner::{murmur2, partition_for_key};
pub use transaction::GroupMetadata;
use transaction::Transaction;

/// What a record takes beside its bytes: lengths, its place in the batch, and who waits for it.
const RECORD_OVERHEAD: usize = 32;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` leaves it to the key, or to the producer.
    pub partition: Option<i32>,
    /// The time; `None` is now.
    pub timestamp: Option<Timestamp>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<RecordHeader>,
}

impl ProducerRecord {
    /// A record with nothing but a value.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key: None,
            value: Some(value.into()),
            headers: Vec::new(),
        }
    }

    /// The same record with a key.
    #[must_use]
    pub fn with_key(self, key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|header| header.key.len() + len(&header.value) + 4).sum();
        RECORD_OVERHEAD + len(&self.key) + len(&self.value) + headers
    }
}

/// Writes records. Clones share everything.
///
/// [`Producer::send`] gives a record to the batch of its partition; background tasks send the batches. With idempotence,
/// which is the default, a record that is acknowledged stands once in its partition, and the records of a partition stand
/// in the order in which they were sent, however often a batch had to be sent again.
///
/// When the last clone is dropped, what was taken is still sent; [`Producer::flush`] says whether it arrived.
///
/// ```no_run
/// use std::time::Duration;
/// use thalweg_client::{Producer, ProducerConfig, ProducerRecord, Properties};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let properties = Properties::from_iter([("bootstrap.servers", "localhost:9092"), ("compression.type", "zstd")]);
/// let producer = Producer::new(ProducerConfig::from_properties(&properties)?);
/// let delivery = producer.send(ProducerRecord::new("events", "hello").with_key("user-1")).await?;
/// println!("written to offset {:?}", delivery.wait().await?.offset);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// Ends the background tasks with the last clone.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What the producer and its tasks share.
#[derive(Debug)]
struct Shared {
    client: Client,
    config: ProducerConfig,
    accumulator: Mutex<Accumulator>,
    /// `buffer.memory`: a permit is a byte.
    memory: Semaphore,
    /// Wakes the task of each node.
    nodes: Mutex<BTreeMap<NodeId, Arc<Notify>>>,
    /// Wakes the keeper.
    keeper: Notify,
    /// Batches were finished.
    progress: Notify,
}

impl Producer {
    /// A producer. Its keeper begins at once to ask for a producer id, if it is idempotent.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(config: ProducerConfig) -> Self {
        let transaction = config.transactional_id.clone().map(|_| Transaction::default());
        let shared = Arc::new(Shared {
            client: Client::new(config.client.clone()),
            memory: Semaphore::new(config.buffer_bytes.min(Semaphore::MAX_PERMITS)),
            accumulator: Mutex::new(Accumulator::new(transaction)),
            nodes: Mutex::default(),
            keeper: Notify::new(),
            progress: Notify::new(),
            config,
        });
        thalweg_sys::task::spawn(keeper::run(Arc::clone(&shared)));
        Self { handle: Arc::new(Handle { shared }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The client below, whose connections and metadata the producer uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared().client
    }

    /// Hands a record over. Waits for memory and, the first time, for the topic's metadata, at most `max.block.ms`; then
    /// gives what to wait for until the record is written. Records go to each partition in the order in which calls of
    /// this method complete.
    ///
    /// # Errors
    /// When the record is too large, its partition does not exist, or memory or metadata did not come in time.
    pub async fn send(&self, mut record: ProducerRecord) -> Result<Delivery, Error> {
        let shared = self.shared();
        let size = record.size();
        let max = shared.config.request_bytes_max.min(shared.config.buffer_bytes);
        if size > max {
            return Err(Error::RecordTooLarge { bytes: size, max });
        }
        let deadline = now() + shared.config.block_max;
        shared.reserve(size, deadline).await?;
        loop {
            let appended = shared.accumulator.lock().append(&shared.config, &record, size);
            let next = match appended {
                Ok(Appended::Here { delivery, wake, news }) => {
                    if wake {
                        shared.wake();
                    }
                    if news {
                        shared.keeper.notify_one();
                    }
                    return Ok(delivery);
                }
                Ok(Appended::UnknownTopic) => shared.learn_topic(&record.topic, deadline).await,
                Ok(Appended::UnknownInTransaction(partition)) => {
                    record.partition = Some(partition.partition);
                    self.add_to_transaction(partition).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = next {
                shared.memory.add_permits(size);
                return Err(error);
            }
        }
    }

    /// Sends everything that was handed over so far without lingering, and waits until it is written or given up.
    ///
    /// # Errors
    /// When that takes longer than until `deadline`. What failed is said by its [`Delivery`].
    pub async fn flush(&self, deadline: Instant) -> Result<(), Error> {
        let shared = self.shared();
        let flushing = Flushing::begin(shared);
        shared.wake();
        timeout_at(deadline, shared.finished(flushing.last)).await.map_err(|_| Error::Unflushed)
    }
}

/// While there is one, nothing lingers.
struct Flushing<'a> {
    shared: &'a Shared,
    /// The id of the last batch at its beginning.
    last: u64,
}

impl<'a> Flushing<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let mut accumulator = shared.accumulator.lock();
        accumulator.flushing += 1;
        Self { shared, last: accumulator.last_id() }
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.shared.accumulator.lock().flushing -= 1;
    }
}

impl Shared {
    /// Takes so many bytes of `buffer.memory`.
    async fn reserve(&self, bytes: usize, deadline: Instant) -> Result<(), Error> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = match self.memory.try_acquire_many(permits) {
            Ok(permit) => permit,
            Err(_) => {
                self.wake();
                let waited = timeout_at(deadline, self.memory.acquire_many(permits)).await;
                let full = |_| Error::BufferFull { after: self.config.block_max };
                waited.map_err(full)?.map_err(|_| Error::Closed)?
            }
        };
        permit.forget();
        Ok(())
    }

    async fn learn_topic(&self, topic: &Arc<str>, deadline: Instant) -> Result<(), Error> {
        let names = [Arc::clone(topic)];
        let mut attempts = crate::client::Attempts::new(&self.config.client, deadline);
        loop {
            let cluster = match self.client.topics(&names, deadline).await {
                Ok(cluster) => cluster,
                // Time was up in the middle of an attempt: an earlier one may have said what is wrong with the topic.
                Err(error) => return Err(attempts.most_telling(error)),
            };
            let is_known = {
                let mut accumulator = self.accumulator.lock();
                accumulator.learn(&cluster, &names)?;
                accumulator.knows(topic)
            };
            if is_known {
                self.keeper.notify_one();
                return Ok(());
            }
            self.client.mark_outdated();
            let code = cluster.topics.get(topic).map(|topic| topic.error).filter(|code| code.is_error());
            let code = code.unwrap_or(thalweg_wire::ErrorCode::LeaderNotAvailable);
            let error = attempts.most_telling(Error::Topic { topic: Arc::clone(topic), code });
            if !attempts.again().await {
                return Err(error);
            }
        }
    }

    async fn finished(&self, last: u64) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.accumulator.lock().is_finished(last) {
                return;
            }
            progress.await;
        }
    }

    /// There may be something to send.
    fn wake(&self) {
        self.nodes.lock().values().for_each(|node| node.notify_one());
    }

    /// No further record is taken; what was taken is still sent.
    fn close(&self) {
        self.accumulator.lock().closed = true;
        self.wake();
        self.keeper.notify_one();
    }
}
