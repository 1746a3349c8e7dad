//! Transactions (KIP-98, KIP-360, KIP-890): records and offsets that are committed together or not at all.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use thalweg_sys::time::{Instant, now, sleep};
use thalweg_wire::messages as m;
use thalweg_wire::{ErrorCode, Request};

use super::Producer;
use super::batch::Identity;
use crate::error::Api;
use crate::{Destination, Error};

/// The last version of AddPartitionsToTxn for clients: later ones are between brokers.
const ADD_PARTITIONS_MAX: i16 = 3;
/// The last versions for clusters without `transaction.version` 2.
const END_BEFORE_VERSION_2: i16 = 4;
const OFFSETS_BEFORE_VERSION_2: i16 = 4;
/// The highest version of anything.
const NO_LIMIT: i16 = i16::MAX;

/// What a transactional producer may do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Initialize.
    #[default]
    New,
    /// Begin.
    Ready,
    /// Send, commit, abort.
    Open,
}

/// The transaction of a producer.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    state: State,
    /// Whether the cluster has `transaction.version` 2: partitions are added by writing to them, and every transaction has
    /// an epoch of its own.
    version_2: bool,
    added: BTreeSet<TopicPartition>,
    /// Whether the coordinator knows of the transaction.
    is_known: bool,
    /// Why it can only be aborted.
    failure: Option<Error>,
}

impl Transaction {
    /// Whether records may be added.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match (&self.failure, self.state) {
            (Some(error), _) => Err(error.clone()),
            (None, State::Open) => Ok(()),
            (None, State::New | State::Ready) => Err(Error::State("no transaction was begun")),
        }
    }

    pub(super) fn has(&self, partition: &TopicPartition) -> bool {
        self.added.contains(partition)
    }

    pub(super) fn is_version_2(&self) -> bool {
        self.version_2
    }

    /// Something of the transaction was not written: it can only be aborted.
    pub(super) fn failed(&mut self, error: &Error) {
        if self.state == State::Open {
            self.failure.get_or_insert_with(|| error.clone());
        }
    }
}

/// The member of a group whose offsets are committed in a transaction; the default is nobody in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `group.id`.
    pub group: String,
    /// The generation, or the member's epoch; -1 for none.
    pub generation: i32,
    /// The member's id.
    pub member: String,
    /// `group.instance.id`.
    pub instance: Option<String>,
}

impl GroupMetadata {
    /// Offsets of a group without a member's protection against others.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), generation: -1, member: String::new(), instance: None }
    }
}

impl Producer {
    /// Registers the `transactional.id`: transactions of other producers with the same one are ended, and they are fenced.
    ///
    /// # Errors
    /// When the producer is not transactional, or the coordinator refuses or is not reached by `deadline`.
    pub async fn init_transactions(&self, deadline: Instant) -> Result<(), Error> {
        self.expect_state(State::New, "the producer is initialized already")?;
        self.init_identity(None, deadline).await?;
        let version = self.transaction_version(deadline).await?;
        self.with_transaction(|transaction| {
            transaction.version_2 = version >= 2;
            transaction.state = State::Ready;
        });
        Ok(())
    }

    /// Begins a transaction. All that is sent from now on belongs to it.
    ///
    /// # Errors
    /// When the producer is not initialized, or the last transaction is still open.
    pub fn begin_transaction(&self) -> Result<(), Error> {
        self.expect_state(State::Ready, "a transaction is open, or the producer is not initialized")?;
        self.with_transaction(|transaction| {
            *transaction =
                Transaction { state: State::Open, version_2: transaction.version_2, ..Transaction::default() };
        });
        Ok(())
    }

    /// Commits offsets of a group with the transaction: the next records that it reads.
    ///
    /// # Errors
    /// When the coordinator refuses or is not reached by `deadline`. Then the transaction can only be aborted.
    pub async fn send_offsets(
        &self,
        offsets: &BTreeMap<TopicPartition, (Offset, LeaderEpoch)>,
        group: &GroupMetadata,
        deadline: Instant,
    ) -> Result<(), Error> {
        self.check_open()?;
        let result = self.try_send_offsets(offsets, group, deadline).await;
        self.note(result)
    }

    /// Commits the transaction. Waits until all of its records are written.
    ///
    /// # Errors
    /// When a record was not written, or the coordinator refuses or is not reached by `deadline`. Then the transaction
    /// is still open; only aborting it can help, unless the error is one that time may heal.
    pub async fn commit_transaction(&self, deadline: Instant) -> Result<(), Error> {
        self.check_open()?;
        self.flush(deadline).await?;
        self.check_open()?;
        self.end_transaction(true, deadline).await
    }

