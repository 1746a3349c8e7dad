//! The last offset of each key, in a fixed amount of memory.

use sha2::{Digest as _, Sha256};
use thalweg_base::Offset;

/// One slot: 16 bytes of the key's hash, and the offset plus one. All zero is an empty slot.
type Slot = [u64; 3];

/// A slot's size in bytes, which is also what Kafka's map takes for a key.
pub(crate) const SLOT: usize = size_of::<Slot>();

/// What of a key counts: 128 bits of its SHA-256. Nobody can make two keys that share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash([u64; 2]);

impl KeyHash {
    pub(crate) fn of(key: &[u8]) -> Self {
        let digest = Sha256::digest(key);
        let word = |at: usize| digest[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self([word(0), word(8)])
    }
}

/// An open-addressing table from keys to offsets.
///
/// Invariant: at most `fill_max` of the slots are taken, which is fewer than all, so that every search ends.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    fill_max: usize,
    len: usize,
    latest: Offset,
}

impl OffsetMap {
    /// A table that takes at most `memory` bytes and is filled to `load_factor` at most. It is made no larger than `keys`
    /// keys need. The operating system gives the memory when it is first touched.
    pub(crate) fn new(memory: usize, load_factor: f64, keys: u64) -> Self {
        let load_factor = load_factor.clamp(0.01, 0.99);
        // Rounding to whole slots is all that these numbers are for.
        let needed = (keys as f64 / load_factor).ceil() + 2.0;
        let slots = (memory / SLOT).min(needed as usize).max(2);
        let fill_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        Self { slots: vec![[0; 3]; slots], fill_max, len: 0, latest: Offset(-1) }
    }

    /// The last offset that was looked at, whether it had a key or not; -1 for none.
    pub(crate) fn latest(&self) -> Offset {
        self.latest
    }

    pub(crate) fn set_latest(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Enters that the record at `offset` has this key; false when there is no more room.
    #[must_use]
    pub(crate) fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        if self.len >= self.fill_max {
            return false;
        }
        let at = self.find(key);
        self.len += usize::from(self.slots[at][2] == 0);
        self.slots[at] = [key.0[0], key.0[1], stored(offset)];
        self.latest = offset;
        true
    }

    /// The last offset at which the key stands; `None` when it stands nowhere in what was mapped.
    pub(crate) fn get(&self, key: KeyHash) -> Option<Offset> {
        let stored = self.slots[self.find(key)][2];
        (stored > 0).then(|| Offset(i64::try_from(stored - 1).unwrap_or(i64::MAX)))
    }

    /// The slot of the key, or the empty one where it would go.
    fn find(&self, key: KeyHash) -> usize {
        let count = self.slots.len();
        let mut at = usize::try_from(key.0[0] % count as u64).unwrap_or(0);
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || slot[..2] == key.0 {
                return at;
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
    }
}

fn stored(offset: Offset) -> u64 {
    assert!(offset.0 >= 0, "a record has an offset");
    offset.0.unsigned_abs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_known_until_the_table_is_full() {
        let mut map = OffsetMap::new(100 * SLOT, 0.9, u64::MAX / 2);
        let key = |n: i64| KeyHash::of(&n.to_be_bytes());
        for n in 0..89 {
            assert!(map.put(key(n), Offset(n)));
            assert!(map.put(key(n), Offset(n + 1000)));
        }
        assert!(map.put(key(89), Offset(2000)));
        assert!(!map.put(key(90), Offset(2001)), "90 of 100 slots are taken");
        assert_eq!((map.len(), map.latest()), (90, Offset(2000)));
        for n in 0..89 {
            assert_eq!(map.get(key(n)), Some(Offset(n + 1000)));
        }
        assert_eq!(map.get(key(90)), None);
    }

    #[test]
    fn a_table_is_no_larger_than_its_keys_need() {
        let mut map = OffsetMap::new(128 << 20, 0.5, 10);
        assert!(map.slots.len() < 30, "{}", map.slots.len());
        assert!((0..10).all(|n| map.put(KeyHash::of(&[n]), Offset(n.into()))));
        assert_eq!(map.get(KeyHash::of(&[9])), Some(Offset(9)));
    }
}
