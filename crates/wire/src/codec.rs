//! What all generated structs can do.

use crate::error::{DecodeError, DecodeProblem, EncodeError};
use crate::{ApiKey, Reader, Writer};

/// A struct of the protocol: a message or a part of one.
pub trait Codec: Default {
    /// Kafka's name.
    const NAME: &'static str;
    /// The lowest version of the message.
    const LOW: i16;
    /// The highest version of the message.
    const HIGH: i16;

    /// Reads the fields that `version` has into a value whose fields are at their defaults. A failure is kept by the
    /// reader: [`Codec::decode`] asks it.
    fn read(&mut self, r: &mut Reader, version: i16);

    /// Writes the fields that `version` has. A failure is kept by the writer: [`Codec::encode`] asks it.
    fn write(&self, w: &mut Writer, version: i16);

    /// Tells the error codes of a response, those of its parts among them; nothing for what is no response.
    fn errors(&self, tell: &mut dyn FnMut(i16)) {
        let _ = tell;
    }

    /// For how many milliseconds the client is throttled, as a response says (KIP-219); 0 where it cannot say so.
    fn throttle_time_ms(&self) -> i32 {
        0
    }

    /// Says in a response for how many milliseconds the client is throttled; nothing where it cannot say so.
    fn set_throttle_time_ms(&mut self, ms: i32) {
        let _ = ms;
    }

    /// Reads one from where the reader stands, and leaves it behind it. Tagged fields that nobody knows are skipped.
    ///
    /// # Errors
    /// When the bytes are not an encoding of this version, or there is no such version.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let mut value = Self::default();
        if (Self::LOW..=Self::HIGH).contains(&version) {
            value.read(r, version);
        } else {
            r.fail(DecodeProblem::Version(version));
        }
        r.failure().map_or(Ok(value), Err)
    }

    /// Writes this one behind what the writer has.
    ///
    /// # Errors
    /// When this version cannot say what the value says, or there is no such version.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if (Self::LOW..=Self::HIGH).contains(&version) {
            self.write(w, version);
        } else {
            w.fail(EncodeError::Version { name: Self::NAME, version });
        }
        w.failure().map_or(Ok(()), Err)
    }
}

/// A request, and what belongs to it.
pub trait Request: Codec {
    /// The API.
    const API: ApiKey;
    /// What it is answered with, at the same version.
    type Response: Codec;
}

/// A value of an array that is not a struct.
pub(crate) trait Scalar: Default {
    fn get(r: &mut Reader, flexible: bool) -> Self;
    fn put(&self, w: &mut Writer, flexible: bool);
}

macro_rules! fixed {
    ($($ty:ty: $method:ident),*) => {
        $(impl Scalar for $ty {
            fn get(r: &mut Reader, _: bool) -> Self {
                r.$method()
            }

            fn put(&self, w: &mut Writer, _: bool) {
                w.$method(*self);
            }
        })*
    };
}

fixed!(i8: i8, i16: i16, i32: i32, i64: i64, thalweg_base::Uuid: uuid);

macro_rules! variable {
    ($($ty:ty: $method:ident),*) => {
        $(impl Scalar for $ty {
            fn get(r: &mut Reader, flexible: bool) -> Self {
                let mut value = Self::default();
                r.$method(&mut value, flexible);
                value
            }

            fn put(&self, w: &mut Writer, flexible: bool) {
                w.$method(self, flexible);
            }
        })*
    };
}

variable!(bytestring::ByteString: string, bytes::Bytes: bytes);
