//! Snappy in the framing of snappy-java, which Kafka uses: a magic header, two version numbers, then blocks that each
//! have a length before them. Streams without the header are one raw block: some other clients write that, and
//! snappy-java reads it.

use std::io::{self, Read};

use super::invalid;

/// `0x82 SNAPPY 0x00`, version 1, compatible with version 1.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const MAGIC: usize = 8;
const BLOCK: usize = 32 * 1024;
/// The densest element of the format makes 64 bytes of 3.
const EXPANSION_MAX: usize = 22;

pub(super) fn compress(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = Vec::with_capacity(HEADER.len() + records.len() / 2 + 64);
    out.extend_from_slice(&HEADER);
    let mut block_out = vec![0; snap::raw::max_compress_len(BLOCK.min(records.len()))];
    for block in records.chunks(BLOCK) {
        let len = encoder.compress(block, &mut block_out)?;
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(&block_out[..len]);
    }
    Ok(out)
}

/// Decompresses block by block.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    framing: Framing,
    block: &'a mut Vec<u8>,
    at: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Unknown,
    Java,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], block: &'a mut Vec<u8>) -> Self {
        Self { rest: bytes, framing: Framing::Unknown, block, at: 0, end: 0 }
    }

    /// Takes the next block off the input; `None` at its end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if self.framing == Framing::Unknown && !self.rest.starts_with(&HEADER[..MAGIC]) {
            let raw = std::mem::take(&mut self.rest);
            return Ok((!raw.is_empty()).then_some(raw));
        }
        // A header may also come later: then two streams were put one after the other.
        while self.rest.starts_with(&HEADER[..MAGIC]) {
            self.rest = self.rest.get(HEADER.len()..).ok_or_else(|| invalid("the stream ends in its header"))?;
            self.framing = Framing::Java;
        }
        let Some((len, rest)) = self.rest.split_first_chunk::<4>() else {
            return match self.rest.is_empty() {
                true => Ok(None),
                false => Err(invalid("the stream ends in a block length")),
            };
        };
        let len = u32::from_be_bytes(*len) as usize;
        if len > rest.len() {
            return Err(invalid("the stream ends in a block"));
        }
        let (block, rest) = rest.split_at(len);
        self.rest = rest;
        Ok(Some(block))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            let Some(block) = self.next_block()? else { return Ok(0) };
            let len = snap::raw::decompress_len(block)?;
            if len > block.len() * EXPANSION_MAX {
                return Err(invalid("a block is shorter than what it declares"));
            }
            if len > self.block.len() {
                self.block.resize(len, 0);
            }
            self.end = snap::raw::Decoder::new().decompress(block, self.block)?;
            self.at = 0;
        }
        let len = buffer.len().min(self.end - self.at);
        buffer[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
