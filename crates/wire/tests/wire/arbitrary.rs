//! Random values of every message, from a seed.
//!
//! The filling of each struct is generated from the schema, as the structs are.

use std::collections::BTreeSet;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::Uuid;

/// A source of random values (SplitMix64).
pub struct Gen(u64);

impl Gen {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn maybe<T: Fill>(&mut self, nullable: bool, version: i16) -> Option<T> {
        if nullable && self.below(4) == 0 { None } else { Some(T::fill(self, version)) }
    }

    /// Small numbers, the ends of the range, and anything.
    fn bits(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => u64::MAX >> 1,
            4 => self.next() % 200,
            _ => self.next(),
        }
    }
}

/// What random values can be made of. A struct has them in the fields that the version has.
pub trait Fill: Sized {
    fn fill(g: &mut Gen, version: i16) -> Self;

    /// What tells the element from the others of its collection, where Kafka keeps it in a set.
    fn key(&self) -> Option<String> {
        None
    }
}

impl<T: Fill> Fill for Vec<T> {
    fn fill(g: &mut Gen, version: i16) -> Self {
        let mut seen = BTreeSet::new();
        let mut elements: Vec<T> = (0..g.below(4)).map(|_| T::fill(g, version)).collect();
        elements.retain(|element| element.key().is_none_or(|key| seen.insert(key)));
        elements
    }
}

macro_rules! numbers {
    ($($ty:ty),*) => {
        $(impl Fill for $ty {
            fn fill(g: &mut Gen, _: i16) -> Self {
                // The interesting bits are at the top.
                (g.bits() as i64 >> (64 - <$ty>::BITS)) as $ty
            }
        })*
    };
}

numbers!(i8, i16, u16, i32, u32, i64);

impl Fill for bool {
    fn fill(g: &mut Gen, _: i16) -> Self {
        g.below(2) == 0
    }
}

impl Fill for f64 {
    fn fill(g: &mut Gen, _: i16) -> Self {
        g.next() as i64 as f64 / 1024.0
    }
}

impl Fill for Uuid {
    fn fill(g: &mut Gen, _: i16) -> Self {
        Self([(); 16].map(|()| g.bits() as u8))
    }
}

impl Fill for ByteString {
    fn fill(g: &mut Gen, _: i16) -> Self {
        let length = if g.below(50) == 0 { 300 } else { g.below(12) };
        (0..length).map(|_| ['a', '.', 'Z', '\0', 'ä', '€', '𝄞'][g.below(7)]).collect::<String>().into()
    }
}

impl Fill for Bytes {
    fn fill(g: &mut Gen, _: i16) -> Self {
        let length = if g.below(8) == 0 { 1500 } else { g.below(40) };
        (0..length).map(|_| g.next() as u8).collect()
    }
}

impl Fill for thalweg_wire::Records {
    fn fill(g: &mut Gen, version: i16) -> Self {
        Self::Here(Bytes::fill(g, version))
    }
}

include!(concat!(env!("OUT_DIR"), "/arbitrary.rs"));

pub(crate) use all;
