//! What a member of a group wants to read.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thalweg_sys::time::sleep;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::MetadataRequest;

use super::Shared;
use crate::{Destination, Error};

/// Chooses topics by name.
type Chooser = dyn Fn(&str) -> bool + Send + Sync;

/// What a member of a group wants to read.
#[derive(Clone)]
pub(in crate::consumer) enum Subscription {
    /// These topics.
    Topics(BTreeSet<String>),
    /// Topics that are chosen here, also among those that come later. Kafka's own are never chosen.
    Matching(Arc<Chooser>),
    /// Topics whose whole name matches a regular expression of RE2, chosen by the coordinator (KIP-848).
    Pattern(String),
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topics(topics) => f.debug_tuple("Topics").field(topics).finish(),
            Self::Matching(_) => f.write_str("Matching"),
            Self::Pattern(pattern) => f.debug_tuple("Pattern").field(pattern).finish(),
        }
    }
}

/// Chooses topics again whenever metadata is old, and never ends. The first choice is made before the group is joined.
pub(super) async fn keep_choosing(shared: &Shared, choose: &Chooser) {
    loop {
        match choice(shared, choose).await {
            Ok(topics) => {
                take_choice(shared, topics);
                sleep(shared.client.config().metadata_max_age).await;
            }
            Err(error) => shared.pause(&error).await,
        }
    }
}

fn take_choice(shared: &Shared, topics: BTreeSet<String>) {
    let mut state = shared.state.lock();
    if state.topics == topics && state.has_chosen {
        return;
    }
    state.topics = topics;
    state.subscriptions += 1;
    state.has_chosen = true;
    drop(state);
    shared.for_task.notify_one();
}

async fn choice(shared: &Shared, choose: &Chooser) -> Result<BTreeSet<String>, Error> {
    let all = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let response = shared.client.send(Destination::Any, &all).await?;
    let exists =
        |code: i16| !ErrorCode::from(code).is_error() || ErrorCode::from(code) == ErrorCode::LeaderNotAvailable;
    let topics = response.topics.iter().filter(|topic| exists(topic.error_code) && !topic.is_internal);
    Ok(topics.filter_map(|topic| topic.name.as_deref()).filter(|name| choose(name)).map(str::to_owned).collect())
}
