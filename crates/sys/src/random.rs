//! Randomness: the kernel's, or in the simulator a stream that a seed determines.

/// Sixteen random bytes, for ids.
#[must_use]
pub fn bytes16() -> [u8; 16] {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    bytes
}

/// A random number.
#[must_use]
pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(not(sim))]
fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        // The kernel's generator fails only when interrupted before it was ever ready.
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}

#[cfg(sim)]
thread_local! {
    static STATE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Begins the simulated stream anew; one simulation runs in one thread.
#[cfg(sim)]
pub fn seed(seed: u64) {
    STATE.set(seed);
}

/// SplitMix64: every seed gives a full-period stream.
#[cfg(sim)]
fn fill(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}
