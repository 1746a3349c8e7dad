//! What concerns the process as a whole: signals and its id.

/// Listens for the wish that the process ends: Ctrl-C or SIGTERM. From its making on, neither kills the process.
#[derive(Debug)]
pub struct EndSignals {
    #[cfg(not(sim))]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(not(sim))]
    terminate: tokio::signal::unix::Signal,
}

impl EndSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    #[cfg(not(sim))]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when one has come.
    #[cfg(not(sim))]
    pub async fn asked_to_end(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Begins to listen; a simulated process is never asked to end.
    ///
    /// # Errors
    /// Never.
    #[cfg(sim)]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Never completes.
    #[cfg(sim)]
    pub async fn asked_to_end(&mut self) {
        std::future::pending().await
    }
}

/// Lets this process open as many files as the system allows it: each partition holds one open, each connection another.
/// Gives how many that are.
#[must_use]
pub fn raise_open_files_max() -> u64 {
    #[cfg(not(sim))]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limits = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
        let counts = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
        counts.unwrap_or(u64::MAX)
    }
    #[cfg(sim)]
    u64::MAX
}

/// How many files this process may have open now.
#[must_use]
pub fn open_files_max() -> u64 {
    #[cfg(not(sim))]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }
    #[cfg(sim)]
    u64::MAX
}

/// This process's id.
#[must_use]
pub fn id() -> u32 {
    std::process::id()
}
