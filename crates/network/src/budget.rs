//! How much memory requests in flight may take on the whole node (`queued.max.request.bytes`), and those that wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The node's memory for requests. A connection that asks for more than is left waits until another gives some back.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: usize,
    limit: usize,
    /// At most one per connection, and connections are limited.
    waiting: VecDeque<Waker>,
}

/// Bytes taken from a [`Budget`]; dropping gives them back.
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { left: limit, limit, waiting: VecDeque::new() }) })
    }

    /// How many bytes are left, and how many there are in all.
    pub(crate) fn left(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.left, state.limit)
    }

    /// Takes `bytes` if there are as many left.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Taken> {
        let mut state = self.state.lock();
        if bytes > state.left {
            return None;
        }
        state.left -= bytes;
        Some(Taken { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes`, or has the task woken when bytes were given back. A request that is larger than the whole budget
    /// is let in when nobody else holds any.
    pub(crate) fn poll_take(self: &Arc<Self>, bytes: usize, cx: &Context<'_>) -> Poll<Taken> {
        let mut state = self.state.lock();
        let bytes_counted = bytes.min(state.limit);
        if bytes_counted > state.left {
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push_back(cx.waker().clone());
            }
            return Poll::Pending;
        }
        state.left -= bytes_counted;
        Poll::Ready(Taken { budget: Arc::clone(self), bytes })
    }
}

impl Taken {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.left += self.bytes.min(state.limit);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let budget = Budget::new(100);
        let cx = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = budget.poll_take(70, &cx) else { panic!("there is enough") };
        assert!(budget.poll_take(31, &cx).is_pending());
        assert!(budget.poll_take(30, &cx).is_ready());
        drop(first);
        assert!(budget.poll_take(1000, &cx).is_ready(), "a large one is let in alone");
        assert_eq!(budget.state.lock().left, 100);
    }
}
