//! How tasks learn that the node is going down.

use tokio::sync::watch;

/// Tells any number of tasks to end.
#[derive(Debug)]
pub(crate) struct Close(watch::Sender<bool>);

/// What a task holds that must end when the node does.
#[derive(Clone, Debug)]
pub(crate) struct Closing(watch::Receiver<bool>);

impl Close {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(self.0.subscribe())
    }

    pub(crate) fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Closing {
    /// Whether the task must end.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the task must end.
    pub(crate) async fn begun(&mut self) {
        // Without a sender there is no node any more.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}
