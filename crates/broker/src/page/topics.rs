//! What topics take and give.

use thalweg_base::metrics::Kind;

use super::survey::Survey;
use super::{Gone, Page};
use crate::broker::Broker;
use crate::metrics::Total;

/// A counter of each topic and of all: Kafka's bean, what it counts, and where it stands.
type OfTopics = (&'static str, &'static str, fn(&Total) -> u64);

const COUNTERS: [OfTopics; 8] = [
    ("messagesin", "Records that producers have appended.", |total| total.messages_in),
    ("bytesin", "Bytes that producers have appended.", |total| total.bytes_in),
    ("bytesout", "Bytes of records that consumers were given.", |total| total.bytes_out),
    ("bytesrejected", "Bytes of batches that were too large.", |total| total.bytes_rejected),
    ("totalproducerequests", "Requests to append, by partition.", |total| total.produce_requests),
    ("totalfetchrequests", "Requests for records, by partition.", |total| total.fetch_requests),
    ("failedproducerequests", "Appends that failed for no fault of the producer.", |total| total.failed_produce),
    ("failedfetchrequests", "Reads that failed for no fault of the consumer.", |total| total.failed_fetch),
];

pub(super) async fn write(page: &mut Page, broker: &Broker, survey: &Survey) -> Result<(), Gone> {
    for (bean, help, of) in COUNTERS {
        // Confluent's rules keep the bean's own ending.
        for ending in ["_total", "persec"] {
            page.text.family(&format!("kafka_server_brokertopicmetrics_{bean}{ending}"), Kind::Counter, help);
            page.text.sample(&[], of(&survey.all));
            for (topic, total) in &survey.topics {
                page.text.sample(&[("topic", topic)], of(total));
                page.flush_if_long().await?;
            }
        }
    }
    let refused = &broker.metrics.refused;
    for (bean, help, counter) in [
        ("invalidmagicnumberrecords", "Batches of an unknown format.", &refused.magic),
        ("invalidmessagecrcrecords", "Batches with a wrong checksum.", &refused.checksum),
        ("invalidoffsetorsequencerecords", "Batches with wrong offsets or sequences.", &refused.offset_or_sequence),
        ("nokeycompactedtopicrecords", "Batches without a key for a compacted topic.", &refused.key),
    ] {
        page.counter(&format!("kafka_server_brokertopicmetrics_{bean}_total"), help, counter.get());
    }
    Ok(())
}
