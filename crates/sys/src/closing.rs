//! How tasks learn that the node is going down.

use crate::watch;

/// Tells any number of tasks to end.
#[derive(Debug)]
pub struct Close(watch::Sender<bool>);

/// What a task holds that must end when the node does.
#[derive(Clone, Debug)]
pub struct Closing(watch::Receiver<bool>);

impl Default for Close {
    fn default() -> Self {
        Self::new()
    }
}

impl Close {
    /// Nothing has to end yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// What a task holds to learn of the end.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing(self.0.subscribe())
    }

    /// All tasks have to end now.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Closing {
    /// Whether the task must end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the task must end.
    pub async fn begun(&mut self) {
        // Without a sender there is no node any more.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}
