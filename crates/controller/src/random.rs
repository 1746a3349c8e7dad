//! Randomness, as the driver hands it in.

use thalweg_base::Uuid;

/// Gives 64 random bits at each call. The driver passes the system's randomness, a test a seeded generator.
pub type Random<'a> = &'a mut dyn FnMut() -> u64;

/// A number from 0 up to, not including, `limit`.
///
/// # Panics
/// If the limit is 0: then there is no such number.
pub(crate) fn below(random: Random<'_>, limit: usize) -> usize {
    assert!(limit > 0, "a random number needs room");
    // The high half of a product is as even as 64 bits allow, and never reaches the limit.
    ((u128::from(random()) * limit as u128) >> 64) as usize
}

/// Puts the items into a random order.
pub(crate) fn shuffle<T>(random: Random<'_>, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(random, last + 1));
    }
}

/// A new id.
pub(crate) fn uuid(random: Random<'_>) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random().to_be_bytes());
    bytes[8..].copy_from_slice(&random().to_be_bytes());
    Uuid::from_random(bytes)
}
