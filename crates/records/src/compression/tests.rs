use super::*;

fn codecs() -> [Codec; 5] {
    Compression::ALL.map(Codec::from)
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7 % 251) as u8 ^ (i % 13) as u8).collect()
}

#[test]
fn every_codec_reads_what_it_wrote() {
    for codec in codecs() {
        for len in [0, 1, 100, 32 * 1024, 64 * 1024, 200_001] {
            let records = text(len);
            let stream = Bytes::from(compress(codec, &records).expect("compresses"));
            let read = decompress(codec.compression, &stream, len).expect("decompresses");
            assert_eq!(read, records, "{} {len}", codec.compression);
        }
    }
}

#[test]
fn output_beyond_the_limit_is_an_error() {
    for codec in &codecs()[1..] {
        let stream = Bytes::from(compress(*codec, &[7; 100_000]).expect("compresses"));
        let limit = 99_999;
        assert_eq!(decompress(codec.compression, &stream, limit), Err(BatchError::TooLarge { limit }), "{codec:?}");
    }
}

#[test]
fn a_cut_stream_is_an_error() {
    for codec in &codecs()[1..] {
        let stream = Bytes::from(compress(*codec, &text(100_000)).expect("compresses"));
        for cut in [1, 5, 17, stream.len() / 2, stream.len() - 1] {
            let cut = stream.slice(..cut);
            assert!(decompress(codec.compression, &cut, 1 << 20).is_err(), "{codec:?} at {}", cut.len());
        }
    }
}

#[test]
fn levels_are_honoured_and_brought_into_range() {
    let records = text(300_000);
    for (compression, low, high) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -7, 19)] {
        let size = |level| compress(Codec { compression, level }, &records).expect("compresses").len();
        assert!(size(high) < size(low), "{compression}");
        assert_eq!(size(1000), size(*compression.levels().end()), "{compression}");
    }
}

#[test]
fn snappy_reads_raw_blocks_and_joined_streams() {
    let raw = snap::raw::Encoder::new().compress_vec(b"one raw block").expect("compresses");
    assert_eq!(decompress(Compression::Snappy, &Bytes::from(raw), 100), Ok(Bytes::from_static(b"one raw block")));

    let mut joined = compress(Compression::Snappy.into(), b"first ").expect("compresses");
    joined.extend(compress(Compression::Snappy.into(), b"second").expect("compresses"));
    assert_eq!(decompress(Compression::Snappy, &Bytes::from(joined), 100), Ok(Bytes::from_static(b"first second")));
}

#[test]
fn snappy_blocks_that_declare_more_than_they_hold_take_no_memory() {
    // The varint says 2 GB.
    let block = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x07, 0, 1]);
    assert!(decompress(Compression::Snappy, &block, usize::MAX - 1).is_err());
}

#[test]
fn lz4_reads_checksums_and_sizes_of_other_writers() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    use std::io::Write;
    let encode = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&text(150_000)).expect("writes");
        Bytes::from(encoder.finish().expect("finishes"))
    };
    let info = FrameInfo::new().block_checksums(true).content_checksum(true);
    assert_eq!(decompress(Compression::Lz4, &encode(info.clone()), 1 << 20), Ok(text(150_000).into()));
    let linked = encode(info.block_mode(BlockMode::Linked));
    assert!(decompress(Compression::Lz4, &linked, 1 << 20).is_err(), "Java reads no linked blocks");
}

#[test]
fn lz4_is_read_by_other_readers() {
    let stream = compress(Compression::Lz4.into(), &text(150_000)).expect("compresses");
    let mut read = Vec::new();
    lz4_flex::frame::FrameDecoder::new(&stream[..]).read_to_end(&mut read).expect("reads");
    assert_eq!(read, text(150_000));
}

#[test]
fn only_magic_0_ignores_the_lz4_header_checksum() {
    let mut stream = compress(Compression::Lz4.into(), b"abc").expect("compresses");
    stream[6] ^= 1;
    let stream = Bytes::from(stream);
    assert_eq!(decompress_legacy(Compression::Lz4, 0, &stream, 10), Ok(Bytes::from_static(b"abc")));
    assert!(decompress_legacy(Compression::Lz4, 1, &stream, 10).is_err());
    assert!(decompress(Compression::Lz4, &stream, 10).is_err());
}

#[test]
fn names_and_numbers_are_kafkas() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec = Compression::from_id(id as u8).expect("a codec");
        assert_eq!((codec.name(), Compression::from_name(name)), (name, Some(codec)));
    }
    assert_eq!(Compression::from_name("uncompressed"), Some(Compression::None));
    assert_eq!(Compression::from_name("producer"), None);
    assert_eq!(Compression::from_id(5), Err(BatchError::Codec(5)));
}

#[test]
fn gzip_reads_joined_members_and_ignores_what_follows_the_last() {
    let (first, second) = (text(3000), text(40));
    let member = |text: &[u8]| compress(Compression::Gzip.into(), text).unwrap();
    let whole = [first.clone(), second.clone()].concat();
    let read = |stream: Vec<u8>| decompress(Compression::Gzip, &stream.into(), 10_000);
    assert_eq!(read([member(&first), member(&second)].concat()).unwrap(), whole);
    for padding in [&b"\0\0\0\0\0\0\0\0"[..], b"garbage!", b"\x1f\x8b", &[0x1f; 40]] {
        assert_eq!(read([&member(&first)[..], padding].concat()).unwrap(), first, "{padding:?}");
    }
    // A member that begins must be whole.
    let joined = [member(&first), member(&second)].concat();
    assert!(read(joined[..joined.len() - 3].to_vec()).is_err());
}
