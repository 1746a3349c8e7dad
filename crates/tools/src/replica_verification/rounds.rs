//! One round: read of every replica, and compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_base::{NodeId, Offset, TopicPartition, Uuid};
use thalweg_client::{Client, Destination, Lane};
use thalweg_records::{BatchHeader, batches};
use thalweg_sys::task::spawn;
use thalweg_sys::time::{now, sleep};
use thalweg_wire::ApiKey;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use thalweg_wire::messages::{FetchRequest, FetchResponse};

/// Whom a request names that may read from any replica.
const DEBUGGING_CONSUMER: i32 = -2;
/// The version from which on a fetch names the reader in another place.
const REPLICA_STATE_SINCE: i16 = 15;
/// How long to wait before a broker that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// How partitions are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetching {
    pub(super) bytes_max: i32,
    pub(super) wait_ms: i32,
}

/// What is compared.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) replicas: BTreeMap<TopicPartition, Vec<NodeId>>,
    pub(super) ids: BTreeMap<String, Uuid>,
    /// The first offset of each partition that has not been compared.
    pub(super) next: BTreeMap<TopicPartition, Offset>,
}

/// What one replica holds from an offset on.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub(super) node: NodeId,
    pub(super) high_watermark: i64,
    pub(super) records: Bytes,
}

/// What replicas hold, by partition.
pub(super) type Fetched = BTreeMap<TopicPartition, Vec<Replica>>;

/// What a round has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Findings {
    /// What differs.
    pub(super) lines: Vec<String>,
    /// Offsets differ, so that nothing behind them can be compared.
    pub(super) is_over: bool,
    /// The largest lag behind the high watermark, where, and up to which offset it was compared.
    pub(super) lag: (i64, TopicPartition, i64),
}

impl Round {
    /// Reads every partition from each of its replicas. A broker that does not answer holds nothing this time.
    pub(super) async fn fetch(&self, client: &Client, fetching: Fetching) -> Fetched {
        let mut by_node: BTreeMap<NodeId, Vec<&TopicPartition>> = BTreeMap::new();
        for (partition, nodes) in &self.replicas {
            for node in nodes {
                by_node.entry(*node).or_default().push(partition);
            }
        }
        let flights: Vec<_> = by_node
            .into_iter()
            .map(|(node, partitions)| (node, spawn(fetch(client.clone(), node, self.request(&partitions, fetching)))))
            .collect();
        let mut fetched: Fetched = self.replicas.keys().map(|partition| (partition.clone(), Vec::new())).collect();
        for (node, flight) in flights {
            let Ok(Some(response)) = flight.await else { continue };
            for topic in response.responses {
                let name = self.ids.iter().find(|(name, id)| **name == *topic.topic || **id == topic.topic_id);
                let Some((name, _)) = name else { continue };
                for data in topic.partitions {
                    let partition = TopicPartition::new(name.as_str(), data.partition_index);
                    let records = data.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default();
                    let replica = Replica { node, high_watermark: data.high_watermark, records };
                    if let Some(replicas) = fetched.get_mut(&partition).filter(|_| data.error_code == 0) {
                        replicas.push(replica);
                    }
                }
            }
        }
        fetched
    }

    fn request(&self, partitions: &[&TopicPartition], fetching: Fetching) -> FetchRequest {
        let mut topics: BTreeMap<Arc<str>, Vec<FetchPartition>> = BTreeMap::new();
        for partition in partitions {
            topics.entry(Arc::clone(&partition.topic)).or_default().push(FetchPartition {
                partition: partition.partition,
                fetch_offset: self.next.get(*partition).map_or(0, |offset| offset.0),
                partition_max_bytes: fetching.bytes_max,
                ..FetchPartition::default()
            });
        }
        let topic = |(name, partitions): (Arc<str>, Vec<FetchPartition>)| FetchTopic {
            topic_id: self.ids.get(&*name).copied().unwrap_or_default(),
            topic: name.to_string().into(),
            partitions,
        };
        FetchRequest {
            max_wait_ms: fetching.wait_ms,
            min_bytes: 1,
            topics: topics.into_iter().map(topic).collect(),
            ..FetchRequest::default()
        }
    }

    /// Compares the batches that all replicas of a partition have below their high watermarks, and goes on behind them.
    pub(super) fn compare(&mut self, fetched: &Fetched) -> Findings {
        let mut findings = Findings { lines: Vec::new(), is_over: false, lag: (-1, TopicPartition::new("", 0), -1) };
        for (partition, replicas) in fetched {
            if replicas.len() == self.replicas.get(partition).map_or(0, Vec::len) {
                self.compare_partition(partition, replicas, &mut findings);
            }
            let next = self.next.get(partition).map_or(0, |offset| offset.0);
            let high_watermark = replicas.iter().map(|replica| replica.high_watermark).max().unwrap_or(-1);
            if high_watermark - next > findings.lag.0 {
                findings.lag = (high_watermark - next, partition.clone(), next);
            }
        }
        findings
    }

