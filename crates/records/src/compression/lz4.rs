//! The LZ4 frame format as Kafka's Java code has it: blocks are independent, there is no dictionary, and a frame
//! without its end mark is broken. Linked blocks, which Java refuses, are refused too: no Java consumer could read
//! them.

use std::io::{self, Read};

use super::invalid;
use crate::checksum::xxh32;

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
/// Version 1, independent blocks, no checksums, no sizes.
const FLAGS: u8 = 0x60;
/// Blocks of at most 64 KiB.
const BLOCK_64K: u8 = 0x40;
const BLOCK: usize = 64 * 1024;
const STORED: u32 = 0x8000_0000;
/// A byte of a length counts at most 255 bytes of output.
const EXPANSION_MAX: usize = 255;

pub(super) fn compress(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(records.len() / 2 + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[FLAGS, BLOCK_64K, header_checksum(&[FLAGS, BLOCK_64K])]);
    let mut compressed = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK.min(records.len()))];
    for block in records.chunks(BLOCK) {
        let len = lz4_flex::block::compress_into(block, &mut compressed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (mark, data) = match len < block.len() {
            true => (len as u32, &compressed[..len]),
            false => (block.len() as u32 | STORED, block),
        };
        out.extend_from_slice(&mark.to_le_bytes());
        out.extend_from_slice(data);
    }
    out.extend_from_slice(&[0; 4]);
    Ok(out)
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor) >> 8) as u8
}

/// Whether the checksum of the frame's header counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderChecksum {
    Verified,
    Ignored,
}

/// Decompresses block by block.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    header_checksum: HeaderChecksum,
    state: State,
    block: &'a mut Vec<u8>,
    at: usize,
    end: usize,
}

#[derive(Clone, Copy)]
enum State {
    BeforeHeader,
    Blocks { size_max: usize, checksums: bool, content_checksum: bool },
    Finished,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], header_checksum: HeaderChecksum, block: &'a mut Vec<u8>) -> Self {
        Self { rest: bytes, header_checksum, state: State::BeforeHeader, block, at: 0, end: 0 }
    }

    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| invalid("the stream ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_u32(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn read_header(&mut self) -> io::Result<()> {
        if self.take(4)? != MAGIC {
            return Err(invalid("the stream has no frame header"));
        }
        let start = self.rest;
        let descriptor = self.take(2)?;
        let (flags, block) = (descriptor[0], descriptor[1]);
        if flags & 0xe3 != FLAGS {
            return Err(invalid("the frame has an unsupported version, linked blocks or a dictionary"));
        }
        let size_id = block >> 4;
        if block & 0x8f != 0 || !(4..=7).contains(&size_id) {
            return Err(invalid("the frame has an unknown block size"));
        }
        let mut descriptor_len = 2;
        if flags & 0x08 != 0 {
            self.take(8)?; // the content size, which Kafka ignores
            descriptor_len += 8;
        }
        let checksum = self.take(1)?[0];
        if self.header_checksum == HeaderChecksum::Verified && checksum != header_checksum(&start[..descriptor_len]) {
            return Err(invalid("the frame header's checksum is wrong"));
        }
        self.state = State::Blocks {
            size_max: 1 << (2 * size_id + 8),
            checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
        };
        Ok(())
    }

    /// Decompresses the next block into `self.block[self.at..self.end]`, which may stay empty.
    fn read_block(&mut self, size_max: usize, checksums: bool, content_checksum: bool) -> io::Result<()> {
        let mark = self.take_u32()?;
        let len = (mark & !STORED) as usize;
        if len == 0 {
            if content_checksum {
                self.take(4)?; // not verified by Kafka either
            }
            self.state = State::Finished;
            return Ok(());
        }
        if len > size_max {
            return Err(invalid("a block is larger than its frame allows"));
        }
        let data = self.take(len)?;
        if checksums && xxh32(data) != self.take_u32()? {
            return Err(invalid("a block's checksum is wrong"));
        }
        let room = if mark & STORED != 0 { len } else { size_max.min(len * EXPANSION_MAX) };
        if room > self.block.len() {
            self.block.resize(room, 0);
        }
        self.at = 0;
        self.end = len;
        if mark & STORED != 0 {
            self.block[..len].copy_from_slice(data);
        } else {
            self.end = lz4_flex::block::decompress_into(data, &mut self.block[..room])
                .map_err(|_| invalid("a block cannot be decompressed"))?;
        }
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            match self.state {
                State::BeforeHeader => self.read_header()?,
                State::Finished => return Ok(0),
                State::Blocks { size_max, checksums, content_checksum } => {
                    self.read_block(size_max, checksums, content_checksum)?;
                }
            }
        }
        let len = buffer.len().min(self.end - self.at);
        buffer[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
