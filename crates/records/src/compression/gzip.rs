//! gzip (RFC 1952) as Java reads it: members one after the other, and what follows a member and begins none is ignored.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

/// Decompresses member by member.
pub(crate) struct Reader<'a> {
    member: GzDecoder<&'a [u8]>,
    ended: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { member: GzDecoder::new(bytes), ended: false }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let read = self.member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let next = GzDecoder::new(*self.member.get_ref());
            // Padding, or anything else.
            self.ended = next.header().is_none();
            self.member = next;
        }
        Ok(0)
    }
}
