//! A fetch session while one of its requests is served.

use std::sync::Arc;

use thalweg_replica::{Session, SessionId};

use crate::broker::Broker;

/// A session that was lent out by the cache. It goes back when this is dropped, also if the client has gone before its
/// answer.
pub(super) struct Lent {
    broker: Arc<Broker>,
    pub(super) id: SessionId,
    session: Option<Box<Session>>,
}

impl Lent {
    pub(super) fn new(broker: &Arc<Broker>, id: SessionId, session: Box<Session>) -> Self {
        Self { broker: Arc::clone(broker), id, session: Some(session) }
    }

    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_deref_mut()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.broker.fetch_sessions.lock().finish(self.id, session);
        }
    }
}
