//! The HTTP server from the first step of a node's start to the last of its stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_http::Server;
use thalweg_sys::closing::Close;
use thalweg_sys::task::{self, JoinHandle};
use tracing::info;

use super::{Guest, Health, handler};

/// What a node tells those who watch it. Dropping it ends the server.
pub(crate) struct Watch {
    pub(crate) health: Arc<Health>,
    /// Where it listens, if it does.
    pub(crate) local: Option<SocketAddr>,
    /// Who answers what is not the node's own.
    pub(crate) guest: Arc<Guest>,
    task: Option<JoinHandle<()>>,
    closing: Close,
}

impl Watch {
    /// Listens at `address`, a host and a port, if there is one.
    pub(crate) async fn start(address: Option<&(String, u16)>) -> io::Result<Self> {
        let mut this =
            Self { health: Health::new(), local: None, guest: Arc::default(), task: None, closing: Close::new() };
        let (health, closing) = (Arc::clone(&this.health), this.closing.closing());
        task::spawn(async move { health.say_what_is_waited_for(closing).await });
        if let Some((host, port)) = address {
            let bound = Server::bind(host, *port).await?;
            info!(local = %bound.local(), "metrics and health are served over HTTP");
            this.local = Some(bound.local());
            this.task = Some(task::spawn(
                bound.run(handler(Arc::clone(&this.health), Arc::clone(&this.guest)), this.closing.closing()),
            ));
        }
        Ok(this)
    }

    pub(crate) async fn stop(self) {
        self.closing.now();
        if let Some(task) = self.task {
            let _ = task.await;
        }
    }
}
