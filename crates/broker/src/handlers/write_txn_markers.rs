//! WriteTxnMarkers: a transaction coordinator, or an administrator, says how transactions have ended.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_transactions::{Producer, Written};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::write_txn_markers_request::{WritableTxnMarker, WriteTxnMarkersRequest};
use thalweg_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult, WriteTxnMarkersResponse,
};
use tokio::sync::oneshot;

use crate::call::Call;
use crate::drivers::marker::Marker;

/// The results of one producer, by topic and partition: several markers of it are answered as one.
type Results = BTreeMap<ByteString, BTreeMap<i32, i16>>;

pub(crate) async fn handle(call: Call, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut by_producer: BTreeMap<i64, Results> = BTreeMap::new();
    for marker in &request.markers {
        let results = by_producer.entry(marker.producer_id).or_default();
        for Written { topic, partition, result } in written(&call, marker).await {
            let error = result.err().unwrap_or(ErrorCode::None);
            results.entry((&*topic).into()).or_default().insert(partition, error.code());
        }
    }
    let markers = by_producer.into_iter().map(|(producer_id, topics)| {
        let topics = topics.into_iter().map(|(name, partitions)| {
            let partition =
                |(partition_index, error_code)| WritableTxnMarkerPartitionResult { partition_index, error_code };
            WritableTxnMarkerTopicResult { name, partitions: partitions.into_iter().map(partition).collect() }
        });
        WritableTxnMarkerResult { producer_id, topics: topics.collect() }
    });
    WriteTxnMarkersResponse { markers: markers.collect() }
}

async fn written(call: &Call, marker: &WritableTxnMarker) -> Vec<Written> {
    let places =
        marker.topics.iter().flat_map(|topic| topic.partition_indexes.iter().map(move |index| (topic, *index)));
    let markers = places.map(|(topic, partition)| Marker {
        topic: Box::from(&*topic.name),
        partition,
        producer: Producer { id: ProducerId(marker.producer_id), epoch: ProducerEpoch(marker.producer_epoch) },
        committed: marker.transaction_result,
        coordinator_epoch: marker.coordinator_epoch,
        transaction_version: i16::from(marker.transaction_version),
    });
    let (sender, receiver) = oneshot::channel();
    call.broker.transactions.markers().write_then(markers.collect(), move |written| {
        // Whoever asked may have left.
        let _ = sender.send(written);
    });
    receiver.await.unwrap_or_default()
}
