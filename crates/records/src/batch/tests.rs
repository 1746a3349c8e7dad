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

#[test]
fn a_record_is_found_in_every_codec_without_the_whole_batch_in_memory() {
    let mut scratch = Scratch::default();
    for compression in
        ["none", "gzip", "snappy", "lz4", "zstd"].map(|name| Compression::from_name(name).expect("a codec"))
    {
        let view = BatchView::parse(&batch(10, BatchOptions { codec: compression.into(), ..BatchOptions::default() }));
        let view = view.expect("a batch");
        let mut find = |wanted: i64| view.find_record(&mut scratch, 100, |_, timestamp| timestamp == wanted);
        assert_eq!(find(0), Ok(Some((0, 0))), "{compression}");
        assert_eq!(find(-1), Ok(Some((3, -1))), "{compression}");
        assert_eq!(find(7), Ok(None), "{compression}");
    }
    // 64 MB in a few KB: more than is ever there at once.
    let mut builder = BatchBuilder::new(BatchOptions { codec: Compression::Zstd.into(), ..BatchOptions::default() });
    builder.append(Timestamp(1), None, Some(&vec![0; 64 << 20]), &[]);
    builder.append(Timestamp(2), None, Some(b"behind it"), &[]);
    let view = BatchView::parse(&builder.build().expect("builds")).expect("a batch");
    assert_eq!(view.find_record(&mut scratch, 100, |_, timestamp| timestamp == 1), Ok(Some((1, 1))));
    assert_eq!(view.records(1 << 20).expect_err("it is too large"), BatchError::TooLarge { limit: 1 << 20 });
}
