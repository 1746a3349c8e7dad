//! Reads values from the bytes of a frame.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::Uuid;

use crate::codec::{Codec, Scalar};
use crate::error::{DecodeError, DecodeProblem};
use crate::records::Records;

/// How much memory the elements of arrays may take for each byte of a frame. An empty string of two bytes becomes a value
/// of 32, so that a hostile frame could otherwise take 30 times its size; what clients send takes about 4 times.
const MEMORY_PER_BYTE: usize = 16;

/// How much memory the elements of arrays may take in any case.
const MEMORY_FREE: usize = 1 << 20;

/// A position in a frame.
///
/// The first failure stays: from then on there are no bytes left, and every read gives zeros and empty values. So a
/// struct is read without asking after each field, and [`Reader::failure`] is asked at the end.
///
/// Nothing is allocated that the bytes at hand do not justify: a count is checked against the bytes that are left, the
/// room that is made for an array at once is no larger than they are, and the elements of all arrays together may take
/// 16 times as much memory as there were bytes, and 1 MiB.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
    /// How much memory may still go into the elements of arrays.
    memory: usize,
    failure: Option<DecodeError>,
}

/// The tagged fields of a struct that are still to come.
pub(crate) struct Tags {
    left: u32,
    /// Where the field that was announced last ends.
    end: usize,
}

impl Reader {
    /// Stands at the first of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let memory = bytes.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FREE);
        Self { bytes, at: 0, memory, failure: None }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// How many bytes were read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The rest of the bytes, without a copy.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    /// What went wrong first, if anything did.
    #[must_use]
    pub fn failure(&self) -> Option<DecodeError> {
        self.failure
    }

