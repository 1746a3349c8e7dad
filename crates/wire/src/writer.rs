//! Writes values as the parts of a frame.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use thalweg_base::Uuid;

use crate::codec::{Codec, Scalar};
use crate::error::EncodeError;
use crate::records::{Gap, Records};

/// Byte strings of this length or more become parts of their own. Below it, a copy is cheaper than one more entry in a
/// vectored write.
const SHARED_FROM: usize = 1024;

/// An encoding in the making: small values in buffers, large byte strings as they came.
///
/// The first failure stays, and is asked for at the end: [`Writer::failure`].
#[derive(Debug, Default)]
pub struct Writer {
    parts: Vec<Bytes>,
    /// Where bytes belong that are not in `parts`, in their order.
    gaps: Vec<Gap>,
    /// How many bytes are in `parts` and `gaps`.
    done: usize,
    buffer: BytesMut,
    failure: Option<EncodeError>,
}

impl Writer {
    /// Nothing yet, with room for a small response.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// Nothing yet, with room for `capacity` bytes of small values.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// How many bytes were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.done + self.buffer.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What went wrong first, if anything did.
    #[must_use]
    pub fn failure(&self) -> Option<EncodeError> {
        self.failure
    }

    /// Notes a failure, unless there was one. What is written is of no use from here on.
    #[cold]
    #[inline(never)]
    pub fn fail(&mut self, error: EncodeError) {
        self.failure.get_or_insert(error);
    }

    /// The parts of the encoding, none of them empty.
    ///
    /// # Panics
    /// When records of it are elsewhere: only [`Writer::into_frame_with_gaps`] can say where they belong.
    #[must_use]
    pub fn into_parts(mut self) -> Vec<Bytes> {
        assert!(self.gaps.is_empty(), "records that are elsewhere need a frame with gaps");
        self.flush();
        self.parts
    }

