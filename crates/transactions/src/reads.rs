//! DescribeTransactions and ListTransactions (KIP-664).

use bytestring::ByteString;
use thalweg_coordinator::At;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use thalweg_wire::messages::list_transactions_response::TransactionState as Listed;

use crate::pattern::Filter;
use crate::shard::Shard;

impl Shard {
    /// How a transactional id is. While it is being completed, its partitions are those that are not known to know.
    pub(crate) fn describe(&self, id: &ByteString) -> Described {
        let refused = |error: ErrorCode| Described {
            error_code: error.code(),
            transactional_id: id.clone(),
            ..Described::default()
        };
        if id.is_empty() {
            return refused(ErrorCode::InvalidRequest);
        }
        let Some(entry) = self.ids.get(id) else { return refused(ErrorCode::TransactionalIdNotFound) };
        let transaction = &entry.transaction;
        let partitions = entry.completion.as_ref().map_or(&transaction.partitions, |completion| &completion.missing);
        let topics = partitions.iter().map(|(topic, indexes)| TopicData {
            topic: (&**topic).into(),
            partitions: indexes.iter().copied().collect(),
        });
        Described {
            error_code: ErrorCode::None.code(),
            transactional_id: id.clone(),
            transaction_state: transaction.state.name().into(),
            transaction_timeout_ms: transaction.timeout_ms,
            transaction_start_time_ms: transaction.started.0,
            producer_id: transaction.producer.0,
            producer_epoch: transaction.epoch.0,
            topics: topics.collect(),
        }
    }

    /// The transactional ids that are asked for.
    pub(crate) fn list(&self, at: At<'_>, filter: &Filter) -> Vec<Listed> {
        let asked = self.ids.iter().filter(|(id, entry)| filter.takes(id, &entry.transaction, at.now.timestamp));
        let listed = asked.map(|(id, entry)| Listed {
            transactional_id: id.clone(),
            producer_id: entry.transaction.producer.0,
            transaction_state: entry.transaction.state.name().into(),
        });
        listed.collect()
    }
}
