//! What clients use of their quotas.

use std::fmt::Display;

use thalweg_access::quotas::{QuotaKind, Rate};
use thalweg_base::metrics::Kind;

use super::{Gone, Page};
use crate::broker::Broker;

/// A quota: the rate that is measured, how long its clients were throttled, and what the rate is.
type OfKind = (QuotaKind, &'static str, &'static str, &'static str);

const KINDS: [OfKind; 3] = [
    (
        QuotaKind::Produce,
        "kafka_server_produce_byte_rate",
        "kafka_server_produce_throttle_time_ms_total",
        "Bytes of produce requests a second, of users and clients with a quota.",
    ),
    (
        QuotaKind::Fetch,
        "kafka_server_fetch_byte_rate",
        "kafka_server_fetch_throttle_time_ms_total",
        "Bytes of fetch answers a second, of users and clients with a quota.",
    ),
    (
        QuotaKind::Request,
        "kafka_server_request_request_time",
        "kafka_server_request_throttle_time_ms_total",
        "Percent of a processor that requests take, of users and clients with a quota.",
    ),
];

pub(super) async fn write(page: &mut Page, broker: &Broker) -> Result<(), Gone> {
    let rates = broker.quotas.rates(broker.moment());
    for (kind, rate, throttled, help) in KINDS {
        let of_kind = || rates.iter().filter(|of| of.kind == kind);
        page.text.family(rate, Kind::Gauge, help);
        for of in of_kind() {
            write_one(page, of, &of.rate);
            page.flush_if_long().await?;
        }
        page.text.family(throttled, Kind::Counter, "Milliseconds for which they were throttled because of that.");
        for of in of_kind() {
            write_one(page, of, &of.throttled_ms);
            page.flush_if_long().await?;
        }
    }
    Ok(())
}

fn write_one(page: &mut Page, of: &Rate, value: &dyn Display) {
    let user: &dyn Display = of.measured.user.as_ref().map_or(&"", |user| user);
    let client_id: &dyn Display = of.measured.client_id.as_ref().map_or(&"", |id| id);
    page.text.sample(&[("user", user), ("client_id", client_id)], value);
}
