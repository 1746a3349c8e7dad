//! Tasks: asynchronous ones, and blocking work that must not run on a network worker.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::Context;

pub use tokio::task::{JoinError, JoinHandle};

/// Runs `future` as a task of its own.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[cfg(sim)]
    if let Some(machine) = crate::machine::Machine::current() {
        return tokio::spawn(machine.run(future));
    }
    tokio::spawn(future)
}

/// Wakes whoever polls with `cx` again, after other tasks and after a look at what has arrived meanwhile: for a task
/// that could go on but has had its turn.
pub fn let_others_go_first(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// Runs `work` (fsync, recovery, cold reads) where it may block. In the simulator it runs in the one thread, at once or after
/// the delay of its machine; it runs also when nobody waits for it any more.
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
        let delay = crate::machine::Machine::draw_blocking_delay();
        if delay.is_zero() {
            tokio::task::yield_now().await;
            return Ok(work());
        }
        let delayed = async move {
            crate::time::sleep(delay).await;
            work()
        };
        spawn(delayed).await.map_err(io::Error::other)
    }
}

/// How busy the network workers were: how many there are, and how long all of them together have worked so far. `None`
/// where nobody counts.
#[must_use]
pub fn worked() -> Option<(usize, std::time::Duration)> {
    #[cfg(all(not(sim), target_has_atomic = "64"))]
    {
        let metrics = tokio::runtime::Handle::try_current().ok()?.metrics();
        let workers = metrics.num_workers();
        Some((workers, (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum()))
    }
    #[cfg(not(all(not(sim), target_has_atomic = "64")))]
    None
}
