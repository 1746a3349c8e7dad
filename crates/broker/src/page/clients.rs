//! What clients have pushed of their own metrics (KIP-714), and how that goes.

use std::collections::BTreeMap;
use std::fmt::Display;

use thalweg_base::Moment;
use thalweg_base::metrics::Kind;

use super::{Gone, Page};
use crate::broker::Broker;
use crate::telemetry::{Series, Telemetry};

pub(super) async fn write(page: &mut Page, broker: &Broker) -> Result<(), Gone> {
    let telemetry = &broker.telemetry;
    let now = broker.moment();
    let (instances, refused) = telemetry.counts(now);
    let prefix = "kafka_server_client_metrics";
    page.gauge(&format!("{prefix}_instance_count"), "Clients whose metrics are wanted or asked for.", instances);
    for (name, help, value) in [
        (
            "unknown_subscription_request_count",
            "Pushes under a subscription that has changed.",
            refused.unknown_subscription,
        ),
        ("throttle_count", "Requests that came too early.", refused.throttled),
        ("plugin_export_count", "Pushes that were taken.", telemetry.taken.get()),
        ("plugin_error_count", "Pushes that could not be read.", telemetry.unreadable.get()),
    ] {
        page.counter(&format!("{prefix}_{name}"), help, value);
    }
    let dropped = telemetry.pushed(now).dropped();
    let help = "Numbers of clients that are not shown: too many, too long, or of an unknown kind.";
    page.counter("thalweg_client_metrics_dropped_total", help, dropped);
    write_clients(page, telemetry, now);
    // A family at a time: pages are sent while nobody holds the lock.
    let families: BTreeMap<String, bool> = {
        let pushed = telemetry.pushed(now);
        let numbers = pushed.clients().flat_map(|shown| &shown.numbers);
        numbers.map(|(series, number)| (series.name.clone(), number.is_counter)).collect()
    };
    for (name, is_counter) in families {
        write_family(page, telemetry, now, &name, is_counter);
        page.flush_if_long().await?;
    }
    Ok(())
}

/// Who the clients are: for a join by `client_instance_id`.
fn write_clients(page: &mut Page, telemetry: &Telemetry, now: Moment) {
    page.text.family("thalweg_client_info", Kind::Gauge, "Clients that have pushed metrics.");
    for shown in telemetry.pushed(now).clients() {
        let client = &shown.client;
        let (id, address) = (client.id.as_deref().unwrap_or_default(), client.address.ip().to_canonical());
        let mut labels: Vec<(&str, &dyn Display)> = vec![
            ("client_instance_id", &client.instance_id),
            ("client_id", &id),
            ("client_software_name", &client.software_name),
            ("client_software_version", &client.software_version),
            ("client_source_address", &address),
        ];
        let facts = shown.facts.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        labels.extend(facts.map(|(name, value)| (name.as_str(), value as &dyn Display)));
        page.text.sample(&labels, 1);
    }
}

/// Labels that say who a client is: what it tells of itself cannot replace them.
const OWN: [&str; 5] =
    ["client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address"];

fn write_family(page: &mut Page, telemetry: &Telemetry, now: Moment, name: &str, is_counter: bool) {
    let kind = if is_counter { Kind::Counter } else { Kind::Gauge };
    page.text.family(name, kind, "Pushed by clients.");
    let first = Series { name: name.to_owned(), labels: Vec::new() };
    for shown in telemetry.pushed(now).clients() {
        let id = shown.client.id.as_deref().unwrap_or_default();
        let numbers = shown.numbers.range(&first..).take_while(|(series, _)| series.name == name);
        for (series, number) in numbers {
            let mut labels: Vec<(&str, &dyn Display)> =
                vec![("client_instance_id", &shown.client.instance_id), ("client_id", &id)];
            labels.extend(series.labels.iter().map(|(name, value)| (name.as_str(), value as &dyn Display)));
            page.text.sample(&labels, number.value);
        }
    }
}
