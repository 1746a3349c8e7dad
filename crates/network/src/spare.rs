//! Emptied receive buffers of one node, kept for whichever connection reads next: fresh memory costs page faults, and
//! most connections are idle most of the time.

use bytes::BytesMut;
use parking_lot::Mutex;

/// How many buffers are kept: a few for each worker, since a buffer is back before its worker sleeps.
const KEPT_MAX: usize = 16;
/// How many bytes they may have together.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The buffers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buffers: Vec<BytesMut>,
    bytes: usize,
}

impl Spare {
    /// The smallest buffer with room for `wanted` bytes, if there is one.
    pub(crate) fn take(&self, wanted: usize) -> Option<BytesMut> {
        let mut state = self.state.lock();
        let fitting = state.buffers.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= wanted);
        let (at, _) = fitting.min_by_key(|(_, buffer)| buffer.capacity())?;
        let buffer = state.buffers.swap_remove(at);
        state.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Takes back an empty buffer that once had room for `allocated` bytes, unless requests still lie in it.
    pub(crate) fn give(&self, mut buffer: BytesMut, allocated: usize) {
        if allocated == 0 || allocated > KEPT_BYTES_MAX || !buffer.is_empty() || !buffer.try_reclaim(allocated) {
            return;
        }
        let mut state = self.state.lock();
        if state.buffers.len() < KEPT_MAX && state.bytes + buffer.capacity() <= KEPT_BYTES_MAX {
            state.bytes += buffer.capacity();
            state.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_no_request_lies_in_it() {
        let spare = Spare::default();
        let mut buffer = BytesMut::with_capacity(1000);
        buffer.extend_from_slice(&[1; 600]);
        let request = buffer.split_to(600).freeze();
        let at = request.as_ptr();
        spare.give(std::mem::take(&mut buffer), 1000);
        assert!(spare.take(1).is_none(), "the request was in it");

        let mut buffer = BytesMut::from(request);
        let _ = buffer.split_to(600);
        spare.give(buffer, 1000);
        assert!(spare.take(1001).is_none(), "it is not large enough");
        assert_eq!(spare.take(1000).map(|buffer| buffer.as_ptr()), Some(at));
        assert_eq!(spare.state.lock().bytes, 0);
    }

    #[test]
    fn few_bytes_are_kept_and_the_smallest_fitting_buffer_is_taken() {
        let spare = Spare::default();
        for size in [3000, 1000, 2000, KEPT_BYTES_MAX] {
            spare.give(BytesMut::with_capacity(size), size);
        }
        assert_eq!(spare.take(1500).map(|buffer| buffer.capacity()), Some(2000));
        assert_eq!(spare.state.lock().bytes, 4000);
        (0..100).for_each(|_| spare.give(BytesMut::with_capacity(10), 10));
        assert_eq!(spare.state.lock().buffers.len(), KEPT_MAX);
    }
}
