//! Producers of transactions, each of which writes to several partitions.

use std::time::Duration;

use thalweg_client::{Producer, ProducerConfig, ProducerRecord};
use thalweg_sys::time::{now, sleep};

use super::{BETWEEN_SENDS, Clients, PATIENCE, outcome_of};
use crate::cluster::topics::TRANSACTIONAL;
use crate::history::Ending;
use crate::story::pause;

/// Of so many transactions one is aborted.
const ABORTED_OF: u64 = 4;

impl Clients {
    /// Makes one transaction after the other. Whenever one does not end as it should, another producer with the same
    /// transactional id goes on, as an application would do it.
    pub(super) async fn transact(&self, id: u32) {
        let mut is_ended = false;
        while !(is_ended && self.shared.stop.get()) {
            let mut config = ProducerConfig::new(self.client_config());
            config.transactional_id = Some(format!("transactions-{id}").into());
            (config.delivery_timeout, config.linger) = (PATIENCE, Duration::ZERO);
            let producer = Producer::new(config);
            // What was left open hides what stands behind it, until a producer that comes after has ended it.
            is_ended = producer.init_transactions(now() + PATIENCE).await.is_ok();
            while is_ended && !self.shared.stop.get() {
                is_ended = self.transaction(id, &producer).await;
                sleep(BETWEEN_SENDS).await;
            }
            pause().await;
        }
    }

    /// One transaction; says whether it ended as it should.
    async fn transaction(&self, id: u32, producer: &Producer) -> bool {
        if producer.begin_transaction().is_err() {
            return false;
        }
        let history = &self.shared.history;
        let transaction = history.borrow_mut().begins(id);
        let mut all_written = true;
        let mut number = 0;
        for partition in TRANSACTIONAL.partitions() {
            number = self.value();
            let pending = history.borrow_mut().sends_in(transaction, TRANSACTIONAL.key(partition), number);
            let record = ProducerRecord {
                partition: Some(partition),
                ..ProducerRecord::new(TRANSACTIONAL.name, number.to_string())
            };
            let outcome = outcome_of(producer, record).await;
            all_written &= outcome.is_written();
            history.borrow_mut().sent(pending, outcome);
        }
        let (asked, ended) = match all_written && number % ABORTED_OF != 0 {
            true => {
                history.borrow_mut().asks_to_commit(transaction);
                (Ending::Committed, producer.commit_transaction(now() + PATIENCE).await)
            }
            false => (Ending::Aborted, producer.abort_transaction(now() + PATIENCE).await),
        };
        let ending = if ended.is_ok() { asked } else { Ending::Unknown };
        history.borrow_mut().ended(transaction, ending);
        ended.is_ok()
    }
}