    /// Aborts the transaction. What was not sent yet is given up.
    ///
    /// # Errors
    /// When the coordinator refuses or is not reached by `deadline`.
    pub async fn abort_transaction(&self, deadline: Instant) -> Result<(), Error> {
        self.expect_state(State::Open, "no transaction was begun")?;
        self.shared().fail_waiting(&Error::State("the transaction was aborted"));
        self.flush(deadline).await?;
        self.end_transaction(false, deadline).await?;
        let needs_epoch = {
            let accumulator = self.shared().accumulator.lock();
            accumulator.transaction.as_ref().is_some_and(|transaction| !transaction.version_2)
        };
        // What was given up has left gaps in the sequence numbers, which a new epoch forgets (KIP-360).
        if needs_epoch {
            let identity = self.shared().accumulator.lock().identity;
            self.init_identity(identity, deadline).await?;
        }
        Ok(())
    }

    /// Adds a partition to the transaction, before the first record is sent to it.
    pub(super) async fn add_to_transaction(&self, partition: TopicPartition) -> Result<(), Error> {
        let is_version_2 = self.shared().accumulator.lock().transaction.as_ref().is_some_and(Transaction::is_version_2);
        if !is_version_2 {
            let identity = self.identity()?;
            let topic = m::add_partitions_to_txn_request::AddPartitionsToTxnTopic {
                name: partition.topic.to_string().into(),
                partitions: vec![partition.partition],
            };
            let request = m::AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.transactional_id(),
                v3_and_below_producer_id: identity.id.0,
                v3_and_below_producer_epoch: identity.epoch.0,
                v3_and_below_topics: vec![topic],
                ..m::AddPartitionsToTxnRequest::default()
            };
            let deadline = now() + self.shared().config.block_max;
            let code = |response: &m::AddPartitionsToTxnResponse| {
                let results = response.results_by_topic_v3_and_below.iter();
                results
                    .flat_map(|topic| &topic.results_by_partition)
                    .map(|result| result.partition_error_code)
                    .collect()
            };
            let result = self.ask_coordinator(&request, ADD_PARTITIONS_MAX, deadline, code).await;
            self.note(result)?;
        }
        self.with_transaction(|transaction| {
            transaction.added.insert(partition);
            transaction.is_known = true;
        });
        Ok(())
    }

    async fn try_send_offsets(
        &self,
        offsets: &BTreeMap<TopicPartition, (Offset, LeaderEpoch)>,
        group: &GroupMetadata,
        deadline: Instant,
    ) -> Result<(), Error> {
        let identity = self.identity()?;
        let is_version_2 = self.shared().accumulator.lock().transaction.as_ref().is_some_and(Transaction::is_version_2);
        if !is_version_2 {
            let request = m::AddOffsetsToTxnRequest {
                transactional_id: self.transactional_id(),
                producer_id: identity.id.0,
                producer_epoch: identity.epoch.0,
                group_id: group.group.as_str().into(),
            };
            self.ask_coordinator(&request, NO_LIMIT, deadline, |response| vec![response.error_code]).await?;
        }
        self.with_transaction(|transaction| transaction.is_known = true);
        let request = m::TxnOffsetCommitRequest {
            transactional_id: self.transactional_id(),
            group_id: group.group.as_str().into(),
            producer_id: identity.id.0,
            producer_epoch: identity.epoch.0,
            generation_id: group.generation,
            member_id: group.member.as_str().into(),
            group_instance_id: group.instance.as_deref().map(Into::into),
            topics: offset_topics(offsets),
        };
        let limit = if is_version_2 { NO_LIMIT } else { OFFSETS_BEFORE_VERSION_2 };
        let destination = Destination::GroupCoordinator(group.group.as_str().into());
        self.ask(&destination, &request, limit, deadline, |response| {
            response.topics.iter().flat_map(|topic| &topic.partitions).map(|answer| answer.error_code).collect()
        })
        .await
        .map(drop)
    }

    async fn end_transaction(&self, committed: bool, deadline: Instant) -> Result<(), Error> {
        let (is_known, is_version_2) = {
            let accumulator = self.shared().accumulator.lock();
            let transaction = accumulator.transaction.as_ref();
            transaction.map_or((false, false), |transaction| (transaction.is_known, transaction.version_2))
        };
        if is_known {
            let identity = self.identity()?;
            let request = m::EndTxnRequest {
                transactional_id: self.transactional_id(),
                producer_id: identity.id.0,
                producer_epoch: identity.epoch.0,
                committed,
            };
            let limit = if is_version_2 { NO_LIMIT } else { END_BEFORE_VERSION_2 };
            let response =
                self.ask_coordinator(&request, limit, deadline, |response| vec![response.error_code]).await?;
            if response.producer_id >= 0 {
                self.shared().accumulator.lock().identity = Some(Identity {
                    id: ProducerId(response.producer_id),
                    epoch: ProducerEpoch(response.producer_epoch),
                });
            }
        }
        self.with_transaction(|transaction| {
            transaction.state = State::Ready;
            transaction.failure = None;
        });
        Ok(())
    }

    /// Gets an id and an epoch; with a current one, its next epoch.
    async fn init_identity(&self, current: Option<Identity>, deadline: Instant) -> Result<(), Error> {
        let config = &self.shared().config;
        let request = m::InitProducerIdRequest {
            transactional_id: Some(self.transactional_id()),
            transaction_timeout_ms: i32::try_from(config.transaction_timeout.as_millis()).unwrap_or(i32::MAX),
            producer_id: current.map_or(-1, |identity| identity.id.0),
            producer_epoch: current.map_or(-1, |identity| identity.epoch.0),
            ..m::InitProducerIdRequest::default()
        };
        let response = self.ask_coordinator(&request, NO_LIMIT, deadline, |response| vec![response.error_code]).await?;
        let identity = Identity { id: ProducerId(response.producer_id), epoch: ProducerEpoch(response.producer_epoch) };
        self.shared().accumulator.lock().identity = Some(identity);
        Ok(())
    }

    async fn transaction_version(&self, deadline: Instant) -> Result<i16, Error> {
        let destination = Destination::TransactionCoordinator(self.transactional_id().to_string().into());
        let client = &self.shared().client;
        let connection = client.connection(&destination, crate::Lane::Requests, deadline).await?;
        Ok(connection.versions().feature("transaction.version"))
    }

    /// Asks the transaction coordinator.
    async fn ask_coordinator<Q: Request>(
        &self,
        request: &Q,
        limit: i16,
        deadline: Instant,
        codes: impl Fn(&Q::Response) -> Vec<i16>,
    ) -> Result<Q::Response, Error> {
        let destination = Destination::TransactionCoordinator(self.transactional_id().to_string().into());
        self.ask(&destination, request, limit, deadline, codes).await
    }

    /// Asks until the answer is not that an earlier transaction is still being ended, or another that time heals.
    async fn ask<Q: Request>(
        &self,
        destination: &Destination,
        request: &Q,
        limit: i16,
        deadline: Instant,
        codes: impl Fn(&Q::Response) -> Vec<i16>,
    ) -> Result<Q::Response, Error> {
        let client = &self.shared().client;
        loop {
            let response = client.send_limited(destination, request, limit, deadline).await?;
            let code = codes(&response).into_iter().map(ErrorCode::from).find(|code| code.is_error());
            let Some(code) = code else { return Ok(response) };
            let wait = client.config().retry.initial;
            let again = code.is_retriable() || code == ErrorCode::ConcurrentTransactions;
            if !again || now() + wait >= deadline {
                return Err(Error::Coordinator { destination: destination.clone(), api: Api(Q::API), code });
            }
            sleep(wait).await;
        }
    }

    fn transactional_id(&self) -> bytestring::ByteString {
        self.shared().config.transactional_id.clone().unwrap_or_default()
    }

    fn identity(&self) -> Result<Identity, Error> {
        self.shared().accumulator.lock().identity.ok_or(Error::State("the producer is not initialized"))
    }

    fn check_open(&self) -> Result<(), Error> {
        match &self.shared().accumulator.lock().transaction {
            Some(transaction) => transaction.check_open(),
            None => Err(Error::State("the producer has no transactional.id")),
        }
    }

    fn expect_state(&self, state: State, otherwise: &'static str) -> Result<(), Error> {
        match &self.shared().accumulator.lock().transaction {
            Some(transaction) if transaction.state == state => Ok(()),
            Some(_) => Err(Error::State(otherwise)),
            None => Err(Error::State("the producer has no transactional.id")),
        }
    }

    fn with_transaction(&self, change: impl FnOnce(&mut Transaction)) {
        if let Some(transaction) = &mut self.shared().accumulator.lock().transaction {
            change(transaction);
        }
    }

    /// A failure that makes the transaction one that can only be aborted is kept.
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.with_transaction(|transaction| transaction.failed(error));
        }
        result
    }
}

fn offset_topics(
    offsets: &BTreeMap<TopicPartition, (Offset, LeaderEpoch)>,
) -> Vec<m::txn_offset_commit_request::TxnOffsetCommitRequestTopic> {
    use m::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
    let mut topics: BTreeMap<&str, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, (offset, epoch)) in offsets {
        topics.entry(&partition.topic).or_default().push(TxnOffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: offset.0,
            committed_leader_epoch: epoch.0,
            committed_metadata: Some(bytestring::ByteString::new()),
        });
    }
    let topic = |(name, partitions): (&str, Vec<TxnOffsetCommitRequestPartition>)| TxnOffsetCommitRequestTopic {
        name: name.into(),
        partitions,
    };
    topics.into_iter().map(topic).collect()
}
