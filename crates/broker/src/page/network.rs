//! Requests, connections and fetch sessions.

use std::sync::Arc;

use thalweg_base::metrics::{Kind, QUANTILES, Times};
use thalweg_network::{Api, ListenerView};
use thalweg_wire::ApiKey;

use super::Page;
use crate::broker::{Broker, LoginView};

pub(super) fn write(page: &mut Page, broker: &Broker) {
    write_requests(page, broker);
    write_errors(page, broker);
    write_connections(page, broker);
    write_logins(page, broker);
    write_sessions(page, broker);
}

/// The names under which Kafka counts an API. It counts fetches of consumers a second time for themselves; those of
/// followers do not come to a cluster of one.
fn names(api: &Api) -> impl Iterator<Item = &'static str> {
    let consumers = (api.key == ApiKey::Fetch).then_some("FetchConsumer");
    [api.key.name()].into_iter().chain(consumers)
}

/// A part of the time that a request takes.
type Part = (&'static str, &'static str, fn(&Api) -> &Times);

const PARTS: [Part; 4] = [
    ("totaltimems", "Milliseconds from a request to its answer.", |api| &api.total),
    ("localtimems", "Milliseconds of that in which the node worked on it.", |api| &api.local),
    ("remotetimems", "Milliseconds of that in which it waited: for acks, records, the controller, the disk.", |api| {
        &api.remote
    }),
    ("responsesendtimems", "Milliseconds from there until the kernel had taken the whole answer.", |api| &api.send),
];

/// What takes no time here: requests do not pass from thread to thread, and throttled ones are answered at once.
const NO_TIME: [(&str, &str); 3] = [
    ("requestqueuetimems", "Always 0: whoever reads a request handles it."),
    ("responsequeuetimems", "Always 0: whoever handles a request answers it."),
    ("throttletimems", "Always 0: throttled requests are answered at once. Quotas have metrics of their own."),
];

fn write_requests(page: &mut Page, broker: &Broker) {
    let requests = &broker.network.requests;
    for name in ["kafka_network_requestmetrics_requests_total", "kafka_network_requestmetrics_requestspersec"] {
        page.text.family(name, Kind::Counter, "Requests that were answered.");
        for api in requests.apis() {
            for (version, count) in api.by_version() {
                for request in names(api) {
                    page.text.sample(&[("request", &request), ("version", &version)], count);
                }
            }
        }
    }
    for (bean, help, of) in PARTS {
        let name = format!("kafka_network_requestmetrics_{bean}");
        page.text.family(&name, Kind::Gauge, help);
        for api in requests.apis() {
            for (value, (_, quantile)) in of(api).quantiles().into_iter().zip(QUANTILES) {
                for request in names(api) {
                    page.text.sample(&[("request", &request), ("quantile", &quantile)], value);
                }
            }
        }
        page.text.family(&format!("{name}_count"), Kind::Counter, "How many were measured.");
        for api in requests.apis() {
            for request in names(api) {
                page.text.sample(&[("request", &request)], of(api).count());
            }
        }
    }
    for (bean, help) in NO_TIME {
        let name = format!("kafka_network_requestmetrics_{bean}");
        page.text.family(&name, Kind::Gauge, help);
        for request in requests.apis().flat_map(names) {
            for (_, quantile) in QUANTILES {
                page.text.sample(&[("request", &request), ("quantile", &quantile)], 0);
            }
        }
    }
    for (name, help) in [("requestqueuesize", "Always 0."), ("responsequeuesize", "Always 0.")] {
        page.gauge(&format!("kafka_network_requestchannel_{name}"), help, 0);
    }
    for name in ["purgatorysize", "numdelayedoperations"] {
        let help = "Requests that wait: produces for acks, fetches for records.";
        page.text.family(&format!("kafka_server_delayedoperationpurgatory_{name}"), Kind::Gauge, help);
        for api in requests.apis().filter(|api| matches!(api.key, ApiKey::Produce | ApiKey::Fetch)) {
            page.text.sample(&[("delayedOperation", &api.key.name())], api.parked());
        }
    }
}

fn write_errors(page: &mut Page, broker: &Broker) {
    for name in ["kafka_network_requestmetrics_errors_total", "kafka_network_requestmetrics_errorspersec"] {
        page.text.family(name, Kind::Counter, "Error codes in answers, NONE among them: one for each thing asked for.");
        for api in broker.network.requests.apis() {
            for (error, count) in api.errors() {
                for request in names(api) {
                    page.text.sample(&[("request", &request), ("error", &error.name())], count);
                }
            }
        }
    }
}

/// Strimzi's names of a listener's metrics, then Confluent's, with their label for a processor. One task serves a
/// connection; its processor counts as the first.
const PREFIXES: [(&str, &str); 2] = [
    ("kafka_server_socket_server_metrics", "networkProcessor"),
    ("kafka_server_socketservermetrics", "network_processor"),
];

