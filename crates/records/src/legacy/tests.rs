use thalweg_base::Timestamp;

use super::*;
use crate::BatchView;
use crate::compression::compress;

/// A message with key `k`; magic 1 has the timestamp 70.
fn message(magic: u8, offset: i64, codec: Compression, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![magic, codec.id()];
    if magic == 1 {
        body.extend(70i64.to_be_bytes());
    }
    body.extend([0, 0, 0, 1, b'k']);
    body.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
    body.extend(value.unwrap_or_default());
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend((body.len() as i32 + 4).to_be_bytes());
    bytes.extend(crc32(&body).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A gzip wrapper around `inner`.
fn wrapper(magic: u8, offset: i64, inner: &[Vec<u8>]) -> BatchView {
    let value = compress(Compression::Gzip.into(), &inner.concat()).expect("compresses");
    view(message(magic, offset, Compression::Gzip, Some(&value)))
}

fn view(bytes: Vec<u8>) -> BatchView {
    let view = BatchView::parse(&bytes.into()).expect("a message");
    assert_eq!(view.verify_crc(), Ok(()));
    view
}

fn offsets(view: &BatchView) -> Result<Vec<i64>, BatchError> {
    view.records(1 << 20)?.map(|record| Ok(view.header().offset_of(record?.offset_delta).0)).collect()
}

fn plain(magic: u8, offset: i64) -> Vec<u8> {
    message(magic, offset, Compression::None, Some(b"v"))
}

#[test]
fn magic_0_has_absolute_offsets_inside() {
    let view = wrapper(0, 12, &[plain(0, 10), plain(0, 12)]);
    assert_eq!(offsets(&view), Ok(vec![10, 12]));
    assert_eq!((view.first_offset(1 << 20), view.last_offset()), (Ok(Offset(10)), Offset(12)));
    assert_eq!(view.max_timestamp(), Timestamp::NONE);
}

#[test]
fn magic_1_counts_from_the_wrappers_last_message() {
    let view = wrapper(1, 12, &[plain(1, 0), plain(1, 2)]);
    assert_eq!(offsets(&view), Ok(vec![10, 12]));
    assert_eq!((view.first_offset(1 << 20), view.last_offset()), (Ok(Offset(10)), Offset(12)));
    assert_eq!(view.max_timestamp(), Timestamp(70));
}

#[test]
fn a_wrapper_at_offset_0_leaves_inner_offsets_as_they_are() {
    assert_eq!(offsets(&wrapper(1, 0, &[plain(1, 0), plain(1, 1)])), Ok(vec![0, 1]));
}

#[test]
fn a_partial_message_at_the_end_of_a_wrapper_is_left_out() {
    let cut = plain(1, 1)[..20].to_vec();
    assert_eq!(offsets(&wrapper(1, 12, &[plain(1, 0), cut])), Ok(vec![12]));
}

#[test]
fn impossible_wrappers_are_errors() {
    let broken = [
        wrapper(1, 1, &[plain(1, 0), plain(1, 2)]),
        wrapper(1, 1, &[]),
        wrapper(1, 1, &[message(1, 0, Compression::Gzip, Some(b"v"))]),
        view(message(1, 1, Compression::Zstd, Some(b"v"))),
        view(message(1, 1, Compression::Gzip, None)),
        view(message(1, 1, Compression::Gzip, Some(b"v"))),
        wrapper(0, i64::MAX, &[plain(0, 1)]),
    ];
    for (index, view) in broken.iter().enumerate() {
        assert!(offsets(view).is_err(), "{index}");
        assert!(view.first_offset(1 << 20).is_err(), "{index}");
    }
}

#[test]
fn lengths_beyond_a_message_are_errors() {
    let mut bytes = plain(0, 0);
    let key_length = 18;
    bytes[key_length..key_length + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    let view = BatchView::parse(&bytes.into()).expect("a message");
    assert!(matches!(view.verify_crc(), Err(BatchError::Crc { .. })));
    assert_eq!(offsets(&view), Err(SHORT));
}
