//! The four codecs, written as Kafka's Java code writes them and read as it reads them.
//!
//! Reading is bounded twice: the caller's limit bounds the output, and no buffer is larger than what the compressed
//! bytes that are there could expand to, or than the format's largest block or window (128 MB for zstd, touched only
//! as far as output is made).

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read};
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::BatchError;

/// How the records of a batch are compressed: all of them as one stream, the header is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks in the framing of snappy-java.
    Snappy = 2,
    /// The LZ4 frame format, independent blocks.
    Lz4 = 3,
    /// RFC 8878 (KIP-110).
    Zstd = 4,
}

impl Compression {
    const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    pub fn from_id(id: u8) -> Result<Self, BatchError> {
        Self::ALL.get(usize::from(id)).copied().ok_or(BatchError::Codec(id))
    }

    /// The name that `compression.type` has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec that `compression.type` names, where `uncompressed` stands for none; `producer` is no codec.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "uncompressed" => Some(Self::None),
            _ => Self::ALL.into_iter().find(|codec| codec.name() == name),
        }
    }

    /// The level that is used when none is configured (KIP-390).
    #[must_use]
    pub fn default_level(self) -> i32 {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => -1,
            Self::Lz4 => 9,
            Self::Zstd => 3,
        }
    }

    /// The levels that can be configured (KIP-390); gzip also takes -1.
    #[must_use]
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Self::None | Self::Snappy => 0..=0,
            Self::Gzip => 1..=9,
            Self::Lz4 => 1..=17,
            Self::Zstd => -131_072..=22,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and the level at which it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    /// The codec.
    pub compression: Compression,
    /// `compression.gzip.level`, `compression.zstd.level`. LZ4 has one level here, whatever `compression.lz4.level`
    /// says: the stream is the same for readers. A level out of range is brought into it.
    pub level: i32,
}

impl From<Compression> for Codec {
    /// The codec at its default level.
    fn from(compression: Compression) -> Self {
        Self { compression, level: compression.default_level() }
    }
}

/// Compresses `records` into a stream that Kafka's consumers read.
pub fn compress(codec: Codec, records: &[u8]) -> Result<Vec<u8>, BatchError> {
    let Codec { compression, level } = codec;
    let level_in_range = level.clamp(*compression.levels().start(), *compression.levels().end());
    let result = match compression {
        Compression::None => Ok(records.to_vec()),
        Compression::Gzip => {
            let level = if level == compression.default_level() { 6 } else { level_in_range as u32 };
            let mut gzip = Vec::with_capacity(records.len() / 2 + 64);
            let mut encoder = flate2::bufread::GzEncoder::new(records, flate2::Compression::new(level));
            encoder.read_to_end(&mut gzip).map(|_| gzip)
        }
        Compression::Snappy => snappy::compress(records),
        Compression::Lz4 => lz4::compress(records),
        Compression::Zstd => zstd::compress(records, level_in_range),
    };
    result.map_err(|error| broken(compression, &error))
}

/// Decompresses the stream `bytes` into at most `limit` bytes. Bytes without compression are returned as they are.
pub fn decompress(compression: Compression, bytes: &Bytes, limit: usize) -> Result<Bytes, BatchError> {
    match compression {
        Compression::None => Ok(bytes.clone()),
        _ => Decoder::new(compression, bytes, &mut Scratch::default()).read_all(limit),
    }
}

/// As [`decompress`], for the value of a message of magic 0 or 1. Producers of magic 0 computed the checksum of the
/// LZ4 frame header over the wrong bytes, so that it is not looked at.
pub(crate) fn decompress_legacy(
    compression: Compression,
    magic: i8,
    bytes: &Bytes,
    limit: usize,
) -> Result<Bytes, BatchError> {
    match (compression, magic) {
        (Compression::Lz4, 0) => {
            let mut block = Vec::new();
            Decoder::Lz4(lz4::Reader::new(bytes, lz4::HeaderChecksum::Ignored, &mut block)).read_all(limit)
        }
        _ => decompress(compression, bytes, limit),
    }
}

/// Memory that one decompression after the other can use. It holds nothing that shows.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The block that snappy or LZ4 is at.
    block: Vec<u8>,
    zstd: zstd::Context,
}

impl Scratch {
    /// What one large batch needed is not kept for the small ones after it.
    fn drop_large(&mut self) {
        const KEPT_MAX: usize = 1 << 20;
        if self.block.capacity() > KEPT_MAX {
            self.block = Vec::new();
        }
    }
}

/// Decompresses a stream piece by piece.
pub(crate) enum Decoder<'a> {
    Plain(&'a [u8]),
    Gzip(Box<gzip::Reader<'a>>),
    Snappy(snappy::Reader<'a>),
    Lz4(lz4::Reader<'a>),
    Zstd(zstd::Reader<'a>),
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(compression: Compression, bytes: &'a [u8], scratch: &'a mut Scratch) -> Self {
        scratch.drop_large();
        match compression {
            Compression::None => Self::Plain(bytes),
            Compression::Gzip => Self::Gzip(Box::new(gzip::Reader::new(bytes))),
            Compression::Snappy => Self::Snappy(snappy::Reader::new(bytes, &mut scratch.block)),
            Compression::Lz4 => Self::Lz4(lz4::Reader::new(bytes, lz4::HeaderChecksum::Verified, &mut scratch.block)),
            Compression::Zstd => Self::Zstd(zstd::Reader::new(bytes, &mut scratch.zstd)),
        }
    }

    fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Snappy(_) => Compression::Snappy,
            Self::Lz4(_) => Compression::Lz4,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// Fills as much of `buffer` as the next step of the codec gives; 0 is the end of the stream.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, BatchError> {
        let read = match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Snappy(reader) => reader.read(buffer),
            Self::Lz4(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        };
        read.map_err(|error| broken(self.compression(), &error))
    }

    fn read_all(mut self, limit: usize) -> Result<Bytes, BatchError> {
        const STEP: usize = 16 * 1024;
        let mut out = Vec::new();
        loop {
            let len = out.len();
            out.resize(len + STEP.max(len).min(limit.saturating_add(1) - len), 0);
            let mut end = len;
            while end < out.len() {
                match self.fill(&mut out[end..])? {
                    0 => {
                        out.truncate(end);
                        return Ok(Bytes::from(out));
                    }
                    read => end += read,
                }
            }
            if out.len() > limit {
                return Err(BatchError::TooLarge { limit });
            }
        }
    }
}

fn broken(codec: Compression, error: &io::Error) -> BatchError {
    BatchError::Compressed { codec, reason: error.to_string() }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
