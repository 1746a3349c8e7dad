//! When this node last began to lead partitions: followers whose fetches wait here do not name those partitions yet, so that
//! their fetches are answered early, and again until they have had time to hear of it.

use thalweg_base::NodeId;
use thalweg_metadata::Changes;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_sys::watch;

/// For so long followers may not have heard that this node leads.
const FRESH: Duration = Duration::from_millis(500);

/// How long a follower's fetch waits meanwhile.
const FRESH_WAIT: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(crate) struct Leaderships {
    began: watch::Sender<Option<Instant>>,
}

impl Leaderships {
    pub(super) fn new() -> Self {
        Self { began: watch::Sender::new(None) }
    }

    /// Notes what has changed, once this node has acted upon it.
    pub(super) fn follow(&self, node: NodeId, changes: &Changes) {
        let begins = changes.partitions_changed.iter().any(|diff| {
            let led = diff.before.as_ref().is_some_and(|before| before.leader == node);
            !led && diff.after.as_ref().is_some_and(|after| after.leader == node && after.replicas.len() > 1)
        });
        if begins {
            self.began.send_replace(Some(now()));
        }
    }

    /// Until when a follower's fetch may wait that wants to wait until `deadline`.
    pub(crate) fn patience(&self, deadline: Instant) -> Instant {
        let at = now();
        match *self.began.borrow() {
            Some(began) if at < began + FRESH => deadline.min(at + FRESH_WAIT),
            _ => deadline,
        }
    }

    /// Hears when this node begins to lead something.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.began.subscribe()
    }
}
