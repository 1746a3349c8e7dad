//! Fetches of the metadata log that wait for something new.

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_raft::{Fetched, Reply};
use tokio::sync::oneshot;

use super::inbox::{FetchAnswer, LogFetch};

/// A fetch that waits for something new.
#[derive(Debug)]
pub(super) struct ParkedFetch {
    pub(super) fetch: LogFetch,
    pub(super) to: oneshot::Sender<FetchAnswer>,
}

impl ParkedFetch {
    pub(super) fn answer(self, reply: Reply<Fetched>, log_start: Offset, records: Bytes) {
        let _ = self.to.send(FetchAnswer { reply, log_start, records });
    }
}
