//! Hands committed images to the rest of the node. It is a task of its own, so that opening thousands of logs never keeps the
//! quorum from voting.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_metadata::MetadataImage;
use thalweg_sys::watch;
use tokio::sync::Notify;

use super::active::{Answer, AnswerWhen};
use crate::drivers::groups::Groups;
use crate::drivers::partitions::Partitions;
use crate::drivers::share::ShareCoordinators;
use crate::drivers::transactions::Transactions;
use thalweg_sys::closing::Closing;

/// What acts on the metadata on this node, before anybody is told of it.
pub(crate) struct Acting {
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) share_coordinators: Arc<ShareCoordinators>,
}

impl Acting {
    async fn apply(&self, image: &Arc<MetadataImage>) {
        self.partitions.apply(Arc::clone(image)).await;
        self.groups.apply(Arc::clone(image));
        self.transactions.apply(Arc::clone(image));
        self.share_coordinators.apply(Arc::clone(image));
    }
}

/// What is to be published: the newest image, whatever was to come before it, and the answers that wait for it. They are as
/// many as requests wait for the controller, which is bounded.
#[derive(Debug, Default)]
struct Pending {
    image: Option<Arc<MetadataImage>>,
    answers: Vec<Answer>,
}

/// The way from the quorum to the publisher. Nobody waits on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlet {
    pending: Arc<Mutex<Pending>>,
    filled: Arc<Notify>,
}

impl Outlet {
    /// More is committed: `image`, and the answers that it makes true. Those that need not wait for this node go at once.
    pub(super) fn publish(&self, image: Option<Arc<MetadataImage>>, answers: Vec<Answer>) {
        let (now, later): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.when == AnswerWhen::Committed);
        now.into_iter().for_each(Answer::send);
        if image.is_none() && later.is_empty() {
            return;
        }
        let mut pending = self.pending.lock();
        if image.is_some() {
            pending.image = image;
        }
        pending.answers.extend(later);
        drop(pending);
        self.filled.notify_one();
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock())
    }
}

/// The task that publishes.
pub(crate) struct Publisher {
    pub(super) outlet: Outlet,
    pub(super) acting: Acting,
    pub(super) published: Arc<RwLock<Arc<MetadataImage>>>,
    pub(super) changes: watch::Sender<()>,
}

impl Publisher {
    /// Publishes what is committed until `closing` says so.
    pub(crate) async fn run(self, mut closing: Closing) {
        loop {
            let Pending { image, answers } = self.outlet.take();
            if let Some(image) = image {
                // This node acts first, then clients are told.
                self.acting.apply(&image).await;
                *self.published.write() = image;
                self.changes.send_replace(());
            }
            answers.into_iter().for_each(Answer::send);
            tokio::select! {
                biased;
                () = closing.begun() => return,
                () = self.outlet.filled.notified() => {}
            }
        }
    }
}
