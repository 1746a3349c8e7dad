//! Asks a share coordinator on another node: one share partition in each request.

use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_share::state::{Failure, Key, Request, State};
use thalweg_share::{DeliveryState, StateBatch};
use thalweg_sys::time::Duration;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::drivers::peers::Peers;

/// The way to another node's coordinator.
pub(super) struct Remote<'a> {
    pub(super) peers: &'a Peers,
    pub(super) image: &'a MetadataImage,
    pub(super) node: NodeId,
    pub(super) timeout: Duration,
}

/// Takes the one partition out of an answer. An answer about another one, or none, is malformed.
macro_rules! only_result {
    ($response:expr, $index:expr) => {{
        let partitions = $response.results.into_iter().flat_map(|topic| topic.partitions);
        let mut wanted = partitions.filter(|result| result.partition == $index);
        let result = wanted.next().ok_or(Failure::from(ErrorCode::UnknownServerError))?;
        match ErrorCode::from(result.error_code) {
            ErrorCode::None => Ok(result),
            error => Err(Failure::from(error)),
        }
    }};
}

impl Remote<'_> {
    /// Asks, and waits for the answer. Errors of the connection are those of a coordinator that is not available.
    pub(super) async fn ask(&self, key: &Key, request: &Request) -> Result<Option<State>, Failure> {
        match request {
            Request::Initialize { state_epoch, start_offset } => {
                self.initialize(key, *state_epoch, *start_offset).await
            }
            Request::Write { .. } => self.write(key, request).await,
            Request::Read { leader_epoch } => self.read(key, *leader_epoch).await,
            Request::ReadSummary => self.read_summary(key).await,
            Request::Delete => self.delete(key).await,
        }
    }

    async fn send<Q: thalweg_wire::Request>(&self, request: &Q) -> Result<Q::Response, Failure> {
        let sent = self.peers.send(self.image, self.node, request, self.timeout).await;
        sent.map_err(|_| Failure::from(ErrorCode::CoordinatorNotAvailable))
    }

    async fn initialize(&self, key: &Key, state_epoch: i32, start_offset: i64) -> Result<Option<State>, Failure> {
        use m::initialize_share_group_state_request::{InitializeStateData, PartitionData};
        let partitions = vec![PartitionData { partition: key.partition, state_epoch, start_offset }];
        let topics = vec![InitializeStateData { topic_id: key.topic, partitions }];
        let request = m::InitializeShareGroupStateRequest { group_id: key.group.clone(), topics };
        let response = self.send(&request).await?;
        only_result!(response, key.partition).map(|_| None)
    }

    async fn write(&self, key: &Key, request: &Request) -> Result<Option<State>, Failure> {
        use m::write_share_group_state_request::{PartitionData, WriteStateData};
        let Request::Write { state_epoch, leader_epoch, start_offset, delivery_complete_count, batches } = request
        else {
            unreachable!("only writes come here")
        };
        let batch = |batch: &StateBatch| m::write_share_group_state_request::StateBatch {
            first_offset: batch.first,
            last_offset: batch.last,
            delivery_state: batch.state as i8,
            delivery_count: batch.delivery_count,
        };
        let partition = PartitionData {
            partition: key.partition,
            state_epoch: *state_epoch,
            leader_epoch: *leader_epoch,
            start_offset: *start_offset,
            delivery_complete_count: *delivery_complete_count,
            state_batches: batches.iter().map(batch).collect(),
        };
        let topics = vec![WriteStateData { topic_id: key.topic, partitions: vec![partition] }];
        let request = m::WriteShareGroupStateRequest { group_id: key.group.clone(), topics };
        let response = self.send(&request).await?;
        only_result!(response, key.partition).map(|_| None)
    }

    async fn read(&self, key: &Key, leader_epoch: i32) -> Result<Option<State>, Failure> {
        use m::read_share_group_state_request::{PartitionData, ReadStateData};
        let partitions = vec![PartitionData { partition: key.partition, leader_epoch }];
        let topics = vec![ReadStateData { topic_id: key.topic, partitions }];
        let request = m::ReadShareGroupStateRequest { group_id: key.group.clone(), topics };
        let response = self.send(&request).await?;
        let result = only_result!(response, key.partition)?;
        let batch = |batch: &m::read_share_group_state_response::StateBatch| {
            let state = DeliveryState::from_i8(batch.delivery_state)?;
            let (first, last, delivery_count) = (batch.first_offset, batch.last_offset, batch.delivery_count);
            Some(StateBatch { first, last, state, delivery_count })
        };
        Ok(Some(State {
            state_epoch: result.state_epoch,
            leader_epoch,
            start_offset: result.start_offset,
            delivery_complete_count: -1,
            batches: result.state_batches.iter().filter_map(batch).collect(),
        }))
    }

    async fn read_summary(&self, key: &Key) -> Result<Option<State>, Failure> {
        use m::read_share_group_state_summary_request::{PartitionData, ReadStateSummaryData};
        let partitions = vec![PartitionData { partition: key.partition, leader_epoch: -1 }];
        let topics = vec![ReadStateSummaryData { topic_id: key.topic, partitions }];
        let request = m::ReadShareGroupStateSummaryRequest { group_id: key.group.clone(), topics };
        let response = self.send(&request).await?;
        let result = only_result!(response, key.partition)?;
        Ok(Some(State {
            state_epoch: result.state_epoch,
            leader_epoch: result.leader_epoch,
            start_offset: result.start_offset,
            delivery_complete_count: result.delivery_complete_count,
            batches: Vec::new(),
        }))
    }

    async fn delete(&self, key: &Key) -> Result<Option<State>, Failure> {
        use m::delete_share_group_state_request::{DeleteStateData, PartitionData};
        let partitions = vec![PartitionData { partition: key.partition }];
        let topics = vec![DeleteStateData { topic_id: key.topic, partitions }];
        let request = m::DeleteShareGroupStateRequest { group_id: key.group.clone(), topics };
        let response = self.send(&request).await?;
        only_result!(response, key.partition).map(|_| None)
    }
}
