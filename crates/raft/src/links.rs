//! Which requests are on their way: at most one to each peer, with a pause after a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::Moment;

use crate::messages::{Peer, RequestId};

#[derive(Clone, Copy, Debug)]
enum Link {
    Awaiting { id: RequestId, until: Moment },
    BackingOff { until: Moment },
}

/// The state of the connections to other replicas. A peer without an entry may be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    links: BTreeMap<Peer, Link>,
    last_id: u64,
    request_timeout: Duration,
    retry_backoff: Duration,
}

impl Links {
    pub(crate) fn new(request_timeout: Duration, retry_backoff: Duration) -> Self {
        Self { links: BTreeMap::new(), last_id: 0, request_timeout, retry_backoff }
    }

    pub(crate) fn is_ready(&self, peer: Peer) -> bool {
        !self.links.contains_key(&peer)
    }

    pub(crate) fn any_in_flight(&self) -> bool {
        self.links.values().any(|link| matches!(link, Link::Awaiting { .. }))
    }

    pub(crate) fn sent(&mut self, peer: Peer, now: Moment) -> RequestId {
        assert!(self.is_ready(peer), "one request at a time to each peer");
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.links.insert(peer, Link::Awaiting { id, until: now.after(self.request_timeout) });
        id
    }

    /// Whom the request was sent to, if it is still waited for.
    pub(crate) fn awaiting(&self, id: RequestId) -> Option<Peer> {
        let found = self.links.iter().find(|(_, link)| matches!(link, Link::Awaiting { id: own, .. } if *own == id));
        found.map(|(peer, _)| *peer)
    }

    pub(crate) fn succeeded(&mut self, peer: Peer) {
        self.links.remove(&peer);
    }

    pub(crate) fn failed(&mut self, peer: Peer, now: Moment) {
        self.links.insert(peer, Link::BackingOff { until: now.after(self.retry_backoff) });
    }

    /// Nobody waits for earlier answers any longer: they belong to another role or epoch.
    pub(crate) fn reset(&mut self) {
        self.links.clear();
    }

    /// Turns requests that were not answered in time into pauses, and ends pauses.
    pub(crate) fn expire(&mut self, now: Moment) {
        let pause = now.after(self.retry_backoff);
        self.links.retain(|_, link| match *link {
            Link::BackingOff { until } => now < until,
            Link::Awaiting { until, .. } => {
                if now >= until {
                    *link = Link::BackingOff { until: pause };
                }
                true
            }
        });
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.links
            .values()
            .map(|link| match *link {
                Link::Awaiting { until, .. } | Link::BackingOff { until } => until,
            })
            .min()
    }
}
