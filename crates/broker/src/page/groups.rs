//! Groups and their coordinators.

use thalweg_base::metrics::Kind;

use super::Page;
use crate::broker::Broker;
use crate::drivers::groups::GroupsView;

/// The states of classic groups as Kafka counts them. Nobody sees a group that is dead.
const CLASSIC: [&str; 5] = ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty"];
const CONSUMER: [&str; 5] = ["Empty", "Assigning", "Reconciling", "Stable", "Dead"];
const SHARE: [&str; 3] = ["Empty", "Stable", "Dead"];
const STREAMS: [&str; 6] = ["Empty", "Assigning", "Reconciling", "Stable", "Dead", "NotReady"];

const PREFIX: &str = "kafka_server_group_coordinator_metrics";

pub(super) fn write(page: &mut Page, broker: &Broker, view: &GroupsView) {
    write_counts(page, view);
    write_older(page, view);
    write_events(page, broker, view);
    page.text.family(&format!("{PREFIX}_num_partitions"), Kind::Gauge, "Partitions of __consumer_offsets, by state.");
    for (state, count) in [("loading", view.loading), ("active", view.active), ("failed", 0)] {
        page.text.sample(&[("state", &state)], count);
    }
    let loads = view.loads;
    for (name, help, took) in [
        ("partition_load_time_max", "The longest time that loading a partition took, in milliseconds.", loads.max),
        ("partition_load_time_avg", "How long loading a partition took on average, in milliseconds.", loads.average()),
    ] {
        page.gauge(&format!("{PREFIX}_{name}"), help, took.as_secs_f64() * 1000.0);
    }
}

fn write_counts(page: &mut Page, view: &GroupsView) {
    let (classic, consumer) = (&view.census.classic, &view.census.consumer);
    let (share, streams) = (&view.census.share, &view.census.streams);
    page.text.family(&format!("{PREFIX}_group_count"), Kind::Gauge, "Groups by protocol.");
    let kinds: [(&str, &[&str], _); 4] = [
        ("classic", &CLASSIC, classic),
        ("consumer", &CONSUMER, consumer),
        ("share", &SHARE, share),
        ("streams", &STREAMS, streams),
    ];
    for (protocol, _, counts) in kinds {
        page.text.sample(&[("protocol", &protocol)], counts.values().sum::<usize>());
    }
    for (kind, states, counts) in kinds {
        page.text.family(&format!("{PREFIX}_{kind}_group_count"), Kind::Gauge, "Groups of one protocol by state.");
        for state in states {
            page.text.sample(&[("state", &state.to_lowercase())], counts.get(state).copied().unwrap_or(0));
        }
    }
    page.gauge(&format!("{PREFIX}_offset_count"), "Committed offsets.", view.census.offsets);
}

/// What dashboards from before KIP-848 look for: classic groups only.
fn write_older(page: &mut Page, view: &GroupsView) {
    let prefix = "kafka_coordinator_group_groupmetadatamanager";
    let classic = &view.census.classic;
    page.gauge(&format!("{prefix}_numgroups"), "Classic groups.", classic.values().sum::<usize>());
    page.gauge(&format!("{prefix}_numoffsets"), "Committed offsets.", view.census.offsets);
    for state in CLASSIC {
        let count = classic.get(state).copied().unwrap_or(0);
        page.gauge(&format!("{prefix}_numgroups{}", state.to_lowercase()), "Classic groups in this state.", count);
    }
}

fn write_events(page: &mut Page, broker: &Broker, view: &GroupsView) {
    let tally = &view.tally;
    let now = broker.moment();
    for (name, help, count) in [
        ("offset_commit", "Offsets that were committed", tally.offset_commits),
        ("offset_expiration", "Offsets that nobody needed any more", tally.offset_expirations),
        ("offset_deletion", "Offsets that were deleted", tally.offset_deletions),
        (
            "group_completed_rebalance",
            "Rebalances of classic groups that came to their end",
            tally.completed_rebalances,
        ),
        ("consumer_group_rebalance", "How often consumer groups began to assign anew", tally.consumer_rebalances),
        ("share_group_rebalance", "How often share groups began to assign anew", tally.share_rebalances),
        ("streams_group_rebalance", "How often streams groups began to assign anew", tally.streams_rebalances),
    ] {
        page.counter(&format!("{PREFIX}_{name}_count"), &format!("{help}."), count);
        let rate = broker.metrics.rate(name, count, now);
        page.gauge(&format!("{PREFIX}_{name}_rate"), &format!("{help}, a second, lately."), rate);
    }
}
