//! Buffers through which records pass from files to sockets. They are kept, so that no answer pays for fresh memory.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;

/// The size of each buffer: it stays in a core's cache between the read and the write, and is large enough that system
/// calls and the wake-ups of the client do not count. With 256 KiB both cost a tenth more.
pub(crate) const CHUNK: usize = 1 << 20;
/// How many buffers are kept for later: a worker needs one, and some more wait for slow sockets.
const KEPT_MAX: usize = 4;
/// While more buffers than this are out, a connection whose socket is full gives its own back and reads again later:
/// 64 MiB for however many clients are slow.
const HELD_MAX: usize = 64;

/// A buffer of [`CHUNK`] bytes; it goes back where it came from when it is dropped.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Box<[u8]>,
    home: Arc<Chunks>,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut state = self.home.state.lock();
        state.out -= 1;
        if state.free.len() < KEPT_MAX {
            state.free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The buffers of one node.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Box<[u8]>>,
    out: usize,
}

impl Chunks {
    pub(crate) fn take(self: &Arc<Self>) -> Chunk {
        let kept = {
            let mut state = self.state.lock();
            state.out += 1;
            state.free.pop()
        };
        Chunk { bytes: kept.unwrap_or_else(|| vec![0; CHUNK].into()), home: Arc::clone(self) }
    }

    /// Whether so many buffers are out that those who wait for a socket should give theirs back.
    pub(crate) fn is_scarce(&self) -> bool {
        self.state.lock().out > HELD_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_buffers_are_kept_and_many_are_scarce() {
        let chunks = Arc::new(Chunks::default());
        let out: Vec<Chunk> = (0..=HELD_MAX).map(|_| chunks.take()).collect();
        assert!(chunks.is_scarce());
        drop(out);
        assert!(!chunks.is_scarce());
        assert_eq!(chunks.state.lock().free.len(), KEPT_MAX);
    }
}
