//! The records of an answer, which need not be in memory for the answer to be encoded.

use bytes::Bytes;

/// The records of an answer: their bytes, or how many bytes of them whoever writes the answer will put in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// The batches themselves. What is decoded is always here.
    Here(Bytes),
    /// So many bytes that stand somewhere else: in a file.
    Elsewhere(usize),
}

impl Records {
    /// How many bytes they are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Elsewhere(len) => *len,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in memory.
    #[must_use]
    pub fn here(&self) -> Option<&Bytes> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Elsewhere(_) => None,
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::Here(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Here(bytes)
    }
}

/// A place in an encoding where bytes that stand elsewhere belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many of the encoding's parts stand before it.
    pub after_parts: usize,
    /// How many bytes belong there.
    pub len: usize,
}
