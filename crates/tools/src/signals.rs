//! Signals that end a tool which would run on.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// An interrupt from the keyboard, and the wish that the tool ends.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::Message(format!("cannot listen to signals: {e}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one of them; gives the exit code that it stands for. A wait that is given up loses none.
    pub(crate) async fn exit_code(&mut self) -> u8 {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