    /// The encoding in one piece. This copies when there is more than one part.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.parts.is_empty() && self.gaps.is_empty() {
            return self.buffer.freeze();
        }
        let length = self.len();
        let mut parts = self.into_parts();
        if parts.len() == 1 {
            return parts.swap_remove(0);
        }
        let mut all = BytesMut::with_capacity(length);
        for part in &parts {
            all.extend_from_slice(part);
        }
        all.freeze()
    }

    /// The encoding as a frame of the protocol: four bytes of length in front.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when the length does not fit in an `int32`, and what went wrong before.
    ///
    /// # Panics
    /// As [`Writer::into_parts`].
    pub fn into_frame(self) -> Result<Vec<Bytes>, EncodeError> {
        let (parts, gaps) = self.into_frame_with_gaps()?;
        assert!(gaps.is_empty(), "records that are elsewhere need a frame with gaps");
        Ok(parts)
    }

    /// The encoding as a frame whose length counts the records that are elsewhere, and where those belong.
    ///
    /// # Errors
    /// As [`Writer::into_frame`].
    pub fn into_frame_with_gaps(mut self) -> Result<(Vec<Bytes>, Vec<Gap>), EncodeError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let length = i32::try_from(self.len()).map_err(|_| EncodeError::TooLong)?;
        self.flush();
        let (mut parts, mut gaps) = (self.parts, self.gaps);
        let first = parts.first().map_or(0, Bytes::len);
        let is_first = gaps.first().is_none_or(|gap| gap.after_parts > 0);
        if is_first && (1..SHARED_FROM).contains(&first) {
            let mut joined = BytesMut::with_capacity(4 + first);
            joined.put_i32(length);
            joined.extend_from_slice(&parts[0]);
            parts[0] = joined.freeze();
        } else {
            parts.insert(0, Bytes::copy_from_slice(&length.to_be_bytes()));
            gaps.iter_mut().for_each(|gap| gap.after_parts += 1);
        }
        Ok((parts, gaps))
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            let part = self.buffer.split().freeze();
            self.done += part.len();
            self.parts.push(part);
        }
    }

    /// Writes bytes as they are, without a length. Large ones are shared, not copied.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_FROM {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        self.flush();
        self.done += bytes.len();
        self.parts.push(bytes.clone());
    }

    /// Writes bytes as they are, without a length.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Fails when a field is `set` that the version does not have.
    pub(crate) fn refuse(&mut self, set: bool, field: &'static str) {
        if set {
            self.fail(EncodeError::Unsupported(field));
        }
    }

    /// Fails when a field is null that may not be null in this version.
    pub(crate) fn require(&mut self, some: bool, field: &'static str) {
        if !some {
            self.fail(EncodeError::Null(field));
        }
    }

    /// Writes one byte.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// Writes one byte.
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Writes two bytes.
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Writes two bytes.
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Writes four bytes.
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Writes four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Writes eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Writes eight bytes.
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    /// Writes sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.extend_from_slice(&value.0);
    }

    /// Writes an unsigned number in one to five bytes, the low seven bits first.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// Writes a signed number in one to five bytes (zig-zag).
    pub fn varint(&mut self, value: i32) {
        self.uvarint(((value << 1) ^ (value >> 31)).cast_unsigned());
    }

    /// Writes a length; null is -1.
    fn length(&mut self, length: Option<usize>, flexible: bool) {
        let value = match length.map(i32::try_from) {
            None => -1,
            Some(Ok(value)) if value < i32::MAX => value,
            Some(_) => return self.fail(EncodeError::TooLong),
        };
        if flexible {
            self.uvarint((value + 1).cast_unsigned());
        } else {
            self.i32(value);
        }
    }

    /// Writes a string.
    pub fn string(&mut self, value: &ByteString, flexible: bool) {
        let Ok(length) = i16::try_from(value.len()) else { return self.fail(EncodeError::TooLong) };
        if flexible {
            self.uvarint(u32::from(length.cast_unsigned()) + 1);
        } else {
            self.i16(length);
        }
        self.copy(value.as_bytes());
    }

    /// Writes a string or null.
    pub fn opt_string(&mut self, value: &Option<ByteString>, flexible: bool) {
        match value {
            Some(value) => self.string(value, flexible),
            None if flexible => self.uvarint(0),
            None => self.i16(-1),
        }
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &Bytes, flexible: bool) {
        self.length(Some(value.len()), flexible);
        self.share(value);
    }

    /// Writes a byte string or null.
    pub fn opt_bytes(&mut self, value: &Option<Bytes>, flexible: bool) {
        match value {
            Some(value) => self.bytes(value, flexible),
            None => self.length(None, flexible),
        }
    }

    /// Writes the records of an answer, or null. Of those that are elsewhere it writes the length and leaves a gap.
    pub fn opt_records(&mut self, value: &Option<Records>, flexible: bool) {
        self.length(value.as_ref().map(Records::len), flexible);
        match value {
            Some(Records::Here(bytes)) => self.share(bytes),
            Some(Records::Elsewhere(len)) if *len > 0 => {
                self.flush();
                self.done += len;
                self.gaps.push(Gap { after_parts: self.parts.len(), len: *len });
            }
            Some(Records::Elsewhere(_)) | None => {}
        }
    }

    pub(crate) fn scalars<T: Scalar>(&mut self, values: &[T], flexible: bool) {
        self.length(Some(values.len()), flexible);
        for value in values {
            value.put(self, flexible);
        }
    }

    pub(crate) fn opt_scalars<T: Scalar>(&mut self, values: &Option<Vec<T>>, flexible: bool) {
        match values {
            Some(values) => self.scalars(values, flexible),
            None => self.length(None, flexible),
        }
    }

    pub(crate) fn structs<T: Codec>(&mut self, values: &[T], flexible: bool, version: i16) {
        self.length(Some(values.len()), flexible);
        for value in values {
            value.write(self, version);
        }
    }

    pub(crate) fn opt_structs<T: Codec>(&mut self, values: &Option<Vec<T>>, flexible: bool, version: i16) {
        match values {
            Some(values) => self.structs(values, flexible, version),
            None => self.length(None, flexible),
        }
    }

    /// Writes a struct or null behind a byte that says which.
    pub(crate) fn opt_struct<T: Codec>(&mut self, value: &Option<T>, version: i16) {
        self.i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            value.write(self, version);
        }
    }

    /// Writes a struct or null in a tagged field, behind a variable-length number that says which.
    pub(crate) fn opt_struct_in_tag<T: Codec>(&mut self, value: &Option<T>, version: i16) {
        self.uvarint(u32::from(value.is_some()));
        if let Some(value) = value {
            value.write(self, version);
        }
    }

    /// Writes that a struct has no tagged fields.
    pub(crate) fn no_tags(&mut self) {
        self.buffer.put_u8(0);
    }

    /// Begins a tagged field of known size.
    pub(crate) fn tag(&mut self, tag: u32, size: u32) {
        self.uvarint(tag);
        self.uvarint(size);
    }

    /// Begins a tagged field whose size shows at its end. What is written next is its value, until
    /// [`Writer::end_tag`] is given what this gives.
    pub(crate) fn begin_tag(&mut self, tag: u32) -> Self {
        self.uvarint(tag);
        std::mem::take(self)
    }

    /// Ends the tagged field that was begun last.
    pub(crate) fn end_tag(&mut self, outer: Self) {
        let inner = std::mem::replace(self, outer);
        match u32::try_from(inner.len()) {
            Ok(size) => self.uvarint(size),
            Err(_) => self.fail(EncodeError::TooLong),
        }
        if let Some(failure) = inner.failure {
            self.fail(failure);
        }
        for part in inner.into_parts() {
            self.share(&part);
        }
    }
}
