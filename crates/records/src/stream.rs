//! The records of a compressed batch as a stream, of which only a window is in memory: for those who need to see every
//! record and keep none, however large the batch is when it is decompressed.

use crate::compression::{self, Decoder};
use crate::error::Fault;
use crate::record::Layout;
use crate::{BatchError, Compression, varint};

/// Memory that looks at one compressed batch after the other use: whoever looks often, keeps one for each thread of work.
/// It holds nothing that shows, and stays below 8 MB.
#[derive(Default)]
pub struct Scratch {
    codec: compression::Scratch,
    window: Vec<u8>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Scratch {
    /// The records of `payload`, which `source` compressed into at most `limit` bytes.
    pub(crate) fn stream<'a>(&'a mut self, source: Compression, payload: &'a [u8], limit: usize) -> Stream<'a> {
        self.window.resize(WINDOW, 0);
        Stream::new(Decoder::new(source, payload, &mut self.codec), &mut self.window, limit)
    }
}

/// What is known of a record when it has passed.
pub(crate) struct Found {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key_len: i32,
    pub(crate) value_len: i32,
}

impl From<&Layout> for Found {
    #[inline]
    fn from(layout: &Layout) -> Self {
        Self {
            offset_delta: layout.offset_delta,
            timestamp_delta: layout.timestamp_delta,
            key_len: layout.key.len,
            value_len: layout.value.len,
        }
    }
}

/// The records of a compressed batch, of which only a window is there at a time. Larger records pass through it.
pub(crate) struct Stream<'a> {
    decoder: Decoder<'a>,
    window: &'a mut [u8],
    at: usize,
    end: usize,
    /// How many more bytes the stream may give.
    left: usize,
    limit: usize,
}

/// The size of the window: what Kafka's reader takes at a time, doubled so that usual records lie in it whole.
const WINDOW: usize = 32 * 1024;

impl<'a> Stream<'a> {
    fn new(decoder: Decoder<'a>, window: &'a mut [u8], limit: usize) -> Self {
        Self { decoder, window, at: 0, end: 0, left: limit, limit }
    }

    /// Reads on until `len` bytes, at most a window, are there or the stream ends.
    fn ensure(&mut self, len: usize) -> Result<(), BatchError> {
        if self.end - self.at >= len {
            return Ok(());
        }
        self.window.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        while self.end < len {
            let read = self.decoder.fill(&mut self.window[self.end..])?;
            if read > self.left {
                return Err(BatchError::TooLarge { limit: self.limit });
            }
            self.left -= read;
            self.end += read;
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn next_record(&mut self) -> Result<Found, BatchError> {
        self.ensure(varint::MAX)?;
        let mut body_at = self.at;
        let size = varint::read_i32(&self.window[..self.end], &mut body_at)?;
        let Ok(size) = usize::try_from(size) else {
            return Err(Fault::RecordTooLong.into());
        };
        let whole = body_at - self.at + size;
        if whole > WINDOW {
            self.at = body_at;
            return self.pass_record(size);
        }
        self.ensure(whole)?;
        if self.end - self.at < whole {
            return Err(Fault::EndsInField.into());
        }
        Ok(Found::from(&Layout::read(&self.window[..self.end], &mut self.at)?))
    }

    /// Reads a record of `size` bytes field by field.
    fn pass_record(&mut self, size: usize) -> Result<Found, BatchError> {
        let mut left = size;
        self.skip(1, &mut left)?;
        let timestamp_delta = self.read(&mut left, varint::read_i64)?;
        let offset_delta = self.read(&mut left, varint::read_i32)?;
        let key_len = self.skip_field(&mut left)?;
        let value_len = self.skip_field(&mut left)?;
        let headers = self.read(&mut left, varint::read_i32)?;
        if headers < 0 || headers as usize > left / 2 {
            return Err(Fault::HeaderCount.into());
        }
        for _ in 0..headers {
            if self.skip_field(&mut left)? < 0 {
                return Err(Fault::HeaderWithoutName.into());
            }
            self.skip_field(&mut left)?;
        }
        match left {
            0 => Ok(Found { offset_delta, timestamp_delta, key_len, value_len }),
            _ => Err(Fault::FieldsTooShort.into()),
        }
    }

    fn read<T>(&mut self, left: &mut usize, read: fn(&[u8], &mut usize) -> Result<T, Fault>) -> Result<T, BatchError> {
        self.ensure(varint::MAX)?;
        let start = self.at;
        let end = self.end.min(start.saturating_add(*left));
        let value = read(&self.window[..end], &mut self.at)?;
        *left -= self.at - start;
        Ok(value)
    }

    fn skip_field(&mut self, left: &mut usize) -> Result<i32, BatchError> {
        let len = self.read(left, varint::read_i32)?;
        self.skip(len.max(0) as usize, left)?;
        Ok(len)
    }

    fn skip(&mut self, len: usize, left: &mut usize) -> Result<(), BatchError> {
        if len > *left {
            return Err(Fault::FieldTooLong.into());
        }
        *left -= len;
        let mut rest = len;
        while rest > 0 {
            self.ensure(1)?;
            let step = rest.min(self.end - self.at);
            if step == 0 {
                return Err(Fault::EndsInField.into());
            }
            self.at += step;
            rest -= step;
        }
        Ok(())
    }

    pub(crate) fn expect_end(&mut self) -> Result<(), BatchError> {
        self.ensure(1)?;
        match self.at == self.end {
            true => Ok(()),
            false => Err(Fault::BytesLeft.into()),
        }
    }
}
