//! Any bytes give a value or an error.

use bytes::Bytes;
use thalweg_wire::messages::*;
use thalweg_wire::{Codec, DecodeProblem, Reader, Writer};

use crate::arbitrary::{Fill, Gen, all};
use crate::round_trip::{decode, encode};

#[test]
fn every_truncation_is_an_error() {
    let mut g = Gen::new(2);
    macro_rules! visit {
        ($name:ident) => {
            for version in $name::VERSIONS {
                let bytes = encode(&$name::fill(&mut g, version), version);
                // Long byte strings are cut in some places only.
                let step = bytes.len() / 300 + 1;
                for end in (0..bytes.len()).step_by(step) {
                    let cut = $name::decode(&mut Reader::new(bytes.slice(..end)), version);
                    assert!(cut.is_err(), "{} v{version} cut at {end} of {}", $name::NAME, bytes.len());
                }
            }
        };
    }
    all!(visit);
}

/// What was decoded from mutated bytes can be encoded, and is then decoded to the same.
fn mutated<T: Fill + Codec>(g: &mut Gen, version: i16) -> bool {
    let mut bytes = encode(&T::fill(g, version), version).to_vec();
    if bytes.is_empty() {
        return false;
    }
    for _ in 0..=g.below(3) {
        let at = g.below(bytes.len());
        match g.below(4) {
            0 => bytes[at] = g.next() as u8,
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][g.below(5)],
            2 => bytes.insert(at, 0xff),
            _ => bytes[at] ^= 1 << g.below(8),
        }
    }
    let Ok(value) = T::decode(&mut Reader::new(bytes.into()), version) else { return false };
    let again = encode(&value, version);
    assert_eq!(encode(&decode::<T>(&again, version), version), again, "{} v{version}", T::NAME);
    true
}

#[test]
fn mutated_bytes_give_a_value_or_an_error() {
    let mut g = Gen::new(3);
    let (mut values, mut errors) = (0, 0);
    macro_rules! visit {
        ($name:ident) => {
            for version in $name::VERSIONS {
                for _ in 0..20 {
                    if mutated::<$name>(&mut g, version) { values += 1 } else { errors += 1 }
                }
            }
        };
    }
    all!(visit);
    assert!(values > 1000 && errors > 1000, "{values} values, {errors} errors");
}

#[test]
fn noise_gives_a_value_or_an_error() {
    let mut g = Gen::new(4);
    macro_rules! visit {
        ($name:ident) => {
            for version in $name::VERSIONS {
                for _ in 0..10 {
                    let noise: Bytes = (0..g.below(200)).map(|_| g.next() as u8 >> (g.next() % 8)).collect();
                    let _ = $name::decode(&mut Reader::new(noise), version);
                }
            }
        };
    }
    all!(visit);
}

#[test]
fn problems_are_named_with_their_place() {
    let problem = |bytes: &'static [u8], version| {
        let error = MetadataRequest::decode(&mut Reader::new(Bytes::from_static(bytes)), version).unwrap_err();
        (error.problem, error.at)
    };
    assert_eq!(problem(b"\0\0\0", 1), (DecodeProblem::Truncated, 0));
    assert_eq!(problem(b"\0\0\0\x02\0", 1), (DecodeProblem::Count, 4));
    assert_eq!(problem(b"\xff\xff\xff\xff", 0), (DecodeProblem::Null, 4));
    assert_eq!(problem(b"\xff\xff\xff\xff\xff\xff", 9), (DecodeProblem::Varint, 5));
    assert_eq!(problem(b"\x01\x01\0\0\x01\x02\x01", 9), (DecodeProblem::Truncated, 7));
    assert_eq!(problem(b"", 14), (DecodeProblem::Version(14), 0));
    // The tagged field 0 of ApiVersionsResponse is an array: here it is shorter than its size says.
    let bytes = Bytes::from_static(b"\0\0\x01\0\0\0\0\x01\0\x02\x01\0");
    let error = ApiVersionsResponse::decode(&mut Reader::new(bytes), 3).unwrap_err();
    assert_eq!((error.problem, error.at), (DecodeProblem::TagSize, 11));
}

#[test]
fn a_failed_reader_and_writer_stay_failed() {
    let mut r = Reader::new(Bytes::from_static(b"\0\x01\x02"));
    assert_eq!(r.i32(), 0);
    assert_eq!((r.i8(), r.remaining()), (0, 0));
    assert!(HeartbeatRequest::decode(&mut r, 0).is_err());
    let mut w = Writer::new();
    assert!(HeartbeatRequest::default().encode(&mut w, 99).is_err());
    assert!(HeartbeatRequest::default().encode(&mut w, 0).is_err());
}