    /// Notes a failure, unless there was one. Nothing can be read from here on.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, problem: DecodeProblem) {
        if self.failure.is_none() {
            self.failure = Some(DecodeError { problem, at: self.at });
        }
        self.at = self.bytes.len();
    }

    /// Fails unless the value that was just read is there.
    pub(crate) fn require(&mut self, some: bool) {
        if !some {
            self.fail(DecodeProblem::Null);
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        if let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() {
            self.at += N;
            return *bytes;
        }
        self.fail(DecodeProblem::Truncated);
        [0; N]
    }

    /// Reads one byte; anything but 0 is true.
    pub fn bool(&mut self) -> bool {
        self.i8() != 0
    }

    /// Reads one byte.
    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.array())
    }

    /// Reads two bytes.
    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.array())
    }

    /// Reads two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Reads four bytes.
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Reads eight bytes.
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.array())
    }

    /// Reads eight bytes.
    pub fn f64(&mut self) -> f64 {
        f64::from_be_bytes(self.array())
    }

    /// Reads sixteen bytes.
    pub fn uuid(&mut self) -> Uuid {
        Uuid(self.array())
    }

    /// Reads an unsigned number of one to five bytes, the low seven bits first.
    pub fn uvarint(&mut self) -> u32 {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array();
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The fifth byte has room for four bits only.
                if shift == 28 && byte > 0x0f {
                    break;
                }
                return value;
            }
        }
        self.fail(DecodeProblem::Varint);
        0
    }

    /// Reads a signed number of one to five bytes (zig-zag).
    pub fn varint(&mut self) -> i32 {
        let raw = self.uvarint();
        (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
    }

    /// Reads a length: -1 says null.
    fn length(&mut self, flexible: bool) -> Option<usize> {
        let length = if flexible { i64::from(self.uvarint()) - 1 } else { i64::from(self.i32()) };
        usize::try_from(length).ok()
    }

    /// Reads `length` bytes, as a slice of the frame.
    pub fn take(&mut self, length: usize) -> Bytes {
        if length > self.remaining() {
            self.fail(DecodeProblem::Truncated);
            return Bytes::new();
        }
        let from = self.at;
        self.at += length;
        if length == 0 { Bytes::new() } else { self.bytes.slice(from..self.at) }
    }

    /// Reads a string. Bytes that are not UTF-8 are replaced by U+FFFD, as Java does.
    pub fn string(&mut self, out: &mut ByteString, flexible: bool) {
        let mut value = None;
        self.opt_string(&mut value, flexible);
        match value {
            Some(value) => *out = value,
            None => self.fail(DecodeProblem::Null),
        }
    }

    /// Reads a string or null.
    pub fn opt_string(&mut self, out: &mut Option<ByteString>, flexible: bool) {
        let length = if flexible { i64::from(self.uvarint()) - 1 } else { i64::from(self.i16()) };
        if length > i64::from(i16::MAX) {
            self.fail(DecodeProblem::Length);
        }
        *out = usize::try_from(length).ok().map(|length| {
            let bytes = self.take(length);
            ByteString::try_from(bytes.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
        });
    }

    /// Reads a byte string.
    pub fn bytes(&mut self, out: &mut Bytes, flexible: bool) {
        match self.length(flexible) {
            Some(length) => *out = self.take(length),
            None => self.fail(DecodeProblem::Null),
        }
    }

    /// Reads a byte string or null.
    pub fn opt_bytes(&mut self, out: &mut Option<Bytes>, flexible: bool) {
        *out = self.length(flexible).map(|length| self.take(length));
    }

    /// Reads the records of an answer, or null.
    pub fn opt_records(&mut self, out: &mut Option<Records>, flexible: bool) {
        *out = self.length(flexible).map(|length| Records::Here(self.take(length)));
    }

    /// Reads the count of an array: not more than there are bytes left, since no element is smaller than one byte.
    fn count(&mut self, flexible: bool) -> Option<usize> {
        let count = self.length(flexible)?;
        if count > self.remaining() {
            self.fail(DecodeProblem::Count);
            return Some(0);
        }
        Some(count)
    }

    /// Accounts for one more element of an array. Fails when the elements take too much.
    fn account(&mut self, size: usize) {
        match self.memory.checked_sub(size) {
            Some(rest) => self.memory = rest,
            None => self.fail(DecodeProblem::Memory),
        }
    }

    /// An empty array with room for what the bytes that are left can hold, if each element took its size in memory.
    fn room<T>(&self, count: usize) -> Vec<T> {
        Vec::with_capacity(count.min(self.remaining() / size_of::<T>().max(1) + 1))
    }

    pub(crate) fn scalars<T: Scalar>(&mut self, out: &mut Vec<T>, flexible: bool) {
        let mut value = None;
        self.opt_scalars(&mut value, flexible);
        self.require(value.is_some());
        *out = value.unwrap_or_default();
    }

    pub(crate) fn opt_scalars<T: Scalar>(&mut self, out: &mut Option<Vec<T>>, flexible: bool) {
        *out = self.count(flexible).map(|count| {
            let mut elements = if count == 0 { Vec::new() } else { self.room(count) };
            for _ in 0..count {
                elements.push(T::get(self, flexible));
                self.account(size_of::<T>());
                if self.failure.is_some() {
                    break;
                }
            }
            elements
        });
    }

    pub(crate) fn structs<T: Codec>(&mut self, out: &mut Vec<T>, flexible: bool, version: i16) {
        match self.count(flexible) {
            Some(count) => self.elements(out, count, version),
            None => self.fail(DecodeProblem::Null),
        }
    }

    pub(crate) fn opt_structs<T: Codec>(&mut self, out: &mut Option<Vec<T>>, flexible: bool, version: i16) {
        *out = self.count(flexible).map(|count| {
            let mut elements = Vec::new();
            self.elements(&mut elements, count, version);
            elements
        });
    }

    fn elements<T: Codec>(&mut self, out: &mut Vec<T>, count: usize, version: i16) {
        if count == 0 {
            return;
        }
        *out = self.room(count);
        for _ in 0..count {
            let mut element = T::default();
            element.read(self, version);
            self.account(size_of::<T>());
            if self.failure.is_some() {
                return;
            }
            out.push(element);
        }
    }

    /// Reads a struct or null: a byte says which.
    pub(crate) fn opt_struct<T: Codec>(&mut self, out: &mut Option<T>, version: i16) {
        let some = self.i8() >= 0;
        self.struct_if(some, out, version);
    }

    /// Reads a struct or null in a tagged field, where a variable-length number says which.
    pub(crate) fn opt_struct_in_tag<T: Codec>(&mut self, out: &mut Option<T>, version: i16) {
        let some = self.uvarint() > 0;
        self.struct_if(some, out, version);
    }

    fn struct_if<T: Codec>(&mut self, some: bool, out: &mut Option<T>, version: i16) {
        *out = some.then(|| {
            let mut value = T::default();
            value.read(self, version);
            value
        });
    }

    /// Begins the tagged fields of a struct.
    pub(crate) fn tags(&mut self) -> Tags {
        let left = self.uvarint();
        Tags { left, end: self.at }
    }

    /// The next tagged field, whose value is to be read or skipped. The one before must have been used up.
    pub(crate) fn next_tag(&mut self, tags: &mut Tags) -> Option<u32> {
        if self.failure.is_none() && self.at != tags.end {
            self.fail(DecodeProblem::TagSize);
        }
        if self.failure.is_some() || tags.left == 0 {
            return None;
        }
        tags.left -= 1;
        let tag = self.uvarint();
        let size = self.uvarint() as usize;
        if size > self.remaining() {
            self.fail(DecodeProblem::Truncated);
        }
        tags.end = self.at.saturating_add(size);
        self.failure.is_none().then_some(tag)
    }

    /// Skips the value of a tagged field.
    pub(crate) fn skip_tag(&mut self, tags: &Tags) {
        self.at = tags.end;
    }

    /// Skips all tagged fields of a struct that knows none.
    pub(crate) fn skip_tags(&mut self) {
        let mut tags = self.tags();
        while self.next_tag(&mut tags).is_some() {
            self.skip_tag(&tags);
        }
    }
}
