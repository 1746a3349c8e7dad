//! Whether the node lives, and whether it serves: with the reasons why not.

use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use thalweg_sys::closing::Closing;
use thalweg_sys::time::{Duration, now, sleep};
use tracing::warn;

use crate::broker::Broker;

/// A node that is not ready for so long says why.
const WAIT_MIN: Duration = Duration::from_secs(2);
/// It says so again after twice the time, at last at this interval.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What a node does before it serves, and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The log directories are opened.
    Opening,
    /// It waits for the controller to take it in.
    Registering,
    /// The logs are opened, and recovered where they were not closed.
    Recovering,
    /// Clients are served.
    Serving,
    /// It goes down.
    Stopping,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Health {
    step: Mutex<Step>,
    /// Set when there is a broker; it does not keep it alive.
    broker: OnceLock<Weak<Broker>>,
}

impl Health {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { step: Mutex::new(Step::Opening), broker: OnceLock::new() })
    }

    pub(crate) fn enter(&self, step: Step) {
        *self.step.lock() = step;
    }

    /// The broker stands and serves.
    pub(crate) fn serve(&self, broker: &Arc<Broker>) {
        // A node has one broker.
        let _ = self.broker.set(Arc::downgrade(broker));
        self.enter(Step::Serving);
    }

    pub(super) fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.get()?.upgrade()
    }

    /// Why somebody should look after the node; nothing when all is well.
    pub(super) fn sick(&self) -> Vec<String> {
        let dirs = self.broker().map(|broker| broker.partitions.dir_states()).unwrap_or_default();
        let offline = dirs.into_iter().filter(|(_, offline)| *offline);
        offline.map(|(dir, _)| format!("the log directory {} is offline", dir.display())).collect()
    }

    /// Why the node should get no clients; nothing when it should.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let step = *self.step.lock();
        let waiting = match step {
            Step::Opening => "starting: the log directories are being opened",
            Step::Registering => "starting: the broker waits to be registered by the controller",
            Step::Recovering => "starting: the logs are being opened or recovered",
            Step::Stopping => "the node is going down",
            Step::Serving => return self.broker().map_or_else(Vec::new, |broker| unfit(&broker)),
        };
        vec![waiting.to_owned()]
    }

    /// What helps a node that is not ready, as far as its reasons do not say it.
    fn advice(&self) -> &'static str {
        match *self.step.lock() {
            Step::Registering => {
                "; a majority of the controllers must be up, at the addresses of controller.quorum.voters or \
                 controller.quorum.bootstrap.servers"
            }
            Step::Opening | Step::Recovering | Step::Serving | Step::Stopping => "",
        }
    }

    /// Logs what the node waits for, after two seconds and then at growing intervals, until it serves.
    pub(super) async fn say_what_is_waited_for(&self, mut closing: Closing) {
        let (began, mut pause) = (now(), WAIT_MIN);
        loop {
            tokio::select! {
                biased;
                () = closing.begun() => return,
                () = sleep(pause) => {}
            }
            let reasons = self.not_ready();
            if reasons.is_empty() {
                return;
            }
            let seconds = began.elapsed().as_secs();
            warn!("not ready for clients after {seconds} s: {}{}", reasons.join(", "), self.advice());
            pause = (pause * 2).min(WAIT_MAX);
        }
    }
}

/// Why a broker that runs is not fit for clients.
fn unfit(broker: &Broker) -> Vec<String> {
    let mut reasons = Vec::new();
    let (image, quorum, node) = (broker.image(), broker.metadata.quorum(), broker.config.node_id);
    match image.cluster().broker(node) {
        _ if !broker.config.roles.broker => {}
        None => reasons.push(format!("broker {node} is not registered")),
        Some(own) if own.fenced => reasons.push(format!("broker {node} is fenced")),
        Some(own) if own.in_controlled_shutdown => reasons.push(format!("broker {node} is about to shut down")),
        Some(_) => {}
    }
    if quorum.leader.0 < 0 {
        reasons.push("no leader of the metadata quorum is known".to_owned());
    }
    let next = image.provenance().offset.next();
    if next < quorum.high_watermark {
        reasons.push(format!("the metadata is applied up to offset {next} of {}", quorum.high_watermark));
    }
    reasons
}
