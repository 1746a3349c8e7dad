//! What a node has done so far, in a few numbers: for a history that is kept beside it.

use std::sync::{Arc, Weak};

use thalweg_base::metrics::{QUANTILES, Vitals};
use thalweg_wire::ApiKey;

use crate::broker::Broker;

/// Reads the [`Vitals`] of a node for as long as it runs. Made by [`Node::vitals`](crate::Node::vitals).
#[derive(Clone, Debug)]
pub struct VitalsReader(Weak<Broker>);

impl VitalsReader {
    pub(crate) fn new(broker: &Arc<Broker>) -> Self {
        Self(Arc::downgrade(broker))
    }

    /// The vitals; `None` once the node stops. It walks over all partitions, so that it blocks for a moment.
    #[must_use]
    pub fn read(&self) -> Option<Vitals> {
        let broker = self.0.upgrade()?;
        if broker.closing.has_begun() {
            return None;
        }
        broker.turn_quantiles();
        let (views, mut all) = broker.partitions.views();
        views.iter().for_each(|view| all += view.traffic);
        let usage = thalweg_sys::process::usage();
        let at_99 = QUANTILES.iter().position(|(fraction, _)| *fraction == 0.99)?;
        let took = |key: ApiKey| {
            let api = broker.network.requests.apis().find(|api| api.key == key);
            api.map_or(0.0, |api| api.total.quantiles()[at_99])
        };
        Some(Vitals {
            records_in: all.messages_in,
            bytes_in: all.bytes_in,
            bytes_out: all.bytes_out,
            log_bytes: views.iter().filter_map(|view| view.log).map(|log| log.bytes).sum(),
            cpu_seconds: usage.as_ref().map_or(0.0, |usage| usage.cpu.as_secs_f64()),
            resident_bytes: usage.as_ref().map_or(0, |usage| usage.resident_bytes),
            produce_ms: took(ApiKey::Produce),
            fetch_ms: took(ApiKey::Fetch),
        })
    }
}
