//! What a member may say of a record.

/// What shall become of a record; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum AckType {
    /// There is no record at this offset.
    Gap = 0,
    /// It was processed.
    Accept = 1,
    /// It is to be delivered again.
    Release = 2,
    /// It cannot be processed.
    Reject = 3,
    /// The member needs more time (KIP-1222).
    Renew = 4,
}

impl AckType {
    /// The type with this number.
    #[must_use]
    pub fn from_i8(number: i8) -> Option<Self> {
        [Self::Gap, Self::Accept, Self::Release, Self::Reject, Self::Renew].into_iter().find(|ack| *ack as i8 == number)
    }
}
