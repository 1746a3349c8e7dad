//! Which partition a record goes to.

/// The hash of Kafka's Java client, by which records with the same key meet in one partition.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition, of so many, for records with this key.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: usize) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    ((murmur2(key) & 0x7fff_ffff) as usize % partitions) as i32
}

/// Keeps records without a key in one partition until a batch's worth of bytes went there, then moves to another (KIP-794).
#[derive(Debug, Default)]
pub(super) struct Sticky {
    partition: Option<i32>,
    bytes: usize,
}

impl Sticky {
    /// The partition for a record of `size` bytes. `random` decides which comes next among `available`.
    pub(super) fn next(&mut self, size: usize, batch_bytes: usize, available: &[i32], random: impl Fn() -> u64) -> i32 {
        let is_full = self.bytes >= batch_bytes.max(1);
        let current = self.partition.filter(|current| !is_full && available.contains(current));
        let partition = current.unwrap_or_else(|| {
            self.bytes = 0;
            available[(random() % available.len() as u64) as usize]
        });
        self.partition = Some(partition);
        self.bytes += size;
        partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // From Kafka's own test of its hash.
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn records_without_a_key_stay_together_for_a_batch() {
        let mut sticky = Sticky::default();
        let draws = std::cell::Cell::new(0);
        let mut next = || {
            sticky.next(10, 30, &[4, 5], || {
                draws.set(draws.get() + 1);
                draws.get()
            })
        };
        let partitions: Vec<i32> = (0..7).map(|_| next()).collect();
        assert_eq!(partitions, [5, 5, 5, 4, 4, 4, 5]);
    }
}
