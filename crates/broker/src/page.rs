//! The page that Prometheus reads, under the names that dashboards for Apache Kafka look for.
//!
//! Kafka's own metrics are Java beans; the JMX exporter makes names of them by rules. These are the names that the rules
//! of its example for Kafka and of Strimzi give. Where Confluent's rules give another name for the same, the metric stands
//! there twice. A metric that would mean nothing here is left out.

mod clients;
mod controller;
mod groups;
mod network;
mod partitions;
mod process;
mod quotas;
mod survey;
mod topics;
mod transactions;
mod vitals;

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_base::metrics::{Kind, Text};
use thalweg_sys::task;
use tokio::sync::mpsc;

use crate::broker::Broker;
use survey::Survey;
pub use vitals::VitalsReader;

/// So much text is handed over at once: a page of 100,000 partitions is never in memory as a whole.
const CHUNK_BYTES: usize = 64 << 10;

/// Whoever asked for the page has gone.
struct Gone;

/// The page as far as it was written.
struct Page {
    text: Text,
    out: mpsc::Sender<Bytes>,
}

/// Writes the page into `out`, in parts.
pub(crate) async fn write(broker: Arc<Broker>, out: mpsc::Sender<Bytes>) {
    broker.turn_quantiles();
    let to_survey = Arc::clone(&broker);
    let survey = task::blocking(move || (Survey::take(&to_survey), thalweg_sys::process::usage())).await;
    let Ok((survey, usage)) = survey else { return };
    let mut page = Page { text: Text::default(), out };
    // When nobody reads on, there is nothing to do.
    let _ = page.write(&broker, &survey, usage).await;
}

impl Page {
    async fn write(
        &mut self,
        broker: &Broker,
        survey: &Survey,
        usage: Option<thalweg_sys::process::Usage>,
    ) -> Result<(), Gone> {
        process::write(self, broker, usage);
        controller::write(self, broker, survey);
        network::write(self, broker);
        groups::write(self, broker, &survey.groups);
        transactions::write(self, broker, &survey.transactions);
        topics::write(self, broker, survey).await?;
        partitions::write(self, survey).await?;
        quotas::write(self, broker).await?;
        clients::write(self, broker).await?;
        self.flush().await
    }

    /// A family with one number and no labels.
    fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.text.family(name, kind, help);
        self.text.sample(&[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(Kind::Gauge, name, help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(Kind::Counter, name, help, value);
    }

    /// Hands over what was written, if it is much. To be called within long families.
    async fn flush_if_long(&mut self) -> Result<(), Gone> {
        if self.text.len() < CHUNK_BYTES { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let text = self.text.take();
        if text.is_empty() { Ok(()) } else { self.out.send(text.into()).await.map_err(|_| Gone) }
    }
}
