//! What concerns the process as a whole: signals and its id.

/// Completes when the process is asked to end: Ctrl-C or SIGTERM. In the simulator it never does.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn asked_to_end() -> std::io::Result<()> {
    #[cfg(not(sim))]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
    #[cfg(sim)]
    std::future::pending().await
}

/// This process's id.
#[must_use]
pub fn id() -> u32 {
    std::process::id()
}