    fn compare_partition(&mut self, partition: &TopicPartition, replicas: &[Replica], findings: &mut Findings) {
        let mut held: Vec<_> = replicas.iter().map(|replica| (replica, batches(replica.records.clone()))).collect();
        loop {
            let mut first: Option<(NodeId, BatchHeader)> = None;
            for (replica, batches) in &mut held {
                // What is cut off comes again with the next round.
                let Some(Ok(batch)) = batches.next() else { return };
                let header = *batch.header();
                if header.last_offset().0 >= replica.high_watermark {
                    return;
                }
                let Some((node, other)) = first else {
                    first = Some((replica.node, header));
                    continue;
                };
                let (mine, theirs) = (header.last_offset().0, other.last_offset().0);
                if mine != theirs {
                    findings.is_over = true;
                    findings.lines.push(format!(
                        "partition {partition}: replica {}'s offset {theirs} doesn't match replica {}'s offset {mine}",
                        node.0, replica.node.0
                    ));
                    return;
                }
                if header.crc != other.crc {
                    findings.lines.push(format!(
                        "partition {partition} has unmatched checksum at offset {mine}; replica {}'s checksum {}; replica {}'s \
                         checksum {}",
                        node.0, other.crc, replica.node.0, header.crc
                    ));
                }
            }
            let Some((_, header)) = first else { return };
            self.next.insert(partition.clone(), header.next_offset());
        }
    }
}

async fn fetch(client: Client, node: NodeId, mut request: FetchRequest) -> Option<FetchResponse> {
    let deadline = now() + client.config().request_timeout;
    let answer = async {
        let connection = client.connection(&Destination::Node(node), Lane::Fetches, deadline).await?;
        let version = connection.version(ApiKey::Fetch)?;
        if version >= REPLICA_STATE_SINCE {
            request.replica_state.replica_id = DEBUGGING_CONSUMER;
        } else {
            request.replica_id = DEBUGGING_CONSUMER;
        }
        connection.send_at(&request, version, deadline).await
    };
    match answer.await {
        Ok(response) => Some(response),
        Err(_) => {
            sleep(AGAIN).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_base::Timestamp;
    use thalweg_records::{BatchBuilder, BatchOptions};

    use super::*;

    /// Batches of one record each, from an offset on.
    fn records(first: i64, values: &[&str]) -> Bytes {
        let batch = |(offset, value): (i64, &&str)| {
            let options = BatchOptions { base_offset: Offset(offset), ..BatchOptions::default() };
            let mut builder = BatchBuilder::new(options);
            builder.append(Timestamp(0), None, Some(value.as_bytes()), &[]);
            builder.build().expect("a batch")
        };
        (first..).zip(values).flat_map(batch).collect()
    }

    fn compared(held: &[(i32, i64, Bytes)]) -> (Findings, i64) {
        let partition = TopicPartition::new("t", 0);
        let mut round = Round {
            replicas: [(partition.clone(), held.iter().map(|(node, ..)| NodeId(*node)).collect())].into(),
            ids: BTreeMap::new(),
            next: [(partition.clone(), Offset(5))].into(),
        };
        let replica = |(node, high_watermark, records): &(i32, i64, Bytes)| Replica {
            node: NodeId(*node),
            high_watermark: *high_watermark,
            records: records.clone(),
        };
        let fetched = [(partition.clone(), held.iter().map(replica).collect())].into();
        let findings = round.compare(&fetched);
        (findings, round.next[&partition].0)
    }

    #[test]
    fn goes_on_behind_what_all_replicas_have_below_their_high_watermarks() {
        let (findings, next) = compared(&[(1, 8, records(5, &["a", "b", "c"])), (2, 7, records(5, &["a", "b", "c"]))]);
        assert_eq!((findings.lines, findings.is_over, next), (Vec::new(), false, 7));
        assert_eq!(findings.lag, (1, TopicPartition::new("t", 0), 7));
    }

    #[test]
    fn a_checksum_that_differs_is_named_and_passed() {
        let (one, other) = (records(5, &["a"]), records(5, &["b"]));
        let crc = |bytes: &Bytes| batches(bytes.clone()).next().expect("a batch").expect("whole").header().crc;
        let expected = format!(
            "partition t-0 has unmatched checksum at offset 5; replica 1's checksum {}; replica 2's checksum {}",
            crc(&one),
            crc(&other)
        );
        let (findings, next) = compared(&[(1, 6, one), (2, 6, other)]);
        assert_eq!((findings.lines, findings.is_over, next), (vec![expected], false, 6));
    }

    #[test]
    fn an_offset_that_differs_ends_the_comparison() {
        let (findings, next) = compared(&[(1, 9, records(5, &["a"])), (2, 9, records(6, &["a"]))]);
        let expected = "partition t-0: replica 1's offset 5 doesn't match replica 2's offset 6";
        assert_eq!((findings.lines, findings.is_over, next), (vec![expected.to_owned()], true, 5));
    }

    #[test]
    fn a_replica_that_gave_nothing_is_waited_for() {
        let (findings, next) = compared(&[(1, 9, records(5, &["a"])), (2, 9, Bytes::new())]);
        assert_eq!((findings.lines, findings.is_over, next), (Vec::new(), false, 5));
    }
}
