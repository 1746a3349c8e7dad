//! How often and how long something is tried.

use std::time::Duration;

use thalweg_sys::time::{Instant, now, sleep};

use crate::{Backoff, ClientConfig, Error};

/// The attempts at one thing: each has its own time-out, all together a deadline, with growing waits between them.
#[derive(Debug)]
pub(crate) struct Attempts {
    deadline: Instant,
    one: Duration,
    retry: Backoff,
    retries: u32,
    failures: u32,
    /// Why the last attempt failed that had its full time.
    last: Option<Error>,
}

impl Attempts {
    pub(crate) fn new(config: &ClientConfig, deadline: Instant) -> Self {
        Self {
            deadline,
            one: config.request_timeout,
            retry: config.retry,
            retries: config.retries,
            failures: 0,
            last: None,
        }
    }

    /// By when the attempt that begins now is given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.min(now() + self.one)
    }

    /// The error to report if there is no further attempt: this one, unless it only says that time was up for the last
    /// attempt and an earlier one says more.
    pub(crate) fn most_telling(&mut self, error: Error) -> Error {
        if now() >= self.deadline
            && let Some(last) = self.last.take()
        {
            return last;
        }
        self.last = Some(error.clone());
        error
    }

    /// Waits for the next attempt; says whether there is time for one.
    pub(crate) async fn again(&mut self) -> bool {
        if self.failures >= self.retries {
            return false;
        }
        self.failures += 1;
        let wait = self.retry.after(self.failures, thalweg_sys::random::u64());
        if now() + wait >= self.deadline {
            return false;
        }
        sleep(wait).await;
        true
    }
}
