//! Transactions and their coordinators.

use thalweg_base::metrics::Kind;

use super::Page;
use crate::broker::Broker;
use crate::drivers::transactions::TransactionsView;

const KAFKA: &str = "kafka_server_transaction_coordinator_metrics";

pub(super) fn write(page: &mut Page, broker: &Broker, view: &TransactionsView) {
    let states = &view.census.0;
    let family = "thalweg_transactional_ids";
    page.text.family(family, Kind::Gauge, "Transactional ids of this node's coordinators, by state.");
    for (state, found) in states {
        page.text.sample(&[("state", state)], found.count);
    }
    let family = "thalweg_transaction_state_age_seconds_max";
    page.text.family(family, Kind::Gauge, "How long a transactional id has been in this state at most.");
    for (state, found) in states {
        page.text.sample(&[("state", state)], found.age_ms_max as f64 / 1000.0);
    }
    let open = states.get("Ongoing").map_or(0, |found| found.count);
    page.gauge("thalweg_transactions_open", "Transactions that are open.", open);
    let tally = &view.tally;
    let now = broker.moment();
    for (name, help, count) in [
        ("committed", "Transactions that were committed", tally.committed),
        ("aborted", "Transactions that were aborted, by their producers or by time", tally.aborted),
        ("timed_out", "Transactions that were aborted because they lasted too long", tally.timed_out),
    ] {
        page.counter(&format!("thalweg_transactions_{name}_total"), &format!("{help}."), count);
        let rate = broker.metrics.rate(&format!("transactions_{name}"), count, now);
        page.gauge(&format!("thalweg_transactions_{name}_rate"), &format!("{help}, a second, lately."), rate);
    }
    let family = format!("{KAFKA}_num_partitions");
    page.text.family(&family, Kind::Gauge, "Partitions of __transaction_state, by state.");
    for (state, count) in [("loading", view.loading), ("active", view.active)] {
        page.text.sample(&[("state", &state)], count);
    }
    let loads = view.loads;
    for (name, help, took) in [
        ("partition_load_time_max", "The longest time that loading a partition took, in milliseconds.", loads.max),
        ("partition_load_time_avg", "How long loading a partition took on average, in milliseconds.", loads.average()),
    ] {
        page.gauge(&format!("{KAFKA}_{name}"), help, took.as_secs_f64() * 1000.0);
    }
}
