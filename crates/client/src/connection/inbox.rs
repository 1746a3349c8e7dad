//! What has arrived and is not a whole frame yet.

use bytes::{Bytes, BytesMut};

/// How much is read at a time when no frame asks for more.
const CHUNK: usize = 32 << 10;
/// A frame up to this size gets its room at once; a larger one as it arrives, so that a peer which only promises bytes
/// takes little memory.
const RESERVED_AT_ONCE: usize = 16 << 20;

/// Splits the bytes of a stream into frames: four bytes of length, then so many bytes.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: BytesMut,
    frame_bytes_max: usize,
}

impl Inbox {
    /// Frames of more than `frame_bytes_max` bytes are refused.
    pub(super) fn new(frame_bytes_max: usize) -> Self {
        Self { bytes: BytesMut::new(), frame_bytes_max }
    }

    /// Where the next bytes go; there is room for at least one.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let have = self.bytes.len();
        let wanted = match self.announced() {
            Some(length) => (length + 4 - have).min(RESERVED_AT_ONCE.max(have)),
            None => 1,
        };
        if self.bytes.capacity() - have < wanted {
            self.bytes.reserve(wanted.max(CHUNK));
        }
        &mut self.bytes
    }

    /// The next whole frame, without its length.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, String> {
        let Some(length) = self.announced() else { return Ok(None) };
        if length > self.frame_bytes_max {
            let shown = self.bytes.first_chunk::<4>().map_or(0, |length| i32::from_be_bytes(*length));
            return Err(format!("it sent a response of {shown} bytes; at most {} are read", self.frame_bytes_max));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        let mut frame = self.bytes.split_to(4 + length);
        Ok(Some(frame.split_off(4).freeze()))
    }

    /// The length that the bytes at hand begin with. A negative one counts as larger than any limit.
    fn announced(&self) -> Option<usize> {
        let length = i32::from_be_bytes(*self.bytes.first_chunk::<4>()?);
        Some(usize::try_from(length).unwrap_or(usize::MAX - 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(inbox: &mut Inbox, bytes: &[u8]) {
        inbox.room().extend_from_slice(bytes);
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut inbox = Inbox::new(10);
        let stream = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let mut frames = Vec::new();
        for byte in stream {
            fill(&mut inbox, &[byte]);
            frames.extend(inbox.next_frame().expect("no error"));
        }
        assert_eq!(frames, [Bytes::from_static(&[1, 2, 3]), Bytes::new(), Bytes::from_static(&[9])]);
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_room_is_made() {
        for (bytes, shown) in [([0, 0, 0, 11], "11"), ([0x7f, 0xff, 0xff, 0xff], "2147483647"), ([0xff; 4], "-1")] {
            let mut inbox = Inbox::new(10);
            fill(&mut inbox, &bytes);
            let error = inbox.next_frame().expect_err("refused");
            assert_eq!(error, format!("it sent a response of {shown} bytes; at most 10 are read"));
        }
    }

    #[test]
    fn a_large_frame_gets_its_room_as_it_arrives() {
        let mut inbox = Inbox::new(1 << 30);
        fill(&mut inbox, &(1i32 << 29).to_be_bytes());
        assert_eq!(inbox.next_frame(), Ok(None));
        assert!(inbox.room().capacity() <= RESERVED_AT_ONCE + CHUNK);
    }
}
