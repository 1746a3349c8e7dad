//! Tasks: asynchronous ones, and blocking work that must not run on a network worker.

use std::future::Future;
use std::io;

pub use tokio::task::JoinHandle;

/// Runs `future` as a task of its own.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs `work` (fsync, recovery, cold reads) where it may block. In the simulator it runs at once, in the one thread.
///
/// # Errors
/// When the work panicked or the runtime is shutting down.
pub async fn blocking<T, W>(work: W) -> io::Result<T>
where
    W: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    #[cfg(not(sim))]
    return tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    #[cfg(sim)]
    {
        tokio::task::yield_now().await;
        Ok(work())
    }
}
