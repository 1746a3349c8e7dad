//! Zstandard (RFC 8878).

use std::io::{self, Read};

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

fn failed(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, get_error_name(code))
}

pub(super) fn compress(records: &[u8], level: i32) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(records, level)
}

/// A context that has grown beyond this, by a frame with a large window, is not kept. Java's default window of 2 MB is.
const KEPT_MAX: usize = 4 << 20;

/// A context to use again: making one takes longer than a batch, most of all in a virtual machine, where its look at
/// the processor's features leaves the guest.
#[derive(Default)]
pub(super) struct Context(Option<DCtx<'static>>);

impl Context {
    /// A context without a trace of what it did before.
    fn get(&mut self) -> io::Result<&mut DCtx<'static>> {
        let kept = self.0.take().filter(|context| context.sizeof() <= KEPT_MAX);
        let mut context = kept.or_else(DCtx::try_create).ok_or(io::ErrorKind::OutOfMemory)?;
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        Ok(self.0.insert(context))
    }
}

/// Decompresses frame by frame.
pub(crate) struct Reader<'a> {
    context: io::Result<&'a mut DCtx<'static>>,
    rest: &'a [u8],
    in_frame: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], context: &'a mut Context) -> Self {
        Self { context: context.get(), rest: bytes, in_frame: false }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let context = self.context.as_mut().map_err(|error| io::Error::from(error.kind()))?;
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
