//! By what right records of a request are appended.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::TopicPartition;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::produce_response::PartitionProduceResponse;

use crate::drivers::guard::Guard;
use crate::drivers::partition::Partition;

/// By what right records of a request are appended, or why they are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards(BTreeMap<TopicPartition, Result<Guard, (ErrorCode, Option<String>)>>);

impl Guards {
    /// What counts for a partition.
    pub(super) fn of(&self, place: &Partition) -> Result<Guard, PartitionProduceResponse> {
        match self.0.get(&place.id) {
            Some(Ok(guard)) => Ok(*guard),
            Some(Err((error, message))) => Err(PartitionProduceResponse {
                error_message: message.as_deref().map(ByteString::from),
                ..failed(place.id.partition, *error)
            }),
            None => Ok(Guard::Open),
        }
    }

    /// Records of this partition are appended as `guard` allows.
    pub(super) fn allow(&mut self, place: TopicPartition, guard: Guard) {
        self.0.insert(place, Ok(guard));
    }

    /// Records of this partition are refused.
    pub(super) fn refuse(&mut self, place: TopicPartition, why: (ErrorCode, Option<String>)) {
        self.0.insert(place, Err(why));
    }
}

/// The answer of a partition whose records are not appended.
pub(super) fn failed(index: i32, error: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse { index, error_code: error.code(), base_offset: -1, ..PartitionProduceResponse::default() }
}
