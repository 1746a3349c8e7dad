//! What is encoded is decoded.

use bytes::Bytes;
use thalweg_wire::messages::*;
use thalweg_wire::{Codec, EncodeError, ErrorCode, Reader, Writer};

use crate::arbitrary::{Fill, Gen, all};

pub fn encode<T: Codec>(value: &T, version: i16) -> Bytes {
    let mut w = Writer::new();
    value.encode(&mut w, version).unwrap_or_else(|e| panic!("{} v{version}: {e}", T::NAME));
    w.into_bytes()
}

pub fn decode<T: Codec>(bytes: &Bytes, version: i16) -> T {
    let mut r = Reader::new(bytes.clone());
    let value = T::decode(&mut r, version).unwrap_or_else(|e| panic!("{} v{version}: {e}", T::NAME));
    assert_eq!(r.remaining(), 0, "{} v{version}", T::NAME);
    value
}

#[test]
fn every_message_at_every_version_is_read_as_it_was_written() {
    let mut g = Gen::new(1);
    macro_rules! visit {
        ($name:ident) => {
            for version in $name::VERSIONS {
                for value in [$name::default(), $name::fill(&mut g, version), $name::fill(&mut g, version)] {
                    let Ok(()) = value.encode(&mut Writer::new(), version) else {
                        // Records that may not be null are null by default.
                        assert_eq!(value, $name::default());
                        continue;
                    };
                    assert_eq!(decode::<$name>(&encode(&value, version), version), value);
                }
            }
        };
    }
    all!(visit);
}

#[test]
fn versions_that_do_not_exist_are_refused() {
    macro_rules! visit {
        ($name:ident) => {
            for version in [$name::VERSIONS.start() - 1, $name::VERSIONS.end() + 1] {
                assert!($name::decode(&mut Reader::new(Bytes::from(vec![0; 64])), version).is_err());
                let refused = EncodeError::Version { name: stringify!($name), version };
                assert_eq!($name::default().encode(&mut Writer::new(), version), Err(refused));
            }
        };
    }
    all!(visit);
}

#[test]
fn a_field_that_the_version_lacks_is_refused_unless_it_may_be_ignored() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let refused = EncodeError::Unsupported("MetadataRequest.AllowAutoTopicCreation");
    assert_eq!(request.encode(&mut Writer::new(), 3), Err(refused));
    assert_eq!(request.encode(&mut Writer::new(), 4), Ok(()));
    // The throttle time is ignorable.
    let response = MetadataResponse { throttle_time_ms: 5, ..MetadataResponse::default() };
    assert_eq!(response.encode(&mut Writer::new(), 2), Ok(()));
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(request.encode(&mut Writer::new(), 0), Err(EncodeError::Null("MetadataRequest.Topics")));
    assert_eq!(request.encode(&mut Writer::new(), 1), Ok(()));
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    // Version 4 of HeartbeatRequest: four strings, a number, and the tags 3 and 900 with one and two bytes.
    let bytes = b"\x02g\0\0\0\x07\x02m\x00\x02\x03\x01\xff\x84\x07\x02\xff\xff";
    let request = decode::<HeartbeatRequest>(&Bytes::from_static(bytes), 4);
    assert_eq!((request.generation_id, request.group_instance_id), (7, None));
}

#[test]
fn strings_that_are_not_utf8_are_replaced_as_java_does() {
    let request = decode::<FindCoordinatorRequest>(&Bytes::from_static(b"\0\x03a\xffb"), 0);
    assert_eq!(request.key, "a\u{fffd}b");
}

#[test]
fn error_codes_have_no_gaps() {
    assert_eq!(ErrorCode::ALL.len(), 135);
    for (code, error) in (-1i16..).zip(ErrorCode::ALL) {
        assert_eq!(error.code(), code);
        assert_eq!(ErrorCode::from_code(code), *error);
    }
    assert_eq!(ErrorCode::from_code(1000), ErrorCode::UnknownServerError);
    assert_eq!(ErrorCode::from_code(i16::MIN), ErrorCode::UnknownServerError);
    assert_eq!(ErrorCode::NotLeaderOrFollower.name(), "NOT_LEADER_OR_FOLLOWER");
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable() && !ErrorCode::TopicAlreadyExists.is_retriable());
}
