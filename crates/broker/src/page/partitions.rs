//! Single partitions: their logs and their replicas.

use thalweg_base::metrics::Kind;

use super::survey::{Replication, Survey};
use super::{Gone, Page};
use crate::drivers::partition::{LogView, View};

/// A gauge of each log: Kafka's bean, what it says, and where it stands.
type OfLog = (&'static str, &'static str, fn(&LogView) -> i64);

const LOG: [OfLog; 4] = [
    ("size", "Bytes of the log.", |log| log.bytes.cast_signed()),
    ("logstartoffset", "Where the log begins.", |log| log.start.0),
    ("logendoffset", "Where the log ends.", |log| log.end.0),
    ("numlogsegments", "Segments of the log.", |log| i64::try_from(log.segments).unwrap_or(i64::MAX)),
];

/// A gauge of each partition.
type OfPartition = (&'static str, &'static str, fn(&View, &Replication) -> i64);

const PARTITION: [OfPartition; 6] = [
    ("underreplicated", "Whether some replica is not in sync.", |_, r| r.is_under_replicated().into()),
    ("underminisr", "Whether fewer replicas are in sync than min.insync.replicas.", |_, r| r.is_under_min().into()),
    ("atminisr", "Whether no more replicas are in sync than there must be.", |_, r| r.is_at_min().into()),
    ("insyncreplicascount", "Replicas in sync, 0 where another node leads.", |_, r| count(r.in_sync)),
    ("replicascount", "Replicas, 0 where another node leads.", |_, r| count(r.replicas)),
    ("laststableoffsetlag", "Committed records that open transactions hide.", |view, _| {
        match (view.log, view.high_watermark) {
            (Some(log), Some(high_watermark)) => high_watermark.0 - log.last_stable.0,
            _ => 0,
        }
    }),
];

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) async fn write(page: &mut Page, survey: &Survey) -> Result<(), Gone> {
    for (bean, help, of) in LOG {
        page.text.family(&format!("kafka_log_log_{bean}"), Kind::Gauge, help);
        for (view, _) in &survey.partitions {
            if let Some(log) = &view.log {
                page.text.sample(&[("topic", &view.id.topic), ("partition", &view.id.partition)], of(log));
                page.flush_if_long().await?;
            }
        }
    }
    for (bean, help, of) in PARTITION {
        page.text.family(&format!("kafka_cluster_partition_{bean}"), Kind::Gauge, help);
        for (view, replication) in &survey.partitions {
            let value = of(view, replication);
            page.text.sample(&[("topic", &view.id.topic), ("partition", &view.id.partition)], value);
            page.flush_if_long().await?;
        }
    }
    Ok(())
}
