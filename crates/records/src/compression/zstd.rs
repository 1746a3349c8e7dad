//! Zstandard (RFC 8878). A context takes longer to make than a batch to decompress, so that each thread keeps one:
//! scratch memory, never a state that anything could see.

use std::cell::Cell;
use std::io::{self, Read};

use zstd::zstd_safe::{CCtx, DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// A context that has grown beyond this, by a frame with a large window, is not kept. Java's default window of 2 MB is.
const KEPT_MAX: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
    static DECOMPRESSOR: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

fn failed(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, get_error_name(code))
}

pub(super) fn compress(records: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let context = COMPRESSOR.take().or_else(CCtx::try_create);
    let mut context = context.ok_or(io::ErrorKind::OutOfMemory)?;
    let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(records.len()));
    let result = context.compress(&mut out, records, level).map_err(failed);
    if context.sizeof() <= KEPT_MAX {
        COMPRESSOR.set(Some(context));
    }
    result.map(|_| out)
}

/// Decompresses frame by frame.
pub(crate) struct Reader<'a> {
    /// There until the reader is dropped.
    context: Option<DCtx<'static>>,
    rest: &'a [u8],
    in_frame: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let context = DECOMPRESSOR.take().or_else(DCtx::try_create);
        Self { context, rest: bytes, in_frame: false }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let context = self.context.as_mut().ok_or(io::ErrorKind::OutOfMemory)?;
        while !buffer.is_empty() && (self.in_frame || !self.rest.is_empty()) {
            let mut out = OutBuffer::around(buffer);
            let mut input = InBuffer::around(self.rest);
            let hint = context.decompress_stream(&mut out, &mut input).map_err(failed)?;
            let (read, taken) = (out.pos(), input.pos());
            self.rest = &self.rest[taken..];
            self.in_frame = hint != 0;
            if read > 0 {
                return Ok(read);
            }
            if taken == 0 && self.in_frame {
                return Err(super::invalid("the stream ends inside a frame"));
            }
        }
        Ok(0)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(mut context) = self.context.take()
            && context.sizeof() <= KEPT_MAX
            && context.reset(ResetDirective::SessionOnly).is_ok()
        {
            DECOMPRESSOR.set(Some(context));
        }
    }
}