fn write_connections(page: &mut Page, broker: &Broker) {
    let listeners = broker.network.listeners();
    let now = broker.moment();
    let closed = |view: &ListenerView| view.opened - view.open as u64;
    let rates = |of: &dyn Fn(&ListenerView) -> u64, name: &str| -> Vec<f64> {
        listeners.iter().map(|view| broker.metrics.rate(&format!("{name} {}", view.name), of(view), now)).collect()
    };
    let (creation, close) = (rates(&|view| view.opened, "creation"), rates(&closed, "close"));
    for (prefix, processor) in PREFIXES {
        let mut family = |name: &str, kind, help, of: &dyn Fn(usize, &ListenerView) -> f64| {
            page.text.family(&format!("{prefix}_{name}"), kind, help);
            for (index, view) in listeners.iter().enumerate() {
                page.text.sample(&[("listener", &view.name), (processor, &0)], of(index, view));
            }
        };
        family("connection_count", Kind::Gauge, "Connections that are open.", &|_, view| view.open as f64);
        family("connection_creation_total", Kind::Counter, "Connections that were opened.", &|_, v| v.opened as f64);
        family("connection_close_total", Kind::Counter, "Connections that were closed.", &|_, v| closed(v) as f64);
        family("connection_creation_rate", Kind::Gauge, "Connections opened a second, lately.", &|i, _| creation[i]);
        family("connection_close_rate", Kind::Gauge, "Connections closed a second, lately.", &|i, _| close[i]);
    }
    let refused = "thalweg_connections_refused_total";
    page.text.family(refused, Kind::Counter, "Connections closed at once: their address had max.connections.per.ip.");
    for view in &listeners {
        page.text.sample(&[("listener", &view.name)], view.refused);
    }
    let throttled = "thalweg_connections_throttled_total";
    page.text.family(throttled, Kind::Counter, "Connections closed because their address exceeds its quota.");
    for view in &listeners {
        page.text.sample(&[("listener", &view.name)], view.throttled);
    }
    let idle = "thalweg_connections_idle_closed_total";
    page.text.family(idle, Kind::Counter, "Connections that were closed because they were idle.");
    for view in &listeners {
        page.text.sample(&[("listener", &view.name)], view.idle_closed);
    }
    let (left, limit) = broker.network.request_memory();
    page.gauge("kafka_network_socketserver_memorypoolavailable", "Memory left for requests, in bytes.", left);
    page.gauge("kafka_network_socketserver_memorypoolused", "Memory that requests hold, in bytes.", limit - left);
}

fn write_sessions(page: &mut Page, broker: &Broker) {
    let (sessions, partitions, evictions) = {
        let cache = broker.fetch_sessions.lock();
        (cache.len(), cache.partitions(), cache.evictions())
    };
    let prefix = "kafka_server_fetchsessioncache";
    page.gauge(&format!("{prefix}_numincrementalfetchsessions"), "Incremental fetch sessions.", sessions);
    page.gauge(&format!("{prefix}_numincrementalfetchpartitionscached"), "Partitions in these sessions.", partitions);
    let help = "Sessions that had to make room for others.";
    page.counter(&format!("{prefix}_incrementalfetchsessionevictions_total"), help, evictions);
    page.counter(&format!("{prefix}_incrementalfetchsessionevictionspersec"), help, evictions);
}

/// A family of the logins: its name, what it counts, and where that stands.
type LoginFamily = (&'static str, &'static str, fn(&LoginView) -> u64);

const LOGINS: [LoginFamily; 5] = [
    ("successful_authentication", "Clients that have logged in, by SASL or by a TLS handshake.", |view| view.succeeded),
    ("failed_authentication", "Clients that could not log in.", |view| view.failed),
    ("successful_reauthentication", "Clients that have logged in again on their connection.", |view| view.renewed),
    ("failed_reauthentication", "Clients that could not log in again.", |view| view.renewals_failed),
    ("expired_connections_killed", EXPIRED, |view| view.expired),
];
const EXPIRED: &str = "Connections that were closed because their client did not log in again in time.";

fn write_logins(page: &mut Page, broker: &Broker) {
    let handshakes = broker.network.listeners();
    let views: Vec<(Arc<str>, LoginView)> = broker
        .securities
        .iter()
        .map(|(name, security)| {
            let mut view = security.logins.view();
            let listener = handshakes.iter().find(|view| view.name == *name);
            view.failed += listener.map_or(0, |listener| listener.handshakes_failed);
            (Arc::clone(name), view)
        })
        .collect();
    for (prefix, processor) in PREFIXES {
        for (name, help, of) in LOGINS {
            let ending = if help == EXPIRED { "count" } else { "total" };
            page.text.family(&format!("{prefix}_{name}_{ending}"), Kind::Counter, help);
            for (listener, view) in &views {
                page.text.sample(&[("listener", listener), (processor, &0)], of(view));
            }
        }
    }
    let expired: u64 = views.iter().map(|(_, view)| view.expired).sum();
    page.gauge("kafka_network_socketserver_expiredconnectionskilledcount", EXPIRED, expired);
}
