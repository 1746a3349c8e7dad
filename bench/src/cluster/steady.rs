//! A producer with a steady rate that notes when each record was due and when it was acknowledged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};

use crate::broker::Broker;
use crate::load;

/// Records a second.
const RATE: u32 = 1_000;
/// How long the last records may take.
const LAST_MAX: Duration = Duration::from_secs(120);

/// A record that was acknowledged, by the time since the producer began.
#[derive(Clone, Copy)]
pub struct Acknowledged {
    /// Its partition.
    pub partition: i32,
    /// When it was to be sent.
    pub due: Duration,
    /// When its acknowledgement came.
    pub at: Duration,
}

struct Notes {
    origin: Instant,
    acknowledged: Mutex<Vec<Acknowledged>>,
    failed: Mutex<Option<String>>,
}

impl ClientContext for Notes {}

impl ProducerContext for Notes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let at = self.origin.elapsed();
        match result {
            Ok(record) => {
                let due = load::due_of(record).unwrap_or_default();
                if let Ok(mut all) = self.acknowledged.lock() {
                    all.push(Acknowledged { partition: record.partition(), due, at });
                }
            }
            Err((e, _)) => {
                if let Ok(mut failed) = self.failed.lock() {
                    failed.get_or_insert_with(|| e.to_string());
                }
            }
        }
    }
}

/// Produces with `acks=all` and idempotence to the partitions of a topic in turn until `meanwhile` has returned. `meanwhile`
/// gets the time at which the producer began. All records are acknowledged then, or it is an error.
pub fn during<T>(
    view: &Broker,
    topic: &str,
    partitions: i32,
    meanwhile: impl FnOnce(Instant) -> Result<T, String>,
) -> Result<(Vec<Acknowledged>, T), String> {
    let mut config = view.config();
    config.set("enable.idempotence", "true").set("linger.ms", "0").set("queue.buffering.max.messages", "1000000");
    let origin = Instant::now();
    let notes = Notes { origin, acknowledged: Mutex::default(), failed: Mutex::default() };
    let producer: BaseProducer<Notes> = config.create_with_context(notes).map_err(|e| e.to_string())?;
    let stop = AtomicBool::new(false);
    let (sent, result) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            load::on_schedule(&producer, (topic, partitions), RATE, origin, |_| !stop.load(Ordering::Relaxed))
        });
        let polling = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(5));
            }
        });
        let result = meanwhile(origin);
        stop.store(true, Ordering::Relaxed);
        let sent = sending.join().unwrap_or_else(|_| Err("the producer has failed".to_owned()));
        let _ = polling.join();
        (sent, result)
    });
    let sent = sent?;
    producer.flush(LAST_MAX).map_err(|e| format!("not everything was acknowledged: {e}"))?;
    let failed = producer.context().failed.lock().map_err(|e| e.to_string())?.take();
    if let Some(why) = failed {
        return Err(format!("a record was not acknowledged: {why}"));
    }
    let all = std::mem::take(&mut *producer.context().acknowledged.lock().map_err(|e| e.to_string())?);
    if all.len() != sent {
        return Err(format!("{} of {sent} records were acknowledged", all.len()));
    }
    Ok((all, result?))
}
