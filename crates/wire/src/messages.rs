//! Kafka's messages, generated from `schema/`: one module each, in snake case of its name, with the message and its parts.
//!
//! Fields have Kafka's names in snake case. What an encoding of some version does not have keeps its default on decoding.
//! On encoding it must have its default, unless Kafka marks it as ignorable.

/// What the generated modules use.
mod parts {
    pub(super) use std::ops::RangeInclusive;

    pub(super) use bytes::Bytes;
    pub(super) use bytestring::ByteString;
    pub(super) use thalweg_base::Uuid;

    pub(super) use crate::codec::Codec;
    pub(super) use crate::error::{DecodeError, EncodeError};
    pub(super) use crate::reader::Reader;
    pub(super) use crate::records::Records;
    pub(super) use crate::writer::Writer;
}

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
