//! The HTTP server from the first step of a node's start to the last of its stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_sys::closing::Close;
use thalweg_sys::task::{self, JoinHandle};
use tracing::info;

use super::{Health, Http};

/// What a node tells those who watch it. Dropping it ends the server.
pub(crate) struct Watch {
    pub(crate) health: Arc<Health>,
    /// Where it listens, if it does.
    pub(crate) local: Option<SocketAddr>,
    task: Option<JoinHandle<()>>,
    closing: Close,
}

impl Watch {
    /// Listens at `address`, a host and a port, if there is one.
    pub(crate) async fn start(address: Option<&(String, u16)>) -> io::Result<Self> {
        let mut this = Self { health: Health::new(), local: None, task: None, closing: Close::new() };
        if let Some((host, port)) = address {
            let bound = Http::bind(host, *port).await?;
            info!(local = %bound.local, "metrics and health are served over HTTP");
            this.local = Some(bound.local);
            this.task = Some(task::spawn(bound.run(Arc::clone(&this.health), this.closing.closing())));
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
