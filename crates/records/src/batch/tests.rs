use super::*;
use crate::{BatchBuilder, BatchOptions, Compression};

fn batch(base_offset: i64, options: BatchOptions) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions { base_offset: Offset(base_offset), ..options });
    builder.append(Timestamp(5), None, Some(b"a"), &[]);
    builder.append_at(Offset(base_offset + 3), Timestamp(4), Some(b"b"), None, &[]);
    assert_eq!((builder.count(), builder.next_offset()), (2, Offset(base_offset + 4)));
    builder.build().expect("builds")
}

#[test]
fn a_run_is_split_without_copying() {
    let first = batch(10, BatchOptions::default());
    let run: Bytes = [first.clone(), batch(14, BatchOptions::default())].concat().into();
    let views: Vec<BatchView> = batches(run.clone()).collect::<Result<_, _>>().expect("two batches");
    let offsets = views.iter().map(|view| (view.base_offset().0, view.last_offset().0, view.next_offset().0));
    assert_eq!(offsets.collect::<Vec<_>>(), [(10, 13, 14), (14, 17, 18)]);
    assert_eq!(views[1].bytes().as_ptr(), run[first.len()..].as_ptr());
}

#[test]
fn a_cut_run_ends_with_an_error_that_says_what_is_missing() {
    let first = batch(10, BatchOptions::default());
    let size = first.len();
    let run: Bytes = [first.clone(), first].concat().into();
    for cut in [1, 16, 60, size - 1] {
        let mut cut_run = batches(run.slice(..size + cut));
        assert!(cut_run.next().is_some_and(|batch| batch.is_ok()));
        let error = cut_run.next().expect("a second step").expect_err("a partial batch");
        assert!(error.is_truncated(), "{cut}: {error}");
        assert_eq!(cut_run.next(), None);
        assert_eq!(cut_run.rest().len(), cut, "the partial batch");
    }
}

#[test]
fn a_changed_byte_anywhere_behind_the_checksum_shows() {
    let good = batch(10, BatchOptions::default());
    for at in ATTRIBUTES_AT..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        let view = BatchView::parse(&bytes.into()).expect("a batch");
        assert!(matches!(view.verify_crc(), Err(BatchError::Crc { .. })), "byte {at}");
    }
}

#[test]
fn records_are_slices_of_an_uncompressed_batch() {
    let bytes = batch(10, BatchOptions::default());
    let view = BatchView::parse(&bytes).expect("a batch");
    let records: Vec<_> = view.records(0).expect("the limit is for decompression").flatten().collect();
    let value = records[0].value.as_ref().expect("a value");
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
    let found = records.iter().map(|r| {
        let header = view.header();
        (header.offset_of(r.offset_delta).0, header.timestamp_of(r.timestamp_delta).0, r.key.clone(), r.value.clone())
    });
    let (a, b) = (Some(Bytes::from_static(b"a")), Some(Bytes::from_static(b"b")));
    assert_eq!(found.collect::<Vec<_>>(), [(10, 5, None, a), (13, 4, b, None)]);
}

#[test]
fn the_limit_of_decompression_is_exact() {
    let codec = Compression::Gzip.into();
    let plain = batch(10, BatchOptions::default()).len() - HEAD;
    let view = BatchView::parse(&batch(10, BatchOptions { codec, ..BatchOptions::default() })).expect("a batch");
    assert!(view.records(plain).is_ok());
    assert_eq!(view.records(plain - 1).expect_err("an error"), BatchError::TooLarge { limit: plain - 1 });
}
