//! What decoding allocates, in relation to the bytes that it decodes. One test in a program of its own: it counts what
//! the whole program allocates.

use std::alloc::System;

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use thalweg_wire::messages::*;
use thalweg_wire::{Codec, Reader};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FRAME: usize = 1 << 20;

/// How many bytes are allocated, all in all, to decode what is in `frame`.
fn allocated<T: Codec>(frame: &Bytes, version: i16) -> usize {
    let region = Region::new(ALLOCATOR);
    let _ = T::decode(&mut Reader::new(frame.clone()), version);
    region.change().bytes_allocated
}

/// Frames in which the count of an array stands at any of the first positions, as large as any that is accepted, with
/// the smallest elements behind it.
fn frames() -> Vec<(String, Bytes)> {
    let counts: [&[u8]; 3] = [&[0, 0xf, 0xf0, 0], &[0x7f, 0xff, 0xff, 0xff], &[0x80, 0xe0, 0x3f]];
    let mut frames = Vec::new();
    for (fill, at) in [0u8, 1].into_iter().flat_map(|fill| (0..12).map(move |at| (fill, at))) {
        for count in counts {
            let mut frame = vec![fill; FRAME];
            frame[at..at + count.len()].copy_from_slice(count);
            frames.push((format!("{fill}, {count:?} at {at}"), frame.into()));
        }
    }
    frames
}

#[test]
fn no_frame_makes_decoding_take_much_more_memory_than_it_has_bytes() {
    let mut worst = (0, String::new());
    for (what, frame) in frames() {
        macro_rules! visit {
            ($($name:ident)*) => {$(
                for version in [*$name::VERSIONS.start(), *$name::VERSIONS.end()] {
                    let bytes = allocated::<$name>(&frame, version);
                    if bytes > worst.0 {
                        worst = (bytes, format!("{} v{version}, {what}", $name::NAME));
                    }
                }
            )*};
        }
        visit!(MetadataRequest ProduceRequest FetchRequest FetchResponse CreateTopicsRequest OffsetCommitRequest);
    }
    println!("{} times the frame: {}", worst.0 / FRAME, worst.1);
    // Twice what the reader allows, since an array that grows is copied.
    assert!(worst.0 < 36 * FRAME, "{worst:?}");
    assert!(worst.0 > 4 * FRAME, "nothing hostile was found: {worst:?}");
}
