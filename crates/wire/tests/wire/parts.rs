//! Large byte strings are not copied, and frames are what the network wants.

use bytes::Bytes;
use thalweg_wire::messages::{FetchResponse, fetch_response};
use thalweg_wire::{EncodeError, Reader, Records, Writer};

fn response(records: &[&Bytes]) -> FetchResponse {
    let partition = |records: &&Bytes| fetch_response::PartitionData {
        records: Some((*records).clone().into()),
        ..fetch_response::PartitionData::default()
    };
    let topic = fetch_response::FetchableTopicResponse {
        partitions: records.iter().map(partition).collect(),
        ..fetch_response::FetchableTopicResponse::default()
    };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

#[test]
fn large_records_become_parts_of_their_own_without_a_copy() {
    let (large, small) = (Bytes::from(vec![1; 1024]), Bytes::from(vec![2; 1023]));
    let mut w = Writer::new();
    response(&[&large, &small, &large]).encode(&mut w, 13).unwrap();
    let length = w.len();
    let parts = w.into_parts();
    assert_eq!(parts.iter().map(Bytes::len).sum::<usize>(), length);
    let shared: Vec<bool> = parts.iter().map(|p| p.as_ptr() == large.as_ptr()).collect();
    assert_eq!(shared, [false, true, false, true, false]);
}

#[test]
fn decoded_records_are_slices_of_the_frame() {
    let records = Bytes::from(vec![3; 100]);
    let mut w = Writer::new();
    response(&[&records]).encode(&mut w, 13).unwrap();
    let frame = w.into_bytes();
    let decoded = FetchResponse::decode(&mut Reader::new(frame.clone()), 13).unwrap();
    let slice = decoded.responses[0].partitions[0].records.as_ref().unwrap().here().unwrap();
    assert!(frame.as_ptr_range().contains(&slice.as_ptr()));
    assert_eq!(slice, &records);
}

#[test]
fn a_frame_begins_with_its_length() {
    let large = Bytes::from(vec![1; 5000]);
    for value in [response(&[]), response(&[&large])] {
        let mut w = Writer::new();
        value.encode(&mut w, 13).unwrap();
        let length = w.len();
        let frame = w.into_frame().unwrap().concat();
        assert_eq!(frame.len(), length + 4);
        assert_eq!(frame[..4], i32::try_from(length).unwrap().to_be_bytes());
        assert_eq!(FetchResponse::decode(&mut Reader::new(Bytes::from(frame).slice(4..)), 13).unwrap(), value);
    }
    let mut w = Writer::new();
    w.share(&large);
    assert_eq!(w.into_frame().unwrap().concat()[..4], [0, 0, 0x13, 0x88]);
    assert_eq!(Writer::new().into_frame().unwrap().concat(), [0; 4]);
}

#[test]
fn records_that_are_elsewhere_leave_gaps_of_their_length() {
    let small = Bytes::from(vec![2; 10]);
    let whole = response(&[&Bytes::from(vec![1; 5000]), &small, &Bytes::from(vec![3; 2])]);
    let mut gappy = whole.clone();
    for at in [0, 2] {
        let records = &mut gappy.responses[0].partitions[at].records;
        *records = Some(Records::Elsewhere(records.as_ref().unwrap().len()));
    }
    let encoded = |value: &FetchResponse| {
        let mut w = Writer::new();
        value.encode(&mut w, 13).unwrap();
        w.into_frame_with_gaps().unwrap()
    };
    let (mut parts, gaps) = encoded(&gappy);
    assert_eq!(gaps.iter().map(|gap| gap.len).collect::<Vec<_>>(), [5000, 2]);
    for gap in gaps.iter().rev() {
        parts.insert(gap.after_parts, Bytes::from(vec![if gap.len == 2 { 3 } else { 1 }; gap.len]));
    }
    assert_eq!(parts.concat(), encoded(&whole).0.concat());
}

#[test]
fn a_failed_encoding_gives_no_frame() {
    let long: String = "x".repeat(32768);
    let mut w = Writer::new();
    w.string(&long.into(), true);
    assert_eq!(w.into_frame(), Err(EncodeError::TooLong));
}
